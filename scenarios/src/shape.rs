//! Shapes as data: which services there are, and what each does when it is called.

mod isotope;

/// A service of a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// "s1", "s2" ...
    pub name: String,
    /// What it does for each request once its own work is done, one step after another.
    pub steps: Vec<Step>,
    /// CPU it burns for each request; the scenario's `chain.work_us` where the shape says nothing.
    pub work_us: Option<u64>,
    /// Body bytes of its responses; the scenario's `chain.response_bytes` where the shape says nothing.
    pub response_bytes: Option<u64>,
    /// The share of requests that it answers with an error of its own, from 0 to 1; the scenario's `chain.error_rate`
    /// where the shape says nothing.
    pub error_rate: Option<f64>,
}

impl Service {
    /// The services it may call, by their places, each once, in the order of its steps.
    pub fn callees(&self) -> Vec<usize> {
        let mut callees = Vec::new();
        for call in self.steps.iter().flat_map(|step| &step.calls) {
            if !callees.contains(&call.callee) {
                callees.push(call.callee);
            }
        }
        callees
    }

    /// The service that gets the body it got: the callee of its only call, where that has no size of its own.
    pub(crate) fn passes_on_to(&self) -> Option<usize> {
        let mut calls = self.steps.iter().flat_map(|step| &step.calls);
        let only = calls.next().filter(|_| calls.next().is_none())?;
        (only.request_bytes.is_none() && only.probability >= 1.0).then_some(only.callee)
    }
}

/// What is done at once. It ends when all of it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Calls, all begun at the same time.
    pub calls: Vec<Call>,
    /// The least time it takes: a timer, and no work.
    pub sleep_ns: u64,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The service called, by its place in the shape.
    pub callee: usize,
    /// Body bytes of the request. Where the shape says nothing, a service that makes one call for each request passes
    /// on the body it got, and any other sends none.
    pub request_bytes: Option<u64>,
    /// The share of requests for which it is made, from 0 to 1.
    pub probability: f64,
}

impl Call {
    /// A call that is always made, with no size of its own.
    pub fn to(callee: usize) -> Self {
        Self { callee, request_bytes: None, probability: 1.0 }
    }
}

/// Services and the edges between them; requests enter at the first, and no service calls itself by way of others.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// "chain3".
    pub name: String,
    /// The services, the entry first.
    pub services: Vec<Service>,
    /// What the topology it was read from says and has no effect here, each with its line; empty for built-in shapes.
    pub notes: Vec<String>,
}

impl Shape {
    /// A straight line: s1 calls s2, s2 calls s3, and so on.
    pub fn chain(services: u32) -> Self {
        Self::numbered(format!("chain{services}"), services, |k, count| (k + 1..count.min(k + 2)).collect())
    }

    /// s1 calls all others at once.
    pub fn fan_out(services: u32) -> Self {
        let calls = |k, count| if k == 0 { (1..count).collect() } else { Vec::new() };
        Self::numbered(format!("fan-out{services}"), services, calls)
    }

    /// A binary tree in the order of a heap: s1 calls s2 and s3 at once, s2 calls s4 and s5, and so on.
    pub fn tree(services: u32) -> Self {
        let calls = |k, count| (2 * k + 1..2 * k + 3).filter(|callee| *callee < count).collect();
        Self::numbered(format!("tree{services}"), services, calls)
    }

    /// Reads a topology as `isotope` of istio/tools has it (`convert/pkg/graph`, its README as of 2026).
    ///
    /// `origin` names the file in messages, and the shape: `canonical` for `topologies/canonical.yaml`.
    ///
    /// # Errors
    /// [`crate::Error::Scenario`] with the line and column of whatever isn't of that form, or cannot be done here.
    pub fn isotope(text: &str, origin: &str) -> crate::Result<Self> {
        isotope::read(text, origin)
    }

    /// Edges that a request crosses one after another, the one from the load generator into the first service counted:
    /// of calls made at once the deepest counts, steps add up, and calls that are not always made count as made.
    pub fn hops(&self) -> u32 {
        let hops = self.folded(|service, of| {
            let deepest = |step: &Step| step.calls.iter().map(|call| 1.0 + of(call.callee)).fold(0.0, f64::max);
            service.steps.iter().map(deepest).sum()
        });
        // Bounded by the calls of one request, which are few.
        hops.first().map_or(0, |hops| 1 + *hops as u32)
    }

    /// All edges that a request crosses, the one into the first service counted; calls that are not always made count
    /// by their probability.
    pub fn calls_per_request(&self) -> f64 {
        self.calls(|call| call.probability)
    }

    /// The same, if every call is made.
    fn calls_at_most(&self) -> f64 {
        self.calls(|_| 1.0)
    }

    fn calls(&self, weight: impl Fn(&Call) -> f64) -> f64 {
        let calls = self.folded(|service, of| {
            let calls = service.steps.iter().flat_map(|step| &step.calls);
            calls.map(|call| weight(call) * (1.0 + of(call.callee))).sum()
        });
        calls.first().map_or(0.0, |calls| 1.0 + calls)
    }

    /// The names of the services whose stamps an answer carries when every call is made, in the order of the stamps:
    /// each service before those it calls. A service that is called twice is there twice.
    pub fn visits(&self) -> Vec<&str> {
        let mut visits = Vec::new();
        let mut ahead: Vec<usize> = (0..self.services.len().min(1)).collect();
        while let Some(service) = ahead.pop().and_then(|at| self.services.get(at)) {
            visits.push(service.name.as_str());
            ahead.extend(service.steps.iter().rev().flat_map(|step| step.calls.iter().rev().map(|call| call.callee)));
        }
        visits
    }

    fn numbered(name: String, services: u32, calls: impl Fn(usize, usize) -> Vec<usize>) -> Self {
        let count = services as usize;
        let service = |k: usize| {
            let calls: Vec<Call> = calls(k, count).into_iter().map(Call::to).collect();
            let steps = if calls.is_empty() { Vec::new() } else { vec![Step { calls, sleep_ns: 0 }] };
            Service { name: format!("s{}", k + 1), steps, work_us: None, response_bytes: None, error_rate: None }
        };
        Self { name, services: (0..count).map(service).collect(), notes: Vec::new() }
    }

    /// A figure for each service that is made of those of its callees.
    fn folded(&self, figure: impl Fn(&Service, &dyn Fn(usize) -> f64) -> f64) -> Vec<f64> {
        let mut figures = vec![0.0; self.services.len()];
        for at in self.callees_first().unwrap_or_default() {
            if let Some(service) = self.services.get(at) {
                let value = figure(service, &|callee| figures.get(callee).copied().unwrap_or(0.0));
                figures[at] = value;
            }
        }
        figures
    }

    /// The services that may call this one.
    pub(crate) fn callers<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Service> {
        let named = move |at: usize| self.services.get(at).is_some_and(|s| s.name == service);
        self.services.iter().filter(move |caller| caller.callees().into_iter().any(named))
    }

    /// The services reached from the first, each after all that it calls.
    ///
    /// # Errors
    /// The services of a cycle, each calling the next and the last one the first.
    pub(crate) fn callees_first(&self) -> Result<Vec<usize>, Vec<usize>> {
        let callees: Vec<Vec<usize>> = self.services.iter().map(Service::callees).collect();
        let mut order = Vec::new();
        // The way from the first service to the one at hand, and how many of the callees of each are done.
        let mut way: Vec<(usize, usize)> = (0..self.services.len().min(1)).map(|first| (first, 0)).collect();
        while let Some((at, done)) = way.last_mut() {
            let Some(callee) = callees.get(*at).and_then(|callees| callees.get(*done)).copied() else {
                order.push(*at);
                way.pop();
                continue;
            };
            *done += 1;
            if let Some(start) = way.iter().position(|(on_way, _)| *on_way == callee) {
                return Err(way.iter().skip(start).map(|(at, _)| *at).collect());
            }
            if !order.contains(&callee) {
                way.push((callee, 0));
            }
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every edge, as "s1>s2+s3" with all that is called at once.
    fn edges(shape: &Shape) -> Vec<String> {
        let name = |at: usize| shape.services[at].name.as_str();
        let steps = |service: &Service| {
            let at_once = |step: &Step| step.calls.iter().map(|c| name(c.callee)).collect::<Vec<_>>().join("+");
            format!("{}>{}", service.name, service.steps.iter().map(at_once).collect::<Vec<_>>().join(","))
        };
        shape.services.iter().map(steps).collect()
    }

    #[test]
    fn a_chain_of_three_calls_along_the_line() {
        let shape = Shape::chain(3);
        assert_eq!(edges(&shape), ["s1>s2", "s2>s3", "s3>"]);
        assert_eq!((shape.name.as_str(), shape.hops(), shape.calls_per_request()), ("chain3", 3, 3.0));
        assert_eq!(shape.visits(), ["s1", "s2", "s3"]);
    }

    #[test]
    fn the_edge_into_the_first_service_is_a_hop() {
        for shape in [Shape::chain(1), Shape::fan_out(1), Shape::tree(1)] {
            assert_eq!((shape.hops(), shape.calls_per_request()), (1, 1.0), "{}", shape.name);
        }
        assert_eq!(Shape::chain(50).hops(), 50);
        assert_eq!((Shape::chain(0).hops(), Shape::chain(0).calls_per_request()), (0, 0.0));
    }

    #[test]
    fn a_fan_out_is_two_hops_deep_however_wide() {
        assert_eq!(edges(&Shape::fan_out(4)), ["s1>s2+s3+s4", "s2>", "s3>", "s4>"]);
        for n in 2..50 {
            assert_eq!((Shape::fan_out(n).hops(), Shape::fan_out(n).calls_per_request()), (2, f64::from(n)));
        }
    }

    #[test]
    fn a_tree_is_a_heap_and_as_deep_as_its_count_has_digits() {
        assert_eq!(edges(&Shape::tree(6)), ["s1>s2+s3", "s2>s4+s5", "s3>s6", "s4>", "s5>", "s6>"]);
        assert_eq!(Shape::tree(6).visits(), ["s1", "s2", "s4", "s5", "s3", "s6"]);
        for (n, hops) in [(2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (15, 4), (31, 5), (50, 6)] {
            assert_eq!((Shape::tree(n).hops(), Shape::tree(n).calls_per_request()), (hops, f64::from(n)), "{n}");
        }
    }

    #[test]
    fn steps_add_up_calls_at_once_do_not_and_chances_count_by_their_share() {
        // A diamond: s1 calls s2 and s3 at once and then s4; s2 and s3 call s4, s3 in half of all cases.
        let mut shape = Shape::fan_out(4);
        shape.services[0].steps = vec![
            Step { calls: vec![Call::to(1), Call::to(2)], sleep_ns: 0 },
            Step { calls: vec![Call::to(3)], sleep_ns: 5 },
        ];
        shape.services[1].steps = vec![Step { calls: vec![Call::to(3)], sleep_ns: 0 }];
        let half = Call { probability: 0.5, ..Call::to(3) };
        shape.services[2].steps = vec![Step { calls: vec![half], sleep_ns: 0 }];
        // In, to s2 or s3, to s4, and to s4 again.
        assert_eq!(shape.hops(), 4);
        assert_eq!(shape.calls_per_request(), 1.0 + 2.0 + 1.5 + 1.0);
        assert_eq!(shape.visits(), ["s1", "s2", "s4", "s3", "s4", "s4"]);
        assert_eq!(shape.services[0].callees(), [1, 2, 3]);
    }

    #[test]
    fn a_cycle_is_told_by_its_services() {
        let mut shape = Shape::chain(4);
        assert_eq!(shape.callees_first(), Ok(vec![3, 2, 1, 0]));
        shape.services[3].steps = vec![Step { calls: vec![Call::to(1)], sleep_ns: 0 }];
        assert_eq!(shape.callees_first(), Err(vec![1, 2, 3]));
        shape.services[0].steps = vec![Step { calls: vec![Call::to(0)], sleep_ns: 0 }];
        assert_eq!(shape.callees_first(), Err(vec![0]));
    }
}
