//! How the running kernel was built: /boot/config-RELEASE, or /proc/config.gz.

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use record::Reading;

use crate::disk::device::line;

/// Longer than any kernel's (some 300 KiB); what unpacks to more is something else.
const MOST_BYTES: u64 = 16 << 20;

/// The text of the configuration, and where it stands.
#[derive(Debug)]
pub(crate) struct KernelConfig(Reading<(String, String)>);

impl KernelConfig {
    /// Reads it for the kernel that runs under `root`, and for no other: /boot keeps those of older ones.
    pub(crate) fn read(root: &Path) -> Self {
        let packed = root.join("proc/config.gz");
        let mut text = String::new();
        let e = match File::open(&packed)
            .and_then(|file| GzDecoder::new(file).take(MOST_BYTES).read_to_string(&mut text))
        {
            Ok(_) => return Self(Reading::Seen((text, "/proc/config.gz".to_owned()))),
            Err(e) => e,
        };
        let release = line(&root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
        let names = [
            format!("boot/config-{release}"),
            format!("lib/modules/{release}/config"),
            format!("usr/lib/modules/{release}/config"),
        ];
        let read = |name: &String| fs::read_to_string(root.join(name)).ok().map(|text| (text, format!("/{name}")));
        match names.iter().find_map(read) {
            Some(found) if !release.is_empty() => Self(Reading::Seen(found)),
            _ => Self(Reading::absent(format!(
                "the kernel's build options are not shown: no /boot/config-{release}, and {}: {e}",
                packed.display()
            ))),
        }
    }

    /// The value of an option, without "CONFIG_"; none if it is not set.
    ///
    /// # Errors
    /// The reason, where the configuration cannot be read.
    pub(crate) fn value(&self, option: &str) -> Result<Option<&str>, &str> {
        match &self.0 {
            Reading::Absent { absent } => Err(absent),
            Reading::Seen((text, _)) => Ok(text.lines().find_map(|line| {
                line.strip_prefix("CONFIG_").and_then(|l| l.strip_prefix(option)?.strip_prefix('=')).map(str::trim)
            })),
        }
    }

    /// Whether an option is built in or a module; absent where the configuration cannot be read.
    pub(crate) fn has(&self, option: &str) -> Reading<bool> {
        Reading::from_result(self.value(option).map(|value| matches!(value, Some("y" | "m"))))
    }

    /// Where it was read.
    pub(crate) fn place(&self) -> Option<&str> {
        self.0.seen().map(|(_, place)| place.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const TEXT: &str = "CONFIG_HZ=250\n# CONFIG_IRQ_TIME_ACCOUNTING is not set\nCONFIG_PARAVIRT_TIME_ACCOUNTING=y\nCONFIG_PARAVIRT_SPINLOCKS=y\n";

    fn check(config: &KernelConfig) {
        assert_eq!(config.has("PARAVIRT_TIME_ACCOUNTING"), Reading::Seen(true));
        assert_eq!(config.has("IRQ_TIME_ACCOUNTING"), Reading::Seen(false));
        assert_eq!(config.has("PARAVIRT"), Reading::Seen(false), "a beginning of a name is no name");
    }

    #[test]
    fn the_packed_one_and_the_one_in_boot_are_read() {
        let tree = tempfile::tempdir().unwrap();
        let none = KernelConfig::read(tree.path());
        assert!(none.has("HZ").reason().unwrap().contains("config.gz") && none.place().is_none());

        for directory in ["boot", "proc/sys/kernel"] {
            fs::create_dir_all(tree.path().join(directory)).unwrap();
        }
        fs::write(tree.path().join("proc/sys/kernel/osrelease"), "6.1.0-56\n").unwrap();
        fs::write(tree.path().join("boot/config-6.1.0-56"), TEXT).unwrap();
        let boot = KernelConfig::read(tree.path());
        assert_eq!(boot.place(), Some("/boot/config-6.1.0-56"));
        check(&boot);

        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(TEXT.as_bytes()).unwrap();
        fs::write(tree.path().join("proc/config.gz"), packer.finish().unwrap()).unwrap();
        let packed = KernelConfig::read(tree.path());
        assert_eq!(packed.place(), Some("/proc/config.gz"));
        check(&packed);
    }
}
