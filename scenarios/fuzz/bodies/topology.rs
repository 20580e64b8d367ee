//! A topology of any text: every request of it ends and has so many calls as headers carry, or what is wrong is shown in its
//! line.

use scenarios::Shape;

/// As the reader of topologies says.
const MOST_SERVICES: usize = 128;
const MOST_CALLS: usize = 200;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let shape = match Shape::isotope(text, "t.yaml") {
        Ok(shape) => shape,
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("t.yaml line ") && said.contains("\n  try: "), "{said}");
            return;
        }
    };
    assert!((1..=MOST_SERVICES).contains(&shape.services.len()));
    let visits = shape.visits();
    assert!((1..=MOST_CALLS).contains(&visits.len()), "{} visits", visits.len());
    assert!((1..=visits.len() as u32).contains(&shape.hops()), "{} hops", shape.hops());
    assert!((1.0..=visits.len() as f64 + 1e-6).contains(&shape.calls_per_request()));
    assert_eq!(visits[0], shape.services[0].name, "a request enters at the first");
    for service in &shape.services {
        assert!(visits.contains(&service.name.as_str()), "'{}' is never called", service.name);
        let calls = service.steps.iter().flat_map(|step| &step.calls);
        assert!(calls.into_iter().all(|call| (0.0..=1.0).contains(&call.probability)));
        assert!(service.error_rate.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
