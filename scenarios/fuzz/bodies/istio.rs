//! A directory of any YAML: what Istio would have of it makes a scenario that keeps its rules, or fields are refused by file,
//! line and column.
//!
//! A byte of 0 ends a file; there are three at most.

use std::fs;

use record::IstioReading;
use scenarios::{Istio, Scenario};

const FILES: [&str; 3] = ["a.yaml", "b.yml", "c.json"];

pub(crate) fn check(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in FILES.iter().zip(data.splitn(FILES.len(), |byte| *byte == 0)) {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    let accepted = ["outlierDetection".to_owned(), "enableTracing".to_owned()];
    let istio = match Istio::read(directory.path(), None, &accepted) {
        Ok(istio) => istio,
        Err(error) => {
            let said = error.to_string();
            let way_out = said.contains("\n  try: ") || said.contains("cannot read");
            assert!(way_out, "{said}");
            // Of fields that are refused a screenful is told.
            assert!(said.lines().count() < 60, "{said}");
            return;
        }
    };
    let mut scenario = Scenario::default();
    istio.put_in(&mut scenario);
    if let Err(error) = scenario.check() {
        // What Istio permits and no host has, such as a limit of a million cores.
        assert!(error.to_string().contains("\n  try: "), "{error}");
        return;
    }
    let written = scenario.to_toml();
    assert_eq!(Scenario::parse(&written, "written.toml").expect("it is written to be read"), scenario, "{written}");

    let reading = istio.reading(&scenario);
    let kept = serde_json::to_vec(&reading).expect("how it was read can be kept");
    assert_eq!(serde_json::from_slice::<IstioReading>(&kept).expect("and read"), reading);
    assert!(reading.files.iter().all(|file| FILES.contains(&file.as_str())), "{:?}", reading.files);
}
