//! Pairing: two machines that never met pin one another's certificates, by a code that a person carries.
//!
//! The code is 100 random bits, shown by the agent and typed at the runner, good for one pairing within ten minutes and
//! ended by three that fail. Both sides are in one TLS 1.3 session with self-signed certificates. Each proves that it
//! knows the code for *this* session:
//!
//! ```text
//! proof(role) = HMAC-SHA256(code, "meshtax pairing 1" | role | exporter | SHA-256(runner's) | SHA-256(agent's certificate))
//! ```
//!
//! The runner's comes first; the agent answers with its own and pins. A man in the middle has two sessions with two
//! exporters and other certificates, so that a proof for the one is none for the other; and with 100 bits there is
//! nothing to be found by trying, neither at the agent nor from a proof that was caught. A code that was used, or whose
//! proof was caught, opens nothing: the exporter of another session is another.

use std::time::{Duration, Instant};

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::identity::Fingerprint;

/// The longest message while pairing, in bytes.
pub(crate) const LONGEST: usize = 512;

/// How long a code holds.
pub(crate) const HOLDS: Duration = Duration::from_secs(600);

/// Failures that end it.
const TRIES: u32 = 3;

/// What TLS derives the session's own secret by (RFC 8446, section 7.5).
pub(crate) const EXPORTER: &[u8] = b"EXPORTER-meshtax-pairing-1";

/// Letters and digits that are not taken for one another; 32, so that each is 5 bits.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";

/// Of which a code has so many, in groups of five.
const LENGTH: usize = 20;

/// Whose proof it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Runner,
    Agent,
}

/// What is said in pairing, by either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    /// The proof, hexadecimal.
    pub(crate) proof: String,
}

/// What both proofs are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    pub(crate) exporter: [u8; 32],
    pub(crate) runner: Fingerprint,
    pub(crate) agent: Fingerprint,
}

/// A code, as its letters without the dashes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(String);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Code {
    /// A new one.
    pub(crate) fn draw() -> Self {
        use rand::Rng as _;
        let mut chance = rand::rng();
        let letter = |_| LETTERS.get(chance.random_range(0..LETTERS.len())).copied().unwrap_or(b'a');
        Self((0..LENGTH).map(letter).map(char::from).collect())
    }

    /// Reads one that was typed: dashes, blanks and capitals do not matter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let letters: String = text.chars().filter(|c| *c != '-' && !c.is_whitespace()).collect();
        let letters = letters.to_lowercase();
        if let Some(other) = letters.chars().find(|c| !u8::try_from(*c).is_ok_and(|b| LETTERS.contains(&b))) {
            return Err(format!("'{other}' is in no code (0, i, l and o are left out)"));
        }
        if letters.len() != LENGTH {
            return Err(format!("it has {} letters, and a code has {LENGTH}", letters.len()));
        }
        Ok(Self(letters))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes())
    }

    /// The proof of a side.
    pub(crate) fn proof(&self, side: Side, meeting: &Meeting) -> Proof {
        let tag = hmac::sign(&self.key(), &said(side, meeting));
        Proof { proof: tag.as_ref().iter().map(|b| format!("{b:02x}")).collect() }
    }

    /// Whether a proof is one; in a time that tells nothing of how far it fits.
    pub(crate) fn proves(&self, side: Side, meeting: &Meeting, proof: &Proof) -> bool {
        let Some(Fingerprint(tag)) = Fingerprint::read(&proof.proof) else { return false };
        hmac::verify(&self.key(), &said(side, meeting), &tag).is_ok()
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let groups: Vec<&str> = self.0.as_bytes().chunks(5).filter_map(|g| std::str::from_utf8(g).ok()).collect();
        f.write_str(&groups.join("-"))
    }
}

fn said(side: Side, meeting: &Meeting) -> Vec<u8> {
    let role: &[u8] = match side {
        Side::Runner => b"|runner|",
        Side::Agent => b"|agent |",
    };
    [b"meshtax pairing 1".as_slice(), role, &meeting.exporter, &meeting.runner.0, &meeting.agent.0].concat()
}

/// An agent's readiness to be paired.
#[derive(Debug)]
pub(crate) struct Offer {
    code: Code,
    until: Instant,
    tries: u32,
}

impl Offer {
    /// With a new code, from now on.
    pub(crate) fn new() -> Self {
        Self { code: Code::draw(), until: Instant::now() + HOLDS, tries: TRIES }
    }

    /// The code.
    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// Whether it still holds.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        now < self.until && self.tries > 0
    }

    /// Judges a runner's proof: the agent's own if it holds, and then it is not to be used again.
    pub(crate) fn judge(&mut self, now: Instant, meeting: &Meeting, proof: &Proof) -> Option<Proof> {
        if !self.holds(now) {
            return None;
        }
        if !self.code.proves(Side::Runner, meeting, proof) {
            self.tries -= 1;
            return None;
        }
        self.tries = 0;
        Some(self.code.proof(Side::Agent, meeting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(exporter: u8, runner: u8, agent: u8) -> Meeting {
        Meeting { exporter: [exporter; 32], runner: Fingerprint([runner; 32]), agent: Fingerprint([agent; 32]) }
    }

    #[test]
    fn both_prove_and_a_code_is_good_once() {
        let mut offer = Offer::new();
        let (now, at) = (Instant::now(), meeting(1, 2, 3));
        let typed = Code::read(&offer.code().to_string().to_uppercase().replace('-', " ")).unwrap();
        let proof = typed.proof(Side::Runner, &at);
        let answer = offer.judge(now, &at, &proof).unwrap();
        assert!(typed.proves(Side::Agent, &at, &answer));
        assert!(!typed.proves(Side::Runner, &at, &answer), "an echo is no proof");
        assert_eq!(offer.judge(now, &at, &proof), None, "the same proof again");
        assert!(!offer.holds(now));
    }

    #[test]
    fn a_proof_for_another_session_or_another_certificate_is_none() {
        let code = Code::draw();
        let proof = code.proof(Side::Runner, &meeting(1, 2, 3));
        for other in [meeting(9, 2, 3), meeting(1, 9, 3), meeting(1, 2, 9)] {
            assert!(!code.proves(Side::Runner, &other, &proof));
        }
        assert!(!Code::draw().proves(Side::Runner, &meeting(1, 2, 3), &proof));
        for text in ["", "zz", &"0".repeat(64), &"0".repeat(65)] {
            assert!(!code.proves(Side::Runner, &meeting(1, 2, 3), &Proof { proof: text.to_owned() }));
        }
    }

    #[test]
    fn three_failures_and_ten_minutes_end_it() {
        let (now, at) = (Instant::now(), meeting(1, 2, 3));
        let mut offer = Offer::new();
        let right = offer.code().clone().proof(Side::Runner, &at);
        let wrong = Code::draw().proof(Side::Runner, &at);
        for _ in 0..3 {
            assert!(offer.holds(now) && offer.judge(now, &at, &wrong).is_none());
        }
        assert_eq!(offer.judge(now, &at, &right), None, "too late");
        let mut offer = Offer::new();
        let right = offer.code().clone().proof(Side::Runner, &at);
        assert_eq!(offer.judge(now + HOLDS + Duration::from_secs(1), &at, &right), None);
    }

    #[test]
    fn a_code_has_a_hundred_bits_and_mistakes_are_named() {
        let codes: std::collections::BTreeSet<String> = (0..200).map(|_| Code::draw().to_string()).collect();
        assert_eq!((codes.len(), LETTERS.len().pow(4)), (200, 1 << 20));
        assert!(codes.iter().all(|c| c.len() == 23));
        assert_eq!(Code::read("abcde").unwrap_err(), "it has 5 letters, and a code has 20");
        assert!(Code::read("0bcde-fghjk-mnpqr-stuvw").unwrap_err().starts_with("'0' is in no code"));
        assert!(Code::read("ébcde-fghjk-mnpqr-stuvw").is_err());
        assert_eq!(format!("{:?}", Code::draw()), "Code(..)", "no log shows one");
    }
}
