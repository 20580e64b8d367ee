//! The loop that makes the load: what is due is sent, what comes is stamped, what is neither is waited for.

use std::collections::VecDeque;
use std::sync::Arc;

use record::{KeptBack, Outcome, Phase, monotonic_ns};
use rustix::event::epoll;

use crate::Result;
use crate::connection::Request;
use crate::fleet::{BUSY, Change, FREE, Fleet, Sent, What};
use crate::horizon::Horizon;
use crate::lag::{Attention, Starvation};
use crate::mix::Mix;
use crate::naps::Naps;
use crate::pacer::{Pacer, Woken, collect};
use crate::protocol::kept::{HOPS, SPLIT};
use crate::recorder::{Ended, Recorder};
use crate::schedule::{NEVER, Schedule};
use crate::tally::{Tally, Times};

/// Events taken from the kernel at once.
pub(crate) const EVENTS: usize = 256;

/// What waits for one endpoint.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Requests that are due and not sent, the oldest first. Its memory is there from the start.
    waiting: VecDeque<Request>,
    starvation: Starvation,
}

impl Lane {
    pub(crate) fn new(backlog: u32) -> Self {
        Self { waiting: VecDeque::with_capacity(backlog as usize), starvation: Starvation::default() }
    }
}

/// Everything one thread of a load is made of.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) fleet: Fleet,
    pub(crate) mix: Arc<Mix>,
    pub(crate) schedule: Schedule,
    /// In a closed loop: the pause between an answer and the next request, in nanoseconds.
    pub(crate) think_ns: Option<u64>,
    pub(crate) horizon: Horizon<'a>,
    pub(crate) recorder: Recorder,
    pub(crate) tally: Tally,
    pub(crate) pacer: Pacer,
    /// Of a closed loop without a pause, at the economy pace.
    pub(crate) naps: Option<Naps>,
    pub(crate) start_ns: u64,
    pub(crate) lanes: Vec<Lane>,
    /// This thread takes every `stride`-th request of the plan.
    pub(crate) stride: u64,
    pub(crate) next_index: u64,
    pub(crate) next_due_ns: u64,
}

/// How the part of one thread ended.
#[derive(Debug)]
pub(crate) struct Finish {
    /// How long requests of the measured phase were due for.
    pub(crate) measured_ns: u64,
    /// When the last measured request ended or was given up; 0 if there was none.
    pub(crate) last_done_ns: u64,
    /// Measured requests answered while requests were due.
    pub(crate) answered_in_time: u64,
    /// Whether it was told to stop before its end.
    pub(crate) stopped: bool,
    /// What else was seen.
    pub(crate) tally: Tally,
}

impl Worker<'_> {
    /// Works until everything due has ended or been given up; gives the connections back, still open.
    pub(crate) fn run(mut self) -> Result<(Finish, Fleet)> {
        self.next_due_ns = self.draw();
        self.recorder.due_until(self.horizon.due_until_ns());
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        // Who closed a connection before the load is seen before anything is sent to them.
        self.take_all(&mut ready)?;
        let mut now_ns = monotonic_ns();
        let mut attention = Attention::begin(now_ns);
        loop {
            self.advance(now_ns);
            while self.fleet.expire(now_ns) {
                self.apply_changes();
            }
            self.dispatch();
            self.fleet.flush();
            // A connection may be refused, or found broken, by the very call that writes to it.
            self.apply_changes();
            now_ns = monotonic_ns();
            let woken = if let Some(since_ns) = attention.away_since(now_ns) {
                // Answers may have come meanwhile, and nothing must be given up for want of them.
                collect(&self.fleet.epoll, &mut ready)?;
                Woken { now_ns, attentive_until_ns: since_ns }
            } else {
                self.advance(now_ns);
                if self.horizon.stops_now(now_ns) {
                    self.recorder.due_until(self.horizon.due_until_ns());
                    self.abandon(now_ns);
                }
                if self.is_over(now_ns) {
                    return Ok(self.finish(now_ns));
                }
                let (until_ns, exact) = self.wake_at();
                if !exact {
                    self.nap(now_ns, until_ns);
                }
                self.pacer.wait(&self.fleet.epoll, &mut ready, until_ns, exact)?
            };
            attention.looked(woken.now_ns);
            now_ns = woken.now_ns;
            if ready.is_empty() {
                continue;
            }
            // What fell due while we slept is booked first, or its wait would count as ours.
            self.advance(woken.attentive_until_ns);
            self.lanes.iter_mut().for_each(|lane| lane.starvation.absent(woken.attentive_until_ns, now_ns));
            self.advance(now_ns);
            // All answers are stamped before the first request is written: a write takes longer than a read, and the
            // answers behind it would seem to have come later than they did.
            self.take(&ready);
            now_ns = monotonic_ns();
            // There may be more than is taken at once, and what is among it must not be given up.
            if ready.len() == EVENTS && now_ns >= self.fleet.expires_ns().min(self.horizon.give_up_ns()) {
                self.take_all(&mut ready)?;
            }
        }
    }

    /// Takes all that has come by now. Each connection is looked at once: one may have something to say for ever.
    fn take_all(&mut self, events: &mut Vec<epoll::Event>) -> Result<()> {
        for _ in 0..=self.fleet.links() / EVENTS {
            collect(&self.fleet.epoll, events)?;
            self.take(events);
            if events.len() < EVENTS {
                break;
            }
        }
        Ok(())
    }

    /// Takes what has come.
    #[inline]
    fn take(&mut self, ready: &[epoll::Event]) {
        for event in ready {
            self.fleet.handle(event);
            self.apply_changes();
        }
    }

    /// Sleeps through some answers where that is worth it.
    #[inline]
    fn nap(&mut self, now_ns: u64, until_ns: u64) {
        let under_way = self.fleet.slots.count(BUSY);
        let Some(naps) = &mut self.naps else { return };
        if let Some(ns) = naps.next_ns(now_ns, under_way)
            && now_ns + 4 * ns < until_ns
        {
            self.pacer.sleep(ns);
            naps.slept(ns, monotonic_ns().saturating_sub(now_ns));
        }
    }

    /// When this thread's next request is due: those in between are the other threads'.
    fn draw(&mut self) -> u64 {
        let skip = if self.next_index < self.stride { self.next_index } else { self.stride - 1 };
        for _ in 0..skip {
            self.schedule.next_offset_ns();
        }
        match self.schedule.next_offset_ns() {
            NEVER => NEVER,
            offset => self.start_ns.saturating_add(offset),
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
        let entry = self.mix.pick(self.next_index);
        let endpoint = self.mix.entry(entry).endpoint;
        let request = self.due(entry, endpoint, intended_ns);
        let lane = &mut self.lanes[endpoint as usize];
        if lane.waiting.len() == lane.waiting.capacity()
            && let Some(oldest) = lane.waiting.pop_front()
        {
            // Given up at the moment the queue overflowed, which is by arithmetic as well. The oldest, since
            // its age says most about how long the queue is.
            self.end(oldest, None, 0, intended_ns, None);
        }
        self.lanes[endpoint as usize].waiting.push_back(request);
        self.next_due_ns = self.draw();
    }

    /// Counts the next request as due.
    #[inline]
    fn due(&mut self, entry: u32, endpoint: u32, intended_ns: u64) -> Request {
        let phase = self.recorder.phase_at(intended_ns);
        self.recorder.due(phase);
        if phase == Phase::Measure {
            self.tally.due(intended_ns);
        }
        let starved_ns = self.lanes[endpoint as usize].starvation.at(intended_ns);
        let index = self.next_index;
        self.next_index += self.stride;
        Request { index, entry, phase, intended_ns, starved_ns, sent_ns: 0, first_byte_ns: 0 }
    }

    /// Sends what waits while connections are free.
    #[inline]
    fn dispatch(&mut self) {
        for endpoint in 0..self.lanes.len() as u32 {
            while let (Some(oldest), Some((slot, _))) =
                (self.lanes[endpoint as usize].waiting.front(), self.fleet.slots.first(FREE + endpoint))
            {
                let mut request = *oldest;
                let sent_ns = monotonic_ns();
                request.sent_ns = sent_ns;
                // Taken out before the books go on: they may give the oldest up.
                let waiting = &mut self.lanes[endpoint as usize].waiting;
                waiting.pop_front();
                if waiting.is_empty() {
                    // Back to its first place, or it goes once round all of its memory, which nothing has touched yet.
                    waiting.clear();
                }
                self.advance(sent_ns);
                self.send(endpoint, slot, request);
            }
            if self.think_ns.is_some() {
                self.ask_again(endpoint);
            }
            if self.fleet.hopeless(endpoint) && !self.lanes[endpoint as usize].waiting.is_empty() {
                self.fail_waiting(endpoint);
            }
        }
    }

    /// In a closed loop: whoever has been free for long enough asks again.
    #[inline]
    fn ask_again(&mut self, endpoint: u32) {
        let think_ns = self.think_ns.unwrap_or(0);
        while let Some((slot, since_ns)) = self.fleet.slots.first(FREE + endpoint) {
            let sent_ns = monotonic_ns();
            // By arithmetic, so that our own lateness shows here too.
            let intended_ns = since_ns.max(self.start_ns) + think_ns;
            if sent_ns < intended_ns || sent_ns >= self.horizon.due_until_ns() {
                return;
            }
            self.advance(sent_ns);
            let entry = self.mix.pick_for(endpoint, self.next_index);
            let request = self.due(entry, endpoint, intended_ns);
            self.send(endpoint, slot, Request { sent_ns, ..request });
        }
    }

    #[inline]
    fn send(&mut self, endpoint: u32, slot: u32, request: Request) {
        match self.fleet.send(slot, request) {
            Sent::Written => self.sent(endpoint, &request),
            Sent::Opening => {}
            Sent::Lost => {
                let waiting = &mut self.lanes[endpoint as usize].waiting;
                if waiting.len() == waiting.capacity() {
                    self.end(request, None, 0, request.sent_ns, None);
                } else {
                    waiting.push_front(request);
                }
            }
        }
        self.note_starvation(endpoint, request.sent_ns);
    }

    #[inline]
    fn sent(&mut self, endpoint: u32, request: &Request) {
        let Request { intended_ns, starved_ns, sent_ns, phase, .. } = *request;
        let (ours, theirs) = self.lanes[endpoint as usize].starvation.split(intended_ns, starved_ns, sent_ns);
        self.recorder.sent(phase, ours, theirs);
        if phase == Phase::Measure {
            self.tally.sent(sent_ns);
        }
    }

    /// Nothing is open and nothing is being opened: what waits ends as what it is.
    #[cold]
    fn fail_waiting(&mut self, endpoint: u32) {
        let now_ns = monotonic_ns();
        self.advance(now_ns);
        while let Some(request) = self.lanes[endpoint as usize].waiting.pop_front() {
            self.end(request, Some(Outcome::ConnectFailed), 0, now_ns, None);
        }
    }

    /// Told to stop: what waits is not sent any more.
    #[cold]
    fn abandon(&mut self, now_ns: u64) {
        for endpoint in 0..self.lanes.len() {
            while let Some(request) = self.lanes[endpoint].waiting.pop_front() {
                self.end(request, None, 0, now_ns, None);
            }
        }
    }

    /// Notes what has happened to connections.
    #[inline]
    fn apply_changes(&mut self) {
        let mut at = 0;
        // By number: a change may bring about another.
        while let Some(change) = self.fleet.changes.get(at).copied() {
            at += 1;
            self.apply(change);
        }
        self.fleet.changes.clear();
    }

    #[inline]
    fn apply(&mut self, change: Change) {
        let Change { at_ns, slot, what } = change;
        self.advance(at_ns);
        match what {
            What::Ended(request, end) => {
                // A request that never got a connection was not sent, whatever was tried.
                let connection = (end.outcome != Outcome::ConnectFailed).then_some(slot);
                if let (Phase::Measure, Some(status)) = (request.phase, end.grpc) {
                    self.tally.grpc(status, end.messages);
                }
                self.end(request, Some(end.outcome), end.bytes, at_ns, connection);
            }
            What::Sent(request) => self.sent(self.mix.entry(request.entry).endpoint, &request),
            What::Moved => {}
        }
        for endpoint in 0..self.lanes.len() as u32 {
            self.note_starvation(endpoint, at_ns);
        }
    }

    #[inline]
    fn note_starvation(&mut self, endpoint: u32, at_ns: u64) {
        let starved = self.fleet.slots.count(FREE + endpoint) == 0;
        self.lanes[endpoint as usize].starvation.set(starved, at_ns);
    }

    #[inline]
    fn end(&mut self, request: Request, outcome: Option<Outcome>, bytes: u64, done_ns: u64, slot: Option<u32>) {
        let Request { index, entry, phase, intended_ns, starved_ns, sent_ns, first_byte_ns } = request;
        let ended = Ended {
            index,
            phase,
            intended_ns,
            sent_ns: slot.map(|_| sent_ns),
            first_byte_ns: (first_byte_ns > 0).then_some(first_byte_ns),
            done_ns,
            outcome,
            connection: slot.map(|slot| self.fleet.link_of(slot)),
        };
        if outcome.is_none() && phase == Phase::Measure {
            let endpoint = self.mix.entry(entry).endpoint;
            let (ours, theirs) = self.lanes[endpoint as usize].starvation.split(intended_ns, starved_ns, done_ns);
            if ours > theirs {
                self.tally.kept_back.add(KeptBack { requests: 1, longest_ns: ours });
            }
        }
        let Some(slot) = slot else { return self.recorder.ended(&ended, &[]) };
        let kept = self.fleet.kept(slot);
        // The headers of half a response are not those of this request's end.
        let hops = if matches!(outcome, Some(Outcome::Answered(_))) { kept.value(HOPS) } else { &[] };
        self.recorder.ended(&ended, hops);
        if self.tally.splits() {
            self.recorder.split(&ended, kept.value(SPLIT));
        }
        if let Some(naps) = &mut self.naps {
            naps.answered();
        }
        if let (Phase::Measure, Some(outcome)) = (phase, outcome) {
            let service_ns = done_ns.saturating_sub(sent_ns);
            let of = Times { kind: entry, response_ns: ended.response_ns(), service_ns };
            self.tally.ended(of, outcome, bytes, kept);
        }
    }

    /// When to look again at the latest, and whether something is to be sent at that very time.
    #[inline]
    fn wake_at(&self) -> (u64, bool) {
        // A window's end is looked at too: intervals are handed on, and signals seen, ten times a second.
        let until_ns = self.recorder.window_end_ns().min(self.fleet.expires_ns());
        let due_until_ns = self.horizon.due_until_ns();
        if let Some(think_ns) = self.think_ns {
            let free = (0..self.lanes.len() as u32).filter_map(|e| self.fleet.slots.first(FREE + e));
            let asks_ns = free.map(|(_, since)| since.max(self.start_ns) + think_ns).min().unwrap_or(NEVER);
            if asks_ns < due_until_ns {
                return (until_ns.min(asks_ns), asks_ns < until_ns);
            }
        }
        if self.next_due_ns < due_until_ns {
            let free = self.can_send();
            // Without a connection nothing can be done at the due time; the books are brought up to date by
            // whatever comes next, and the machine is left to the target.
            let can_act = free || (0..self.lanes.len() as u32).any(|e| self.fleet.hopeless(e));
            (until_ns.min(if can_act { self.next_due_ns } else { due_until_ns }), free)
        } else {
            let end_ns = if self.outstanding() { self.horizon.give_up_ns() } else { due_until_ns };
            (until_ns.min(end_ns.max(due_until_ns)), false)
        }
    }

    /// Whether the request due next finds a connection.
    #[inline]
    fn can_send(&self) -> bool {
        (0..self.lanes.len() as u32).any(|e| self.fleet.slots.count(FREE + e) > 0)
    }

    fn outstanding(&self) -> bool {
        self.fleet.slots.count(BUSY) > 0 || self.lanes.iter().any(|lane| !lane.waiting.is_empty())
    }

    #[inline]
    fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.horizon.due_until_ns()
            && self.next_due_ns >= self.horizon.due_until_ns()
            && (!self.outstanding() || now_ns >= self.horizon.give_up_ns())
    }

    /// Whatever has no end gets its age for one.
    fn finish(mut self, now_ns: u64) -> (Finish, Fleet) {
        let now_ns = monotonic_ns().max(now_ns);
        self.recorder.roll_to(now_ns);
        self.abandon(now_ns);
        while let Some((slot, request, written)) = self.fleet.cut() {
            let Request { index, entry: _, phase, intended_ns, starved_ns: _, sent_ns, first_byte_ns } = request;
            // Half a response may have come; its stamps are not those of an end.
            let ended = Ended {
                index,
                phase,
                intended_ns,
                sent_ns: written.then_some(sent_ns),
                first_byte_ns: (first_byte_ns > 0).then_some(first_byte_ns),
                done_ns: now_ns,
                outcome: written.then_some(Outcome::CutByDeadline),
                connection: written.then(|| self.fleet.link_of(slot)),
            };
            self.recorder.ended(&ended, &[]);
        }
        self.fleet.flush();
        self.fleet.put_off_opening();
        let Self { fleet, horizon, recorder, mut tally, naps, .. } = self;
        tally.naps = naps.map(Naps::into_lengths);
        let finish = Finish {
            measured_ns: horizon.measured_ns(),
            last_done_ns: recorder.last_done_ns(),
            answered_in_time: recorder.answered_in_time(),
            stopped: horizon.stopped(),
            tally,
        };
        recorder.close(now_ns);
        (finish, fleet)
    }
}
