//! The pages of the documentation: their commands, their blocks of other languages, their links.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace.
pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A page.
pub(super) struct Page {
    /// Where it is, from the workspace's root: "docs/load.md".
    pub(super) name: String,
    /// Fenced blocks: language ("" for commands) and text.
    pub(super) blocks: Vec<(String, String)>,
    /// What stands outside of them.
    pub(super) prose: String,
}

/// The README and every page in docs.
pub(super) fn all() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    paths.extend(
        docs.map(|name| Path::new("docs").join(name)).filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    paths.sort();
    paths.iter().map(|path| read(&path.to_string_lossy(), &fs::read_to_string(root().join(path)).unwrap())).collect()
}

fn read(name: &str, text: &str) -> Page {
    let mut page = Page { name: name.to_owned(), blocks: Vec::new(), prose: String::new() };
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => page.blocks.push(block),
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (None, Some((language, block))) => open = Some((language, block + line + "\n")),
            (None, None) => {
                page.prose.push_str(line);
                page.prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    page
}

impl Page {
    /// What stands in code in its prose, each on one line.
    pub(super) fn spans(&self) -> Vec<String> {
        let parts = self.prose.split('`').skip(1).step_by(2);
        parts.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The commands in it: every line of a block of commands, and what stands in code in prose and starts meshtax.
    pub(super) fn commands(&self) -> BTreeSet<String> {
        let blocks = self.blocks.iter().filter(|(language, _)| language.is_empty());
        let lines = blocks.flat_map(|(_, text)| text.lines()).map(|line| {
            // What follows is a comment.
            line.split(" #").next().unwrap_or_default().trim().to_owned()
        });
        let spans = self.spans().into_iter().filter(|span| starts_meshtax(span).is_some());
        lines.filter(|line| !line.is_empty()).chain(spans).collect()
    }

    /// The targets of its links and pictures that are files.
    pub(super) fn links(&self) -> Vec<String> {
        let targets = self.prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.contains("://")).map(|t| t.split('#').next().unwrap_or(t).to_owned()).collect()
    }
}

/// The part of a command that is meshtax's arguments, where it starts meshtax.
pub(super) fn starts_meshtax(command: &str) -> Option<&str> {
    let way = ["meshtax ", "cargo run --release --locked -- "];
    if let Some(args) = way.iter().find_map(|way| command.strip_prefix(way)) {
        return Some(args);
    }
    command.strip_prefix("systemd-run ").and_then(|rest| rest.split_once(" meshtax ")).map(|(_, args)| args)
}

#[test]
fn commands_are_found_in_blocks_and_in_prose() {
    let page = read(
        "p.md",
        "Say `meshtax doctor` or `meshtax run\n--quick`, not `--quick`.\n```\nmeshtax load URL   # a target\n\n```\n\
         ```text\nmeshtax: no command\n```\n[there](other.md#part), [far](https://x/)\n",
    );
    let commands: Vec<String> = page.commands().into_iter().collect();
    assert_eq!(commands, ["meshtax doctor", "meshtax load URL", "meshtax run --quick"]);
    assert_eq!(page.links(), ["other.md"]);
    assert_eq!(starts_meshtax("systemd-run --user --scope meshtax run --quick"), Some("run --quick"));
    assert_eq!(starts_meshtax("cargo test --workspace"), None);
}
