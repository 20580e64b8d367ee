//! The resources of a directory: each document of each file, lists taken apart.

use std::path::{Path, PathBuf};

use super::node::Node;
use super::tree::{Tree, Value};
use crate::error::file_error;
use crate::{Error, Result};

/// A resource of Kubernetes or of Istio.
#[derive(Debug)]
pub(super) struct Resource {
    /// Its place in the order of files and documents.
    pub(super) at: usize,
    /// Below the directory.
    pub(super) file: String,
    /// Its group: "networking.istio.io"; empty for Kubernetes' own.
    pub(super) group: String,
    /// Its kind; the file's name for a document that has none.
    pub(super) kind: String,
    pub(super) name: String,
    /// "default" where none is named, as for kubectl.
    pub(super) namespace: String,
    tree: Tree,
}

impl Resource {
    /// The whole of it.
    pub(super) fn root(&self) -> Node<'_> {
        Node { resource: self, path: self.kind.clone(), tree: &self.tree }
    }

    /// For people: "PeerAuthentication reviews in default".
    pub(super) fn title(&self) -> String {
        format!("{} {} in {}", self.kind, self.name, self.namespace)
    }

    fn of(at: usize, file: &str, tree: Tree) -> Self {
        let text = |keys: &[&str]| {
            let found = keys.iter().try_fold(&tree, |tree, key| tree.get(key));
            found.and_then(Tree::text).filter(|text| !text.is_empty())
        };
        let version = text(&["apiVersion"]).unwrap_or_default();
        Self {
            at,
            file: file.to_owned(),
            group: version.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned()),
            kind: text(&["kind"]).unwrap_or_else(|| file.to_owned()),
            name: text(&["metadata", "name"]).unwrap_or_else(|| "(unnamed)".to_owned()),
            namespace: text(&["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned()),
            tree,
        }
    }
}

/// Larger than what kubectl prints of a whole cluster's mesh; a directory with more is the wrong one.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 16 << 20;

/// Every resource of every file under a directory, in the order of names; with the files.
///
/// # Errors
/// When the directory or a file of it cannot be read, is no YAML, or there is none.
pub(super) fn read(directory: &Path) -> Result<(Vec<Resource>, Vec<String>)> {
    let mut files = Vec::new();
    find(directory, &mut files)?;
    files.sort();
    let wrong = |problem: String| Error::Value {
        what: format!("--istio {}", directory.display()),
        problem,
        remedy: "a directory with *.yaml, *.yml or *.json, such as `kubectl get -o yaml` prints".to_owned(),
    };
    if files.is_empty() || files.len() > MOST_FILES {
        return Err(wrong(format!("{} files of YAML or JSON in it", files.len())));
    }
    let (mut resources, mut names) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
        let bytes = std::fs::metadata(&path).map_err(file_error("read", &path))?.len();
        if bytes > MOST_BYTES {
            return Err(wrong(format!("{name} has {bytes} bytes, and {MOST_BYTES} are the most")));
        }
        let text = std::fs::read_to_string(&path).map_err(file_error("read", &path))?;
        for tree in Tree::all(&text, &name)? {
            unpack(&name, tree, &mut resources);
        }
        names.push(name);
    }
    if resources.is_empty() {
        return Err(wrong("no resource in any of its files".to_owned()));
    }
    Ok((resources, names))
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(file_error("read", directory))?;
    for entry in entries {
        let path = entry.map_err(file_error("read", directory))?.path();
        let kept = path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        // A link to a directory could lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            find(&path, files)?;
        } else if kept && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// `kind: List`, as kubectl prints several, is only a wrapping.
fn unpack(file: &str, tree: Tree, resources: &mut Vec<Resource>) {
    let is_list = tree.get("kind").and_then(Tree::text).is_some_and(|kind| kind == "List");
    match (is_list, tree.get("items")) {
        (true, Some(Tree { value: Value::List(items), .. })) => {
            items.iter().for_each(|item| unpack(file, item.clone(), resources));
        }
        _ => resources.push(Resource::of(resources.len(), file, tree)),
    }
}
