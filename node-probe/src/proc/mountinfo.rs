//! /proc/self/mountinfo: what is mounted where (proc(5)).
//!
//! `procfs::MountInfo` leaves the octal escapes of blanks in paths, and one odd line loses all of them, so
//! this is read here.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Major and minor number of its files' device.
    pub(crate) number: (u32, u32),
    /// The directory of its file system that is mounted.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) point: PathBuf,
    /// "ext4".
    pub(crate) filesystem: String,
    /// What: "/dev/vda1", "overlay".
    pub(crate) source: String,
    /// The file system's own options.
    pub(crate) options: String,
}

impl Mount {
    /// The value of an option of the file system, escapes and all.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The mounts this process sees, in the order they were made.
pub(crate) fn read(root: &Path) -> std::io::Result<Vec<Mount>> {
    Ok(parse(&String::from_utf8_lossy(&std::fs::read(root.join("proc/self/mountinfo"))?)))
}

/// The mount a path is on: the last one made of those whose point is the longest beginning of it.
pub(crate) fn of<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    mounts.iter().filter(|m| path.starts_with(&m.point)).max_by_key(|m| m.point.components().count())
}

/// Every line that can be understood.
pub(crate) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (place, what) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let (major, minor) = place.next()?.split_once(':')?;
    let (root, point) = (place.next()?, place.next()?);
    let mut what = what.split(' ');
    Some(Mount {
        number: (major.parse().ok()?, minor.parse().ok()?),
        root: unescape(root).into(),
        point: unescape(point).into(),
        filesystem: what.next()?.to_owned(),
        source: unescape(what.next()?).to_string_lossy().into_owned(),
        options: what.next().unwrap_or_default().to_owned(),
    })
}

/// Blanks, line ends and backslashes are written as three octal digits.
pub(crate) fn unescape(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|d| byte == b'\\' && d.iter().all(|d| (b'0'..=b'7').contains(d)));
        if let Some(&[a, b, c]) = octal {
            let value = (u32::from(a - b'0') << 6) | (u32::from(b - b'0') << 3) | u32::from(c - b'0');
            out.push(value as u8);
            at += 4;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    OsString::from_vec(out)
}

/// A path inside a tree: "/proc/stat" in the tree at `root`.
pub(crate) fn inside(root: &Path, path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let relative = bytes.iter().position(|&b| b != b'/').map_or(&bytes[..0], |at| &bytes[at..]);
    root.join(std::ffi::OsStr::from_bytes(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=2
27 1 254:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw,discard
40 27 254:2 /sub /mnt/my\\040disk rw - xfs /dev/disk\\0401 rw
41 27 0:50 / /srv rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/up,workdir=/work
42 27 0:51 / /tmp rw - tmpfs  rw,size=4k
a line of another kernel
43 27 0:52 / /srv rw - tmpfs none rw
";

    #[test]
    fn optional_fields_escapes_and_options() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 6);
        assert_eq!(mounts[1].number, (254, 1));
        assert_eq!(mounts[1].source, "/dev/vda1");
        assert_eq!(mounts[2].point, Path::new("/mnt/my disk"));
        assert_eq!((mounts[2].root.as_path(), mounts[2].source.as_str()), (Path::new("/sub"), "/dev/disk 1"));
        assert_eq!(mounts[3].option("upperdir"), Some("/up"));
        assert_eq!(mounts[3].option("upper"), None);
        assert_eq!((mounts[4].filesystem.as_str(), mounts[4].source.as_str()), ("tmpfs", ""));
    }

    #[test]
    fn the_longest_and_then_the_last_mount_point_has_a_path() {
        let mounts = parse(TEXT);
        let on = |path: &str| of(&mounts, Path::new(path)).unwrap().filesystem.clone();
        assert_eq!(on("/home/runs"), "ext4");
        assert_eq!(on("/mnt/my disk/runs"), "xfs");
        assert_eq!(on("/mnt/my diskette"), "ext4");
        assert_eq!(on("/srv/x"), "tmpfs", "mounted over the overlay");
    }

    #[test]
    fn only_whole_octal_escapes_are_undone() {
        for (text, want) in [("a\\040b", "a b"), ("a\\134", "a\\"), ("a\\04", "a\\04"), ("\\9", "\\9"), ("", "")] {
            assert_eq!(unescape(text), want, "{text}");
        }
    }
}
