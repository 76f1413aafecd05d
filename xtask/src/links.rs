//! The links in the project's documents: each leads to a file that there is, and to a heading that
//! it has.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::style::{collect, read};

/// The folder of the documents beside those in the root.
const DOCUMENTS: &str = "docs";

/// What is wrong with the links of all documents below `root`, one line each.
pub(crate) fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    collect(&root.join(DOCUMENTS), "md", &mut documents)?;
    let mut complaints = Vec::new();
    for document in documents {
        let text = read(&document)?;
        let name = document.strip_prefix(root).unwrap_or(&document).display();
        for link in links_in(&text) {
            if !is_good(&document, link)? {
                complaints.push(format!("{name}: there is no {link}"));
            }
        }
    }
    Ok(complaints)
}

/// Whether `link` in `document` leads somewhere.
fn is_good(document: &Path, link: &str) -> Result<bool> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => document.to_path_buf(),
        file => document.with_file_name(file),
    };
    if !target.exists() {
        return Ok(false);
    }
    Ok(heading.is_empty() || anchors(&read(&target)?).contains(heading))
}

/// Where the links of `document` lead that are not to other sites.
fn links_in(document: &str) -> impl Iterator<Item = &str> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://"))
}

/// The names by which links lead to the headings of `document`: as the usual renderers make them.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join(DOCUMENTS)).unwrap();
        let readme = "See [a](docs/a.md#its-first-heading), [b](https://b.example), [c](#none).\n";
        fs::write(root.join("README.md"), readme).unwrap();
        fs::write(root.join("CONTRIBUTING.md"), "[d](docs/d.md)\n").unwrap();
        let document = "## It's, first: `heading`\n[e](../README.md#e) [f](a.md)\n";
        fs::write(root.join("docs/a.md"), document).unwrap();
        let expected = [
            "CONTRIBUTING.md: there is no docs/d.md",
            "README.md: there is no #none",
            "docs/a.md: there is no ../README.md#e",
        ];
        assert_eq!(complaints(root).unwrap(), expected);
    }

    #[test]
    fn headings_have_names() {
        let document = "# A\ntext\n### With --pipe: `x` and it's\n";
        let expected = ["a", "with---pipe-x-and-its"];
        assert!(anchors(document).iter().eq(expected));
    }
}
