//! What each proxy and each replica is to ask for, from what was measured.

use record::{CpuQuantity, MemoryQuantity, Reading};

use crate::Result;
use crate::findings::Figure;

use super::choice::Host;
use super::measured::Setup;
use super::report::Sizing;

const MIB: u64 = 1 << 20;
/// Kubernetes' requests are written in steps of this.
const MILLICORES_STEP: u32 = 10;
/// What a proxy asks for where its memory could not be read: Istio's own default.
const UNREAD_BYTES: f64 = 128.0 * 1048576.0;

/// The upper end of a figure, or the figure where it has none.
fn upper(figure: &Figure) -> Option<f64> {
    figure.seen().map(|e| e.high.unwrap_or(e.value))
}

/// Bytes as whole mebibytes, rounded up, one at least.
pub(crate) fn whole_mebibytes(bytes: f64) -> u64 {
    ((bytes / MIB as f64).ceil() as u64).max(1) * MIB
}

/// What a proxy asks for of memory: the upper end of what the largest has, with headroom.
pub(crate) fn memory_request(rss: &Figure, headroom: f64) -> u64 {
    whole_mebibytes(upper(rss).map_or(UNREAD_BYTES, |bytes| bytes * (1.0 + headroom)))
}

/// Thousandths of a core in whole steps, rounded up, one step at least.
fn millicores(used: f64) -> u32 {
    ((used / f64::from(MILLICORES_STEP)).ceil() as u32).max(1) * MILLICORES_STEP
}

/// A proxy: it asks for the upper end of what the busiest uses with headroom, and for no more than its limit.
pub(crate) fn proxy(setup: Setup, used: Figure, rss: Figure, headroom: f64) -> Result<Sizing> {
    let most = setup.limit.map_or(u32::MAX, CpuQuantity::millicores);
    let asks = upper(&used).map_or(MILLICORES_STEP, |used| millicores(used * (1.0 + headroom)));
    let memory = memory_request(&rss, headroom);
    Ok(Sizing {
        dataplane: setup.dataplane,
        cpu_limit: setup.limit,
        cpu_request: CpuQuantity::from_millicores(asks.min(most))?,
        memory_request: MemoryQuantity::from_bytes(memory)?,
        memory_limit: MemoryQuantity::from_bytes(2 * memory)?,
        workers: setup.workers,
        cpu_millicores: used,
        rss_bytes: rss,
    })
}

/// What a replica of a service asks for at a rate, by the most CPU that a request took of the measured services.
pub(crate) fn service_cpu(host: &Host<'_>, rate: f64, headroom: f64) -> Result<Option<CpuQuantity>> {
    let per_request = |t: &super::measured::TrialSeen| match &t.service_cores {
        Reading::Seen(cores) if t.answered_per_second > 0.0 => Some(cores / t.answered_per_second),
        _ => None,
    };
    let most = host.trials.iter().filter_map(per_request).reduce(f64::max);
    Ok(match most {
        Some(most) => Some(CpuQuantity::from_millicores(millicores(most * rate * 1000.0 * (1.0 + headroom)))?),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use record::Dataplane;

    use super::*;
    use crate::stats::Estimate;

    fn figure(value: f64, high: f64) -> Figure {
        Reading::Seen(Estimate { value, low: Some(value), high: Some(high), level: 0.95, n: 9 })
    }

    #[test]
    fn a_proxy_asks_for_the_upper_end_with_headroom_in_whole_steps() {
        let setup = Setup { dataplane: Dataplane::Envoy, limit: Some("500m".parse().unwrap()), workers: 2 };
        let sized = proxy(setup, figure(100.0, 120.0), figure(60e6, 64.0 * 1048576.0), 0.25).unwrap();
        assert_eq!(sized.cpu_request.to_string(), "150m");
        assert_eq!((sized.memory_request.to_string(), sized.memory_limit.to_string()), ("80Mi".into(), "160Mi".into()));
        let capped = proxy(setup, figure(400.0, 490.0), figure(60e6, 64e6), 0.25).unwrap();
        assert_eq!(capped.cpu_request.to_string(), "500m", "no request lies above its limit");
    }

    #[test]
    fn what_could_not_be_read_asks_for_the_least_cpu_and_for_the_usual_memory() {
        let setup = Setup { dataplane: Dataplane::Envoy, limit: None, workers: 1 };
        let sized = proxy(setup, Reading::absent("x"), Reading::absent("x"), 0.2).unwrap();
        assert_eq!((sized.cpu_request.to_string(), sized.memory_request.to_string()), ("10m".into(), "128Mi".into()));
    }
}
