//! A disk without room, and a directory in which nothing can be made.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use rustix::fs::IFlags;

use crate::scene::Scene;

/// What fills the small disk, until it is dropped.
pub(crate) struct Filler {
    path: PathBuf,
}

impl Filler {
    /// Takes the last byte of it.
    pub(crate) fn fill(scene: &Scene) -> Self {
        assert!(scene.has_small_disk(), "only a disk of our own is filled");
        let path = scene.disk().join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let piece = vec![b'x'; size];
            while file.write_all(&piece).is_ok() {}
        }
        Self { path }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A directory in which not even root makes, removes or renames anything, until it is dropped.
pub(crate) struct Immutable {
    directory: File,
    before: IFlags,
}

impl Immutable {
    pub(crate) fn make(scene: &Scene, target: &str) -> Self {
        let path = match target {
            "the out directory" => scene.disk().join("runs"),
            "the run's directory" => scene.run(),
            "the trial's directory" => scene.hit(),
            _ => panic!("no directory is called '{target}'"),
        };
        std::fs::create_dir_all(&path).unwrap();
        let directory = File::open(&path).unwrap();
        let before = rustix::fs::ioctl_getflags(&directory).unwrap();
        rustix::fs::ioctl_setflags(&directory, before | IFlags::IMMUTABLE).unwrap_or_else(|e| {
            panic!("{} cannot be made immutable ({e}): it needs ext4, xfs or btrfs", path.display())
        });
        Self { directory, before }
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = rustix::fs::ioctl_setflags(&self.directory, self.before);
    }
}
