//! The price list: the plans that can be had, what they cost, and which runs were measured on them.

use std::path::Path;

use record::MemoryQuantity;
use serde::Deserialize;
use toml::Spanned;

use crate::{Error, Result};

/// Hours of a month, of 365.25 days in twelve.
const HOURS_OF_MONTH: f64 = 730.5;
/// What a host keeps for its kernel and its agents, unless the list says otherwise.
const RESERVED: u64 = 512 << 20;

/// The plans and their currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// As it is printed: "EUR".
    pub currency: String,
    /// In the order of the file; one at least.
    pub plans: Vec<HostPlan>,
    /// The file, for messages.
    pub path: String,
}

/// A kind of host that can be had.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPlan {
    /// Its name, unique in the list.
    pub name: String,
    /// CPUs.
    pub cores: u32,
    /// Memory in all, in bytes.
    pub memory_bytes: u64,
    /// Of it, what the system keeps, in bytes.
    pub reserved_bytes: u64,
    /// The price of one for a month.
    pub per_month: f64,
    /// The runs measured on it, by path, name or label; none: those on a host of so many CPUs and so much memory.
    pub runs: Vec<String>,
    /// Its line in the file, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    currency: String,
    plan: Vec<Spanned<RawPlan>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    name: String,
    cores: Spanned<u32>,
    memory: MemoryQuantity,
    reserved_memory: Option<MemoryQuantity>,
    price_per_month: Option<Spanned<f64>>,
    price_per_hour: Option<Spanned<f64>>,
    #[serde(default)]
    runs: Vec<String>,
}

impl Prices {
    /// Reads a price list from its file.
    ///
    /// # Errors
    /// [`Error::Prices`] with the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Error::Prices {
            at: shown.clone(),
            problem: format!("it cannot be read: {error}"),
            remedy: EXAMPLE.to_owned(),
        })?;
        Self::parse(&text, &shown)
    }

    /// The same from its text.
    ///
    /// # Errors
    /// [`Error::Prices`] with the line of what is wrong.
    pub fn parse(text: &str, path: &str) -> Result<Self> {
        let list = List { text, path };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            list.refuse(at, error.message().to_owned(), EXAMPLE)
        })?;
        if raw.plan.is_empty() {
            return Err(list.refuse(0, "it names no plan".to_owned(), EXAMPLE));
        }
        let mut plans: Vec<HostPlan> = Vec::new();
        for raw in raw.plan {
            let at = raw.span().start;
            let plan = list.plan(at, raw.into_inner())?;
            if let Some(twin) = plans.iter().find(|p| p.name == plan.name) {
                let problem = format!("the plan '{}' is there already, in line {}", plan.name, twin.line);
                return Err(list.refuse(at, problem, "a name of its own for each plan"));
            }
            plans.push(plan);
        }
        Ok(Self { currency: raw.currency, plans, path: path.to_owned() })
    }

    /// The plan that a run was measured on; none where the list has none for it.
    ///
    /// # Errors
    /// [`Error::Prices`] where several would fit, or where the one that names it has other CPUs than its host.
    pub fn plan_of(&self, run: &Named<'_>) -> Result<Option<&HostPlan>> {
        let named: Vec<&HostPlan> =
            self.plans.iter().filter(|p| p.runs.iter().any(|name| run.is_called(name))).collect();
        let like: Vec<&HostPlan> = self.plans.iter().filter(|p| p.runs.is_empty() && run.is_on(p)).collect();
        let found = if named.is_empty() { like } else { named };
        if let [one, other, ..] = found.as_slice() {
            return Err(self.refuse(
                other.line,
                format!(
                    "the run {} fits the plan '{}' and the plan '{}' of line {}",
                    run.id, other.name, one.name, one.line
                ),
                "runs = [\"...\"] in each plan, with the run's path, name or label",
            ));
        }
        let Some(plan) = found.first() else { return Ok(None) };
        if plan.cores as usize != run.cores {
            return Err(self.refuse(
                plan.line,
                format!(
                    "the plan '{}' has {} cores, and the run {} was measured on {}",
                    plan.name, plan.cores, run.id, run.cores
                ),
                "the run that was measured on a host of this plan",
            ));
        }
        Ok(Some(plan))
    }

    fn refuse(&self, line: usize, problem: String, remedy: &str) -> Error {
        Error::Prices { at: format!("{}, line {line}", self.path), problem, remedy: remedy.to_owned() }
    }
}

/// What a run is known by.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its directory, as it was given.
    pub path: &'a Path,
    /// What the user calls it.
    pub label: Option<&'a str>,
    /// CPUs of its host.
    pub cores: usize,
    /// Memory of its host, in bytes, if it is known.
    pub memory_bytes: Option<u64>,
}

impl Named<'_> {
    fn is_called(&self, name: &str) -> bool {
        let of_directory = self.path.file_name().is_some_and(|last| last == name);
        let same_path = Path::new(name) == self.path;
        name == self.id || same_path || of_directory || self.label == Some(name)
    }

    /// A kernel shows some per cent less memory than was sold.
    fn is_on(&self, plan: &HostPlan) -> bool {
        let near = |bytes: u64| (0.85..=1.02).contains(&(bytes as f64 / plan.memory_bytes as f64));
        self.cores == plan.cores as usize && self.memory_bytes.is_none_or(near)
    }
}

/// A file that is being read.
struct List<'a> {
    text: &'a str,
    path: &'a str,
}

impl List<'_> {
    fn line(&self, byte: usize) -> usize {
        1 + self.text.bytes().take(byte).filter(|b| *b == b'\n').count()
    }

    fn refuse(&self, byte: usize, problem: String, remedy: &str) -> Error {
        let at = format!("{}, line {}", self.path, self.line(byte));
        Error::Prices { at, problem: problem.trim_end().to_owned(), remedy: remedy.to_owned() }
    }

    fn plan(&self, at: usize, raw: RawPlan) -> Result<HostPlan> {
        let RawPlan { name, cores, memory, reserved_memory, price_per_month, price_per_hour, runs } = raw;
        if *cores.get_ref() == 0 {
            return Err(self.refuse(cores.span().start, format!("the plan '{name}' has no core"), "cores = 2"));
        }
        let (price, per_month) = match (price_per_month, price_per_hour) {
            (Some(price), None) => (price, 1.0),
            (None, Some(price)) => (price, HOURS_OF_MONTH),
            (Some(_), Some(price)) => {
                let problem = format!("the plan '{name}' has a price for a month and one for an hour");
                return Err(self.refuse(price.span().start, problem, "one of them"));
            }
            (None, None) => {
                let problem = format!("the plan '{name}' has no price");
                return Err(self.refuse(at, problem, "price_per_month = 4.5, or price_per_hour = 0.007"));
            }
        };
        let span = price.span().start;
        let price = price.into_inner();
        let of_month = price * per_month;
        if !(of_month.is_finite() && of_month > 0.0) {
            let problem = format!("the price of the plan '{name}' is {price}");
            return Err(self.refuse(span, problem, "a price above 0: a free host cannot be the dearer choice"));
        }
        let reserved_bytes = reserved_memory.map_or(RESERVED, MemoryQuantity::bytes);
        if reserved_bytes >= memory.bytes() {
            let problem = format!("the system of the plan '{name}' keeps all of its memory");
            return Err(self.refuse(at, problem, "less reserved_memory, or a plan with more than 512Mi"));
        }
        Ok(HostPlan {
            name,
            cores: cores.into_inner(),
            memory_bytes: memory.bytes(),
            reserved_bytes,
            per_month: of_month,
            runs,
            line: self.line(at),
        })
    }
}

const EXAMPLE: &str = "a file such as\n    currency = \"EUR\"\n    [[plan]]\n    name = \"small\"\n    cores = 2\n    memory = \"4Gi\"\n    price_per_month = 4.5\n    runs = [\"runs/2026-11-23T0510-a1b2\"]";

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "currency = \"EUR\"\n\n[[plan]]\nname = \"small\"\ncores = 2\nmemory = \"4Gi\"\nprice_per_month = 4.5\n\n[[plan]]\nname = \"large\"\ncores = 4\nmemory = \"8Gi\"\nreserved_memory = \"1Gi\"\nprice_per_hour = 0.02\nruns = [\"here\"]\n";

    fn named<'a>(id: &'a str, cores: usize, memory_bytes: u64) -> Named<'a> {
        Named { id, path: Path::new("runs/x"), label: None, cores, memory_bytes: Some(memory_bytes) }
    }

    #[test]
    fn a_list_is_read_with_its_lines() {
        let prices = Prices::parse(LIST, "p.toml").unwrap();
        let [small, large] = prices.plans.as_slice() else { panic!("{prices:?}") };
        assert_eq!((small.per_month, small.line, small.reserved_bytes), (4.5, 3, 512 << 20));
        assert!((large.per_month - 14.61).abs() < 1e-9 && large.line == 9 && large.reserved_bytes == 1 << 30);
    }

    #[test]
    fn a_run_finds_its_plan_by_name_or_by_what_its_host_has() {
        let prices = Prices::parse(LIST, "p.toml").unwrap();
        let plan = |run: &Named<'_>| prices.plan_of(run).unwrap().map(|p| p.name.as_str());
        assert_eq!(plan(&named("a", 2, (4 << 30) - (200 << 20))), Some("small"));
        assert_eq!(plan(&named("a", 2, 16 << 30)), None);
        assert_eq!(plan(&named("a", 4, 8 << 30)), None, "'large' says itself which runs are its own");
        assert_eq!(plan(&named("here", 4, 8 << 30)), Some("large"));
        let path = Named { path: Path::new("far/here"), ..named("a", 4, 8 << 30) };
        let label = Named { label: Some("here"), ..named("a", 4, 8 << 30) };
        assert_eq!((plan(&path), plan(&label)), (Some("large"), Some("large")));
    }

    #[test]
    fn a_run_of_another_host_or_of_two_plans_is_refused() {
        let prices = Prices::parse(LIST, "p.toml").unwrap();
        let said = prices.plan_of(&named("here", 2, 4 << 30)).unwrap_err().to_string();
        assert!(said.starts_with("p.toml, line 9: the plan 'large' has 4 cores"), "{said}");
        let twice = LIST.replace("\"large\"\ncores = 4\nmemory = \"8Gi\"", "\"large\"\ncores = 2\nmemory = \"4Gi\"");
        let twice = twice.replace("runs = [\"here\"]\n", "").replace("reserved_memory = \"1Gi\"\n", "");
        let said = Prices::parse(&twice, "p.toml").unwrap().plan_of(&named("a", 2, 4 << 30)).unwrap_err().to_string();
        assert!(said.contains("fits the plan 'large' and the plan 'small' of line 3"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_way_out() {
        for (from, to, said) in [
            ("cores = 2", "cores = 0", "line 5: the plan 'small' has no core"),
            ("cores = 2", "cores = \"two\"", "line 5: invalid type"),
            ("memory = \"4Gi\"", "memory = \"4 gigs\"", "line 6: "),
            ("price_per_month = 4.5", "", "line 3: the plan 'small' has no price"),
            ("price_per_month = 4.5", "price_per_month = 0.0", "line 7: the price of the plan 'small' is 0"),
            ("price_per_hour = 0.02", "price_per_hour = 1.0\nprice_per_month = 2.0", "a price for a month and one"),
            ("price_per_hour = 0.02", "price_per_hour = 1e308", "line 14: the price of the plan 'large' is 1000"),
            ("name = \"large\"", "name = \"small\"", "line 9: the plan 'small' is there already, in line 3"),
            ("cores = 4", "cores = 4\nprice = 3", "line 12: unknown field `price`"),
            ("reserved_memory = \"1Gi\"", "reserved_memory = \"9Gi\"", "keeps all of its memory"),
            ("currency = \"EUR\"", "", "missing field `currency`"),
            (LIST, "currency = \"EUR\"\nplan = []\n", "names no plan"),
        ] {
            let error = Prices::parse(&LIST.replacen(from, to, 1), "p.toml").unwrap_err().to_string();
            assert!(error.starts_with("p.toml, line ") && error.contains(said), "{said}: {error}");
            assert!(error.contains("\n  try: "), "{error}");
        }
        let error = Prices::read(Path::new("/nowhere.toml")).unwrap_err().to_string();
        assert!(error.contains("/nowhere.toml") && error.contains("[[plan]]"), "{error}");
    }
}
