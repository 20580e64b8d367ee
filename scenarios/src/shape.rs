//! Chain shapes as data: who calls whom.

/// A service of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// "s1", "s2" ...
    pub name: String,
    /// The service it calls for each request, by its place in the shape; the last one calls nobody.
    pub calls: Option<usize>,
}

/// Services and the edges between them; requests enter at the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// "chain3".
    pub name: String,
    /// The services, the entry first.
    pub services: Vec<Service>,
}

impl Shape {
    /// A straight line: s1 calls s2, s2 calls s3, and so on.
    pub fn chain(services: u32) -> Self {
        let count = services as usize;
        let service = |k: usize| Service { name: format!("s{}", k + 1), calls: Some(k + 1).filter(|n| *n < count) };
        Self { name: format!("chain{services}"), services: (0..count).map(service).collect() }
    }

    /// Edges a request crosses, the one from the load generator into the first service counted.
    pub fn hops(&self) -> u32 {
        let mut hops = 0;
        let mut at = (!self.services.is_empty()).then_some(0);
        while let Some(service) = at.and_then(|k| self.services.get(k)) {
            hops += 1;
            at = service.calls;
        }
        hops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_three_calls_along_the_line() {
        let shape = Shape::chain(3);
        let calls: Vec<(&str, Option<usize>)> = shape.services.iter().map(|s| (s.name.as_str(), s.calls)).collect();
        assert_eq!(calls, [("s1", Some(1)), ("s2", Some(2)), ("s3", None)]);
        assert_eq!((shape.name.as_str(), shape.hops()), ("chain3", 3));
    }

    #[test]
    fn the_edge_into_the_first_service_is_a_hop() {
        assert_eq!(Shape::chain(1).hops(), 1);
        assert_eq!(Shape::chain(50).hops(), 50);
    }
}
