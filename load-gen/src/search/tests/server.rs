//! A server that is simulated: one queue, a known capacity, and a machine with bad moments.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{Arrival, Histogram, LoadSummary, METHOD, Outcomes, Pace, Quantiles, SCHEMA, Verdict};

use crate::schedule::Schedule;
use crate::search::Ask;
use crate::{Arrivals, Draw, Profile};

/// How the time of service is drawn.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Service {
    Fixed,
    Exponential,
}

pub(super) struct Server {
    pub(super) capacity: f64,
    pub(super) service: Service,
    pub(super) arrival: Arrival,
    /// Lognormal jitter on the way, and the share of steps with a stall of 5 to 20 ms.
    pub(super) noise: Option<f64>,
    /// The share of requests that fail at once.
    pub(super) failing: f64,
    pub(super) chance: ChaCha8Rng,
}

const CONNECTIONS: usize = 64;
const WAYS: usize = 1009;
const DRAIN_NS: f64 = 2e9;

impl Server {
    pub(super) fn new(capacity: f64, service: Service, arrival: Arrival, seed: u64) -> Self {
        let noise = (service == Service::Fixed).then_some(0.02);
        Self { capacity, service, arrival, noise, failing: 0.0, chance: ChaCha8Rng::seed_from_u64(!seed) }
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.chance.random::<f64>()).ln()
    }

    /// Times of half of the way, there or back: lognormal about 50 us (the sum of uniforms is nearly normal).
    fn ways_ns(&mut self) -> Vec<f64> {
        let noisy = if self.noise.is_some() { 50_000.0 } else { 0.0 };
        let mut uniform = || self.chance.random::<f64>();
        (0..WAYS).map(|_| noisy * (uniform() + uniform() + uniform() - 1.5).exp()).collect()
    }

    fn arrivals(&self, ask: &Ask) -> Arrivals {
        let draw = if self.arrival == Arrival::Poisson { Draw::Poisson } else { Draw::Constant };
        Arrivals::Open { draw, profile: Profile::Flat(ask.rate_per_second) }
    }

    pub(super) fn load(&mut self, ask: &Ask) -> LoadSummary {
        let duration_ns = ask.duration.as_nanos() as f64;
        let mut stall = match self.noise {
            Some(share) if self.chance.random::<f64>() < share => {
                let at = self.chance.random::<f64>() * duration_ns;
                Some((at, at + self.chance.random_range(5e6..20e6)))
            }
            _ => None,
        };
        let mut due_times = Schedule::new(&self.arrivals(ask), 0, ask.duration.as_nanos() as u64, ask.seed);
        // Drawn once for each step: a table is what a debug build has time for.
        let ways = self.ways_ns();
        let mut connections = [0.0_f64; CONNECTIONS];
        let (mut free, mut response, mut outcomes) = (0.0_f64, Histogram::new(), Outcomes::default());
        let [mut due, mut in_time, mut censored, mut refused] = [0_u64; 4];
        let mut last = duration_ns;
        loop {
            let at = due_times.next_offset_ns() as f64;
            if at >= duration_ns {
                break;
            }
            let sent = connections[due as usize % CONNECTIONS].max(at);
            let mut start = free.max(sent + ways[due as usize % WAYS]);
            if let Some((from, until)) = stall
                && start >= from
            {
                start = start.max(until);
                stall = None;
            }
            let length = if self.service == Service::Fixed { 1.0 } else { self.exponential() };
            free = start + length * 1e9 / self.capacity;
            let done = free + ways[(due as usize * 7 + 3) % WAYS];
            connections[due as usize % CONNECTIONS] = done;
            due += 1;
            if done > duration_ns + DRAIN_NS {
                censored += 1;
                outcomes.cut_by_deadline += 1;
                response.record((duration_ns + DRAIN_NS - at) as u64);
                continue;
            }
            let failed = self.failing > 0.0 && self.chance.random::<f64>() < self.failing;
            refused += u64::from(failed);
            in_time += u64::from(done <= duration_ns);
            last = last.max(done);
            response.record((done - at) as u64);
        }
        outcomes.answered = [(200, due - censored - refused), (503, refused)].into();
        summary(ask, &response, outcomes, [due, in_time, censored], last)
    }
}

fn summary(ask: &Ask, response: &Histogram, outcomes: Outcomes, counts: [u64; 3], last: f64) -> LoadSummary {
    let [due, in_time, censored] = counts;
    LoadSummary {
        schema: SCHEMA,
        method: METHOD,
        verdict: Verdict::Valid,
        reasons: Vec::new(),
        url: String::new(),
        rate_per_second: Some(ask.rate_per_second),
        connections: CONNECTIONS as u32,
        arrival: record::Process::Constant,
        pace: Pace::Hybrid,
        seed: ask.seed,
        start_ns: 0,
        duration_ns: ask.duration.as_nanos() as u64,
        end_ns: last as u64,
        due,
        sent: due,
        answered: due - censored,
        unsent: 0,
        censored,
        outcomes,
        achieved_per_second: in_time as f64 / ask.duration.as_secs_f64(),
        response_ns: response.into(),
        service_ns: Quantiles::default(),
        lag_ns: record::Lag::default(),
        cpu_seconds: 0.0,
        observed: record::Observed::default(),
        warnings: Vec::new(),
    }
}
