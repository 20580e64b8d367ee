//! A server whose capacity is known by construction: one queue, and the same service time for every request.
//!
//! ```text
//! limited_server --capacity 5000 [--cpu 0]
//! {"listen":"127.0.0.1:40123"}                                    at once
//! {"answered":50000,"longest_queue":16,"late_ns":{"mean":..,"max":..}}   when stdin ends
//! ```
//!
//! An answer leaves at `max(arrival, the leave before) + 1 / capacity`, by arithmetic, so that being late once does not
//! lower the capacity. How late answers really left is said at the end.

mod serving;

use std::collections::VecDeque;

use record::monotonic_ns;
use serving::{Options, Result, Server, say};

fn main() -> Result<()> {
    let options = Options::read(&["capacity", "cpu"])?;
    let mut queue = Queue::new(options.per_second("capacity")?);
    let (mut waiting, mut arrived) = (VecDeque::new(), Vec::new());
    let (mut answered, mut longest, mut late_ns, mut latest_ns) = (0u64, 0, 0, 0);
    let mut server = Server::start(&options)?;
    while server.look(&mut arrived)? {
        waiting.extend(arrived.drain(..).map(|arrival| (queue.leave_ns(arrival.at_ns), arrival.connection)));
        longest = longest.max(waiting.len());
        while let Some((leave_ns, connection)) = waiting.front()
            && let Some(late) = monotonic_ns().checked_sub(*leave_ns)
        {
            if server.answer(*connection) {
                answered += 1;
                late_ns += late;
                latest_ns = latest_ns.max(late);
            }
            waiting.pop_front();
        }
    }
    let mean = late_ns.checked_div(answered).map_or("null".to_owned(), |ns| ns.to_string());
    say(&format!(
        "{{\"answered\":{answered},\"longest_queue\":{longest},\"late_ns\":{{\"mean\":{mean},\"max\":{latest_ns}}}}}"
    ));
    Ok(())
}

/// When answers leave.
struct Queue {
    service_ns: u64,
    last_leave_ns: u64,
}

impl Queue {
    fn new(capacity: f64) -> Self {
        Self { service_ns: (1e9 / capacity).round() as u64, last_leave_ns: 0 }
    }

    fn leave_ns(&mut self, arrival_ns: u64) -> u64 {
        self.last_leave_ns = self.last_leave_ns.max(arrival_ns) + self.service_ns;
        self.last_leave_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_queue_and_an_idle_server_saves_nothing_up() {
        let mut queue = Queue::new(1_000_000.0);
        let leaves = [5_000, 5_100, 5_200, 20_000].map(|at| queue.leave_ns(at));
        assert_eq!(leaves, [6_000, 7_000, 8_000, 21_000]);
    }
}
