//! The options that both programs have, and the way to refuse stock options that they don't have.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Parser};
use ironcast_proto::time::Duration;

use crate::exit::{ExitStatus, report};
use crate::getopt::{self, GetoptError};
use crate::interface::{Interface, InterfaceError};
use crate::journal::{JournalSettings, LogFormat};
use crate::values::{
    parse_address, parse_clamped, parse_milliseconds, parse_port_base, parse_seconds, parse_whole,
};

/// What a program says about its licence.
pub const LICENSE: &str = "\
Copyright (c) the Ironcast contributors.
Licensed under either of the Apache License, version 2.0
(https://www.apache.org/licenses/LICENSE-2.0), or the MIT license
(https://opensource.org/license/mit), at your option.";

/// Options that both ends of a transfer take.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// Network interface, by its name or its IPv4 address [default: the one with the default route]
    #[arg(long, short = 'i', value_name = "NAME|ADDRESS")]
    pub interface: Option<String>,

    /// The receivers' UDP port, an even number; the sender's is the next one
    #[arg(
        long,
        short = 'P',
        alias = "port",
        value_name = "PORT",
        default_value_t = 9000
    )]
    #[arg(value_parser = parse_port_base)]
    pub portbase: u16,

    /// How many routers multicast packets may pass, plus one
    #[arg(long, short = 't', value_name = "TTL", default_value_t = 1)]
    #[arg(value_parser = |text: &str| parse_clamped(text, 0..=255_u32))]
    pub ttl: u32,

    /// Where sender and receivers look for each other [default: the interface's broadcast
    /// address if the ttl is 1, else 224.0.0.1]
    #[arg(long, short = 'M', value_name = "ADDRESS")]
    #[arg(aliases = ["mcast_rdv_address", "mcast-all-address", "mcast_all_address"])]
    #[arg(value_parser = parse_address)]
    pub mcast_rdv_address: Option<Ipv4Addr>,
}

impl NetworkOptions {
    /// The interface that was asked for.
    ///
    /// # Errors
    /// [`InterfaceError`] if there is none such.
    pub fn find_interface(&self) -> Result<Interface, InterfaceError> {
        Interface::find(self.interface.as_deref())
    }

    /// Where strangers look for each other (docs/protocol.md, "Ports and addresses").
    #[must_use]
    pub fn control_address(&self, interface: &Interface) -> Ipv4Addr {
        self.mcast_rdv_address
            .unwrap_or_else(|| interface.default_control_address(self.ttl))
    }
}

/// Options about what a program shows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Display")]
pub struct DisplayOptions {
    /// Don't start by a key, nor ask for one
    #[arg(long, short = 'k')]
    pub nokbd: bool,

    /// Don't show how far it is
    #[arg(long)]
    pub no_progress: bool,

    /// Milliseconds between updates of the progress line
    #[arg(
        long,
        short = 'z',
        alias = "statistics-period",
        value_name = "MS",
        default_value = "500"
    )]
    #[arg(value_parser = parse_milliseconds)]
    pub stat_period: Duration,

    /// Write what happens to this file too, behind what is there already
    #[arg(long, short = 'l', value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// How events are written to stderr and to the log file
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Seconds between lines with the rate in the log file [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub bw_period: Option<Duration>,

    /// 1 shows how far the file is read or written, 0 does not [default: 1 with --pipe, else 0]
    #[arg(long, short = 'x', value_name = "0|1", value_parser = parse_whole)]
    pub print_uncompressed_position: Option<u64>,

    /// Show the licence
    #[arg(long, short = 'L')]
    pub license: bool,

    /// Words that belong to no option
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// Time between updates of the progress line if nothing else is said.
const USUAL_PERIOD: Duration = Duration::from_millis(500);

impl DisplayOptions {
    /// What is to be told, and where.
    #[must_use]
    pub fn journal(&self) -> JournalSettings {
        JournalSettings {
            progress: !self.no_progress,
            period: Some(self.stat_period)
                .filter(|period| !period.is_zero())
                .unwrap_or(USUAL_PERIOD),
            format: self.log_format,
            log: self.log.clone(),
            rate_period: self.bw_period.filter(|period| !period.is_zero()),
        }
    }

    /// What of the command line is to be warned of, in the words of the stock programs.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warning = |word: &OsString| {
            let word = word.to_string_lossy();
            format!("Extra argument \"{word}\" ignored")
        };
        self.extra.iter().map(warning).collect()
    }

    /// Whether to show how far the file is read or written, as the stock programs do: with a
    /// command of `--pipe` (`has_command`), unless the operator says otherwise.
    #[must_use]
    pub fn shows_position(&self, has_command: bool) -> bool {
        self.print_uncompressed_position
            .map_or(has_command, |value| value != 0)
    }
}

/// A stock program whose command lines are followed.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    /// What it is called.
    pub program: &'static str,
    /// The long names of its options, with all spellings.
    pub names: &'static [&'static str],
    /// Those of its options that are recognised, and refused.
    pub refused: &'static [Unsupported],
}

/// An option of the stock programs that is recognised, and refused.
#[derive(Clone, Copy, Debug)]
pub struct Unsupported {
    /// Its name.
    pub long: &'static str,
    /// Its other names.
    pub aliases: &'static [&'static str],
    /// Its letter.
    pub short: Option<char>,
    /// Whether a value follows.
    pub takes_value: bool,
    /// What it would do, in a few words.
    pub purpose: &'static str,
}

impl Unsupported {
    /// An option without a value.
    #[must_use]
    pub const fn flag(long: &'static str, short: Option<char>, purpose: &'static str) -> Self {
        Self {
            long,
            aliases: &[],
            short,
            takes_value: false,
            purpose,
        }
    }

    /// An option with a value.
    #[must_use]
    pub const fn valued(long: &'static str, short: Option<char>, purpose: &'static str) -> Self {
        Self {
            takes_value: true,
            ..Self::flag(long, short, purpose)
        }
    }
}

/// Why a command line can't be followed.
#[derive(Debug)]
pub enum OptionsError {
    /// It asks for help or the version, which is this.
    Answer(clap::Error),
    /// It can't be split into options and values.
    Getopt(GetoptError),
    /// A value of an option makes no sense.
    Value {
        /// The option.
        option: String,
        /// The value.
        value: String,
        /// Why.
        reason: String,
    },
    /// Its options do not go together, for this reason.
    Contradiction(String),
    /// It asks for something that is not there yet.
    Unsupported {
        /// The option.
        option: &'static Unsupported,
        /// The stock program that has it.
        stock: &'static str,
    },
}

impl OptionsError {
    /// Tells the person at `program`'s terminal, and gives the status to end with.
    #[must_use]
    pub fn tell(&self, program: &str) -> ExitStatus {
        match self {
            Self::Answer(answer) => {
                // Fails only if the terminal is gone.
                let _ = answer.print();
                ExitStatus::Success
            }
            Self::Getopt(_) | Self::Value { .. } | Self::Contradiction(_) => {
                report(program, self);
                ExitStatus::Usage
            }
            Self::Unsupported { .. } => {
                report(program, self);
                ExitStatus::Unsupported
            }
        }
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => answer.fmt(f),
            Self::Getopt(error) => error.fmt(f),
            Self::Value { option, value, .. } if value.is_empty() => {
                write!(f, "the value of {option} is empty")
            }
            Self::Value {
                option,
                value,
                reason,
            } => write!(f, "{option} can't be {value}: {reason}"),
            Self::Contradiction(reason) => f.write_str(reason),
            Self::Unsupported { option, stock } => write!(
                f,
                "--{} is not supported ({}): leave it out, or use {stock}",
                option.long, option.purpose
            ),
        }
    }
}

impl Error for OptionsError {}

impl From<clap::Error> for OptionsError {
    fn from(error: clap::Error) -> Self {
        if !error.use_stderr() {
            return Self::Answer(error);
        }
        let (Some(ContextValue::String(option)), Some(ContextValue::String(value))) = (
            error.get(ContextKind::InvalidArg),
            error.get(ContextKind::InvalidValue),
        ) else {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            return Self::Contradiction(line.trim_start_matches("error: ").to_owned());
        };
        let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(reason), _) => reason.to_string(),
            (None, Some(ContextValue::Strings(possible))) => {
                format!("it may be {}", possible.join(" or "))
            }
            (None, _) => "it makes no sense".to_owned(),
        };
        Self::Value {
            // Without the word that stands for the value in the help.
            option: option.split(' ').next().unwrap_or_default().to_owned(),
            value: value.clone(),
            reason,
        }
    }
}

/// Reads a command line, the program's name first, as the `stock` program would: names may be cut
/// as long as only one option begins so, words of no option are ignored, an option with an empty
/// value is as good as not given, and of repeated options the last one counts.
///
/// # Errors
/// [`OptionsError`], also if the command line asks for help or the version.
pub fn parse<O: Parser>(
    line: impl IntoIterator<Item = OsString>,
    stock: &Stock,
) -> Result<O, OptionsError> {
    let mut command = O::command()
        .args_override_self(true)
        .args(stock.refused.iter().map(unsupported_arg));
    command.build();
    let line = getopt::split(&command, stock.names, line).map_err(OptionsError::Getopt)?;
    let matches = command.try_get_matches_from(line)?;
    let refused = stock.refused.iter();
    if let Some(option) = refused
        .into_iter()
        .find(|option| is_given(&matches, option))
    {
        let stock = stock.program;
        return Err(OptionsError::Unsupported { option, stock });
    }
    Ok(O::from_arg_matches(&matches)?)
}

fn unsupported_arg(option: &'static Unsupported) -> Arg {
    let arg = Arg::new(option.long)
        .long(option.long)
        .aliases(option.aliases)
        .help(option.purpose)
        .help_heading("Refused");
    let arg = match option.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    if option.takes_value {
        arg.action(ArgAction::Set)
            .value_name("VALUE")
            .allow_hyphen_values(true)
            .value_parser(ValueParser::os_string())
    } else {
        // Counted, since some may be given twice.
        arg.action(ArgAction::Count)
    }
}

fn is_given(matches: &ArgMatches, option: &Unsupported) -> bool {
    matches.value_source(option.long) == Some(ValueSource::CommandLine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_of_nothing_counts_as_not_given() {
        for (value, millis) in [("0", 500), ("1", 1), ("", 500)] {
            let program = parsed(&["-z", value]).unwrap();
            let period = program.display.journal().period;
            assert_eq!(period, Duration::from_millis(millis), "{value}");
        }
    }

    const STOCK: Stock = Stock {
        program: "udp-program",
        names: &["fec", "forward", "portbase", "mcast-all-address"],
        refused: &[
            Unsupported {
                aliases: &["forward"],
                ..Unsupported::valued("fec", Some('F'), "forward error correction")
            },
            Unsupported::flag("daemon-mode", Some('D'), "run as a daemon"),
        ],
    };

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        network: NetworkOptions,
        #[command(flatten)]
        display: DisplayOptions,
    }

    fn parsed(arguments: &[&str]) -> Result<Program, OptionsError> {
        let line = ["program"].iter().chain(arguments).map(OsString::from);
        parse(line, &STOCK)
    }

    #[test]
    fn each_spelling_of_an_unsupported_option_is_refused_by_its_name() {
        for arguments in [
            ["--fec", "8x8/128"],
            ["-F", "8x8"],
            ["--forw", "-1"],
            ["--fe", "x"],
        ] {
            assert_eq!(
                parsed(&arguments).unwrap_err().to_string(),
                "--fec is not supported (forward error correction): \
                 leave it out, or use udp-program"
            );
        }
        let twice = parsed(&["-D", "--daemon-mode"]).unwrap_err();
        assert!(twice.to_string().starts_with("--daemon-mode"));
    }

    #[test]
    fn names_may_be_cut_and_the_last_of_several_counts() {
        let program = parsed(&[
            "--portb=9002",
            "-kP",
            "9004",
            "--mcast-all-addr",
            "224.0.0.1",
        ]);
        let program = program.unwrap();
        assert_eq!(program.network.portbase, 9004);
        assert_eq!(
            program.network.mcast_rdv_address,
            Some(Ipv4Addr::new(224, 0, 0, 1))
        );
        assert!(program.display.nokbd);
    }

    #[test]
    fn what_is_wrong_is_told_on_one_line_in_plain_words() {
        for (arguments, words) in [
            (
                &["--no"][..],
                "--no is ambiguous: it may stand for --no-progress, --nokbd",
            ),
            (&["-t", "x"], "--ttl can't be x: it is no whole number"),
            (&["-t", "-1"], "--ttl can't be -1: it is below 0"),
            (
                &["-M", "nowhere"],
                "--mcast-rdv-address can't be nowhere: it is no IPv4 address",
            ),
            (
                &["--log-format", "xml"],
                "--log-format can't be xml: it may be text or json",
            ),
        ] {
            assert_eq!(parsed(arguments).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn words_of_no_option_are_kept_for_a_warning() {
        let program = parsed(&["one", "-k", "two"]).unwrap();
        assert_eq!(program.display.extra, ["one", "two"]);
        assert_eq!(
            program.display.warnings(),
            [
                "Extra argument \"one\" ignored",
                "Extra argument \"two\" ignored",
            ]
        );
    }

    #[test]
    fn the_position_is_shown_with_a_command_or_if_asked_for() {
        let shows = |arguments: &[&str], has_command| {
            let program = parsed(arguments).unwrap();
            program.display.shows_position(has_command)
        };
        assert!(!shows(&[], false) && shows(&[], true));
        assert!(!shows(&["-x", "0"], true));
        assert!(shows(&["-x", "1"], false) && shows(&["-x", "2"], false));
    }
}
