//! What a service does for each request, as it is told on its command line: calls by the callees' names.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Shape};

/// The steps, done one after another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script(pub Vec<ScriptStep>);

/// What is done at once. It ends when all of it is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// Calls, all begun at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ScriptCall>,
    /// The least time it takes: a timer, and no work.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sleep_ns: u64,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptCall {
    /// The callee's name.
    pub service: String,
    /// Body bytes of the request. Without a number, the only call of a script passes on the body that came, and any
    /// other has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// The share of requests for which it is made, from 0 to 1.
    #[serde(default = "always", skip_serializing_if = "is_always")]
    pub probability: f64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn always() -> f64 {
    1.0
}

fn is_always(probability: &f64) -> bool {
    *probability == 1.0
}

/// The longest a step may sleep: longer than any request is waited for.
const LONGEST_SLEEP_NS: u64 = 3_600_000_000_000;

impl Script {
    /// What a service of a shape does.
    pub fn of(shape: &Shape, at: usize) -> Self {
        let call = |call: &crate::Call| {
            let service = shape.services.get(call.callee)?.name.clone();
            Some(ScriptCall { service, request_bytes: call.request_bytes, probability: call.probability })
        };
        let step = |step: &crate::Step| ScriptStep {
            calls: step.calls.iter().filter_map(call).collect(),
            sleep_ns: step.sleep_ns,
        };
        Self(shape.services.get(at).map(|service| service.steps.iter().map(step).collect()).unwrap_or_default())
    }

    /// The names of those it may call, each once, in the order of its steps.
    pub fn callees(&self) -> Vec<&str> {
        let mut callees = Vec::new();
        for call in self.0.iter().flat_map(|step| &step.calls) {
            if !callees.contains(&call.service.as_str()) {
                callees.push(call.service.as_str());
            }
        }
        callees
    }

    /// Whether anything of it is left to chance.
    pub(super) fn draws(&self) -> bool {
        self.0.iter().flat_map(|step| &step.calls).any(|call| call.probability < 1.0)
    }

    pub(super) fn check(&self, largest_body: u64) -> Result<(), Error> {
        for step in &self.0 {
            if step.sleep_ns > LONGEST_SLEEP_NS {
                return Err(bad(format!("it sleeps for {} ns", step.sleep_ns), "at most an hour"));
            }
            for call in &step.calls {
                let name = &call.service;
                if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
                    return Err(bad(format!("'{name}' is no name of a callee"), "a name such as s2"));
                }
                if !(0.0..=1.0).contains(&call.probability) {
                    let problem = format!("the probability of calling {name} is {}", call.probability);
                    return Err(bad(problem, "a number from 0 to 1"));
                }
                if call.request_bytes.is_some_and(|bytes| bytes > largest_body) {
                    return Err(bad(format!("the request to {name} is too large"), "at most 1 GiB"));
                }
            }
        }
        Ok(())
    }
}

fn bad(problem: String, remedy: &str) -> Error {
    Error::Value { what: "script".into(), problem, remedy: remedy.into() }
}

/// JSON, or the path of a file with it.
impl FromStr for Script {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim_start();
        let json = if trimmed.starts_with('[') {
            trimmed.to_owned()
        } else {
            let path = std::path::Path::new(text);
            std::fs::read_to_string(path).map_err(crate::error::file_error("read", path))?
        };
        serde_json::from_str(&json)
            .map_err(|error| bad(error.to_string(), r#"[{"calls":[{"service":"s2"},{"service":"s3"}]}]"#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Step};

    fn call(service: &str) -> ScriptCall {
        ScriptCall { service: service.into(), request_bytes: None, probability: 1.0 }
    }

    #[test]
    fn a_services_steps_are_told_by_names() {
        let mut shape = Shape::fan_out(3);
        let rare = Call { request_bytes: Some(7), probability: 0.25, ..Call::to(1) };
        shape.services[0].steps.push(Step { calls: vec![rare], sleep_ns: 5 });
        let script = Script::of(&shape, 0);
        assert_eq!(
            serde_json::to_string(&script).unwrap(),
            r#"[{"calls":[{"service":"s2"},{"service":"s3"}]},{"calls":[{"service":"s2","request_bytes":7,"probability":0.25}],"sleep_ns":5}]"#
        );
        assert_eq!(serde_json::to_string(&script).unwrap().parse::<Script>().unwrap(), script);
        assert_eq!((script.callees(), script.draws()), (vec!["s2", "s3"], true));
        assert_eq!((Script::of(&shape, 1), Script::of(&shape, 9)), (Script::default(), Script::default()));
        assert!(!Script::of(&Shape::chain(2), 0).draws());
    }

    #[test]
    fn a_script_is_read_from_a_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s1.json");
        std::fs::write(&path, "[\n {\"calls\": [{\"service\": \"b\"}]}\n]\n").unwrap();
        let read: Script = path.to_str().unwrap().parse().unwrap();
        assert_eq!(read, Script(vec![ScriptStep { calls: vec![call("b")], sleep_ns: 0 }]));
        let said = dir.path().join("none.json").to_str().unwrap().parse::<Script>().unwrap_err().to_string();
        assert!(said.starts_with("cannot read ") && said.contains("none.json"), "{said}");
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for (text, want) in [
            ("[{\"call\":[]}]", "script: unknown field `call`"),
            ("[{\"calls\":[{}]}]", "script: missing field `service`"),
            ("[1]", "script: invalid type"),
        ] {
            let said = text.parse::<Script>().unwrap_err().to_string();
            assert!(said.starts_with(want) && said.contains("\n  try: [{"), "{said}");
        }
        let with = |change: fn(&mut ScriptStep)| {
            let mut step = ScriptStep { calls: vec![call("s2")], sleep_ns: 0 };
            change(&mut step);
            Script(vec![step]).check(100).map_err(|e| e.to_string())
        };
        assert_eq!(with(|_| ()), Ok(()));
        for (said, want) in [
            (with(|s| s.sleep_ns = u64::MAX), "it sleeps for"),
            (with(|s| s.calls[0].service = "a b".into()), "'a b' is no name"),
            (with(|s| s.calls[0].probability = 1.5), "the probability of calling s2 is 1.5"),
            (with(|s| s.calls[0].probability = f64::NAN), "the probability of calling s2 is NaN"),
            (with(|s| s.calls[0].request_bytes = Some(101)), "the request to s2 is too large"),
        ] {
            let said = said.unwrap_err();
            assert!(said.starts_with(&format!("script: {want}")) && said.contains("\n  try: "), "{said}");
        }
    }
}
