//! HAProxy's command line: a socket that takes one command a connection and closes when it has answered.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Gives a command; returns what it says.
///
/// # Errors
/// What the kernel says of the socket; `TimedOut` when it does not answer in time.
pub(super) fn ask(socket: &Path, command: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(command.as_bytes())?;
    stream.write_all(b"\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => std::io::ErrorKind::TimedOut.into(),
        _ => e,
    })?;
    Ok(said)
}

/// A word of a command, whatever is in it.
pub(super) fn word(text: &str) -> String {
    let special = |c: char| !(c.is_ascii_alphanumeric() || "-_./:".contains(c));
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(word("/tmp/it's \"a\" ;b"), r#"/tmp/it\'s\ \"a\"\ \;b"#);
        assert_eq!(word("/run/x-1_y.pem"), "/run/x-1_y.pem");
    }
}
