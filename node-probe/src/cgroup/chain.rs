//! A cgroup and those above it in the tree of one controller, the inmost first.

use std::path::{Path, PathBuf};

use crate::proc::mountinfo::{self, Mount};

/// The groups that one controller has of a process, as far as the mount shows them.
#[derive(Debug)]
pub(crate) struct Chain<'m> {
    pub(crate) groups: Vec<PathBuf>,
    /// Where their tree is mounted.
    pub(crate) mount: &'m Mount,
}

impl<'m> Chain<'m> {
    /// From the text of a process's cgroup file (cgroups(7)). Whichever version has the controller: a hybrid keeps some
    /// in each.
    ///
    /// # Errors
    /// The reason, in words, where no tree of it is mounted, or the group is not in it as it is seen from here.
    pub(crate) fn of(root: &Path, mounts: &'m [Mount], own: &str, controller: &str) -> Result<Self, String> {
        let has = |m: &&Mount| m.filesystem == "cgroup" && m.options.split(',').any(|option| option == controller);
        let first = || Some((mounts.iter().rfind(has)?, version_1_path(own, controller)?));
        let second = || {
            let mount = mounts.iter().rfind(|m| m.filesystem == "cgroup2")?;
            Some((mount, own.lines().find_map(|line| line.strip_prefix("0::"))?))
        };
        let (mount, path) = first()
            .or_else(second)
            .ok_or_else(|| format!("no cgroup hierarchy here has the {controller} controller, or it is not shown"))?;
        if path.split('/').any(|part| part == "..") {
            return Err("the cgroup is outside of what this container shows".to_owned());
        }
        let top = mountinfo::inside(root, &mount.point);
        // In a container the mount begins inside the hierarchy, and the path may be told from its real root.
        let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        // Joined with nothing, a path gets a slash at its end; collecting its components takes that away.
        let inner: PathBuf = top.join(below).components().collect();
        let inner = if inner.is_dir() { inner } else { top.clone() };
        let groups = inner.ancestors().take_while(|group| group.starts_with(&top)).map(Path::to_owned).collect();
        Ok(Self { groups, mount })
    }
}

/// "4:cpu,cpuacct:/path" is the line of either controller.
fn version_1_path<'t>(own: &'t str, controller: &str) -> Option<&'t str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}
