//! The stock programs' own tables of options, held against ours.
//!
//! What a script may pass to `udp-sender` or `udp-receiver` of either age, ours must know: the
//! names come from what those programs print when they are given one that they don't know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironcast_tests::Kind::{Newer, Ours, Stock};
use ironcast_tests::{Kind, LabError, Program, Transfer};
use serde_json::Value;

/// Letters that stock programs take, as they answer when asked for each.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The option of which every stock sender dies (SIGSEGV): its table says that there is no value,
/// its code uses one. Ours takes the value.
const KILLS_STOCK: &str = "--rehello-offset";

/// What a program says of a command line that ends it at once.
fn said(path: &Path, arguments: &[&str]) -> Result<String, LabError> {
    // Wherever an option may lead it, it leaves nothing behind, and it ends.
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let output = Command::new("timeout")
        .arg("10")
        .arg(path)
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| LabError::io("run a program", e))?;
    if !matches!(output.status.code(), Some(0..=3)) {
        return Err(LabError::wrong(format!(
            "{} {arguments:?} ended with {}",
            path.display(),
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout))
}

fn path(kind: Kind, is_sender: bool) -> Result<PathBuf, LabError> {
    let program = match is_sender {
        true => Program::sender(kind)?,
        false => Program::receiver(kind)?,
    };
    Ok(program.path().to_owned())
}

/// The options in a usage text, long ones and letters.
fn table(usage: &str) -> BTreeSet<String> {
    usage
        .split(|c: char| c.is_whitespace() || "[]|".contains(c))
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(str::to_owned)
        .collect()
}

/// Whether a program knows an option: it complains of what follows, not of the option.
fn is_known(path: &Path, option: &str) -> Result<bool, LabError> {
    // No program gets further than this, whether the option takes a value or not: the last one is
    // known to none.
    let answer = said(path, &[option, "1", "--no-such-option-anywhere"])?;
    let words = [
        format!("unrecognized option '{option}'"),
        format!("invalid option -- '{}'", option.trim_start_matches('-')),
        format!("there is no option {option};"),
    ];
    Ok(!words.iter().any(|words| answer.contains(words)))
}

/// Whether a program wants a value after an option: it says so if there is none.
fn takes_value(path: &Path, option: &str) -> Result<bool, LabError> {
    // The interface ends what an option without a value would begin.
    let answer = said(path, &["--interface", "no-such-one", option])?;
    Ok(answer.contains("requires an argument") || answer.contains("needs a value"))
}

/// Demands that ours knows the stock programs' options, each with a value where they take one.
fn demand_all_known(is_sender: bool) -> Result<(), LabError> {
    let ours = path(Ours, is_sender)?;
    let mut options = BTreeSet::new();
    let mut differ = Vec::new();
    for kind in [Stock, Newer] {
        let stock = path(kind, is_sender)?;
        let mut found = table(&said(&stock, &["--no-such-option-anywhere"])?);
        assert!(found.len() > 20, "{kind:?} prints its options: {found:?}");
        for letter in LETTERS.chars() {
            let option = format!("-{letter}");
            if is_known(&stock, &option)? {
                found.insert(option);
            }
        }
        for option in found.iter().filter(|option| *option != KILLS_STOCK) {
            if takes_value(&stock, option)? != takes_value(&ours, option)? {
                differ.push(format!("{option} of {kind:?}"));
            }
        }
        options.extend(found);
    }
    let unknown: Vec<&String> = options
        .iter()
        .filter(|option| !matches!(is_known(&ours, option), Ok(true)))
        .collect();
    assert!(
        unknown.is_empty(),
        "of {options:?} ours does not know {unknown:?}"
    );
    assert!(
        differ.is_empty(),
        "whether they take a value is not as in stock: {differ:?}"
    );
    Ok(())
}

#[test]
fn our_sender_knows_every_option_of_the_stock_senders() -> Result<(), LabError> {
    demand_all_known(true)
}

#[test]
fn our_receiver_knows_every_option_of_the_stock_receivers() -> Result<(), LabError> {
    demand_all_known(false)
}

/// What a program makes of a name that is cut: its whole name, and whether a value follows; nothing
/// if several options begin so, or none.
fn completed(path: &Path, given: &str) -> Result<Option<(String, bool)>, LabError> {
    // The first line is about what is wrong first, from the left.
    let first = |arguments: &[&str]| {
        let answer = said(path, arguments)?;
        Ok::<_, LabError>(answer.lines().next().unwrap_or_default().to_owned())
    };
    let name_in = |line: &str| {
        let name = line.split("--").nth(1).unwrap_or_default();
        let end = name.find(|c: char| c == '\'' || c.is_whitespace());
        name[..end.unwrap_or(name.len())].to_owned()
    };
    let with_value = first(&[&format!("--{given}=1.2.3.4"), "--no-such-option-anywhere"])?;
    let is_flag = ["doesn't allow an argument", "takes no value"];
    if is_flag.iter().any(|words| with_value.contains(words)) {
        return Ok(Some((
            name_in(with_value.rsplit_once(": ").map_or(&with_value, |s| s.1)),
            false,
        )));
    }
    let without = first(&["--interface", "no-such-one", &format!("--{given}")])?;
    let is_valued = ["requires an argument", "needs a value"];
    Ok(is_valued
        .iter()
        .any(|words| without.contains(words))
        .then(|| {
            (
                name_in(without.rsplit_once(": ").map_or(&without, |s| s.1)),
                true,
            )
        }))
}

/// All names that a stock program takes: it tells those that begin with a letter.
fn names(stock: &Path) -> Result<BTreeSet<String>, LabError> {
    let mut names = BTreeSet::new();
    for letter in 'a'..='z' {
        let answer = said(
            stock,
            &[&format!("--{letter}=/"), "--no-such-option-anywhere"],
        )?;
        let first = answer.lines().next().unwrap_or_default();
        let quoted = first.split('\'').skip(1).step_by(2);
        names.extend(
            quoted
                .filter_map(|word| word.strip_prefix("--"))
                .map(str::to_owned),
        );
    }
    let usage = said(stock, &["--no-such-option-anywhere"])?;
    let table = table(&usage);
    names.extend(
        table
            .iter()
            .filter_map(|word| word.strip_prefix("--"))
            .map(str::to_owned),
    );
    names.retain(|name| name.len() > 1 && !name.contains('='));
    Ok(names)
}

/// Demands that every name, cut wherever a stock program still knows it, is the same option of
/// ours.
fn demand_same_when_cut(is_sender: bool) -> Result<(), LabError> {
    let ours = path(Ours, is_sender)?;
    let mut differ = BTreeSet::new();
    let mut checked = BTreeSet::new();
    for kind in [Stock, Newer] {
        let stock = path(kind, is_sender)?;
        for name in names(&stock)? {
            for end in 1..=name.len() {
                let cut = &name[..end];
                let Some((whole, is_valued)) = completed(&stock, cut)? else {
                    continue;
                };
                if checked.insert((cut.to_owned(), whole.clone()))
                    && completed(&ours, cut)? != completed(&ours, &whole)?
                {
                    differ.insert(format!("--{cut} is --{whole} of {kind:?}, {is_valued}"));
                }
            }
        }
    }
    assert!(checked.len() > 150, "only {checked:?}");
    assert!(differ.is_empty(), "{differ:#?}");
    Ok(())
}

#[test]
fn our_sender_takes_names_that_are_cut_for_the_same_as_the_stock_senders() -> Result<(), LabError> {
    demand_same_when_cut(true)
}

#[test]
fn our_receiver_takes_names_that_are_cut_for_the_same_as_the_stock_receivers()
-> Result<(), LabError> {
    demand_same_when_cut(false)
}

#[test]
fn a_program_whose_stderr_nobody_reads_ends_as_usual() -> Result<(), LabError> {
    for is_sender in [true, false] {
        let (reader, writer) = std::io::pipe().map_err(|e| LabError::io("make a pipe", e))?;
        drop(reader);
        let status = Command::new(path(Ours, is_sender)?)
            .args(["--interface", "no-such-one"])
            .stdin(Stdio::null())
            .stderr(writer)
            .status()
            .map_err(|e| LabError::io("run a program", e))?;
        assert_eq!(status.code(), Some(1));
    }
    Ok(())
}

#[test]
fn a_program_without_the_stdin_or_stdout_that_it_needs_says_so() -> Result<(), LabError> {
    for (is_sender, closed) in [(true, "<&-"), (false, ">&-")] {
        let path = path(Ours, is_sender)?;
        let script = format!("exec timeout 10 {} -k -i lo {closed}", path.display());
        let output = Command::new("sh")
            .args(["-c", &script])
            .output()
            .map_err(|e| LabError::io("run a program", e))?;
        let answer = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{answer}");
        assert!(answer.contains("it is closed"), "{answer}");
    }
    Ok(())
}

#[test]
fn a_program_goes_by_the_name_that_it_is_called_by() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let link = folder.path().join("udp-sender");
    std::os::unix::fs::symlink(path(Ours, true)?, &link)
        .map_err(|e| LabError::io("make a link", e))?;
    let answer = said(&link, &["--interface", "no-such-one"])?;
    assert!(answer.starts_with("udp-sender: error: "), "{answer}");
    Ok(())
}

/// The events in a log of which every line is an object.
fn events(log: &str) -> Result<Vec<String>, LabError> {
    let event = |line: &str| {
        let value = serde_json::from_str(line).unwrap_or(Value::Null);
        let event = value["event"].as_str();
        event.map_or_else(
            || Err(LabError::wrong(format!("no event: {line}"))),
            |e| Ok(e.to_owned()),
        )
    };
    log.lines().map(event).collect()
}

#[test]
fn with_json_every_line_of_a_transfer_is_an_object() -> Result<(), LabError> {
    let json = ["--log-format", "json"];
    let transfer = Transfer::new(Ours, &[Ours]).sender_args(&json);
    let transfer = transfer.receiver_args(&json).run()?;
    let receiver = transfer.receivers[0].program.log();
    for (log, last) in [(transfer.sender.log(), "result"), (receiver, "hash")] {
        let events = events(&log)?;
        assert_eq!(events.first().map(String::as_str), Some("opened"), "{log}");
        assert_eq!(events.last().map(String::as_str), Some(last), "{log}");
    }
    Ok(())
}

#[test]
fn with_json_an_error_is_an_object_too_and_in_the_log_file() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let log = folder.path().join("log");
    for is_sender in [true, false] {
        let path = path(Ours, is_sender)?;
        let file = log.to_string_lossy();
        let json = ["--log-format", "json", "--log", &file];
        let answer = said(
            &path,
            &[&json[..], &["--interface", "no-such-one"]].concat(),
        )?;
        assert_eq!(events(&answer)?, ["error"]);
        let logged = std::fs::read_to_string(&log).map_err(|e| LabError::io("read a log", e))?;
        assert_eq!(events(&logged)?.last().map(String::as_str), Some("error"));
    }
    Ok(())
}
