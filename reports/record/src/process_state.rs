//! What the main thread of a process was doing when nothing of the process ran.

use serde::{Deserialize, Serialize};

/// The state of a main thread (/proc/PID/stat), by how much it holds a process up, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// Any other: a thread that ended before the rest of its process, say.
    Other,
    /// Waiting for something that may come at any time (S, I).
    Sleeping,
    /// On a CPU or waiting for one (R).
    Running,
    /// Waiting for something that a signal cannot end, a disk as a rule; also held by a version 1 freezer (D).
    Blocked,
    /// Stopped by a signal or a debugger, with all its threads (T, t).
    Stopped,
}

impl ProcessState {
    /// The state by its letter in the kernel's files (proc(5)).
    pub fn from_letter(letter: char) -> Self {
        match letter {
            'S' | 'I' => Self::Sleeping,
            'R' => Self::Running,
            'D' => Self::Blocked,
            'T' | 't' => Self::Stopped,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_up_more_is_greater_and_words_are_those_of_files() {
        let states = ['Z', 'I', 'R', 'D', 't'].map(ProcessState::from_letter);
        assert!(states.is_sorted(), "{states:?}");
        let words = states.map(|state| serde_json::to_value(state).unwrap());
        assert_eq!(words, ["other", "sleeping", "running", "blocked", "stopped"]);
    }
}
