//! The progress on stderr: which trial, which phase, how long still; on a terminal also how it goes.

mod lines;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use record::Host;

use view::View;

/// When the live view is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum When {
    /// Where stderr is a terminal.
    Auto,
    /// Never: the trial, its phase and the time left alone.
    Never,
}

/// Whether to show how it goes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LiveArgs {
    /// Show quantiles and the machine while it measures.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    live: When,
    /// The same as --live never.
    #[arg(long, conflicts_with = "live")]
    no_live: bool,
}

impl LiveArgs {
    /// Whether it is wanted and can be shown.
    pub(crate) fn shown(self) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.live == When::Auto && !self.no_live && !dumb && std::io::stderr().is_terminal()
    }
}

/// Says where the run is: one line that is written over on a terminal, or a few with the live view; a line a phase
/// elsewhere.
pub(crate) struct Progress {
    terminal: bool,
    view: Option<View>,
    trials: usize,
    /// How long a trial should take by its phases.
    planned: Duration,
    /// Trials made in this sitting and the time they took, starting and stopping processes included.
    made: u32,
    spent: Duration,
    current: Option<Current>,
    shown: String,
    last_phase: &'static str,
}

struct Current {
    number: usize,
    label: String,
    began: Instant,
}

impl Progress {
    /// For a run of so many trials, each planned to take so long.
    pub(crate) fn new(trials: usize, planned: Duration) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            terminal,
            view: None,
            trials,
            planned,
            made: 0,
            spent: Duration::ZERO,
            current: None,
            shown: String::new(),
            last_phase: "",
        }
    }

    /// One that says nothing, for a trial that another one's words stand for.
    pub(crate) fn silent() -> Self {
        Self::new(0, Duration::ZERO)
    }

    /// The same with the live view, of trials on this machine.
    pub(crate) fn live(mut self, host: &Host) -> Self {
        self.view = View::begin(host);
        self
    }

    /// The files of the trial that is made now are here.
    pub(crate) fn follow(&self, trial: &Path) {
        if let Some(view) = &self.view {
            view.follow(trial.to_owned());
        }
    }

    /// A trial begins; `number` counts from 1. The label may hold names from a scenario.
    pub(crate) fn begin(&mut self, number: usize, label: &str) {
        self.current = Some(Current { number, label: record::plain::line(label), began: Instant::now() });
        self.phase("start");
    }

    /// The trial is in this phase.
    pub(crate) fn phase(&mut self, phase: &'static str) {
        let Some(current) = &self.current else { return };
        let Current { number, label, .. } = current;
        let text = format!("trial {number} of {}: {label}, {phase}, about {} left", self.trials, seconds(self.left()));
        if self.terminal {
            if text != self.shown {
                match &self.view {
                    Some(view) => view.headline(&text),
                    // \x1b[K clears what a longer text left behind.
                    None => draw(&format!("\r{text}\x1b[K")),
                }
                self.shown = text;
            }
        } else if self.last_phase != phase {
            say(&format!("{text}\n"));
        }
        self.last_phase = phase;
    }

    /// The trial is sealed.
    pub(crate) fn end(&mut self) {
        if let Some(current) = self.current.take() {
            self.made += 1;
            self.spent += current.began.elapsed();
        }
    }

    /// So many trials are made besides those that were planned.
    pub(crate) fn more(&mut self, trials: usize) {
        self.trials += trials;
    }

    /// Ends the line, so that what follows starts on one of its own.
    pub(crate) fn clear(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            match &self.view {
                Some(view) => view.hide(),
                None => draw("\r\x1b[K"),
            }
            self.shown.clear();
        }
    }

    fn left(&self) -> Duration {
        let Some(current) = &self.current else { return Duration::ZERO };
        // Start and stop are not in the plan; a second is what they take until one was seen.
        let each = if self.made > 0 { self.spent / self.made } else { self.planned + Duration::from_secs(1) };
        let after = u32::try_from(self.trials.saturating_sub(current.number)).unwrap_or(u32::MAX);
        each.saturating_mul(after) + each.saturating_sub(current.began.elapsed())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// To stderr, whatever names of others it holds, if it takes it: a reader that went away or a full disk under it does not end a run.
pub(crate) fn say(text: &str) {
    draw(&record::plain::lines(text));
}

/// The same with what moves on a terminal; what others named must be plain in it already ([`record::plain`]).
pub(crate) fn draw(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn seconds(time: Duration) -> String {
    let s = time.as_secs_f64().round() as u64;
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_said_in_the_unit_a_person_would_use() {
        for (s, said) in [(0, "0 s"), (119, "119 s"), (120, "2 min 0 s"), (7199, "119 min 59 s"), (7260, "2 h 1 min")] {
            assert_eq!(seconds(Duration::from_secs(s)), said);
        }
    }

    #[test]
    fn a_label_from_a_run_of_others_steers_no_terminal() {
        let mut p = Progress::silent();
        p.begin(1, "none\u{1b}[2J\nrates 1");
        assert_eq!(p.current.as_ref().map(|c| c.label.as_str()), Some("none\u{fffd}[2J\u{fffd}rates 1"));
    }

    #[test]
    fn time_left_is_that_of_the_trials_to_come() {
        let mut p = Progress::new(10, Duration::from_secs(6));
        p.current = Some(Current { number: 4, label: "x".into(), began: Instant::now() });
        let left = p.left().as_secs_f64();
        assert!((left - 49.0).abs() < 0.5, "6 more and this one, 7 s each: {left}");
        p.made = 3;
        p.spent = Duration::from_secs(30);
        let left = p.left().as_secs_f64();
        assert!((left - 70.0).abs() < 0.5, "as long as those made took: {left}");
    }
}
