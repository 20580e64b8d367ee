//! YAML with the place of every value and every key, so that whatever is wrong can be shown where it stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Location, Options, Spanned};

use crate::excerpt::excerpt;
use crate::{Error, Result};

/// A value and where it stands.
pub(crate) type Placed = Spanned<Value>;

/// A value of YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// An empty place, or `null`.
    Nothing,
    Truth(bool),
    Number(f64),
    Text(String),
    List(Vec<Placed>),
    Table(Vec<(Spanned<String>, Placed)>),
}

impl Value {
    /// What it is, for people.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Truth(truth) => truth.to_string(),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text '{text}'"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// What is wrong at a place, and what would be right.
#[derive(Debug)]
pub(crate) struct Fault {
    place: Location,
    problem: String,
    remedy: String,
}

impl Fault {
    pub(crate) fn at<T>(place: &Spanned<T>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.referenced, problem: problem.into(), remedy: remedy.into() }
    }

    /// The fault of a value of another kind.
    pub(crate) fn expected(what: &str, found: &Placed) -> Self {
        Self::at(found, format!("expected {what}, found {}", found.value.described()), what)
    }

    /// As an error of the document it was found in.
    pub(crate) fn into_error(self, document: &Document<'_>) -> Error {
        let Self { place, problem, remedy } = self;
        let (line, column) = (place.line().max(1) as usize, place.column().max(1) as usize);
        let shown = document.text.lines().nth(line - 1).unwrap_or_default();
        let excerpt = excerpt(line, shown, column, 1);
        Error::Scenario { origin: document.origin.to_owned(), line, column, problem, excerpt, remedy }
    }
}

/// The text and where it is from.
pub(crate) struct Document<'a> {
    pub(crate) text: &'a str,
    pub(crate) origin: &'a str,
    /// What it should be, for whoever wrote something else.
    pub(crate) form: &'static str,
}

impl Document<'_> {
    /// Reads it whole.
    pub(crate) fn parse(&self) -> Result<Placed> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| self.broken(error))
    }

    /// Reads each of several documents in one text; empty ones are left out.
    pub(crate) fn parse_all(&self) -> Result<Vec<Placed>> {
        serde_saphyr::from_multiple_with_options(self.text, options()).map_err(|error| self.broken(error))
    }

    fn broken(&self, error: serde_saphyr::Error) -> Error {
        let error = error.without_snippet();
        let place = error.location().unwrap_or(Location::UNKNOWN);
        let (problem, remedy) = too_much(error).unwrap_or_else(|| {
            let said = error.to_string();
            (said.lines().next().unwrap_or_default().to_owned(), self.form)
        });
        Fault { place, problem, remedy: remedy.to_owned() }.into_error(self)
    }
}

/// What a text may have: all resources of a large cluster, some hundreds of values each.
const DOCUMENTS: usize = 50_000;
const NODES: usize = 5_000_000;
/// What its aliases may repeat; ten lines of them can ask for a billion values.
const REPEATED: usize = 100_000;

fn options() -> Options {
    let mut options = Options::default();
    // A service may be called y, or no.
    options.strict_booleans = true;
    let budget = options.budget.get_or_insert_default();
    budget.max_documents = DOCUMENTS;
    budget.max_nodes = NODES;
    // A list and a table have an end each.
    budget.max_events = 2 * NODES;
    // One anchor may be named often: what that makes is bounded.
    budget.enforce_alias_anchor_ratio = false;
    options.alias_limits.max_total_replayed_events = REPEATED;
    options
}

/// What a text has too much of, and what would be read.
fn too_much(mut error: &serde_saphyr::Error) -> Option<(String, &'static str)> {
    // By way of which alias it came to that does not matter.
    while let serde_saphyr::Error::AliasError { error: within, .. } = error {
        error = within;
    }
    let split = "several files, each with a part of it";
    Some(match error {
        serde_saphyr::Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            (format!("these are more than {DOCUMENTS} documents in one text"), split)
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => {
            (format!("these are more than {NODES} values in one text"), split)
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::ScalarBytes { .. }, .. } => {
            ("this is more text than is read of one file".to_owned(), split)
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { depth }, .. } => {
            (format!("this is within {} others", depth.saturating_sub(1)), "less deep nesting")
        }
        serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            (format!("aliases repeat more than {REPEATED} values"), "what is repeated written out where it belongs")
        }
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, truth: bool) -> std::result::Result<Value, E> {
        Ok(Value::Truth(truth))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> std::result::Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = table.next_key()? {
            entries.push((key, table.next_value()?));
        }
        Ok(Value::Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_key_has_its_place() {
        let text = "a: 1\nb:\n- - x: no\n  - 2.5\n- ''\nc:\n";
        let whole = Document { text, origin: "f", form: "YAML" }.parse().unwrap();
        let Value::Table(top) = &whole.value else { panic!("{whole:?}") };
        let keys: Vec<_> = top.iter().map(|(k, _)| (k.value.as_str(), k.referenced.line())).collect();
        assert_eq!(keys, [("a", 1), ("b", 2), ("c", 6)]);
        assert_eq!((&top[0].1.value, &top[2].1.value), (&Value::Number(1.0), &Value::Nothing));
        let Value::List(b) = &top[1].1.value else { panic!("{top:?}") };
        assert_eq!(b[1].value, Value::Text(String::new()));
        let Value::List(inner) = &b[0].value else { panic!("{b:?}") };
        assert_eq!((inner[1].referenced.line(), inner[1].referenced.column()), (4, 5));
        let Value::Table(x) = &inner[0].value else { panic!("{inner:?}") };
        assert_eq!((x[0].0.referenced.column(), x[0].1.referenced.column()), (5, 8));
        assert_eq!(x[0].1.value, Value::Text("no".into()));
    }

    #[test]
    fn each_of_several_documents_has_the_places_of_the_whole_text() {
        let text = "---\n# nothing\n---\na: 1\n---\nb: 2\n...\n---\n{\"c\": 3}\n";
        let all = Document { text, origin: "f", form: "YAML" }.parse_all().unwrap();
        let places = all.iter().map(|d| {
            let Value::Table(entries) = &d.value else { panic!("{d:?}") };
            (entries[0].0.value.as_str(), entries[0].0.referenced.line())
        });
        assert_eq!(places.collect::<Vec<_>>(), [("a", 4), ("b", 6), ("c", 9)]);
    }

    #[test]
    fn a_large_clusters_resources_are_read_and_what_multiplies_itself_is_not() {
        let many = "---\nkind: Service\nspec: {ports: [1, 2, 3]}\n".repeat(4000);
        assert_eq!(Document { text: &many, origin: "f", form: "YAML" }.parse_all().unwrap().len(), 4000);
        let long = format!("a: [{}]\n", "x, ".repeat(252_000));
        let whole = Document { text: &long, origin: "f", form: "YAML" }.parse().unwrap();
        let Value::Table(top) = &whole.value else { panic!() };
        assert!(matches!(&top[0].1.value, Value::List(list) if list.len() == 252_000));

        let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, of) in ('b'..='k').zip('a'..) {
            laughs += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(", "));
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        let aliases = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 2000].join(", "));
        assert!(Document { text: &aliases, origin: "f", form: "YAML" }.parse().is_ok());
        for (text, words, remedy) in [
            (&laughs, "aliases repeat more than 100000 values", "try: what is repeated written out"),
            (&deep, "this is within 64 others", "try: less deep nesting"),
        ] {
            let error = || Document { text, origin: "f", form: "YAML" }.parse().unwrap_err().to_string();
            // As much room as the main thread has, on which files are read: without optimization a level takes much.
            let main = std::thread::Builder::new().stack_size(8 << 20);
            let error = std::thread::scope(|scope| main.spawn_scoped(scope, error).unwrap().join().unwrap());
            assert!(error.starts_with("f line ") && error.contains(words) && error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_shown_where_it_stands() {
        for (text, line) in [("a: [1, 2\nb: 3\n", 2), ("a: 1\na: 2\n", 2), ("a: 'x\n", 1)] {
            let error = Document { text, origin: "t.yaml", form: "YAML" }.parse().unwrap_err().to_string();
            assert!(error.starts_with(&format!("t.yaml line {line}, column ")), "{text:?}: {error}");
            assert!(error.contains("\n  try: "), "{error}");
        }
    }
}
