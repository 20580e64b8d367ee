//! Answers of a window of load by the value of a response header, which says who answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Histogram, Result};

/// Values that are kept apart, as many as a canary may have subsets; the rest is one.
const VALUES: usize = 8;

/// The value that stands for all beyond those.
const OTHERS: &str = "(others)";

/// The answers that bore one value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Whole responses.
    pub answered: u64,
    /// Of which with a status outside 200 to 399.
    pub errors: u64,
    /// From intended to done.
    pub response: Histogram,
    /// From sent to done.
    pub service: Histogram,
}

impl Answers {
    /// Counts one more.
    #[inline]
    pub fn count(&mut self, error: bool, response_ns: u64, service_ns: u64) {
        self.answered += 1;
        self.errors += u64::from(error);
        self.response.record(response_ns);
        self.service.record(service_ns);
    }

    /// Adds the counts of others.
    ///
    /// # Errors
    /// When the histograms do not fit, which those of one run always do.
    pub fn add(&mut self, other: &Answers) -> Result<()> {
        let Answers { answered, errors, response, service } = other;
        self.answered = self.answered.saturating_add(*answered);
        self.errors = self.errors.saturating_add(*errors);
        self.response.add(response)?;
        Ok(self.service.add(service)?)
    }

    fn clear(&mut self) {
        let Answers { answered, errors, response, service } = self;
        *answered = 0;
        *errors = 0;
        response.clear();
        service.clear();
    }
}

/// Answers by the value of a header: empty for those without it, "(others)" for values beyond the first eight.
///
/// In files an object, the value its key. Its memory outlives [`Split::clear`], so that a window that meets the values
/// of the one before allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// The first `used` of them hold something.
    places: Vec<(String, Answers)>,
    used: usize,
    /// Where the last answer was counted: the next one is often of the same.
    last: usize,
}

impl Split {
    /// Counts one answer. A value that is no text is one of the others.
    #[inline]
    pub fn count(&mut self, value: &[u8], error: bool, response_ns: u64, service_ns: u64) {
        let at = match self.places.get(self.last) {
            Some((last, _)) if self.last < self.used && last.as_bytes() == value => self.last,
            _ => self.find(std::str::from_utf8(value).unwrap_or(OTHERS)),
        };
        self.last = at;
        self.places[at].1.count(error, response_ns, service_ns);
    }

    /// The place of a value, made if there is still room for one.
    fn find(&mut self, value: &str) -> usize {
        let held = |value: &str, used: usize| self.places.iter().take(used).position(|(known, _)| known == value);
        if let Some(at) = held(value, self.used) {
            return at;
        }
        let value = if self.used < VALUES { value } else { OTHERS };
        if let Some(at) = held(value, self.used) {
            return at;
        }
        match self.places.iter().skip(self.used).position(|(known, _)| known == value) {
            Some(after) => self.places.swap(self.used, self.used + after),
            None => {
                // A window of its own values must not grow beyond the bound by those that others left.
                self.places.truncate(VALUES);
                self.places.insert(self.used, (value.to_owned(), Answers::default()));
            }
        }
        self.used += 1;
        self.used - 1
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// What bore each value, in the order of the values.
    pub fn by_value(&self) -> BTreeMap<&str, &Answers> {
        self.places.iter().take(self.used).map(|(value, answers)| (value.as_str(), answers)).collect()
    }

    /// Adds the counts of others.
    ///
    /// # Errors
    /// When the histograms do not fit, which those of one run always do.
    pub fn add(&mut self, other: &Split) -> Result<()> {
        for (value, answers) in other.by_value() {
            let at = self.find(value);
            self.places[at].1.add(answers)?;
        }
        Ok(())
    }

    /// Forgets all, keeping the memory.
    pub fn clear(&mut self) {
        self.places.iter_mut().take(self.used).for_each(|(_, answers)| answers.clear());
        self.used = 0;
    }
}

impl PartialEq for Split {
    fn eq(&self, other: &Self) -> bool {
        self.by_value() == other.by_value()
    }
}

impl Serialize for Split {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_map(self.by_value())
    }
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let places: Vec<(String, Answers)> = BTreeMap::deserialize(d)?.into_iter().collect();
        Ok(Self { used: places.len(), places, last: 0 })
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Split {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Split".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, Answers>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, u64)]) -> Split {
        let mut split = Split::default();
        for (value, ns) in values {
            split.count(value.as_bytes(), *ns > 500, *ns, *ns / 2);
        }
        split
    }

    #[test]
    fn answers_stand_with_their_value() {
        let split = of(&[("v1", 100), ("v2", 900), ("v1", 300), ("", 50)]);
        let said: Vec<(&str, u64, u64, u64)> =
            split.by_value().iter().map(|(v, a)| (*v, a.answered, a.errors, a.response.max())).collect();
        assert_eq!(said, [("", 1, 0, 50), ("v1", 2, 0, 300), ("v2", 1, 1, 900)]);
    }

    #[test]
    fn merging_in_any_order_is_counting_at_once_and_what_is_written_is_read_again() {
        let (one, two) = (of(&[("v1", 100), ("v2", 900)]), of(&[("v3", 7), ("v1", 300)]));
        let (mut a, mut b) = (one.clone(), two.clone());
        a.add(&two).unwrap();
        b.add(&one).unwrap();
        assert_eq!(a, b);
        assert_eq!(a, of(&[("v1", 100), ("v2", 900), ("v3", 7), ("v1", 300)]));
        assert_ne!(a, one);
        let text = serde_json::to_string(&a).unwrap();
        assert!(text.starts_with(r#"{"v1":{"answered":2,"errors":0,"response":"HISTF"#), "{}", &text[..60]);
        assert_eq!(serde_json::from_str::<Split>(&text).unwrap(), a);
    }

    #[test]
    fn a_cleared_one_is_empty_and_counts_as_a_new_one_does() {
        let mut split = of(&[("v1", 100), ("v2", 900), ("v3", 5)]);
        split.clear();
        assert!(split.is_empty());
        assert_eq!(split, Split::default());
        for value in ["v3", "v2", "v3", "v4"] {
            split.count(value.as_bytes(), false, 10, 5);
        }
        assert_eq!(split, of(&[("v3", 10), ("v2", 10), ("v3", 10), ("v4", 10)]));
    }

    #[test]
    fn too_many_values_share_a_place_and_the_memory_stays_bounded() {
        let mut split = Split::default();
        for round in 0..3 {
            for i in 0..100 {
                split.count(format!("pod-{round}-{i}").as_bytes(), false, 1, 1);
            }
            let by_value = split.by_value();
            assert_eq!((by_value.len(), by_value[OTHERS].answered), (VALUES + 1, 92));
            assert!(split.places.len() <= VALUES + 1, "{}", split.places.len());
            split.clear();
        }
        split.count(&[0xff, 0xfe], false, 1, 1);
        assert_eq!(split.by_value().keys().copied().collect::<Vec<_>>(), [OTHERS]);
    }
}
