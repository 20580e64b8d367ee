//! The authority of a chain that stands on several hosts: whoever builds a part of that chain issues from it, and renews.

use std::fmt;

use rcgen::{Issuer, KeyPair};
use record::{Dataplane, Factors, Mtls};
use serde::{Deserialize, Serialize};

use super::{Authority, certificate_error, params};
use crate::Result;

/// An authority as it is handed over. Who has it can be anyone in that chain: it belongs in memory and into channels that
/// are secured on both sides, and is worth nothing once the trial is over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityKey {
    certificate_pem: String,
    key_pem: String,
    names: bool,
}

impl fmt::Debug for AuthorityKey {
    /// Without the key: orders are shown in messages of errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKey")
    }
}

impl Authority {
    /// Who issues identities in a chain of these factors; none without mTLS. Where proxies know no SPIFFE ids, identities
    /// have names beside them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_chain(factors: &Factors) -> Result<Option<Self>> {
        let secured = factors.mtls != Mtls::Disable || factors.own_port_mtls() != Mtls::Disable;
        if !factors.meshed() || !secured {
            return Ok(None);
        }
        let authority = Self::new()?;
        Ok(Some(match factors.dataplane {
            Dataplane::Haproxy | Dataplane::Nginx => authority.with_names(),
            Dataplane::None | Dataplane::Embedded | Dataplane::Envoy | Dataplane::Ambient => authority,
            Dataplane::IstioSidecar | Dataplane::IstioAmbient | Dataplane::Linkerd => authority,
        }))
    }

    /// It with its key, for those who build other parts of the same chain.
    pub fn hand_over(&self) -> AuthorityKey {
        AuthorityKey {
            certificate_pem: self.certificate_pem.clone(),
            key_pem: self.issuer.key().serialize_pem(),
            names: self.names,
        }
    }

    /// The one that was handed over: what it issues is trusted by all of that chain.
    ///
    /// # Errors
    /// [`crate::Error::Certificate`] for a key that is none.
    pub fn handed(from: &AuthorityKey) -> Result<Self> {
        let AuthorityKey { certificate_pem, key_pem, names } = from;
        let key =
            KeyPair::from_pem(key_pem).map_err(|e| certificate_error("the authority that was handed over", &e))?;
        Ok(Self { issuer: Issuer::new(params(), key), certificate_pem: certificate_pem.clone(), names: *names })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::crypto::ring;
    use rustls::pki_types::UnixTime;
    use rustls::server::WebPkiClientVerifier;

    use super::*;

    #[test]
    fn what_is_issued_from_a_handed_over_authority_is_trusted_where_the_first_is() {
        let first = Authority::new().unwrap();
        let text = serde_json::to_string(&first.hand_over()).unwrap();
        let second = Authority::handed(&serde_json::from_str(&text).unwrap()).unwrap();
        let (chain, _, root) = second.issue("s2").unwrap().der().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        verifier.verify_client_cert(&chain, &[], UnixTime::now()).unwrap();
        let (stranger, ..) = Authority::new().unwrap().issue("s2").unwrap().der().unwrap();
        verifier.verify_client_cert(&stranger, &[], UnixTime::now()).unwrap_err();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
    }

    #[test]
    fn its_key_is_not_shown_and_one_that_is_none_is_refused() {
        let authority = Authority::new().unwrap();
        assert_eq!(format!("{:?}", authority.hand_over()), "AuthorityKey");
        let broken = AuthorityKey { key_pem: "no key".into(), ..authority.hand_over() };
        let said = Authority::handed(&broken).map(drop).unwrap_err().to_string();
        assert!(said.contains("the authority that was handed over"), "{said}");
    }

    #[test]
    fn there_is_one_where_something_is_secured() {
        let of = |dataplane, mtls| {
            let factors = Factors { dataplane, mtls, ..Factors::unmeshed() };
            Authority::of_chain(&factors).unwrap().map(|a| a.names)
        };
        assert_eq!(of(Dataplane::None, Mtls::Strict), None);
        assert_eq!(of(Dataplane::Embedded, Mtls::Disable), None);
        assert_eq!(of(Dataplane::Embedded, Mtls::Strict), Some(false));
        assert_eq!(of(Dataplane::Nginx, Mtls::Permissive), Some(true));
    }
}
