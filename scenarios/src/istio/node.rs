//! A field of a resource: its value, its path, and where it stands.

use super::resource::Resource;
use super::tree::{Tree, Value};

/// A field of a resource, as it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) resource: &'a Resource,
    /// It begins with the kind: "PeerAuthentication.spec.mtls.mode".
    pub(super) path: String,
    pub(super) tree: &'a Tree,
}

impl<'a> Node<'a> {
    /// A field below it that says something.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.tree.get(key).filter(|tree| !matches!(tree.value, Value::Nothing)).map(|tree| self.child(key, tree))
    }

    /// A field far below: one key after another.
    pub(super) fn far(&self, keys: &[&str]) -> Option<Self> {
        keys.iter().try_fold(self.clone(), |node, key| node.get(key))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match &self.tree.value {
            Value::Nothing => true,
            Value::List(list) => list.is_empty(),
            Value::Table(entries) => entries.is_empty(),
            Value::Truth(_) | Value::Number(_) | Value::Text(_) => false,
        }
    }

    /// The fields below it, those that say nothing too.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        match &self.tree.value {
            Value::Table(entries) => entries.iter().map(|(k, tree)| (k.as_str(), self.child(k, tree))).collect(),
            _ => Vec::new(),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let item = |(at, tree)| Node { resource: self.resource, path: format!("{}[{at}]", self.path), tree };
        match &self.tree.value {
            Value::List(list) => list.iter().enumerate().map(item).collect(),
            _ => Vec::new(),
        }
    }

    /// Fields of texts below it: labels, annotations.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let text = |(key, node): (&str, Self)| Some((key.to_owned(), node.tree.text()?));
        self.entries().into_iter().filter_map(text).collect()
    }

    /// The text of a field below it.
    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        self.get(key)?.tree.text()
    }

    /// Where it stands: "mesh.yaml:12:5".
    pub(super) fn place(&self) -> String {
        format!("{}:{}:{}", self.resource.file, self.tree.line, self.tree.column)
    }

    /// Its path without the places in lists: "VirtualService.spec.http.fault".
    pub(super) fn plain_path(&self) -> String {
        plain(&self.path)
    }

    fn child(&self, key: &str, tree: &'a Tree) -> Self {
        Node { resource: self.resource, path: format!("{}.{key}", self.path), tree }
    }
}

/// A path without the places in lists.
pub(super) fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}
