//! How true the /proc is that this program sees: hidden processes, and files that the kernel does not make.

use std::collections::BTreeMap;
use std::path::Path;

use record::{ProcView, Reading};

use crate::proc::mountinfo::Mount;

pub(super) fn of(mounts: &[Mount]) -> ProcView {
    if mounts.is_empty() {
        let reason = "/proc/self/mountinfo cannot be read";
        return ProcView { hidepid: Reading::absent(reason), replaced: Reading::absent(reason) };
    }
    ProcView { hidepid: Reading::Seen(hidepid(mounts)), replaced: Reading::Seen(replaced(mounts)) }
}

/// The value of the mount option that hides the processes of other users.
pub(crate) fn hidepid(mounts: &[Mount]) -> Option<String> {
    let proc = mounts.iter().rev().find(|m| m.filesystem == "proc" && m.point == Path::new("/proc"))?;
    let value = proc.option("hidepid")?;
    (!matches!(value, "0" | "off")).then(|| value.to_owned())
}

/// Files and directories of /proc that something else is mounted over. What containers mount there to hide
/// things (an empty tmpfs or a device) and what belongs there (binfmt_misc, nfsd) is no replacement.
fn replaced(mounts: &[Mount]) -> BTreeMap<String, String> {
    mounts
        .iter()
        .filter(|m| m.point.starts_with("/proc") && m.point != Path::new("/proc"))
        .filter(|m| m.filesystem.starts_with("fuse"))
        .map(|m| (m.point.to_string_lossy().into_owned(), m.filesystem.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::mountinfo::parse;

    #[test]
    fn what_is_hidden_and_what_is_made_by_others_is_told() {
        let view = of(&parse(
            "22 27 0:21 / /proc rw,relatime - proc proc rw,gid=4,hidepid=invisible\n\
             40 22 0:60 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n\
             41 22 0:61 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n\
             42 22 0:62 / /proc/acpi ro - tmpfs tmpfs ro\n",
        ));
        assert_eq!(view.hidepid, Reading::Seen(Some("invisible".into())));
        let want = [("/proc/stat".to_owned(), "fuse.lxcfs".to_owned())];
        assert_eq!(view.replaced, Reading::Seen(want.into()));
        assert_eq!(hidepid(&parse("22 27 0:21 / /proc rw - proc proc rw,hidepid=off\n")), None);
        assert!(of(&[]).hidepid.reason().is_some());
    }
}
