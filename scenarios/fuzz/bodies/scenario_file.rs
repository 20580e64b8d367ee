//! A scenario of any text: it is one that is written as it was read and has so many cells as can be run, or what is wrong is
//! shown in its line.

use std::collections::BTreeSet;

use scenarios::Scenario;

/// As `Scenario::matrix` says.
const MOST_CELLS: usize = 1_000;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scenario = match Scenario::parse(text, "s.toml") {
        Ok(scenario) => scenario,
        Err(error) => return told(text, &error.to_string()),
    };
    scenario.check().expect("what was read keeps the rules");
    let written = scenario.to_toml();
    let again = Scenario::parse(&written, "written.toml").unwrap_or_else(|e| panic!("{written}\n{e}"));
    assert_eq!(again, scenario, "{written}");
    // A product of lists is the longer, the more lists there are, and not their text.
    match scenario.matrix() {
        Err(error) => assert!(error.to_string().contains("\n  try: "), "{error}"),
        Ok(matrix) => {
            assert!(!matrix.cells.is_empty() && matrix.cells.len() <= MOST_CELLS, "{} cells", matrix.cells.len());
            let ids: BTreeSet<&str> = matrix.cells.iter().map(|cell| cell.id.as_str()).collect();
            assert_eq!(ids.len(), matrix.cells.len(), "each cell has an id of its own");
            // They are names of directories.
            let odd = ids.iter().find(|id| id.is_empty() || id.starts_with('.') || id.contains(['/', '\0']));
            assert_eq!(odd, None);
            for cell in matrix.cells.iter().take(3) {
                let shape = scenario.shape(&cell.factors).expect("each cell has a shape");
                assert_eq!(shape.services.len(), cell.factors.services as usize);
            }
        }
    }
}

/// That an error names a line that is there, and fits on a screen whatever the file is.
fn told(text: &str, said: &str) {
    let line = said.strip_prefix("s.toml line ").and_then(|rest| rest.split_once(", column "));
    let line: usize = line.expect("the place comes first").0.parse().expect("a number");
    assert!((1..=text.lines().count() + 1).contains(&line), "{said}");
    assert!(said.contains("\n  try: ") && said.contains('^'), "{said}");
    assert!(said.lines().all(|line| line.chars().count() < 2_000 + text.len()), "{said}");
}
