//! The stages of a run, and how it is seen from outside that one is reached.

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before there is a run directory: the machine is looked at.
    Plan,
    /// Parts are being started.
    Deploy,
    /// All parts stand and nothing is asked of them.
    Settle,
    /// Under load that is counted.
    Measure,
    /// The load is over, the probe still watches.
    CoolDown,
    /// The parts have ended; lines are checked, packed and sealed.
    Seal,
    /// All trials are sealed, and the report is not written yet.
    Report,
    /// Later: the files are read by another command.
    Read(Reader),
}

/// Who reads a run that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Report,
    Resume,
    Gate,
    Compare,
    Export,
    Baseline,
    History,
}

const STAGES: [(&str, Stage); 14] = [
    ("plan", Stage::Plan),
    ("deploy", Stage::Deploy),
    ("settle", Stage::Settle),
    ("measure", Stage::Measure),
    ("cool-down", Stage::CoolDown),
    ("seal", Stage::Seal),
    ("report", Stage::Report),
    ("later report", Stage::Read(Reader::Report)),
    ("later resume", Stage::Read(Reader::Resume)),
    ("later gate", Stage::Read(Reader::Gate)),
    ("later compare", Stage::Read(Reader::Compare)),
    ("later export", Stage::Read(Reader::Export)),
    ("later baseline", Stage::Read(Reader::Baseline)),
    ("later history", Stage::Read(Reader::History)),
];

impl Stage {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        STAGES.into_iter().map(|(_, stage)| stage)
    }

    pub(crate) fn named(word: &str) -> Result<Self, String> {
        let found = STAGES.iter().find(|(known, _)| *known == word);
        found.map(|(_, stage)| *stage).ok_or_else(|| format!("'{word}' is no stage"))
    }

    pub(crate) fn word(self) -> &'static str {
        STAGES.iter().find(|(_, stage)| *stage == self).map_or("?", |(word, _)| word)
    }

    /// The phase by which a runner says that it is there; none where it says nothing.
    pub(crate) fn phase(self) -> Option<&'static str> {
        match self {
            Self::Settle => Some(", settle,"),
            Self::Measure => Some(", measure,"),
            // The seal follows, once all parts have ended.
            Self::CoolDown | Self::Seal => Some(", cool-down,"),
            Self::Plan | Self::Deploy | Self::Report | Self::Read(_) => None,
        }
    }
}
