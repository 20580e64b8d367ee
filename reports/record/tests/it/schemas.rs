//! The kept JSON Schemas are those of the types, and what we write keeps to them.

use std::path::Path;

use serde_json::Value;

use crate::example;

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(format!("{name}.schema.json"))
}

#[test]
fn the_kept_schemas_are_those_of_the_types() {
    for (name, schema) in record::schemas::all() {
        let now = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = kept(name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let then = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            now == then,
            "{} is not what the types say; UPDATE_SCHEMAS=1 cargo test -p record writes it anew",
            path.display()
        );
    }
}

fn check(name: &str, value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(kept(name)).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path)).collect()
}

#[test]
fn what_is_written_keeps_to_the_schemas() {
    let value = |v: Result<Value, serde_json::Error>| v.unwrap();
    for (name, written) in [
        ("run", value(serde_json::to_value(example::run()))),
        ("trial", value(serde_json::to_value(example::trial("a", "b")))),
        ("load", value(serde_json::to_value(example::summary()))),
        ("interval", value(serde_json::to_value(example::interval(0)))),
        ("sample", value(serde_json::to_value(example::sample(0)))),
        ("slow", value(serde_json::to_value(example::slow()))),
        ("disk-test", value(serde_json::to_value(example::disk_test()))),
        ("istio", value(serde_json::to_value(example::istio()))),
        ("end", value(serde_json::to_value(example::end()))),
        ("hosts", value(serde_json::to_value(example::hosts()))),
        ("cluster", value(serde_json::to_value(example::cluster()))),
        ("trial-hosts", value(serde_json::to_value(example::trial_hosts()))),
        ("clocks", value(serde_json::to_value(example::exchange()))),
        ("losses", value(serde_json::to_value(example::loss()))),
    ] {
        assert_eq!(check(name, &written), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_not_of_the_form_is_found() {
    let mut interval = serde_json::to_value(example::interval(0)).unwrap();
    interval["response"] = "not a histogram".into();
    interval["due"] = (-1).into();
    assert_eq!(check("interval", &interval).len(), 2);
}
