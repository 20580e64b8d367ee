//! Why a kernel file has nothing to say, in words for a person.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What to say of a file that could not be opened or read.
pub(crate) fn reason(path: &Path, errno: Errno) -> String {
    let path = path.display();
    match errno {
        Errno::NOENT => format!("{path} does not exist on this machine"),
        Errno::ACCESS | Errno::PERM => format!("no permission to read {path}"),
        Errno::MFILE | Errno::NFILE => format!("{path} could not be opened: {}", descriptor_limit(errno)),
        Errno::NODEV => format!("{path} is gone: what it described was removed"),
        other => format!("{path} could not be read: {}", std::io::Error::from(other)),
    }
}

/// What to say of a pressure file; `irq` came later than the others and hangs on an option of its own.
pub(crate) fn no_pressure(path: &Path, errno: Errno) -> String {
    let irq = path.file_name().is_some_and(|name| name == "irq");
    match errno {
        Errno::NOENT if irq && path.parent().is_some_and(Path::is_dir) => {
            format!("no interrupt pressure: {} needs Linux 6.1 and CONFIG_IRQ_TIME_ACCOUNTING", path.display())
        }
        Errno::NOENT => {
            let place = path.parent().unwrap_or(path).display();
            format!(
                "no PSI: {place} is missing (kernel older than 4.20, built without CONFIG_PSI, or booted with psi=0)"
            )
        }
        Errno::OPNOTSUPP if irq => "no interrupt pressure: interrupt time accounting is off in this kernel".to_owned(),
        Errno::OPNOTSUPP => "PSI is built into this kernel but switched off (boot with psi=1 to have it)".to_owned(),
        other => reason(path, other),
    }
}

/// Which limit on open files was hit, with its value.
pub(crate) fn descriptor_limit(errno: Errno) -> String {
    if errno == Errno::NFILE {
        return "the whole system has no file descriptor left (fs.file-max)".to_owned();
    }
    match getrlimit(Resource::Nofile).current {
        Some(n) => format!("this process may keep {n} files open (RLIMIT_NOFILE) and has them all in use"),
        None => "no file descriptor is left".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_that_is_missing_and_pressure_that_is_off_are_told_apart() {
        let missing = no_pressure(Path::new("/nowhere/proc/pressure/cpu"), Errno::NOENT);
        assert!(missing.contains("/nowhere/proc/pressure is missing") && missing.contains("psi=0"), "{missing}");
        let off = no_pressure(Path::new("/proc/pressure/cpu"), Errno::OPNOTSUPP);
        assert!(off.contains("switched off") && off.contains("psi=1"), "{off}");
        let irq = no_pressure(Path::new("/proc/pressure/irq"), Errno::OPNOTSUPP);
        assert!(irq.contains("interrupt time accounting"), "{irq}");
        let denied = no_pressure(Path::new("/proc/pressure/cpu"), Errno::PERM);
        assert_eq!(denied, "no permission to read /proc/pressure/cpu");
    }

    #[test]
    fn interrupt_pressure_alone_missing_is_not_all_of_psi_missing() {
        let tree = tempfile::tempdir().unwrap();
        let said = no_pressure(&tree.path().join("irq"), Errno::NOENT);
        assert!(said.starts_with("no interrupt pressure") && said.contains("6.1"), "{said}");
    }

    #[test]
    fn the_limit_of_open_files_is_named_with_its_value() {
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        let said = reason(Path::new("/proc/1/stat"), Errno::MFILE);
        assert!(said.contains("RLIMIT_NOFILE") && said.contains(&limit.to_string()), "{said}");
        assert!(reason(Path::new("/proc/1/stat"), Errno::NFILE).contains("fs.file-max"));
    }
}
