//! The faults: what each is called in the table, and the deed behind it.

use std::process::Command;

use crate::deeds::{clock, damage, disk, exhaust, ground, ports, signals};
use crate::live::Live;
use crate::program::{is_root, skip};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::table::Row;
use damage::Damage;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT five seconds later.
    Pause,
    /// The disk of the run has no byte left.
    DiskFull,
    /// A directory in which nothing can be made any more.
    ReadOnly,
    /// A process may open no more files than it has open.
    Descriptors,
    /// A process may have no more memory than it has.
    Memory,
    /// The time of day is set, by so many seconds.
    Clock(i64),
    /// A cgroup is taken away, after its processes were moved out.
    CgroupRemoved,
    /// The name of a network namespace is taken away.
    NamespaceRemoved,
    /// Somebody listens on a port before the part that it was meant for.
    PortTaken,
    /// A file is not what it was.
    File(Damage),
}

const HOUR: i64 = 3600;

const FAULTS: [(&str, Fault); 18] = [
    ("SIGKILL", Fault::Kill),
    ("SIGSTOP for 5 s", Fault::Pause),
    ("disk full", Fault::DiskFull),
    ("read-only directory", Fault::ReadOnly),
    ("descriptors used up", Fault::Descriptors),
    ("memory used up", Fault::Memory),
    ("clock set 1 h forward", Fault::Clock(HOUR)),
    ("clock set 1 h back", Fault::Clock(-HOUR)),
    ("clock set 20 years forward", Fault::Clock(20 * 8766 * HOUR)),
    ("cgroup removed", Fault::CgroupRemoved),
    ("namespace removed", Fault::NamespaceRemoved),
    ("port taken", Fault::PortTaken),
    ("cut short", Fault::File(Damage::CutShort)),
    ("a byte changed", Fault::File(Damage::ByteChanged)),
    ("lines reordered", Fault::File(Damage::Reordered)),
    ("a line lost", Fault::File(Damage::LineLost)),
    ("removed", Fault::File(Damage::Removed)),
    ("exchanged", Fault::File(Damage::Exchanged)),
];

impl Fault {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        FAULTS.into_iter().map(|(_, fault)| fault)
    }

    pub(crate) fn named(word: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|(known, _)| *known == word);
        found.map(|(_, fault)| *fault).ok_or_else(|| format!("'{word}' is no fault that is known here"))
    }

    pub(crate) fn word(self) -> &'static str {
        FAULTS.iter().find(|(_, fault)| *fault == self).map_or("?", |(word, _)| word)
    }

    /// What this machine does not permit; says so when a row is skipped for it.
    pub(crate) fn missing(self) -> bool {
        let why = match self {
            Self::DiskFull => "a small disk needs root",
            Self::ReadOnly => "a directory in which even root makes nothing needs root",
            Self::CgroupRemoved => "cgroups need root",
            Self::NamespaceRemoved => "network namespaces need root",
            Self::Kill | Self::Pause | Self::Descriptors | Self::Memory => return false,
            Self::Clock(_) | Self::PortTaken | Self::File(_) => return false,
        };
        !is_root() && skip(why, "REQUIRE_ROOT")
    }

    /// Whether it holds from before the command starts, so that no stage is waited for.
    pub(crate) fn is_there_before(self, stage: Stage) -> bool {
        stage == Stage::Plan && matches!(self, Self::DiskFull | Self::ReadOnly | Self::Descriptors)
    }
}

/// A deed: what it has made ready, and what it holds until it is undone.
#[derive(Default)]
pub(crate) struct Deed {
    pub(crate) disk: Option<disk::Filler>,
    pub(crate) immutable: Option<disk::Immutable>,
    pub(crate) clock: Option<clock::Clock>,
    pub(crate) door: Option<ports::Door>,
    pub(crate) taken: Option<std::net::TcpListener>,
    pub(crate) original: Option<damage::Original>,
}

impl Deed {
    /// Makes ready; returns the command as it is to be started.
    pub(crate) fn prepare(row: &Row, scene: &Scene, command: Command) -> (Self, Command) {
        let mut deed = Self::default();
        let mut command = command;
        match row.fault {
            Fault::Clock(_) => {
                let clock = clock::Clock::new(&scene.aside());
                clock.told_to(&mut command);
                deed.clock = Some(clock);
            }
            Fault::PortTaken if row.run == crate::scene::Kind::Haproxy => {
                deed.door = Some(ports::Door::closed(scene, &mut command));
            }
            Fault::DiskFull if row.stage == Stage::Plan => deed.disk = Some(disk::Filler::fill(scene)),
            Fault::ReadOnly if row.stage == Stage::Plan => {
                deed.immutable = Some(disk::Immutable::make(scene, &row.target));
            }
            Fault::Descriptors if row.stage == Stage::Plan => command = exhaust::limited("ulimit -n 12", &command),
            _ => {}
        }
        (deed, command)
    }

    /// Does it, to a command that stands still at its stage, and lets that go on.
    pub(crate) fn strike(&mut self, row: &Row, scene: &Scene, live: &mut Live) {
        match row.fault {
            Fault::Kill => signals::kill(live, &row.target),
            Fault::Pause => signals::pause(live, &row.target),
            Fault::DiskFull => self.disk = Some(disk::Filler::fill(scene)),
            Fault::ReadOnly => self.immutable = Some(disk::Immutable::make(scene, &row.target)),
            Fault::Descriptors => exhaust::descriptors(live, &row.target),
            Fault::Memory => exhaust::memory(live, &row.target),
            Fault::Clock(seconds) => self.clock.as_ref().unwrap().set(seconds),
            Fault::CgroupRemoved => ground::remove_cgroup(live, &row.target),
            Fault::NamespaceRemoved => ground::remove_namespace(live, &row.target),
            Fault::PortTaken => self.taken = Some(ports::take(scene, live, self.door.as_ref())),
            Fault::File(damage) => self.original = Some(damage.strike(scene, &row.target)),
        }
        live.go_on();
    }

    /// Takes it back, as far as whoever runs meshtax would: room on the disk, a directory that may be written to.
    pub(crate) fn undo(self) {
        let Self { disk, immutable, clock, door, taken, original } = self;
        drop((disk, immutable, clock, door, taken));
        if let Some(original) = original {
            original.way_out();
        }
    }
}
