//! Checks of style that neither the compiler nor clippy makes.
//!
//! Every file says first what it is for, none grows too long to be read at one go, no two reasons
//! why unsafe code is sound are the same words, crates that must have none forbid unsafe code, the
//! README names the commands and the version of Rust that there really are, and links in documents
//! lead somewhere.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::CommandFactory;

use crate::{links, paths};

/// How many lines a file may have, tests left out.
const LINES_LIMIT: usize = 500;

/// How many columns a line may have; rustfmt leaves comments and strings as they are.
const COLUMNS_LIMIT: usize = 100;

/// The crates' files that have to forbid unsafe code.
const SAFE_CRATES: &[&str] = &[
    "bench/src/main.rs",
    "proto/src/lib.rs",
    "receiver-nostd/src/lib.rs",
    "receiver/src/lib.rs",
    "receiver/src/main.rs",
    "sender/src/lib.rs",
    "sender/src/main.rs",
    "tests/src/lib.rs",
    "xtask/src/main.rs",
];

/// Checks the whole tree.
///
/// Fails with everything that is wrong, one line each.
pub(crate) fn check() -> Result<()> {
    let root = paths::workspace();
    let mut sources = Vec::new();
    collect(root, "rs", &mut sources)?;
    let mut wrong = Vec::new();
    let mut reasons = HashMap::new();
    for path in &sources {
        let text = &read(path)?;
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string();
        for complaint in complaints(&name, text) {
            wrong.push(format!("{name}: {complaint}"));
        }
        repeated_reasons(&name, text, &mut reasons, &mut wrong);
    }
    for name in SAFE_CRATES {
        let text = read(&root.join(name))?;
        if !text.contains("#![forbid(unsafe_code)]") {
            wrong.push(format!("{name}: does not forbid unsafe code"));
        }
    }
    wrong.extend(readme_complaints(root)?);
    wrong.extend(links::complaints(root)?);
    if wrong.is_empty() {
        println!("style: {} files are well", sources.len());
        return Ok(());
    }
    bail!("style:\n{}", wrong.join("\n"))
}

fn complaints(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//! ") {
        complaints.push("does not begin with a `//!` line that says what it is for".to_owned());
    }
    let lines = lines_without_tests(text);
    // A file of tests has no other lines to count.
    if lines > LINES_LIMIT && !name.contains("tests/") {
        complaints.push(format!(
            "{lines} lines without tests, more than {LINES_LIMIT}"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_LIMIT {
            complaints.push(format!("line {} has {columns} columns", number + 1));
        }
    }
    complaints
}

fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

/// Notes each reason in a `SAFETY:` comment with its place, and complains of one that was there
/// before.
fn repeated_reasons(
    name: &str,
    text: &str,
    reasons: &mut HashMap<String, String>,
    wrong: &mut Vec<String>,
) {
    for (line, reason) in reasons_in(text) {
        let place = format!("{name}:{line}");
        if let Some(first) = reasons.get(&reason) {
            wrong.push(format!("{place}: the same reason for safety as {first}"));
        } else {
            reasons.insert(reason, place);
        }
    }
}

/// The comments that begin with the word for it, whole, by their line's number.
fn reasons_in(text: &str) -> Vec<(usize, String)> {
    let marker = concat!("// SAFE", "TY:");
    let mut reasons: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(reason) = line.strip_prefix(marker) {
            reasons.push((number + 1, reason.trim().to_owned()));
            inside = true;
        } else if let (true, Some(more)) = (inside, line.strip_prefix("// ")) {
            if let Some((_, reason)) = reasons.last_mut() {
                reason.push(' ');
                reason.push_str(more.trim());
            }
        } else {
            inside = false;
        }
    }
    reasons
}

fn readme_complaints(root: &Path) -> Result<Vec<String>> {
    let readme = read(&root.join("README.md"))?;
    let mut complaints = Vec::new();
    let tasks = crate::Arguments::command();
    for task in tasks_named_in(&readme) {
        if tasks.find_subcommand(&task).is_none() {
            complaints.push(format!("README.md: there is no `cargo xtask {task}`"));
        }
    }
    let version = quoted_after(&read(&root.join("Cargo.toml"))?, "rust-version")?;
    if !readme.contains(&format!("Rust {version}")) {
        complaints.push(format!(
            "README.md: does not say that it takes Rust {version}"
        ));
    }
    let channel = quoted_after(&read(&root.join("rust-toolchain.toml"))?, "channel")?;
    if !channel.starts_with(&version) {
        complaints.push(format!("rust-toolchain.toml: {channel} is not {version}"));
    }
    Ok(complaints)
}

fn tasks_named_in(readme: &str) -> Vec<String> {
    readme
        .split("cargo xtask ")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

/// The value of `key = "value"` in TOML.
fn quoted_after(toml: &str, key: &str) -> Result<String> {
    toml.lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))
        .and_then(|value| value.split('"').nth(1))
        .map(str::to_owned)
        .with_context(|| format!("no {key} to be found"))
}

/// Adds the files below `folder` whose names end in `.extension`, in their order. Hidden folders
/// and `target` are left out.
pub(crate) fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.');
        if path.is_dir() && !hidden && name != "target" {
            collect(&path, extension, files)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_purpose_too_long_or_too_wide_is_found() {
        assert!(complaints("a.rs", "//! What it is for.\n").is_empty());
        assert_eq!(complaints("a.rs", "fn main() {}\n").len(), 1);
        let long = format!("//! x\n{}", "\n".repeat(LINES_LIMIT));
        assert_eq!(complaints("a.rs", &long).len(), 1);
        let tests = format!(
            "//! x\n#[cfg(test)]\nmod tests {{\n{}",
            "\n".repeat(LINES_LIMIT)
        );
        assert!(complaints("a.rs", &tests).is_empty());
        let wide = format!("//! {}\n", "x".repeat(COLUMNS_LIMIT));
        assert_eq!(complaints("a.rs", &wide), ["line 1 has 104 columns"]);
    }

    #[test]
    fn a_reason_for_safety_is_good_once() {
        let marker = concat!("// SAFE", "TY:");
        let text = format!("{marker} it is\n// ours\nx\n    {marker} it is ours\n");
        assert_eq!(reasons_in(&text)[0], (1, "it is ours".to_owned()));
        let (mut reasons, mut wrong) = (HashMap::new(), Vec::new());
        repeated_reasons("a.rs", &text, &mut reasons, &mut wrong);
        assert_eq!(wrong, ["a.rs:4: the same reason for safety as a.rs:1"]);
    }

    #[test]
    fn commands_and_versions_are_found_in_prose() {
        let tasks = tasks_named_in("Do `cargo xtask demo`, or cargo xtask no-such.\n");
        assert_eq!(tasks, ["demo", "no-such"]);
        let version = quoted_after("[a]\nrust-version = \"1.95\"\n", "rust-version");
        assert_eq!(version.unwrap(), "1.95");
        assert!(quoted_after("", "channel").is_err());
    }
}
