//! `cargo xtask embedded`: builds the receiver for a microcontroller and measures it.
//!
//! That it builds proves that nothing in it needs an operating system or an allocator. The sizes
//! are those of a whole program as linked, with everything but drivers in it, since a library's own
//! size says little of what is left after the linker has dropped what nobody calls.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::core_library::{Builder, Target};
use crate::run::run as run_command;

/// A microcontroller of the middle class: Cortex-M4 or M7 with a floating point unit.
const TARGET: Target = Target {
    name: "thumbv7em-none-eabihf",
    crates: "core,compiler_builtins",
};

/// What the measured program's symbols that stand for a type's size begin with.
const SIZE_PREFIX: &str = "size of ";

/// Settings of `cargo xtask embedded`.
#[derive(Args)]
pub(crate) struct Options {}

/// Builds and prints the sizes.
pub(crate) fn run(_options: &Options) -> Result<()> {
    build()
}

/// Builds and prints the sizes.
pub(crate) fn build() -> Result<()> {
    let builder = Builder::find(TARGET)?;
    let mut build = builder.cargo("build");
    build.args(["--profile", "efi", "--package", "ironcast-footprint"]);
    run_command(build.args([
        "--package",
        "ironcast-proto",
        "--package",
        "ironcast-receiver-nostd",
    ]))?;
    let path = builder.products("efi").join("footprint");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let program = object::File::parse(bytes.as_slice()).context("the program is no ELF file")?;
    print_sizes(&program);
    Ok(())
}

fn print_sizes(program: &object::File) {
    println!("a receiver for {} without drivers, in bytes:", TARGET.name);
    let section = |name| {
        program
            .section_by_name(name)
            .map_or(0, |section| section.size())
    };
    println!("{:>9}  code (.text)", section(".text"));
    println!("{:>9}  constants (.rodata)", section(".rodata"));
    println!(
        "{:>9}  variables (.data and .bss)",
        section(".data") + section(".bss")
    );
    println!("its memory, handed in by the caller, in bytes:");
    for symbol in program.symbols() {
        if let Some(name) = symbol
            .name()
            .ok()
            .and_then(|name| name.strip_prefix(SIZE_PREFIX))
        {
            println!("{:>9}  {name}", symbol.size());
        }
    }
    println!(
        "besides, the ring for blocks and the buffer for writes, as large as the caller likes"
    );
}
