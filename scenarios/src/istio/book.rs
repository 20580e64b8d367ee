//! The verdicts: what became of each field, so that none is passed over in silence.

use std::collections::BTreeMap;

use record::IstioSetting;

use super::node::{Node, plain};
use super::resource::Resource;
use super::tree::Value;

/// What became of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Used(Vec<IstioSetting>),
    NoEffect(String),
    /// It would change something that is not done here; the user may accept that it is ignored.
    Ignored(String),
    /// It is wrong, or contradicts another: nothing can be measured of it.
    Wrong(String),
}

/// A field with its verdict.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) node: Node<'a>,
    pub(super) verdict: Verdict,
}

/// The verdicts on one directory for one workload.
#[derive(Debug, Default)]
pub(super) struct Book<'a> {
    accepted: &'a [String],
    /// By resource and path.
    entries: BTreeMap<(usize, String), Entry<'a>>,
}

impl<'a> Book<'a> {
    pub(super) fn new(accepted: &'a [String]) -> Self {
        Self { accepted, entries: BTreeMap::new() }
    }

    /// Factors are from it.
    pub(super) fn used(&mut self, node: &Node<'a>, factors: &[(&str, String)]) {
        let new = factors.iter().map(|(factor, value)| IstioSetting { factor: (*factor).into(), value: value.clone() });
        let key = (node.resource.at, node.path.clone());
        if let Some(Entry { verdict: Verdict::Used(known), .. }) = self.entries.get_mut(&key) {
            known.extend(new);
            return;
        }
        self.note(node, Verdict::Used(new.collect()));
    }

    /// It changes nothing here.
    pub(super) fn no_effect(&mut self, node: &Node<'a>, reason: impl Into<String>) {
        self.note(node, Verdict::NoEffect(reason.into()));
    }

    /// It would have to be ignored; true if the user accepted that.
    pub(super) fn ignored(&mut self, node: &Node<'a>, reason: impl Into<String>) -> bool {
        self.note(node, Verdict::Ignored(reason.into()));
        accepts(self.accepted, &node.plain_path())
    }

    /// Nothing can be measured of it.
    pub(super) fn wrong(&mut self, node: &Node<'a>, problem: impl Into<String>) {
        self.note(node, Verdict::Wrong(problem.into()));
    }

    /// Each of a resource's fields that has no verdict yet, or nothing below with one, is one that is not known.
    pub(super) fn close(&mut self, resource: &'a Resource) {
        self.close_below(&resource.root());
    }

    fn close_below(&mut self, node: &Node<'a>) {
        if self.entries.contains_key(&(node.resource.at, node.path.clone())) {
            return;
        }
        if node.is_empty() {
            self.no_effect(node, "it says nothing");
            return;
        }
        match &node.tree.value {
            Value::Table(_) => node.entries().iter().for_each(|(_, child)| self.close_below(child)),
            Value::List(_) => node.items().iter().for_each(|item| self.close_below(item)),
            _ => {
                self.ignored(node, "meshtax does not know this field, and cannot tell what it changes");
            }
        }
    }

    fn note(&mut self, node: &Node<'a>, verdict: Verdict) {
        self.entries.insert((node.resource.at, node.path.clone()), Entry { node: node.clone(), verdict });
    }

    /// Everything, in the order of the files.
    pub(super) fn entries(&self) -> Vec<&Entry<'a>> {
        let mut all: Vec<&Entry<'a>> = self.entries.values().collect();
        all.sort_by_key(|e| (e.node.resource.at, e.node.tree.line, e.node.tree.column));
        all
    }

    /// What nothing can be measured with: what is wrong, and what is ignored without the user's word for it.
    pub(super) fn refused(&self) -> Vec<&Entry<'a>> {
        let refused = |e: &&Entry<'a>| match &e.verdict {
            Verdict::Wrong(_) => true,
            Verdict::Ignored(_) => !accepts(self.accepted, &e.node.plain_path()),
            Verdict::Used(_) | Verdict::NoEffect(_) => false,
        };
        self.entries().into_iter().filter(refused).collect()
    }

    /// Words of the user that accept nothing that is there.
    pub(super) fn idle_words(&self) -> Vec<&'a String> {
        let ignored = |e: &&Entry<'a>| matches!(e.verdict, Verdict::Ignored(_));
        let paths: Vec<String> = self.entries.values().filter(ignored).map(|e| e.node.plain_path()).collect();
        let word = |word: &&String| !paths.iter().any(|path| accepts(std::slice::from_ref(word), path));
        self.accepted.iter().filter(word).collect()
    }
}

/// Whether a word names this path: the whole of it, or an end of it from a dot on.
fn accepts(words: &[String], path: &str) -> bool {
    words.iter().any(|word| {
        let word = plain(word);
        path == word || path.strip_suffix(word.as_str()).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// What is known of fields that need no deed: by key, and why.
pub(super) struct Known {
    /// They change nothing here.
    pub(super) idle: &'static [(&'static str, &'static str)],
    /// They change something that is not done here.
    pub(super) not_done: &'static [(&'static str, &'static str)],
    /// They change nothing with this value, and something with another: key, value, and what another would change.
    pub(super) harmless: &'static [(&'static str, &'static [&'static str], &'static str)],
}

impl Known {
    /// Gives each field of a table its verdict, if it is known; those that are not are for the caller, or unknown.
    pub(super) fn judge<'a>(&self, node: &Node<'a>, book: &mut Book<'a>) {
        for (key, child) in node.entries() {
            let of = |list: &'static [(&str, &'static str)]| list.iter().find(|(k, _)| *k == key).map(|(_, why)| *why);
            if child.is_empty() {
                book.no_effect(&child, "it says nothing");
            } else if let Some(why) = of(self.idle) {
                book.no_effect(&child, why);
            } else if let Some(why) = of(self.not_done) {
                book.ignored(&child, why);
            } else if let Some((_, values, why)) = self.harmless.iter().find(|(k, _, _)| *k == key) {
                let said = child.tree.text().unwrap_or_default();
                if values.contains(&said.as_str()) {
                    book.no_effect(&child, "that is how it is here");
                } else {
                    book.ignored(&child, *why);
                }
            }
        }
    }
}
