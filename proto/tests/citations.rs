//! Every clause of the protocol notes that the code cites is there.
//!
//! Code cites headings, as in `docs/protocol.md, "Bit sets"`. A heading that was renamed would
//! leave readers with nothing to look up, and nobody would notice.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands before a cited heading.
const CITATION: &str = "docs/protocol.md, \"";

/// Folders at the top of the repository that hold no source of ours.
const NOT_OURS: [&str; 3] = ["target", ".git", "docs"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !NOT_OURS.contains(&&*name) {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The headings that `source` cites, also where a comment's line ends in the middle of it.
fn cited(source: &str) -> Vec<String> {
    let words = source
        .split_whitespace()
        .filter(|word| !["//", "///", "//!"].contains(word));
    let text = words.collect::<Vec<_>>().join(" ");
    let headings = text.split(CITATION).skip(1);
    headings
        .filter_map(|rest| rest.split_once('"'))
        .map(|(heading, _)| heading.to_owned())
        .collect()
}

#[test]
fn cited_headings_are_in_the_notes() -> io::Result<()> {
    let notes = fs::read_to_string(repository().join("docs/protocol.md"))?;
    let headings: BTreeSet<&str> = notes
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();

    let mut paths = Vec::new();
    sources(&repository(), &mut paths)?;
    let mut count = 0;
    for path in paths {
        // This file's own examples are no citations.
        if path.ends_with("proto/tests/citations.rs") {
            continue;
        }
        for heading in cited(&fs::read_to_string(&path)?) {
            count += 1;
            let path = path.display();
            assert!(headings.contains(&*heading), "{path} cites \"{heading}\"");
        }
    }
    assert!(
        count > 20,
        "only {count} citations found: has their form changed?"
    );
    Ok(())
}

#[test]
fn a_citation_may_go_over_two_lines_of_a_comment() {
    let source = [
        "    /// See (docs/protocol.md,",
        "    /// \"Bit",
        "    /// sets\"), and (docs/protocol.md, \"End\").",
    ];
    let source = source.join("\n");
    assert_eq!(cited(&source), ["Bit sets", "End"]);
}
