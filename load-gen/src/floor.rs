//! What this machine adds to every figure by itself: being woken late, and a byte over loopback and back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use record::{Histogram, NoiseFloor, monotonic_ns};
use rustix::event::epoll;

use crate::Result;
use crate::error::kernel;
use crate::pacer::Pacer;

/// Between one probe and the next.
const GAP_NS: u64 = 1_000_000;

/// Measures for so long, on the thread that calls it, with the pacing that a load would have. The other end sleeps
/// between two bytes, as a target at a low rate does.
///
/// # Errors
/// When loopback cannot be used.
pub(crate) fn measure(length: Duration, pacer: &mut Pacer) -> Result<NoiseFloor> {
    let action = kernel::<std::io::Error>;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(action("listen on loopback"))?;
    let address = listener.local_addr().map_err(action("listen on loopback"))?;
    let mut near = TcpStream::connect(address).map_err(action("connect over loopback"))?;
    let (mut far, _) = listener.accept().map_err(action("connect over loopback"))?;
    let prepared = [&near, &far].iter().try_for_each(|s| {
        s.set_nodelay(true)?;
        s.set_read_timeout(Some(Duration::from_secs(1)))
    });
    prepared.map_err(action("set up loopback"))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(kernel("make an epoll"))?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            // Ends when the near side is closed.
            while far.read_exact(&mut byte).and_then(|()| far.write_all(&byte)).is_ok() {}
        });
        let done = probe(length, pacer, &epoll, &mut near);
        drop(near);
        done
    })
}

fn probe(length: Duration, pacer: &mut Pacer, epoll: &rustix::fd::OwnedFd, near: &mut TcpStream) -> Result<NoiseFloor> {
    let (mut wake, mut round_trip) = (Histogram::new(), Histogram::new());
    let mut ready = Vec::with_capacity(1);
    let (mut due_ns, mut byte) = (monotonic_ns(), [0]);
    let end_ns = due_ns + length.as_nanos() as u64;
    while due_ns < end_ns {
        let now_ns = pacer.wait(epoll, &mut ready, due_ns, true)?.now_ns;
        wake.record(now_ns.saturating_sub(due_ns));
        let sent_ns = monotonic_ns();
        near.write_all(&byte).and_then(|()| near.read_exact(&mut byte)).map_err(kernel("send over loopback"))?;
        let back_ns = monotonic_ns();
        round_trip.record(back_ns - sent_ns);
        // Probes that fell due meanwhile are left out: it is the machine that is looked at, not a queue.
        due_ns += GAP_NS * (1 + back_ns.saturating_sub(due_ns) / GAP_NS);
    }
    Ok(NoiseFloor { probes: wake.count(), wake_ns: (&wake).into(), round_trip_ns: (&round_trip).into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Pace;

    #[test]
    fn the_floor_is_some_microseconds_and_not_nothing() {
        let mut pacer = Pacer::new(Pace::Hybrid, 1).unwrap();
        let begun_ns = monotonic_ns();
        let floor = measure(Duration::from_millis(100), &mut pacer).unwrap();
        let took_ns = monotonic_ns() - begun_ns;
        // Those that fell due while another was on its way are left out.
        assert!((1..=100).contains(&floor.probes), "{floor:?}");
        // A figure is exact to a thousandth.
        let longest_ns = floor.round_trip_ns.max * 99 / 100;
        assert!(floor.round_trip_ns.p50 > 2_000 && longest_ns < took_ns, "{floor:?} in {took_ns} ns");
    }
}
