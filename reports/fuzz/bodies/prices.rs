//! A price list of any text: plans with a name, a price and memory left for the chain, each in its line, or the line of what is
//! wrong.

use std::collections::BTreeSet;

use reports::planning::Prices;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.lines().count() + 1;
    let prices = match Prices::parse(text, "p.toml") {
        Ok(prices) => prices,
        Err(error) => {
            let said = error.to_string();
            let place = said.strip_prefix("p.toml, line ").and_then(|rest| rest.split_once(": "));
            let line: usize = place.expect("the place comes first").0.parse().expect("a number");
            assert!((1..=lines).contains(&line) && said.contains("\n  try: "), "{said}");
            return;
        }
    };
    let names: BTreeSet<&str> = prices.plans.iter().map(|plan| plan.name.as_str()).collect();
    assert!(!names.is_empty() && names.len() == prices.plans.len(), "a name of its own for each");
    for plan in &prices.plans {
        assert!(plan.cores > 0 && plan.reserved_bytes < plan.memory_bytes, "{plan:?}");
        assert!(plan.per_month.is_finite() && plan.per_month > 0.0, "{plan:?}");
        assert!((1..=lines).contains(&plan.line), "{plan:?}");
    }
}
