//! The live view of `run` on a terminal: what requests take and what the machine does, drawn by a thread that gives way.
//!
//! It reads the files of the trial and asks nobody who measures. The runner hands it words over a channel, on which it
//! never waits: it tends the chain while it measures, and this thread may wait for a CPU for as long as there is other work.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{Host, Reading};
use reports::live::Follower;

use super::{draw, lines};
use crate::give_way;

/// From one drawing to the next: four a second at most.
const EVERY: Duration = Duration::from_millis(250);

/// The longest that the end of a run waits for the view to take itself away.
const PATIENCE: Duration = Duration::from_secs(2);

enum Message {
    /// What the first line says.
    Headline(String),
    /// The directory of the trial that is made now.
    Follow(PathBuf),
    /// Take everything away and say so.
    Hide(Sender<()>),
}

/// The view, until it is dropped.
pub(super) struct View {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Begins with an empty view; none where a thread cannot be had.
    pub(super) fn begin(host: &Host) -> Option<Self> {
        let (messages, inbox) = channel();
        let drawer = Drawer {
            cpus: host.cpus_online.len(),
            steal_known: host.steal_known.clone(),
            headline: String::new(),
            follower: None,
            shown: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("view".to_owned()).spawn(move || drawer.draw_until_end(&inbox));
        thread.ok().map(|thread| Self { messages: Some(messages), thread: Some(thread) })
    }

    pub(super) fn headline(&self, text: &str) {
        self.send(Message::Headline(text.to_owned()));
    }

    pub(super) fn follow(&self, trial: PathBuf) {
        self.send(Message::Follow(trial));
    }

    /// Takes the view away, so that something else can be said.
    pub(super) fn hide(&self) {
        let (done, hidden) = channel();
        self.send(Message::Hide(done));
        // A view that cannot get a CPU is no reason to hold up what is to be said.
        let _ = hidden.recv_timeout(PATIENCE);
    }

    fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            // A thread that has ended has nothing to show.
            let _ = messages.send(message);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.hide();
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Drawer {
    cpus: usize,
    steal_known: Reading<bool>,
    headline: String,
    follower: Option<Follower>,
    shown: Vec<String>,
}

impl Drawer {
    fn draw_until_end(mut self, inbox: &Receiver<Message>) {
        give_way::to_all();
        let mut next = Instant::now();
        loop {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.draw();
                    next = Instant::now() + EVERY;
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Headline(text) => self.headline = text,
            Message::Follow(trial) => {
                self.follower = Some(Follower::of(&trial, self.cpus, self.steal_known.clone()));
            }
            Message::Hide(done) => {
                self.replace(Vec::new());
                self.headline.clear();
                self.follower = None;
                let _ = done.send(());
            }
        }
    }

    fn draw(&mut self) {
        if self.headline.is_empty() {
            return;
        }
        let now = self.follower.as_mut().map(Follower::look).unwrap_or_default();
        self.replace(lines::of(&self.headline, &now, lines::width()));
    }

    fn replace(&mut self, lines: Vec<String>) {
        if lines != self.shown {
            draw(&redrawn(self.shown.len(), &lines));
            self.shown = lines;
        }
    }
}

/// What brings the cursor to the first of so many lines and writes others over them; of none it leaves nothing.
fn redrawn(shown: usize, lines: &[String]) -> String {
    let mut text = String::from("\r");
    if shown > 1 {
        text.push_str(&format!("\x1b[{}A", shown - 1));
    }
    // \x1b[K clears what a longer line left behind, \x1b[J the lines below.
    let cleared: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
    text.push_str(&cleared.join("\n"));
    if shown > lines.len() {
        text.push_str(if lines.is_empty() { "\x1b[J" } else { "\n\x1b[J\x1b[A" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_over_and_taken_away() {
        let lines = |n: usize| (0..n).map(|i| format!("line {i}")).collect::<Vec<_>>();
        assert_eq!(redrawn(0, &lines(1)), "\rline 0\x1b[K");
        assert_eq!(redrawn(1, &lines(2)), "\rline 0\x1b[K\nline 1\x1b[K");
        assert_eq!(redrawn(3, &lines(2)), "\r\x1b[2Aline 0\x1b[K\nline 1\x1b[K\n\x1b[J\x1b[A");
        assert_eq!(redrawn(3, &[]), "\r\x1b[2A\x1b[J");
        assert_eq!(redrawn(1, &[]), "\r\x1b[J");
    }
}
