//! All watched cgroups: those that were named, those of watched processes, and those around both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use record::CgroupSample;

use super::Cgroup;
use super::around::Trees;
use crate::Result;
use crate::proc::mountinfo;
use crate::source::Page;
use crate::tiers::Due;

/// The groups by their keys: a name that was given, or a path in its tree.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Cgroup>,
    /// Which group each directory is of.
    keys: BTreeMap<PathBuf, String>,
    trees: Trees,
    root: PathBuf,
}

impl Groups {
    /// Opens those that were named, and those around them.
    ///
    /// # Errors
    /// When one has no CPU counters, or descriptors are used up.
    pub(crate) fn open(root: &Path, named: Vec<(String, Vec<PathBuf>)>) -> Result<Self> {
        let mounts = mountinfo::read(root).unwrap_or_default();
        let trees = Trees::of(root, &mounts);
        let mut all = Self { groups: BTreeMap::new(), keys: BTreeMap::new(), trees, root: root.to_owned() };
        // First all names, so that a group around another is found under the name it was given.
        for (name, directories) in &named {
            let group = Cgroup::open(name, directories)?;
            all.put(name, directories, group);
        }
        for (name, directories) in &named {
            all.link(name, directories)?;
        }
        Ok(all)
    }

    /// The key of a process's group, which is watched from now on; none if nothing limits it, or it is hidden.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn follow(&mut self, pid: u32) -> Result<Option<String>> {
        let path = self.root.join(format!("proc/{pid}/cgroup"));
        let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
        let Some((key, directories)) = self.trees.group_of(&text) else { return Ok(None) };
        if let Some(known) = directories.iter().find_map(|directory| self.keys.get(&real(directory))) {
            return Ok(Some(known.clone()));
        }
        match Cgroup::open(&key, &directories) {
            Ok(group) => self.put(&key, &directories, group),
            Err(error @ crate::Error::Descriptors { .. }) => return Err(error),
            // It was not asked for, so that it cannot be read is no reason to stop.
            Err(_) => return Ok(None),
        }
        self.link(&key, &directories)?;
        Ok(Some(key))
    }

    fn put(&mut self, key: &str, directories: &[PathBuf], group: Cgroup) {
        self.keys.extend(directories.iter().map(|directory| (real(directory), key.to_owned())));
        self.groups.insert(key.to_owned(), group);
    }

    /// Opens the groups around one, and tells each which is around it.
    fn link(&mut self, key: &str, directories: &[PathBuf]) -> Result<()> {
        // A group has its throttling in one of its trees; that one's branch is what can hold it up.
        let Some(chain) = directories.iter().map(|d| self.trees.around(&real(d))).find(|chain| !chain.is_empty())
        else {
            return Ok(());
        };
        let mut inner = key.to_owned();
        for (outer, directory) in chain {
            let known = self.keys.get(&real(&directory)).cloned();
            let outer = match known {
                Some(known) => known,
                None => match Cgroup::open_around(&outer, &directory) {
                    Ok(group) => {
                        self.put(&outer, &[directory], group);
                        outer
                    }
                    Err(error @ crate::Error::Descriptors { .. }) => return Err(error),
                    // It was not asked for: what is around it may still be read.
                    Err(_) => continue,
                },
            };
            if let Some(group) = self.groups.get_mut(&inner) {
                group.parent = Some(outer.clone());
            }
            inner = outer;
        }
        Ok(())
    }

    /// The counters of all of them now.
    pub(crate) fn sample(&self, due: Due, page: &mut Page) -> BTreeMap<String, CgroupSample> {
        self.groups.iter().map(|(key, group)| (key.clone(), group.sample(due, page))).collect()
    }
}

/// One spelling for each directory: trees of version 1 are reached by links (cpu is cpu,cpuacct).
fn real(directory: &Path) -> PathBuf {
    fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned())
}
