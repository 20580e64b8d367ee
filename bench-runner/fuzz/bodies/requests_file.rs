//! A list of requests of any text is one kind of request for each part of it, none of which holds more than a body may, or
//! says what is wrong.

use crate::requests;

/// As the reader of such lists says, for all of them together.
const LARGEST_BODY: usize = 256 << 20;

pub(crate) fn check(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mix.toml");
    std::fs::write(&path, data).expect("a file");
    let specs = match requests::listed(&path, &load_gen::RequestSpec::get("http://h:1/base?q")) {
        Ok(specs) => specs,
        Err(error) => {
            let said = format!("{error:#}");
            let place = directory.path().display().to_string();
            assert!(said.contains(&place) || said.contains("\n  try: ") || said.contains("cannot read"), "{said}");
            return;
        }
    };
    assert!(!specs.is_empty() && specs.len() <= data.len() / "[[request]]".len() + data.len());
    assert!(specs.iter().map(|spec| spec.body.len()).sum::<usize>() <= LARGEST_BODY);
    for spec in &specs {
        assert!(!spec.url.is_empty() || data.windows(3).any(|three| three == b"url"), "{spec:?}");
    }
}
