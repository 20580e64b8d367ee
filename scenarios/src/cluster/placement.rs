//! Where the pods of a cell are to stand: together, apart, or where the first trial's stood.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;

/// The topology that a node is of by itself.
const NODE: &str = "kubernetes.io/hostname";

/// The rule by which pods are placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// All on one node, the load generator among them: one clock, and no network between them.
    #[default]
    Together,
    /// The chain on one node, the load generators on another.
    LoadApart,
    /// Each pod in another domain of a topology: a node, a zone.
    Spread {
        /// The node label that tells domains apart.
        topology_key: String,
    },
}

/// Nodes by part: "s1" -> "node-a". Whoever stands there has no other choice.
pub type Pins = BTreeMap<String, String>;

impl FromStr for Placement {
    type Err = String;

    /// # Errors
    /// A text that is none of them, with the words.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "together" => Ok(Self::Together),
            None if text == "load-apart" => Ok(Self::LoadApart),
            None if text == "spread" => Ok(Self::Spread { topology_key: NODE.to_owned() }),
            Some(("spread", key)) if is_label_key(key) => Ok(Self::Spread { topology_key: key.to_owned() }),
            _ => Err(format!(
                "'{text}' is none of together, load-apart, spread, spread=LABEL (such as topology.kubernetes.io/zone)"
            )),
        }
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Together => f.pad("together"),
            Self::LoadApart => f.pad("load-apart"),
            Self::Spread { topology_key } if topology_key == NODE => f.pad("spread"),
            Self::Spread { topology_key } => f.pad(&format!("spread={topology_key}")),
        }
    }
}

/// Whether a text can be the key of a label: a name of 63 characters, behind the domain of its owner.
fn is_label_key(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = text.rsplit('/').next().unwrap_or_default();
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let prefix = text.strip_suffix(name).unwrap_or_default();
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && ends(name.chars().next())
        && ends(name.chars().last())
        && prefix.chars().all(|c| inner(c) && c != '_')
}

/// What a pod is told of where to stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Affinity {
    node: Option<String>,
    topology_key: String,
    beside: Option<BTreeMap<&'static str, String>>,
    apart: Option<BTreeMap<&'static str, String>>,
}

impl Placement {
    /// What the pod of a part of a cell is told; none where it may stand anywhere.
    pub(super) fn affinity(&self, run: &str, cell: &str, part: &str, is_load: bool, pins: &Pins) -> Option<Affinity> {
        if let Some(node) = pins.get(part) {
            return Some(Affinity { node: Some(node.clone()), ..Affinity::default() });
        }
        let of_cell = || BTreeMap::from([("meshtax/run", run.to_owned()), ("meshtax/cell", cell.to_owned())]);
        let with = |side: &str| {
            let mut labels = of_cell();
            labels.insert("meshtax/side", side.to_owned());
            Some(labels)
        };
        let plain = Affinity { topology_key: NODE.to_owned(), ..Affinity::default() };
        Some(match self {
            Self::Together => Affinity { beside: Some(of_cell()), ..plain },
            Self::LoadApart if is_load => Affinity { apart: with("chain"), ..plain },
            Self::LoadApart => Affinity { beside: with("chain"), apart: with("load"), ..plain },
            Self::Spread { topology_key } => {
                Affinity { topology_key: topology_key.clone(), apart: Some(of_cell()), ..plain }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_said_alike_and_others_are_refused_with_the_words() {
        for text in ["together", "load-apart", "spread", "spread=topology.kubernetes.io/zone"] {
            assert_eq!(text.parse::<Placement>().unwrap().to_string(), text);
        }
        for bad in ["", "apart", "spread=", "spread=a b", "spread=/zone-", "together=1"] {
            assert!(bad.parse::<Placement>().unwrap_err().contains("is none of together"), "{bad}");
        }
    }

    #[test]
    fn a_pinned_part_stands_where_it_is_pinned_and_nothing_else_is_asked() {
        let pins = Pins::from([("s1".to_owned(), "node-a".to_owned())]);
        let pinned = Placement::Together.affinity("r", "c1", "s1", false, &pins).unwrap();
        assert_eq!((pinned.node.as_deref(), pinned.beside, pinned.apart), (Some("node-a"), None, None));
        let free = Placement::Together.affinity("r", "c1", "s2", false, &pins).unwrap();
        assert_eq!(free.node, None);
        assert_eq!(free.beside.unwrap()["meshtax/cell"], "c1");
    }

    #[test]
    fn the_load_keeps_away_from_the_chain_and_the_chain_keeps_together() {
        let of = |is_load| Placement::LoadApart.affinity("r", "c1", "x", is_load, &Pins::new()).unwrap();
        assert_eq!(of(true).apart.unwrap()["meshtax/side"], "chain");
        assert_eq!(of(true).beside, None);
        assert_eq!(of(false).beside.unwrap()["meshtax/side"], "chain");
        assert_eq!(of(false).apart.unwrap()["meshtax/side"], "load");
    }
}
