//! The tool that puts Secure Boot's keys into a virtual machine's firmware, which the tests run.
//!
//! Not every release of the distributions has it as a package. So it comes from Python's package
//! index, by Python's own tools, into an environment of its own in the user's cache.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::run::{command, quietly, succeeds};
use crate::{apt, paths};

/// The package and its version, so that every machine tests with the same.
const PACKAGE: &str = "virt-firmware==26.10";

/// The distribution's own Python: its package for environments goes with no other.
const PYTHON: &str = "/usr/bin/python3";

/// The program `virt-fw-vars`.
pub(crate) fn program() -> PathBuf {
    folder().join("bin/virt-fw-vars")
}

/// Sees to it that it is there.
pub(crate) fn provide() -> Result<()> {
    if program().is_file() {
        return Ok(());
    }
    if !succeeds(command(PYTHON).args(["-c", "import ensurepip, venv"])) {
        apt::install(&["python3-venv"])?;
    }
    eprintln!("fetching {PACKAGE} from Python's package index");
    let folder = folder();
    fetch(&folder).with_context(|| {
        // Half an environment would be taken for a whole one.
        let _ = fs::remove_dir_all(&folder);
        format!("cannot get {PACKAGE}, which the tests of Secure Boot run")
    })
}

fn folder() -> PathBuf {
    paths::cache().join("virt-firmware")
}

fn fetch(folder: &std::path::Path) -> Result<()> {
    quietly(command(PYTHON).args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = command(folder.join("bin/pip"));
    quietly(pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]))
}
