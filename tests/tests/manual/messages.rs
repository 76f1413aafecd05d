//! The manual's tables of messages against the programs' texts, in both directions.

use ironcast_tests::LabError;

use super::literals::{self, FILLED_IN, Literal};
use super::manual;

/// The part of the manual that has the tables.
const HEADING: &str = "\n## Messages\n";

/// The messages in the first column of the manual's tables.
///
/// # Errors
/// If it can't be read, or has no such part.
fn listed() -> Result<Vec<String>, LabError> {
    let manual = manual()?;
    let (_, part) = manual
        .split_once(HEADING)
        .ok_or_else(|| LabError::wrong("docs/manual.md has no messages"))?;
    let part = part.split("\n## ").next().unwrap_or_default();
    let cells = part.lines().filter_map(first_cell);
    Ok(cells.flat_map(quoted).collect())
}

fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix("| ")?.split(" | ").next()
}

/// What is in the backquotes of `cell`, without the sign that it goes on.
fn quoted(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let texts = quoted.map(|text| text.strip_suffix(" …").unwrap_or(text).trim().to_owned());
    texts.collect()
}

/// Whether the manual's `message` is `literal`, or its beginning.
fn is_of(message: &str, literal: &Literal) -> bool {
    literal.text.starts_with(message)
}

#[test]
fn every_listed_message_is_one_of_the_programs() {
    let literals = literals::all().unwrap();
    let known = |message: &String| literals.iter().any(|literal| is_of(message, literal));
    let unknown: Vec<String> = listed()
        .unwrap()
        .into_iter()
        .filter(|message| !known(message))
        .collect();
    assert!(
        unknown.is_empty(),
        "docs/manual.md lists what no program says:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn every_message_of_the_programs_is_listed() {
    let listed = listed().unwrap();
    let is_listed = |literal: &Literal| listed.iter().any(|message| is_of(message, literal));
    let missing: Vec<String> = literals::all()
        .unwrap()
        .into_iter()
        .filter(|literal| literal.is_message && !is_listed(literal))
        .map(|literal| format!("{}: {}", literal.file, literal.text))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/manual.md does not say what to do about:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_listed_message_is_long_enough_to_mean_one() {
    for message in listed().unwrap() {
        let words = message.split_whitespace().filter(|&word| word != FILLED_IN);
        assert!(
            words.count() >= 2,
            "docs/manual.md: `{message}` may be anything"
        );
    }
}

#[test]
fn cells_and_quotes_are_read() {
    let line = "| `… has no disk`, `it is … …` | a cause with `code` |";
    let cell = first_cell(line).unwrap();
    assert_eq!(quoted(cell), ["… has no disk", "it is …"]);
    assert_eq!(first_cell("no table"), None);
}
