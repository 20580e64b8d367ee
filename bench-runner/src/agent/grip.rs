//! An agent's hold on one of its hands: orders in, answers out, and its end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::words::{Done, LONGEST, Order};
use crate::programs::ProgramArgs;

/// How long a hand may take to end its parts in order before it is killed, with which the kernel ends them.
const GRACE: Duration = Duration::from_secs(10);

/// A hand. To be started by a thread that lives as long: the kernel ends a hand whose thread ends.
pub(crate) struct Grip {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    log: PathBuf,
}

impl Grip {
    /// Starts one for a side of a run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        side: &str,
        programs: &ProgramArgs,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let said = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new(program);
        command.arg("launch").arg("--parent").arg(std::process::id().to_string()).arg("--").arg(program);
        command.arg("hand").arg("--folder").arg(folder).arg("--side").arg(side);
        let ProgramArgs { envoy, haproxy, nginx } = programs;
        for (flag, path) in [("--envoy", envoy), ("--haproxy", haproxy), ("--nginx", nginx)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let orders = child.stdin.take();
        let answers = answers(child.stdout.take());
        Ok(Self { child, orders, answers, log })
    }

    /// Gives it an order.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let written = self.orders.as_mut().map(|o| o.write_all(&line).and_then(|()| o.flush()));
        if matches!(written, Some(Ok(()))) {
            return Ok(());
        }
        anyhow::bail!("{}", self.ended())
    }

    /// Its answer, if one comes within a time.
    ///
    /// # Errors
    /// When it is gone, or says what is no answer.
    pub(crate) fn answer(&mut self, wait: Duration) -> anyhow::Result<Option<Done>> {
        match self.answers.recv_timeout(wait) {
            Ok(line) => Ok(Some(serde_json::from_str(&line).context("the hand said what is no answer")?)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("{}", self.ended()),
        }
    }

    /// How it ended, with its last words.
    fn ended(&mut self) -> String {
        let status = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        let said = scenarios::launch::log_tail(&self.log, 4).join("\n    | ");
        format!("the hand that did this ended ({status})\n    | {said}")
    }
}

impl Drop for Grip {
    fn drop(&mut self) {
        // Its stdin closes, and it ends in order.
        drop(self.orders.take());
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(stdout: Option<std::process::ChildStdout>) -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = String::new();
            match (&mut reader).take(LONGEST as u64).read_line(&mut line) {
                Ok(n) if n > 0 && said.send(line).is_ok() => {}
                _ => break,
            }
        }
    });
    heard
}
