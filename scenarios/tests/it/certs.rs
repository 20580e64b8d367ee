//! Identities: what is in their files, who may read them, and for how long they hold.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use scenarios::certs::{Authority, IdentityFiles, spiffe_id};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn issued(name: &str) -> (tempfile::TempDir, IdentityFiles) {
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().unwrap().issue(name).unwrap().write(&directory.path().join("keys")).unwrap();
    (directory, files)
}

#[test]
fn keys_and_their_directory_are_for_nobody_else() {
    let (_kept, files) = issued("s1");
    assert_eq!(mode(&files.key), 0o600);
    assert_eq!(mode(files.key.parent().unwrap()), 0o700);
    assert!(std::fs::read_to_string(&files.key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    for public in [&files.chain, &files.ca] {
        let text = std::fs::read_to_string(public).unwrap();
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE"), "{text}");
    }
}

#[test]
fn a_directory_that_others_may_enter_gets_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = Authority::new().unwrap().issue("s1").unwrap().write(directory.path()).unwrap_err().to_string();
    assert!(said.contains("others may enter") && said.contains("try: chmod 700 "), "{said}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_identity_never_overwrites_another() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let authority = Authority::new().unwrap();
    let first = authority.issue("s1").unwrap().write(&keys).unwrap();
    let key = std::fs::read(&first.key).unwrap();
    let said = authority.issue("s1").unwrap().write(&keys).unwrap_err().to_string();
    assert!(said.contains("cannot create") && said.contains("s1.chain.pem"), "{said}");
    assert_eq!(std::fs::read(&first.key).unwrap(), key);
}

#[test]
fn a_certificate_names_its_service_for_both_sides_of_a_connection() {
    let (_kept, files) = issued("s1");
    let (chain, ca) =
        (CertificateDer::from_pem_file(&files.chain).unwrap(), CertificateDer::from_pem_file(&files.ca).unwrap());
    let certificate = EndEntityCert::try_from(&chain).unwrap();
    assert_eq!(certificate.valid_uri_names().collect::<Vec<_>>(), [spiffe_id("s1")]);
    assert_eq!(certificate.valid_dns_names().count(), 0);

    let anchors = [anchor_from_trusted_cert(&ca).unwrap()];
    let holds = |usage: KeyUsage, at: SystemTime| {
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        certificate.verify_for_usage(algorithms, &anchors, &[], at, usage, None, None).is_ok()
    };
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    for usage in [KeyUsage::server_auth, KeyUsage::client_auth] {
        assert!(holds(usage(), now));
        assert!(holds(usage(), now - 59 * minute), "a clock set back by an hour is borne");
        assert!(!holds(usage(), now - 62 * minute));
        assert!(holds(usage(), now + 23 * 60 * minute));
        assert!(!holds(usage(), now + 25 * 60 * minute));
    }
}
