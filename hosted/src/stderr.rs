//! Lines on stderr, which may lead nowhere.
//!
//! Whoever read it may be gone: that is no reason to end a transfer, as the standard macros would.

use std::fmt;
use std::io::{self, Write};

/// Writes a line, if anybody can read it.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
