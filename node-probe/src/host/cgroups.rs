//! Which version of cgroups is mounted.

use record::Reading;

use crate::proc::mountinfo::Mount;

/// "v1", "v2", or "hybrid" where both are.
pub(super) fn kind(mounts: &[Mount]) -> Reading<String> {
    let one = mounts.iter().any(|m| m.filesystem == "cgroup");
    let two = mounts.iter().any(|m| m.filesystem == "cgroup2");
    match (one, two) {
        (true, true) => Reading::Seen("hybrid".to_owned()),
        (true, false) => Reading::Seen("v1".to_owned()),
        (false, true) => Reading::Seen("v2".to_owned()),
        (false, false) => Reading::absent("no cgroups are mounted here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::mountinfo::parse;

    #[test]
    fn kinds() {
        let one = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let two = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(kind(&parse(one)), Reading::Seen("v1".into()));
        assert_eq!(kind(&parse(two)), Reading::Seen("v2".into()));
        assert_eq!(kind(&parse(&format!("{one}{two}"))), Reading::Seen("hybrid".into()));
        assert!(kind(&[]).reason().is_some());
    }
}
