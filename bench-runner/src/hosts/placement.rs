//! One chain over several hosts: which services of it stand on which, as `hosts.toml` says.

use std::path::Path;

use record::{Cell, Dataplane, Factors, HostRole};
use scenarios::{Scenario, Shape};

use super::file::HostLine;
use crate::exit::Usage;

/// A run whose chain stands on several hosts.
#[derive(Debug)]
pub(crate) struct Placement {
    /// The hosts; of those with services the one that the load enters is the first.
    pub(crate) lines: Vec<HostLine>,
    /// The cells, whose factors tell the placement.
    pub(crate) cells: Vec<Cell>,
}

/// The placement that these hosts of a file name; none where they name none, so that all of a chain stands on one host.
///
/// # Errors
/// [`Usage`] for services that stand nowhere, twice, or are of no chain of the run, and for what cannot be apart.
pub(crate) fn of(
    path: &Path,
    lines: &[HostLine],
    scenario: &Scenario,
    cells: &[Cell],
) -> anyhow::Result<Option<Placement>> {
    let wrong = |problem: String| Usage(format!("{}: {problem}", path.display()));
    let serving: Vec<&HostLine> = lines.iter().filter(|h| h.has(HostRole::Services)).collect();
    let Some(one) = serving.iter().find(|h| h.services.is_some()) else { return Ok(None) };
    if let Some(silent) = serving.iter().find(|h| h.services.is_none()) {
        let said = format!(
            "{} says which services stand on it, and {} has the role services and does not\n  try: services = [...] for both, or for none",
            one.name, silent.name
        );
        return Err(wrong(said).into());
    }
    let mut placed = None;
    for cell in cells {
        let shape = scenario.shape(&cell.factors)?;
        fits(&serving, &shape).map_err(&wrong)?;
        apart(&cell.factors).map_err(|why| wrong(format!("{}: {why}", cell.label)))?;
        let first = shape.services.first().map(|s| s.name.clone()).unwrap_or_default();
        let entered = serving.iter().position(|h| has(h, &first)).unwrap_or_default();
        if placed.get_or_insert(entered) != &entered {
            // Not with the shapes that there are: the first service has one name in all of them.
            let said = "the load enters different hosts in different cells\n  try: a run for each".to_owned();
            return Err(wrong(said).into());
        }
    }
    let entered = placed.and_then(|at| serving.get(at)).map_or_else(String::new, |h| h.name.clone());
    let alone = serving.len() == 1;
    let mut lines = lines.to_vec();
    // Stable: the others stay in the order of the file.
    lines.sort_by_key(|h| h.has(HostRole::Services) && h.name != entered);
    let on = |cell: &Cell| -> anyhow::Result<Cell> {
        let placement = word(&lines, &scenario.shape(&cell.factors)?);
        Ok(Cell { factors: Factors { placement, ..cell.factors.clone() }, ..cell.clone() })
    };
    let cells = cells.iter().map(on).collect::<anyhow::Result<_>>()?;
    if alone {
        // It has all of them: a chain as any other.
        lines.iter_mut().for_each(|line| line.services = None);
    }
    Ok(Some(Placement { lines, cells }))
}

fn has(line: &HostLine, service: &str) -> bool {
    line.services.iter().flatten().any(|s| s == service)
}

/// Every service of a chain stands on one of the hosts, and nothing else does.
fn fits(serving: &[&HostLine], shape: &Shape) -> Result<(), String> {
    let names = || shape.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    for line in serving {
        let services = line.services.as_deref().unwrap_or_default();
        if services.is_empty() {
            return Err(format!("no service stands on {}\n  try: another role for it, or none of it", line.name));
        }
        for (at, service) in services.iter().enumerate() {
            if !shape.services.iter().any(|s| s.name == *service) {
                return Err(format!(
                    "{service} is to stand on {}, and {} has no such service\n  try: of {}",
                    line.name,
                    shape.name,
                    names()
                ));
            }
            if services.iter().take(at).any(|s| s == service) {
                return Err(format!("{service} stands twice on {}\n  try: it once", line.name));
            }
            if let Some(other) = serving.iter().find(|o| o.name != line.name && has(o, service)) {
                return Err(format!(
                    "{service} is to stand on {} and on {}\n  try: each service on one host",
                    line.name, other.name
                ));
            }
        }
    }
    for service in &shape.services {
        if !serving.iter().any(|line| has(line, &service.name)) {
            return Err(format!(
                "{} of {} stands on no host\n  try: services = [..., \"{}\"] for one that has the role services",
                service.name, shape.name, service.name
            ));
        }
    }
    Ok(())
}

/// Why a cell cannot be over several hosts.
fn apart(f: &Factors) -> Result<(), String> {
    if f.dataplane == Dataplane::Ambient {
        return Err("the node proxy is one for all services of its host\n  try: another dataplane".to_owned());
    }
    if !f.neighbour.is_none() {
        return Err(
            "a neighbour is at work on one host, and which of these is not said\n  try: --neighbour none, or all services on one host"
                .to_owned(),
        );
    }
    Ok(())
}

/// The placement as factors name it: what stands together, without names of hosts, so that runs on others compare.
fn word(lines: &[HostLine], shape: &Shape) -> String {
    let of = |line: &HostLine| -> Vec<&str> {
        shape.services.iter().map(|s| s.name.as_str()).filter(|s| has(line, s)).collect()
    };
    let mut groups: Vec<Vec<&str>> = lines.iter().map(of).filter(|group| !group.is_empty()).collect();
    let place = |group: &Vec<&str>| shape.services.iter().position(|s| group.first() == Some(&&*s.name));
    groups.sort_by_key(place);
    if groups.len() < 2 {
        return Factors::TOGETHER.to_owned();
    }
    groups.iter().map(|group| group.join("+")).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, services: Option<&[&str]>) -> HostLine {
        HostLine {
            name: name.into(),
            roles: vec![HostRole::Services],
            services: services.map(|all| all.iter().map(|s| (*s).to_owned()).collect()),
            serve_at: None,
            price: None,
        }
    }

    fn placed(lines: &[HostLine]) -> Result<Option<Placement>, String> {
        let (_, text) = scenarios::library().into_iter().find(|(name, _)| *name == "first-look").unwrap();
        let scenario = Scenario::parse(text, "first-look").unwrap();
        let cells = scenario.cells().unwrap();
        of(Path::new("hosts.toml"), lines, &scenario, &cells).map_err(|e| e.to_string())
    }

    #[test]
    fn the_host_that_the_load_enters_is_the_first_and_cells_tell_the_placement() {
        let driver = HostLine { roles: vec![HostRole::Load], ..line("driver", None) };
        let of = placed(&[line("b", Some(&["s2"])), driver.clone(), line("a", Some(&["s3", "s1"]))]).unwrap().unwrap();
        assert_eq!(of.lines.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["driver", "a", "b"]);
        assert!(of.cells.iter().all(|c| c.factors.placement == "s1+s3/s2"), "{:?}", of.cells);
        let of = placed(&[line("a", Some(&["s1", "s2", "s3"]))]).unwrap().unwrap();
        assert!(of.cells.iter().all(|c| c.factors.placement == "together"));
        assert_eq!(of.lines[0].services, None, "all of a chain is no part of one");
        assert!(placed(&[line("a", None), driver]).unwrap().is_none());
    }

    #[test]
    fn what_stands_nowhere_twice_or_is_unknown_is_named_with_a_way_out() {
        for (lines, says) in [
            (vec![line("a", Some(&["s1", "s2"]))], "s3 of chain3 stands on no host"),
            (vec![line("a", Some(&["s1", "s2"])), line("b", Some(&["s2", "s3"]))], "s2 is to stand on a and on b"),
            (vec![line("a", Some(&["s1", "s1"]))], "s1 stands twice on a"),
            (vec![line("a", Some(&["s1", "s9"]))], "s9 is to stand on a, and chain3 has no such service"),
            (vec![line("a", Some(&["s1"])), line("b", None)], "a says which services stand on it, and b has"),
            (vec![line("a", Some(&["s1", "s2", "s3"])), line("b", Some(&[]))], "no service stands on b"),
        ] {
            let said = placed(&lines).unwrap_err();
            assert!(said.starts_with("hosts.toml: ") && said.contains(says) && said.contains("\n  try: "), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_over_hosts_says_why() {
        let neighbour = "cpu:1".parse().unwrap();
        for (factors, says) in [
            (Factors { dataplane: Dataplane::Ambient, ..Factors::unmeshed() }, "the node proxy is one"),
            (Factors { neighbour, ..Factors::unmeshed() }, "a neighbour is at work on one host"),
        ] {
            let said = apart(&factors).unwrap_err();
            assert!(said.contains(says) && said.contains("\n  try: "), "{said}");
        }
    }
}
