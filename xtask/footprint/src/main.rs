//! The smallest whole receiver for a microcontroller, made to be measured and not to be run.
//!
//! Its network card and disk do nothing, but the compiler can't know that, so that it keeps exactly
//! the code that a real firmware would have beside its drivers. On any other target there is
//! nothing to build, and the program only says so.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("this program is for a microcontroller; `cargo xtask embedded` measures it");
    std::process::ExitCode::FAILURE
}
