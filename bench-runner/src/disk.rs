//! `meshtax disk`: tests the disk under a directory, and tells its latency from the waiting for a CPU.

pub(crate) mod beside;
mod text;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use node_probe::disk_test::{self, Config, Engine, Progress};
use record::{DiskArmKind, DiskTest};

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::draw;
use crate::report::print;

/// Arguments of `meshtax disk`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A directory on the disk to test, or a file in one. A file without a name is made there, and gone at the end.
    path: PathBuf,
    /// Seconds that each test is measured, after a fifth of it that is not counted; in tenths, from 0.1 to 60.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// Size of the file: 256MiB, 4GiB. Never more than a tenth of the free space. [default: 1GiB, or less where a
    /// tenth of the free space is less]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<u64>,
    /// Only these tests: read_qd1, read_qd32, write_qd1, write_qd32, paced_read_qd1, paced_write_qd1,
    /// write_fdatasync, append_fdatasync.
    #[arg(long, value_name = "TEST,..", value_delimiter = ',')]
    only: Vec<DiskArmKind>,
    /// The seed of the file's bytes, the places and the order. [default: a fresh one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How 32 operations are kept in flight.
    #[arg(long, value_enum, default_value = "auto")]
    engine: Way,
    /// How the result is printed: text for people, json with every window of 100 ms.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How 32 operations are kept in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// By io_uring, or by threads where that is blocked.
    Auto,
    /// By io_uring, or not at all.
    Uring,
    /// By a thread for each.
    Threads,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Runs `meshtax disk`.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let all = Config::new(&args.path);
    let config = Config {
        size_bytes: args.size,
        length: args.seconds,
        arms: if args.only.is_empty() { all.arms.clone() } else { args.only },
        seed: args.seed,
        engine: match args.engine {
            Way::Auto => Engine::Auto,
            Way::Uring => Engine::IoUring,
            Way::Threads => Engine::Threads,
        },
        ..all
    };
    let test = watched(&config, &interrupt)?;
    match args.format {
        Format::Text => print(&text::render(&test))?,
        Format::Json => print(&serde_json::to_string_pretty(&test)?)?,
    }
    Ok(if test.cut_off { Exit::Cut } else { Exit::Done }.into())
}

/// Tests, and says on stderr how far it is.
fn watched(config: &Config, interrupt: &Interrupt) -> anyhow::Result<DiskTest> {
    let mut line = Line { terminal: std::io::stderr().is_terminal(), percent: None };
    let test = disk_test::run(config, interrupt.flag(), |progress| line.show(progress));
    line.clear();
    Ok(test?)
}

/// The line on stderr: written over on a terminal; elsewhere a line for the file and for each test.
struct Line {
    terminal: bool,
    percent: Option<u64>,
}

impl Line {
    fn show(&mut self, progress: Progress<'_>) {
        let text = match progress {
            Progress::Writing { written, of } => {
                let percent = written * 100 / of.max(1);
                let new = if self.terminal { self.percent != Some(percent) } else { self.percent.is_none() };
                self.percent = Some(percent);
                if !new {
                    return;
                }
                let mib = of >> 20;
                if self.terminal { format!("writing {mib} MiB: {percent} %") } else { format!("writing {mib} MiB") }
            }
            Progress::Arm { kind, number, of } => format!("test {number} of {of}: {kind}"),
            Progress::Made(_) => return,
        };
        draw(&if self.terminal { format!("\r{text}\x1b[K") } else { text + "\n" });
    }

    fn clear(&self) {
        if self.terminal {
            draw("\r\x1b[K");
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.1..=60.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        _ => Err(format!("'{text}' is no number of seconds from 0.1 to 60")),
    }
}

/// A number of bytes as people write it; K, M and G are powers of 1024, with or without "iB" behind.
fn size(text: &str) -> Result<u64, String> {
    let refuse = || format!("'{text}' is no size; write it as 256MiB or 4GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(refuse()),
    };
    let number: u64 = number.parse().map_err(|_| refuse())?;
    number.checked_mul(1 << shift).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!((size("256MiB"), size("4G"), size("8 KiB")), (Ok(256 << 20), Ok(4 << 30), Ok(8 << 10)));
        for bad in ["", "1", "GiB", "-1G", "1.5G", "1TB", "99999999999999999999G", "17179869184G"] {
            assert!(size(bad).unwrap_err().contains("256MiB"), "{bad}");
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "61", "nan", "inf", "5s", ""] {
            assert!(seconds(bad).unwrap_err().contains("from 0.1 to 60"), "{bad}");
        }
    }
}
