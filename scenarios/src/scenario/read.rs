//! Reading a scenario file, with the place of everything that is wrong in it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::field::{Fault, Field, wrong_type};
use super::{At, Checked, Scenario, Visitor};
use crate::excerpt::excerpt;
use crate::{Error, Result};

pub(super) fn scenario(text: &str, origin: &str) -> Result<Scenario> {
    let source = Source { text, origin };
    let table = DeTable::parse(text).map_err(|e| {
        let remedy = "TOML, such as `meshtax scenarios show first-look` prints";
        source.error(e.span().unwrap_or(0..0), Fault::new(e.message().replace('\n', ", "), remedy))
    })?;
    let mut scenario = Scenario::default();
    let mut known = Known(Vec::new());
    scenario.visit(&mut known)?;
    source.refuse_unknown(table.get_ref(), &known.0)?;
    scenario.visit(&mut Reader { source: &source, table: table.get_ref() })?;
    Ok(scenario)
}

/// The text and where it is from.
struct Source<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Source<'_> {
    fn error(&self, span: Range<usize>, fault: Fault) -> Error {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let shown = self.text.get(line_start..).and_then(|t| t.lines().next()).unwrap_or_default();
        let width = self.text.get(start..span.end).and_then(|t| t.lines().next()).map_or(1, |t| t.chars().count());
        let excerpt = excerpt(line, shown, column, width);
        let Fault { problem, remedy } = fault;
        Error::Scenario { origin: self.origin.to_owned(), line, column, problem, excerpt, remedy }
    }

    fn refuse_unknown(&self, top: &DeTable<'_>, known: &[At]) -> Result<()> {
        let mut top_names: Vec<&str> = known.iter().map(|(s, k)| if s.is_empty() { *k } else { *s }).collect();
        top_names.dedup();
        self.refuse_unknown_in(top, "at the top", &top_names)?;
        for (name, value) in top {
            let section = name.get_ref().as_ref();
            let keys: Vec<&str> = known.iter().filter(|(s, _)| *s == section).map(|(_, k)| *k).collect();
            if keys.is_empty() {
                continue;
            }
            let Some(table) = value.get_ref().as_table() else {
                let fault =
                    Fault::new(format!("{section} is a table"), format!("[{section}] with {}", keys.join(", ")));
                return Err(self.error(value.span(), fault));
            };
            self.refuse_unknown_in(table, &format!("in [{section}]"), &keys)?;
        }
        Ok(())
    }

    fn refuse_unknown_in(&self, table: &DeTable<'_>, place: &str, known: &[&str]) -> Result<()> {
        match table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let problem = format!("unknown key '{}' {place}", key.get_ref());
                Err(self.error(key.span(), Fault::new(problem, format!("one of {}", known.join(", ")))))
            }
        }
    }
}

/// Collects the keys there are.
struct Known(Vec<At>);

impl Visitor for Known {
    fn one<T: Field>(&mut self, at: At, _: &mut T, _: fn(&T) -> Checked) -> Result<()> {
        self.0.push(at);
        Ok(())
    }

    fn many<T: Field>(&mut self, at: At, _: &mut Vec<T>, _: fn(&T) -> Checked) -> Result<()> {
        self.0.push(at);
        Ok(())
    }
}

/// Puts what the file says in the place of the defaults.
struct Reader<'a> {
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Reader<'a> {
    fn find(&self, (section, key): At) -> Option<&'a Spanned<DeValue<'a>>> {
        if section.is_empty() { self.table.get(key) } else { self.table.get(section)?.get_ref().as_table()?.get(key) }
    }

    fn value<T: Field>(&self, key: &str, value: &Spanned<DeValue<'_>>, rule: fn(&T) -> Checked) -> Result<T> {
        let read = T::read(value.get_ref()).and_then(|v| rule(&v).map(|()| v));
        read.map_err(|Fault { problem, remedy }| {
            self.source.error(value.span(), Fault::new(format!("{key}: {problem}"), remedy))
        })
    }
}

impl Visitor for Reader<'_> {
    fn one<T: Field>(&mut self, at: At, value: &mut T, rule: fn(&T) -> Checked) -> Result<()> {
        if let Some(found) = self.find(at) {
            *value = self.value(at.1, found, rule)?;
        }
        Ok(())
    }

    fn many<T: Field>(&mut self, at: At, values: &mut Vec<T>, rule: fn(&T) -> Checked) -> Result<()> {
        let Some(found) = self.find(at) else { return Ok(()) };
        *values = match found.get_ref() {
            DeValue::Array(list) if list.is_empty() => {
                let Fault { problem, remedy } = wrong_type::<T>(found.get_ref());
                let fault = Fault::new(format!("{}: {problem}", at.1), format!("{remedy}, or a list of such"));
                return Err(self.source.error(found.span(), fault));
            }
            DeValue::Array(list) => {
                list.iter().map(|value| self.value(at.1, value, rule)).collect::<Result<Vec<T>>>()?
            }
            _ => vec![self.value(at.1, found, rule)?],
        };
        Ok(())
    }
}
