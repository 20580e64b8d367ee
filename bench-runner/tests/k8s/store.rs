//! What an API server keeps: objects by their paths, each change with a version of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A change of an object, as a watch tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: &'static str,
    pub(crate) path: String,
    pub(crate) object: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    changes: Vec<Change>,
    /// Changes before this one are no longer kept.
    pub(crate) compacted: u64,
}

impl Store {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(path)
    }

    /// Paths and objects below a collection.
    pub(crate) fn below<'s>(&'s self, collection: &'s str) -> impl Iterator<Item = (&'s String, &'s Value)> {
        let plural = collection.rsplit('/').next().unwrap_or_default();
        // Of all namespaces, a collection's objects are deeper than it.
        self.objects.iter().filter(move |(path, _)| {
            let of_it =
                path.strip_prefix(collection).is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/'));
            let root = collection.strip_suffix(plural).unwrap_or_default();
            let spread = path.strip_prefix(root).is_some_and(|rest| {
                let parts: Vec<&str> = rest.split('/').collect();
                parts.len() == 4 && parts[0] == "namespaces" && parts[2] == plural
            });
            of_it || spread
        })
    }

    pub(crate) fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let known = self.objects.get(path);
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        let uid = known
            .and_then(|o| o.pointer("/metadata/uid").cloned())
            .or_else(|| object.pointer("/metadata/uid").cloned())
            .unwrap_or_else(|| json!(format!("uid-{}", self.version)));
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        self.note(kind, path, object.clone());
        object
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.note("DELETED", path, object.clone());
        Some(object)
    }

    fn note(&mut self, kind: &'static str, path: &str, object: Value) {
        self.changes.push(Change { version: self.version, kind, path: path.to_owned(), object });
    }

    /// What changed since a version.
    pub(crate) fn since(&self, version: u64) -> Vec<Change> {
        self.changes.iter().filter(|change| change.version > version).cloned().collect()
    }
}

/// What two objects are together: the fields of the second hold.
pub(crate) fn merged(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merged(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Whether an object has the labels of a selector: equalities alone, as we ask.
pub(crate) fn selected(object: &Value, selector: &str) -> bool {
    let labels = object.pointer("/metadata/labels");
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (key, value) = one.split_once('=').unwrap_or((one, ""));
        labels.and_then(|l| l.get(key)).and_then(Value::as_str) == Some(value)
    })
}
