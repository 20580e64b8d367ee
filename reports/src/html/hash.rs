//! The hash by which a page's policy knows the one script that may run in it.

/// SHA-256 of `script.js`, as a policy names it. The test below says what it is after a change of the script.
pub(super) const OF_SCRIPT: &str = "sha256-YdTmbZjkKU2otSXq0aleDy2s7kaD8sZgwYDmSWUsc0U=";

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::html::SCRIPT;

    #[test]
    fn the_policy_names_the_script_as_it_is() {
        let digest = ring::digest::digest(&ring::digest::SHA256, SCRIPT.as_bytes());
        let name = format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest));
        assert_eq!(OF_SCRIPT, name, "the script has changed; this is its hash now");
        // The page is taken apart by what looks like a tag.
        assert!(!SCRIPT.contains('<'));
    }
}
