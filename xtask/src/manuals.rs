//! `cargo xtask manuals`: man pages and shell completions, made of the programs' own options.
//!
//! Out of the same definition that reads the command line, so that none of them can be out of date.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ironcast_hosted::Manual;

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

/// A program of which there is a manual.
struct Program {
    name: &'static str,
    command: Command,
    manual: Manual,
    /// The stock program in whose place it may be.
    stock: &'static str,
}

fn programs() -> [Program; 2] {
    use ironcast_receiver::options as receiver;
    use ironcast_sender::options as sender;
    [
        Program {
            name: "ironcast-sender",
            command: sender::Options::command(),
            manual: sender::MANUAL,
            stock: sender::STOCK.program,
        },
        Program {
            name: "ironcast-receiver",
            command: receiver::Options::command(),
            manual: receiver::MANUAL,
            stock: receiver::STOCK.program,
        },
    ]
}

impl Program {
    fn man_page(&self) -> Result<Vec<u8>> {
        let man = Man::new(self.command.clone());
        let mut page = Vec::new();
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        let mut end = Roff::new();
        for (heading, items) in [
            ("EXIT STATUS", self.manual.exit_statuses),
            ("EXAMPLES", self.manual.examples),
        ] {
            end.control("SH", [heading]);
            for (item, meaning) in items {
                end.control("TP", []);
                end.text([bold(*item)]).text([roman(*meaning)]);
            }
        }
        end.to_writer(&mut page)?;
        man.render_version_section(&mut page)?;
        Ok(page)
    }

    /// The command as completions are to know it: without what is hidden.
    fn shown(&self) -> Command {
        let shown = self.command.get_arguments().filter(|a| !a.is_hide_set());
        Command::new(self.name)
            .version(env!("CARGO_PKG_VERSION"))
            .args(shown.cloned())
    }
}

/// Writes the man pages to `folder`/man1, the completions to `folder`/completions, those also for
/// the names of the stock programs.
fn write(folder: &Path) -> Result<()> {
    let (man, completions) = (folder.join("man1"), folder.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for program in programs() {
        let page = man.join(format!("{}.1", program.name));
        fs::write(&page, program.man_page()?)
            .with_context(|| format!("cannot write {}", page.display()))?;
        for name in [program.name, program.stock] {
            for shell in SHELLS {
                clap_complete::generate_to(shell, &mut program.shown(), name, &completions)
                    .with_context(|| format!("cannot write the {shell} completions of {name}"))?;
            }
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
    fn every_option_is_in_the_man_page_and_in_every_completion_unless_it_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let read = |path: String| fs::read_to_string(folder.path().join(path)).unwrap();
        for program in programs() {
            // A man page's hyphens are escaped.
            let page = read(format!("man1/{}.1", program.name)).replace('\\', "");
            let mut texts = vec![page];
            for name in [program.name, program.stock] {
                for file in [
                    format!("{name}.bash"),
                    format!("_{name}"),
                    format!("{name}.fish"),
                ] {
                    let text = read(format!("completions/{file}"));
                    assert!(text.contains(name), "{file}");
                    texts.push(text);
                }
                let bash = folder.path().join(format!("completions/{name}.bash"));
                run::output(run::command("bash").arg("-n").arg(bash)).unwrap();
            }
            for option in program.command.get_arguments() {
                let Some(name) = option.get_long() else {
                    continue;
                };
                for text in &texts {
                    let is_there = text.contains(name);
                    assert_eq!(is_there, !option.is_hide_set(), "{} --{name}", program.name);
                }
            }
        }
    }

    #[test]
    fn the_man_pages_have_the_usual_headings() {
        for program in programs() {
            let page = String::from_utf8(program.man_page().unwrap()).unwrap();
            for heading in ["NAME", "SYNOPSIS", "OPTIONS", "\"EXIT STATUS\"", "EXAMPLES"] {
                assert!(
                    page.contains(&format!(".SH {heading}\n")),
                    "{heading}: {page}"
                );
            }
            assert!(!page.contains("EXTRA") && page.contains("143"), "{page}");
        }
    }
}
