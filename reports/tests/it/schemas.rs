//! The kept JSON Schema of findings.json is that of the type, and what is written keeps to it.

use std::path::Path;

use serde_json::Value;

use crate::made::{MadeRun, first_look};

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(format!("{name}.schema.json"))
}

#[test]
fn the_kept_schemas_are_those_of_the_types() {
    for (name, schema) in reports::schemas::all() {
        let now = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = kept(name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let then = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            now == then,
            "{} is not what the types say; UPDATE_SCHEMAS=1 cargo test -p reports writes it anew",
            path.display()
        );
    }
}

#[test]
fn what_is_written_keeps_to_the_schema_and_to_the_contract() {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(kept("findings")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for run in [first_look(), MadeRun { repeats: 1, psi: false, steal_known: false, ..first_look() }] {
        let parent = tempfile::tempdir().unwrap();
        let findings = reports::findings(&run.write(parent.path())).unwrap();
        let mut json: Value = serde_json::from_str(&reports::json::render(&findings).unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert_eq!(errors, Vec::<String>::new());
        for path in [
            "/schema",
            "/method",
            "/run",
            "/cells/0/factors/cpu_limit",
            "/cells/0/response_ns/p999/value",
            "/cells/0/service_ns/max/n",
            "/cells/3/proxies/cpu_millicores_per_1000_rps/value",
            "/cells/3/proxies/throttled_periods/level",
            "/cells/0/proxies/rss_bytes/absent",
            "/cells/0/node/iowait_share/value",
            "/taxes/0/response_ns/p99/per_hop/low",
            "/taxes/0/kind",
            "/attribution/0/share_of_tail/value",
            "/warnings",
        ] {
            assert!(json.pointer(path).is_some(), "{path} is not there");
        }
        json["cells"][0]["trials"] = "many".into();
        assert!(!validator.is_valid(&json));
    }
}
