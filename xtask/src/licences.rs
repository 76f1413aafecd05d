//! Checks that every crate's licence is one of those that `deny.toml` allows.
//!
//! cargo-deny checks more by the same list, but takes minutes to build, which is too long for every
//! run of the tests.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::run::{command, output};

/// Checks the whole dependency tree.
///
/// Fails with every crate whose licence is not allowed.
pub(crate) fn check() -> Result<()> {
    let file = paths::workspace().join("deny.toml");
    let deny =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let allowed = allowed_in(&deny)?;
    let metadata =
        output(command("cargo").args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array();
    let packages = packages.context("cargo metadata lists no packages")?;
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| {
            let name = package["name"].as_str().unwrap_or_default();
            let licence = package["license"].as_str().unwrap_or_default();
            !is_allowed(licence, &allowed) && !deny.contains(&exception(name, licence))
        })
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    if wrong.is_empty() {
        println!("licences: {} crates are well", packages.len());
        return Ok(());
    }
    bail!(
        "licences that deny.toml does not allow:\n{}",
        wrong.join("\n")
    )
}

/// How deny.toml's `exceptions` allow one crate another licence.
fn exception(name: &str, licence: &str) -> String {
    format!("{{ crate = \"{name}\", allow = [\"{licence}\"] }}")
}

/// The list `allow` of deny.toml's `[licenses]`.
fn allowed_in(deny: &str) -> Result<Vec<&str>> {
    let (_, licences) = deny
        .split_once("[licenses]")
        .context("deny.toml has no [licenses]")?;
    let (_, list) = licences
        .split_once("allow = [")
        .context("deny.toml allows no licences")?;
    let (list, _) = list
        .split_once(']')
        .context("deny.toml's list of licences has no end")?;
    Ok(list.split('"').skip(1).step_by(2).collect())
}

/// Whether an SPDX expression lets us choose allowed licences only. An old-fashioned `/` means OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let is_good = |licence: &str| allowed.contains(&licence.trim_matches([' ', '(', ')']));
    // Without precedence: each AND's part has to offer something good. That is right for the forms
    // that occur, `A OR B`, `A AND B`, `(A OR B) AND C`, and too strict for others.
    expression
        .split(" AND ")
        .all(|part| part.split(" OR ").any(is_good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_choice_is_enough_and_every_part_is_needed() {
        let allowed = ["MIT", "Unicode-3.0"];
        assert!(is_allowed("MIT OR Apache-2.0", &allowed));
        assert!(is_allowed("Unlicense/MIT", &allowed));
        assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!is_allowed("MIT AND GPL-3.0-only", &allowed));
        assert!(!is_allowed("GPL-3.0-only", &allowed));
        assert!(!is_allowed("", &allowed));
    }

    #[test]
    fn the_list_is_read_from_deny_toml() {
        let deny = "[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\n[bans]\n";
        assert_eq!(allowed_in(deny).unwrap(), ["MIT", "ISC"]);
        assert!(allowed_in("[licenses]\n").is_err());
    }
}
