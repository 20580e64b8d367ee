//! A change of a canary's weights under load, as a scenario writes it: `{at="5s", v2=50}`.

use record::{Shift, Weights};
use toml::de::{DeTable, DeValue};

use super::field::{Fault, Field, wrong_type};
use super::length::Length;

/// New weights of some subsets; the first subset of the canary takes what they leave of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// After the measured phase has begun.
    pub at: Length,
    /// Subsets and their weights, in the order of the file.
    pub weights: Vec<(String, u32)>,
}

impl Change {
    /// The whole weights, the sum being that of the canary's.
    ///
    /// # Errors
    /// A subset that the canary lacks, or more weight than there is.
    pub fn shift(&self, weights: &Weights) -> Result<Shift, String> {
        let subsets = weights.subsets();
        if let Some((unknown, _)) = self.weights.iter().find(|(name, _)| !subsets.iter().any(|(n, _)| n == name)) {
            let known: Vec<&str> = subsets.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!("subset '{unknown}' is none of {}", known.join(", ")));
        }
        let given = |name: &str| self.weights.iter().find(|(n, _)| n == name).map(|(_, weight)| *weight);
        let others = subsets.iter().skip(1).map(|(name, weight)| (name, given(name).unwrap_or(*weight)));
        let taken = others.clone().try_fold(0_u32, |sum, (_, weight)| sum.checked_add(weight));
        let first = subsets.first().map(|(name, _)| name.as_str()).unwrap_or_default();
        let left = taken.and_then(|taken| weights.total().checked_sub(taken));
        let rest =
            given(first).or(left).ok_or_else(|| format!("the weights add up to more than {}", weights.total()))?;
        let all = std::iter::once((first.to_owned(), rest)).chain(others.map(|(name, weight)| (name.clone(), weight)));
        Ok(Shift { at_ns: self.at.ns, weights: Weights::new(all.collect())? })
    }

    fn read(table: &DeTable<'_>) -> Result<Self, Fault> {
        let fault = |problem: String| Fault::new(problem, <Vec<Self> as Field>::EXPECTED);
        let (mut at, mut weights) = (None, Vec::new());
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            if key == "at" {
                at = Some(Length::read(value.get_ref())?);
            } else {
                weights.push((key.to_owned(), u32::read(value.get_ref())?));
            }
        }
        let at = at.ok_or_else(|| fault("a change needs its time, 'at'".to_owned()))?;
        if weights.is_empty() {
            return Err(fault("a change needs the weight of a subset".to_owned()));
        }
        Ok(Self { at, weights })
    }
}

impl Field for Vec<Change> {
    const EXPECTED: &'static str = "a list of changes: [{at=\"5s\", v2=50}, {at=\"10s\", v2=0}]";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let Some(list) = value.as_array() else { return Err(wrong_type::<Self>(value)) };
        let one =
            |value: &DeValue<'_>| value.as_table().ok_or_else(|| wrong_type::<Self>(value)).and_then(Change::read);
        list.iter().map(|value| one(value.get_ref())).collect()
    }

    fn write(&self) -> String {
        let one = |change: &Change| {
            let weights: String = change.weights.iter().map(|(name, weight)| format!(", {name} = {weight}")).collect();
            format!("{{at = {}{weights}}}", change.at.write())
        };
        format!("[{}]", self.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(weights: &[(&str, u32)]) -> Change {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        Change { at: Length { ns: 5 }, weights }
    }

    #[test]
    fn the_first_subset_takes_what_the_others_leave() {
        let canary: Weights = "v1=90,v2=10".parse().unwrap();
        for (given, whole) in [(vec![("v2", 50)], "v1=50,v2=50"), (vec![("v2", 0)], "v1=100,v2=0")] {
            assert_eq!(change(&given).shift(&canary).unwrap(), Shift { at_ns: 5, weights: whole.parse().unwrap() });
        }
        let both = change(&[("v1", 1), ("v2", 3)]).shift(&canary).unwrap();
        assert_eq!(both.weights.to_string(), "v1=1,v2=3");
    }

    #[test]
    fn what_does_not_fit_the_canary_says_so() {
        let canary: Weights = "v1=90,v2=10".parse().unwrap();
        let said = |given: &[(&str, u32)]| change(given).shift(&canary).unwrap_err();
        assert_eq!(said(&[("v3", 5)]), "subset 'v3' is none of v1, v2");
        assert_eq!(said(&[("v2", 101)]), "the weights add up to more than 100");
    }
}
