//! What ties a service or a sidecar to the process that started it: lines in, lines out, and the end of both.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::fd::AsFd;

use rustix::fs::FileType;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::{Error, Result};

/// The two ends that a part is held by. When the input ends, the part ends: a parent that dies, however it dies,
/// takes its parts with it.
pub struct Lifeline {
    /// None where nothing holds it but signals.
    input: Option<Box<dyn Read + Send>>,
    output: Box<dyn Write + Send>,
    heeds_sigterm: bool,
}

impl Lifeline {
    /// Standard input and output, and SIGTERM. An input on which nobody can be (/dev/null, a terminal that has put us
    /// into its background) holds nothing: a part that was started by hand in a script goes on until it is told to end.
    pub fn standard() -> Self {
        let input = somebody_may_be_on(std::io::stdin()).then(|| Box::new(std::io::stdin()) as Box<dyn Read + Send>);
        Self { input, output: Box::new(std::io::stdout()), heeds_sigterm: true }
    }

    /// Any two ends, so that a part can live in a thread.
    pub fn new(input: impl Read + Send + 'static, output: impl Write + Send + 'static) -> Self {
        Self { input: Some(Box::new(input)), output: Box::new(output), heeds_sigterm: false }
    }

    /// Begins to listen; must be called in a runtime.
    pub(crate) fn hold(self, part: &str) -> Result<Held> {
        let fail = |what: &str| {
            let (part, what) = (part.to_owned(), what.to_owned());
            move |source| Error::Thread { part, what, source }
        };
        let sigterm = if self.heeds_sigterm {
            Some(signal(SignalKind::terminate()).map_err(fail("cannot wait for SIGTERM"))?)
        } else {
            None
        };
        let (sender, lines) = mpsc::unbounded_channel();
        let Some(input) = self.input else {
            return Ok(Held { lines, output: self.output, sigterm, _open: Some(sender) });
        };
        // A thread, since a read of standard input cannot be waited for otherwise when it is a file or a terminal.
        // It is never joined: it ends with its input, or with the process.
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                for line in BufReader::new(input).lines() {
                    let Ok(line) = line else { break };
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            })
            .map_err(fail("cannot start the thread that reads standard input"))?;
        Ok(Held { lines, output: self.output, sigterm, _open: None })
    }
}

/// Whether lines may come on this input, and its end mean something.
fn somebody_may_be_on(input: impl AsFd) -> bool {
    if rustix::termios::isatty(&input) {
        return rustix::termios::tcgetpgrp(&input).is_ok_and(|front| front == rustix::process::getpgrp());
    }
    let device = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    !rustix::fs::fstat(&input).is_ok_and(device)
}

/// A lifeline that is listened to.
pub(crate) struct Held {
    lines: mpsc::UnboundedReceiver<String>,
    output: Box<dyn Write + Send>,
    sigterm: Option<Signal>,
    /// Without an input this is what keeps the lines from being at their end.
    _open: Option<mpsc::UnboundedSender<String>>,
}

impl Held {
    /// The next line from the parent; nothing when it is time to end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        match &mut self.sigterm {
            None => self.lines.recv().await,
            Some(sigterm) => tokio::select! {
                line = self.lines.recv() => line,
                _ = sigterm.recv() => None,
            },
        }
    }

    /// Gives the output away, to be used for something else from now on.
    pub(crate) fn give_output(&mut self) -> Box<dyn Write + Send> {
        std::mem::replace(&mut self.output, Box::new(std::io::sink()))
    }

    /// Says one JSON line to the parent. A parent that no longer reads is about to end us anyway, so that is no error.
    pub(crate) fn say(&mut self, message: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            let _ = self.output.write_all(&line).and_then(|()| self.output.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_and_a_file_hold_a_part_and_dev_null_does_not() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(somebody_may_be_on(&reader));
        assert!(somebody_may_be_on(tempfile::tempfile().unwrap()));
        assert!(!somebody_may_be_on(std::fs::File::open("/dev/null").unwrap()));
    }

    #[tokio::test]
    async fn without_an_input_lines_are_never_at_their_end() {
        let lifeline = |input| Lifeline { input, output: Box::new(std::io::sink()), heeds_sigterm: false };
        assert!(!lifeline(None).hold("s1").unwrap().lines.is_closed());
        let mut ended = lifeline(Some(Box::new(std::io::empty()))).hold("s1").unwrap();
        assert_eq!(ended.line().await, None);
    }
}
