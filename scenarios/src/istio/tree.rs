//! A document as a tree in which every field has its place, also those in a text that is YAML itself.

use crate::Result;
use crate::yaml::{self, Document, Placed};

/// A value and where it stands: a field's place is that of its name.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) value: Value,
}

/// A value of YAML or JSON.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// An empty place, or `null`.
    Nothing,
    Truth(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

/// Fields whose text is YAML or JSON of its own.
const WITHIN: [&str; 3] = ["proxy.istio.io/config", "mesh", "values"];

impl Tree {
    /// Every document of a file.
    ///
    /// # Errors
    /// [`crate::Error::Scenario`] with the place of what is no YAML.
    pub(super) fn all(text: &str, origin: &str) -> Result<Vec<Self>> {
        let document = Document { text, origin, form: "Kubernetes resources in YAML or JSON" };
        document.parse_all()?.into_iter().map(|placed| of(placed, &document)).collect()
    }

    /// A field of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, tree)| tree),
            _ => None,
        }
    }

    /// What it says, for people; a table or a list in short.
    pub(super) fn said(&self) -> String {
        match &self.value {
            Value::Nothing => "nothing".to_owned(),
            Value::Truth(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) if text.chars().count() > 60 => {
                format!("{}...", text.chars().take(57).collect::<String>())
            }
            Value::Text(text) => text.clone(),
            Value::List(list) => format!("[{} of them]", list.len()),
            Value::Table(entries) => {
                let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).take(4).collect();
                format!("{{{}{}}}", keys.join(", "), if entries.len() > 4 { ", ..." } else { "" })
            }
        }
    }

    /// The text of a scalar, however it was written; none for a list, a table or nothing.
    pub(super) fn text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Truth(truth) => Some(truth.to_string()),
            Value::Nothing | Value::List(_) | Value::Table(_) => None,
        }
    }

    fn put_at(&mut self, place: impl Fn(u32, u32) -> (u32, u32) + Copy) {
        (self.line, self.column) = place(self.line, self.column);
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|tree| tree.put_at(place)),
            Value::Table(entries) => entries.iter_mut().for_each(|(_, tree)| tree.put_at(place)),
            Value::Nothing | Value::Truth(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}

fn of(placed: Placed, document: &Document<'_>) -> Result<Tree> {
    let place = placed.referenced;
    let value = match placed.value {
        yaml::Value::Nothing => Value::Nothing,
        yaml::Value::Truth(truth) => Value::Truth(truth),
        yaml::Value::Number(number) => Value::Number(number),
        yaml::Value::Text(text) => Value::Text(text),
        yaml::Value::List(list) => Value::List(list.into_iter().map(|item| of(item, document)).collect::<Result<_>>()?),
        yaml::Value::Table(entries) => {
            let entry = |(key, value): (serde_saphyr::Spanned<String>, Placed)| {
                let mut tree = of(value, document)?;
                (tree.line, tree.column) = (key.referenced.line() as u32, key.referenced.column() as u32);
                let whole = match &tree.value {
                    Value::Text(text) if WITHIN.contains(&key.value.as_str()) => within(text, &tree, document)?,
                    _ => None,
                };
                Ok((key.value, whole.unwrap_or(tree)))
            };
            Value::Table(entries.into_iter().map(entry).collect::<Result<_>>()?)
        }
    };
    Ok(Tree { line: place.line() as u32, column: place.column() as u32, value })
}

/// A text that is a table itself, with the places it has in the file; none where it is any other text.
fn within(text: &str, field: &Tree, document: &Document<'_>) -> Result<Option<Tree>> {
    let inner = Document { text, origin: document.origin, form: document.form };
    let Ok(found) = inner.parse() else { return Ok(None) };
    if !matches!(found.value, yaml::Value::Table(_)) {
        return Ok(None);
    }
    let mut tree = of(found, &inner)?;
    let shift = shift(text, field.line, document.text);
    let at = (field.line, field.column);
    tree.put_at(|line, column| {
        shift.map_or(at, |(lines, columns)| (line.saturating_add(lines), column.saturating_add(columns)))
    });
    (tree.line, tree.column) = at;
    Ok(Some(tree))
}

/// By how many lines and columns a block of text stands lower and deeper in the file than in itself.
fn shift(text: &str, from_line: u32, file: &str) -> Option<(u32, u32)> {
    let (at, first) = text.lines().enumerate().find(|(_, line)| !line.trim().is_empty())?;
    let begins = file.lines().nth(from_line as usize)?;
    // A text in quotes may begin with more blanks than its line in the file has.
    let deeper = (begins.len() - begins.trim_start().len()).checked_sub(first.len() - first.trim_start().len())?;
    let lower = from_line.checked_sub(u32::try_from(at).ok()?)?;
    (begins.trim() == first.trim()).then_some((lower, u32::try_from(deeper).ok()?))
}
