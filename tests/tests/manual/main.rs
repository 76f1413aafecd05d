//! The manual: its list of messages against the sources, its configurations against the programs
//! that they are for.

mod literals;
mod messages;
mod snippets;
mod ten_minutes;

use ironcast_tests::LabError;

/// The manual's text.
fn manual() -> Result<String, LabError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manual.md");
    std::fs::read_to_string(path).map_err(|e| LabError::io("read the manual", e))
}
