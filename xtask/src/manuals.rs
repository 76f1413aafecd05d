//! `cargo xtask manuals`: man pages and shell completions, made of the programs' own options.
//!
//! Out of the same definition that reads the command line, so that none of them can be out of date.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::paths;

/// Settings of `cargo xtask manuals`.
#[derive(Args)]
pub(crate) struct Options {}

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes them to `target/manuals`.
pub(crate) fn run(_options: &Options) -> Result<()> {
    let folder = paths::cargo_target().join("manuals");
    write(&folder)?;
    println!("written to {}", folder.display());
    Ok(())
}

fn programs() -> [Command; 2] {
    [
        ironcast_sender::options::Options::command(),
        ironcast_receiver::options::Options::command(),
    ]
}

/// Writes the man pages to `folder`/man1, the completions to `folder`/completions.
fn write(folder: &Path) -> Result<()> {
    let (man, completions) = (folder.join("man1"), folder.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for mut program in programs() {
        let name = program.get_name().to_owned();
        clap_mangen::generate_to(program.clone(), &man)
            .with_context(|| format!("cannot write the man page of {name}"))?;
        for shell in SHELLS {
            clap_complete::generate_to(shell, &mut program, &name, &completions)
                .with_context(|| format!("cannot write the {shell} completions of {name}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::run;

    #[test]
    fn every_option_is_in_the_man_page_and_in_every_completion() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for program in programs() {
            let name = program.get_name();
            let read = |path: String| fs::read_to_string(folder.path().join(path)).unwrap();
            // A man page's hyphens are escaped.
            let page = read(format!("man1/{name}.1")).replace('\\', "");
            let mut texts = vec![page];
            for file in [
                format!("{name}.bash"),
                format!("_{name}"),
                format!("{name}.fish"),
            ] {
                texts.push(read(format!("completions/{file}")));
            }
            let shown = program
                .get_arguments()
                .filter(|option| !option.is_hide_set());
            let shown = shown.filter_map(clap::Arg::get_long);
            for option in shown {
                for text in &texts {
                    assert!(text.contains(option), "{name} --{option}");
                }
            }
            let bash = folder.path().join(format!("completions/{name}.bash"));
            run::output(run::command("bash").arg("-n").arg(bash)).unwrap();
        }
    }
}
