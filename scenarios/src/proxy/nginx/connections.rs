//! Who connected to an nginx, by the line that each connection leaves with its first request.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::handshakes::spiffe_id_of;

/// A connection that carried a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    /// The port that it came to.
    pub(super) port: u16,
    /// "TLSv1.3"; empty in clear.
    pub(super) tls: String,
    /// Whether the certificate that its caller showed was verified.
    pub(super) verified: bool,
    /// The name of the servers that its first request was for; empty for one that was for none.
    pub(super) to: String,
    /// Where its first request went on to; empty for one that went nowhere.
    pub(super) upstream: String,
    /// The SPIFFE id in the certificate.
    pub(super) peer: Option<String>,
}

/// Reads all lines; none where one is not understood.
pub(super) fn read(text: &str) -> Option<Vec<Connection>> {
    // The last may still be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(line).collect()
}

fn line(line: &str) -> Option<Connection> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [port, tls, verified, to, upstream, certificate] = fields.as_slice() else { return None };
    let known = |field: &str| if field == "-" { String::new() } else { field.to_owned() };
    let pem = unescaped(certificate);
    let certificate = CertificateDer::from_pem_slice(&pem).ok();
    Some(Connection {
        port: port.parse().ok()?,
        tls: known(tls),
        verified: *verified == "SUCCESS",
        to: known(to),
        upstream: known(upstream),
        peer: certificate.as_ref().and_then(spiffe_id_of),
    })
}

/// The ids of all callers.
pub(super) fn peers<'c>(connections: impl Iterator<Item = &'c Connection>) -> Vec<String> {
    let ids: BTreeSet<&str> = connections.map(|c| c.peer.as_deref().unwrap_or("unknown")).collect();
    ids.into_iter().map(str::to_owned).collect()
}

/// RFC 3986, section 2.1; what is no escape stays.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::Authority;

    #[test]
    fn a_line_says_who_came_in_and_how() {
        let files = tempfile::tempdir().unwrap();
        let private = files.path().join("private");
        let written = Authority::new().unwrap().issue("s1").unwrap().write(&private).unwrap();
        let pem = std::fs::read_to_string(written.chain).unwrap();
        let escaped = pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
        let text = format!("18443\tTLSv1.3\tSUCCESS\tapp\t127.0.0.1:9\t{escaped}\n80\t-\t-\t-\t-\t-\n18443\tTLS");
        let read = read(&text).unwrap();
        let secured = Connection {
            port: 18443,
            tls: "TLSv1.3".into(),
            verified: true,
            to: "app".into(),
            upstream: "127.0.0.1:9".into(),
            peer: Some("spiffe://cluster.local/ns/meshtax/sa/s1".into()),
        };
        let clear = Connection { port: 80, ..Connection::default() };
        assert_eq!(read, [secured, clear]);
        assert_eq!(peers(read.iter()), ["spiffe://cluster.local/ns/meshtax/sa/s1", "unknown"]);
        assert!(super::read("80\tx\n").is_none());
    }

    #[test]
    fn escapes_are_undone_and_nothing_else() {
        assert_eq!(unescaped("a%20b%2Bc%"), b"a b+c%");
        assert_eq!(unescaped("%zz%0a"), b"%zz\n");
    }
}
