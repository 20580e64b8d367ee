//! The loop that makes the load: what is due is sent, what comes is stamped, what is neither is waited for.

use std::collections::VecDeque;

use record::{Outcome, monotonic_ns};
use rustix::event::epoll;

use crate::Result;
use crate::connection::Request;
use crate::fleet::{Change, Fleet};
use crate::horizon::Horizon;
use crate::lag::Starvation;
use crate::pacer::Pacer;
use crate::recorder::{Ended, Recorder};
use crate::roster::Place;
use crate::schedule::Schedule;

/// Events taken from the kernel at once.
pub(crate) const EVENTS: usize = 256;

/// Everything one load is made of.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) fleet: Fleet,
    pub(crate) schedule: Schedule,
    pub(crate) horizon: Horizon<'a>,
    pub(crate) recorder: Recorder,
    pub(crate) pacer: Pacer,
    pub(crate) start_ns: u64,
    /// Requests that are due and not sent, the oldest first. Its memory is there from the start.
    pub(crate) waiting: VecDeque<Request>,
    pub(crate) starvation: Starvation,
    pub(crate) next_index: u64,
    pub(crate) next_due_ns: u64,
}

/// How a load ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    /// How long requests of the measured phase were due for.
    pub(crate) measured_ns: u64,
    /// When the last measured request ended or was given up; 0 if there was none.
    pub(crate) last_done_ns: u64,
    /// Measured requests answered while requests were due.
    pub(crate) answered_in_time: u64,
    /// Whether it was told to stop before its end.
    pub(crate) stopped: bool,
}

impl Worker<'_> {
    /// Works until everything due has ended or been given up.
    pub(crate) fn run(mut self) -> Result<Finish> {
        self.next_due_ns = self.start_ns + self.schedule.next_offset_ns();
        self.recorder.due_until(self.horizon.due_until_ns());
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let mut now_ns = monotonic_ns();
        loop {
            self.advance(now_ns);
            while let Some(change) = self.fleet.expire(now_ns) {
                self.apply(change);
            }
            self.dispatch();
            now_ns = monotonic_ns();
            self.advance(now_ns);
            if self.horizon.stops_now(now_ns) {
                self.recorder.due_until(self.horizon.due_until_ns());
                self.abandon(now_ns);
            }
            if self.is_over(now_ns) {
                return Ok(self.finish(now_ns));
            }
            let (until_ns, exact) = self.wake_at();
            let woken = self.pacer.wait(&self.fleet.epoll, &mut ready, until_ns, exact)?;
            now_ns = woken.now_ns;
            if ready.is_empty() {
                continue;
            }
            // What fell due while we slept is booked first, or its wait would count as ours.
            self.advance(woken.attentive_until_ns);
            self.starvation.absent(woken.attentive_until_ns, now_ns);
            self.advance(now_ns);
            for event in &ready {
                if let Some(change) = self.fleet.handle({ event.data }.u64()) {
                    self.apply(change);
                }
            }
            now_ns = monotonic_ns();
        }
    }

    /// Brings the books up to a stamp: whatever fell due by then is due, each in its own window, and the
    /// windows that are over are handed on. Called with every stamp before what happened at it is noted.
    #[inline]
    fn advance(&mut self, now_ns: u64) {
        while self.next_due_ns <= now_ns && self.next_due_ns < self.horizon.due_until_ns() {
            self.fall_due();
        }
        self.recorder.roll_to(now_ns);
    }

    #[inline]
    fn fall_due(&mut self) {
        let intended_ns = self.next_due_ns;
        self.recorder.roll_to(intended_ns);
        let phase = self.recorder.phase_at(intended_ns);
        self.recorder.due(phase);
        if self.waiting.len() == self.waiting.capacity()
            && let Some(oldest) = self.waiting.pop_front()
        {
            // Given up at the moment the queue overflowed, which is by arithmetic as well. The oldest, since
            // its age says most about how long the queue is.
            self.end(oldest, None, intended_ns, None);
        }
        let starved_ns = self.starvation.at(intended_ns);
        self.waiting.push_back(Request { index: self.next_index, phase, intended_ns, starved_ns, sent_ns: 0 });
        self.next_index += 1;
        self.next_due_ns = self.start_ns + self.schedule.next_offset_ns();
    }

    /// Sends what waits while connections are free.
    #[inline]
    fn dispatch(&mut self) {
        while let (Some(oldest), Some((slot, _))) = (self.waiting.front(), self.fleet.roster.first(Place::Free)) {
            let mut request = *oldest;
            let sent_ns = monotonic_ns();
            request.sent_ns = sent_ns;
            // Taken out before the books go on: they may give the oldest up.
            self.waiting.pop_front();
            self.advance(sent_ns);
            if self.fleet.send(slot, request) {
                let (ours, theirs) = self.starvation.split(request.intended_ns, request.starved_ns, sent_ns);
                self.recorder.sent(request.phase, ours, theirs);
            } else if self.waiting.len() == self.waiting.capacity() {
                self.end(request, None, sent_ns, None);
            } else {
                self.waiting.push_front(request);
            }
            self.note_starvation(sent_ns);
        }
        if self.fleet.hopeless() && !self.waiting.is_empty() {
            self.fail_waiting();
        }
    }

    /// Nothing is open and nothing is being opened: what waits ends as what it is.
    #[cold]
    fn fail_waiting(&mut self) {
        let now_ns = monotonic_ns();
        self.advance(now_ns);
        while let Some(request) = self.waiting.pop_front() {
            self.end(request, Some(Outcome::ConnectFailed), now_ns, None);
        }
    }

    /// Told to stop: what waits is not sent any more.
    #[cold]
    fn abandon(&mut self, now_ns: u64) {
        while let Some(request) = self.waiting.pop_front() {
            self.end(request, None, now_ns, None);
        }
    }

    /// Notes what happened to a connection, and uses it if it is free.
    #[inline]
    fn apply(&mut self, change: Change) {
        self.advance(change.at_ns);
        if let Some((request, outcome)) = change.ended {
            self.end(request, Some(outcome), change.at_ns, Some(change.slot));
        }
        self.note_starvation(change.at_ns);
        self.dispatch();
    }

    #[inline]
    fn note_starvation(&mut self, at_ns: u64) {
        self.starvation.set(self.fleet.roster.count(Place::Free) == 0, at_ns);
    }

    #[inline]
    fn end(&mut self, request: Request, outcome: Option<Outcome>, done_ns: u64, connection: Option<u32>) {
        let Request { index, phase, intended_ns, starved_ns: _, sent_ns } = request;
        // A request that never got a connection was not sent, whatever was tried.
        let sent_ns = connection.map(|_| sent_ns);
        let hops = connection.map_or(&[][..], |slot| self.fleet.hops(slot));
        self.recorder.ended(&Ended { index, phase, intended_ns, sent_ns, done_ns, outcome, connection }, hops);
    }

    /// When to look again at the latest, and whether something is to be sent at that very time.
    #[inline]
    fn wake_at(&self) -> (u64, bool) {
        // A window's end is looked at too: intervals are handed on, and signals seen, ten times a second.
        let until_ns = self.recorder.window_end_ns().min(self.fleet.expires_ns());
        let due_until_ns = self.horizon.due_until_ns();
        if self.next_due_ns < due_until_ns {
            let free = self.fleet.roster.count(Place::Free) > 0;
            // Without a connection nothing can be done at the due time; the books are brought up to date by
            // whatever comes next, and the machine is left to the target.
            let can_act = free || self.fleet.hopeless();
            (until_ns.min(if can_act { self.next_due_ns } else { due_until_ns }), free)
        } else {
            let end_ns = if self.outstanding() { self.horizon.give_up_ns() } else { due_until_ns };
            (until_ns.min(end_ns), false)
        }
    }

    fn outstanding(&self) -> bool {
        !self.waiting.is_empty() || self.fleet.roster.count(Place::Busy) > 0
    }

    #[inline]
    fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.horizon.due_until_ns()
            && self.next_due_ns >= self.horizon.due_until_ns()
            && (!self.outstanding() || now_ns >= self.horizon.give_up_ns())
    }

    /// Whatever has no end gets its age for one.
    fn finish(mut self, now_ns: u64) -> Finish {
        let now_ns = monotonic_ns().max(now_ns);
        self.recorder.roll_to(now_ns);
        self.abandon(now_ns);
        while let Some((slot, _)) = self.fleet.roster.first(Place::Busy)
            && let Some(request) = self.fleet.cut()
        {
            let Request { index, phase, intended_ns, starved_ns: _, sent_ns } = request;
            let outcome = Some(Outcome::CutByDeadline);
            let (sent_ns, connection) = (Some(sent_ns), Some(slot));
            // Half a response may have come; its stamps are not those of an end.
            let ended = Ended { index, phase, intended_ns, sent_ns, done_ns: now_ns, outcome, connection };
            self.recorder.ended(&ended, &[]);
        }
        let finish = Finish {
            measured_ns: self.horizon.measured_ns(),
            last_done_ns: self.recorder.last_done_ns(),
            answered_in_time: self.recorder.answered_in_time(),
            stopped: self.horizon.stopped(),
        };
        self.recorder.close(now_ns);
        finish
    }
}
