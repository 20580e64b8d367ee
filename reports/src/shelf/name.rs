//! The name of a run on a shelf: that of its directory, which leads nowhere else.

use std::fmt;

/// A directory's name that is one step down, and no step up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct RunName(String);

impl RunName {
    /// Takes a name; none for what is no plain name of a directory, or begins with a dot: it is being written, or removed.
    pub fn of(name: &str) -> Option<Self> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        plain.then(|| Self(name.to_owned()))
    }

    /// As it stands in the folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in an address.
    pub fn in_address(&self) -> String {
        in_address(&self.0)
    }
}

/// Words as they stand in an address: all but letters, digits and `-._~` is escaped (RFC 3986, section 2.3).
pub(super) fn in_address(words: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let escaped = |b: u8| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    words.bytes().map(escaped).collect()
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_step_down() {
        for bad in ["", ".", "..", ".hidden", "a/b", "../a", "/etc", "a\\b", "a\0"] {
            assert_eq!(RunName::of(bad), None, "{bad:?}");
        }
        let name = RunName::of("2026-11-23T0510-a1b2").unwrap();
        assert_eq!((name.as_str(), name.in_address().as_str()), ("2026-11-23T0510-a1b2", "2026-11-23T0510-a1b2"));
        assert_eq!(RunName::of("a?b#c d\"é%").unwrap().in_address(), "a%3Fb%23c%20d%22%C3%A9%25");
    }
}
