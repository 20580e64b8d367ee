//! Several generators that make one load together: the share of each.

use crate::{Error, Result};

/// What one generator is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Requests per second.
    pub rate_per_second: f64,
    /// Connections.
    pub connections: u32,
    /// The seed of its arrivals.
    pub seed: u64,
}

/// The share of generator `index` of `generators`, of a load in all; all shares add up to it.
///
/// # Errors
/// [`Error::Value`] when there are fewer connections than generators, or there is no such generator.
pub fn share(whole: Share, index: u32, generators: u32) -> Result<Share> {
    let fault = |problem: String, remedy: &str| Error::Value {
        what: "generators".to_owned(),
        problem,
        remedy: remedy.to_owned(),
    };
    if index >= generators {
        return Err(fault(format!("there is no generator {index} of {generators}"), "an index below their number"));
    }
    if whole.connections < generators {
        let problem = format!("{generators} generators cannot share {} connections", whole.connections);
        return Err(fault(problem, "as many connections as generators, or more"));
    }
    let more = u32::from(index < whole.connections % generators);
    Ok(Share {
        rate_per_second: whole.rate_per_second / f64::from(generators),
        connections: whole.connections / generators + more,
        // One alone has the arrivals that it has on one machine.
        seed: if index == 0 {
            whole.seed
        } else {
            whole.seed.rotate_left(17) ^ u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_draw_each_for_itself() {
        let whole = Share { rate_per_second: 900.0, connections: 16, seed: 7 };
        for generators in [1, 2, 3, 16] {
            let shares: Vec<Share> = (0..generators).map(|i| share(whole, i, generators).unwrap()).collect();
            assert_eq!(shares.iter().map(|s| s.connections).sum::<u32>(), 16);
            assert!((shares.iter().map(|s| s.rate_per_second).sum::<f64>() - 900.0).abs() < 1e-9);
            let mut seeds: Vec<u64> = shares.iter().map(|s| s.seed).collect();
            seeds.sort_unstable();
            seeds.dedup();
            assert_eq!(seeds.len() as u32, generators);
        }
        assert_eq!(share(whole, 0, 1).unwrap(), whole);
    }

    #[test]
    fn who_gets_no_connection_is_told() {
        let whole = Share { rate_per_second: 1.0, connections: 2, seed: 1 };
        let said = share(whole, 0, 3).unwrap_err().to_string();
        assert_eq!(
            said,
            "generators: 3 generators cannot share 2 connections\n  try: as many connections as generators, or more"
        );
        assert!(share(whole, 2, 2).unwrap_err().to_string().contains("no generator 2 of 2"));
    }
}
