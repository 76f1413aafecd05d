//! The options that both programs have, and the way to refuse stock options that they don't have.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Parser};
use ironcast_proto::time::Duration;

use crate::exit::{ExitStatus, report};
use crate::interface::{Interface, InterfaceError};
use crate::journal::{JournalSettings, LogFormat};

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
    #[arg(value_parser = clap::value_parser!(u32).range(1..=255))]
    pub ttl: u32,

    /// Where sender and receivers look for each other [default: the interface's broadcast
    /// address if the ttl is 1, else 224.0.0.1]
    #[arg(long, short = 'M', value_name = "ADDRESS")]
    #[arg(aliases = ["mcast_rdv_address", "mcast-all-address", "mcast_all_address"])]
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
    #[arg(value_parser = parse_period)]
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
    #[arg(long, short = 'x', value_name = "0|1", hide_possible_values = true)]
    #[arg(value_parser = ["0", "1"])]
    pub print_uncompressed_position: Option<String>,

    /// Show the licence
    #[arg(long, short = 'L')]
    pub license: bool,
}

impl DisplayOptions {
    /// What is to be told, and where.
    #[must_use]
    pub fn journal(&self) -> JournalSettings {
        JournalSettings {
            progress: !self.no_progress,
            period: self.stat_period,
            format: self.log_format,
            log: self.log.clone(),
            rate_period: self.bw_period.filter(|period| !period.is_zero()),
        }
    }

    /// Whether to show how far the file is read or written, as the stock programs do: with a
    /// command of `--pipe` (`has_command`), unless the operator says otherwise.
    #[must_use]
    pub fn shows_position(&self, has_command: bool) -> bool {
        match self.print_uncompressed_position.as_deref() {
            Some(value) => value != "0",
            None => has_command,
        }
    }
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
    /// It makes no sense, or asks for help or the version.
    CommandLine(clap::Error),
    /// A name was cut so short that several options begin with it.
    Ambiguous {
        /// The name as it was given.
        given: String,
        /// The options.
        possible: Vec<String>,
    },
    /// Its options do not go together, for this reason.
    Contradiction(&'static str),
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
            Self::CommandLine(error) => {
                // Fails only if the terminal is gone.
                let _ = error.print();
                match error.use_stderr() {
                    true => ExitStatus::Usage,
                    false => ExitStatus::Success,
                }
            }
            Self::Ambiguous { .. } | Self::Contradiction(_) => {
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
            Self::CommandLine(error) => error.fmt(f),
            Self::Ambiguous { given, possible } => write!(
                f,
                "{given} is ambiguous: it may stand for {}",
                possible.join(", ")
            ),
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

/// Reads a command line, the program's name first, as the `stock` program would: names may be cut
/// as long as they stay unambiguous, and of repeated options the last one counts. Options in
/// `table` are known, and refused.
///
/// # Errors
/// [`OptionsError`], also if the command line asks for help or the version.
pub fn parse<O: Parser>(
    line: impl IntoIterator<Item = OsString>,
    table: &'static [Unsupported],
    stock: &'static str,
) -> Result<O, OptionsError> {
    let command = O::command()
        .infer_long_args(true)
        .args_override_self(true)
        .args(table.iter().map(unsupported_arg));
    let matches = command
        .clone()
        .try_get_matches_from(line)
        .map_err(|error| explained(error, &command))?;
    if let Some(option) = table.iter().find(|option| is_given(&matches, option)) {
        return Err(OptionsError::Unsupported { option, stock });
    }
    O::from_arg_matches(&matches).map_err(OptionsError::CommandLine)
}

/// An unknown option may in truth be several, which `clap` does not say.
fn explained(error: clap::Error, command: &Command) -> OptionsError {
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) if error.kind() == ErrorKind::UnknownArgument => given,
        _ => return OptionsError::CommandLine(error),
    };
    let begins = |name: &&str| given.starts_with("--") && name.starts_with(&given[2..]);
    let possible: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| {
            let names = arg.get_long_and_visible_aliases().unwrap_or_default();
            let aliases = arg.get_all_aliases().unwrap_or_default();
            let mut names = names.into_iter().chain(aliases);
            Some(format!("--{}", names.find(begins)?))
        })
        .collect();
    match possible.len() {
        0 | 1 => OptionsError::CommandLine(error),
        _ => OptionsError::Ambiguous {
            given: given.clone(),
            possible,
        },
    }
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

/// Reads a rate in bits a second: a number, and perhaps k, m or g for thousands, millions and
/// thousands of millions, which may be spelt kbit, Mbit/s and the like.
///
/// # Errors
/// If it is none, or 0.
pub fn parse_bitrate(text: &str) -> Result<u64, String> {
    let error = || "not a rate in bits a second, such as 900k, 80m or 1.5g".to_owned();
    let unit_at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix("/s").unwrap_or(&unit);
    let unit = unit
        .strip_suffix("bit")
        .or(unit.strip_suffix("bps"))
        .unwrap_or(unit);
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => return Err(error()),
    };
    let number: f64 = number.trim_end().parse().map_err(|_| error())?;
    let bitrate = number * factor;
    if !(1.0..=1e15).contains(&bitrate) {
        return Err(error());
    }
    // In range, so nothing but a fraction of a bit is cut off.
    Ok(bitrate as u64)
}

/// Reads a number of seconds, which may have a fraction or another unit: 5, 0.5, 500ms, 2s, 1m.
///
/// # Errors
/// If it is none.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_time(text, 1.0).ok_or_else(|| "not a time in seconds, such as 5, 0.5 or 500ms".to_owned())
}

/// Reads after how long without a word to give up, in seconds or another unit: 0 for not at all, or
/// a second or more, for in less than that nobody can be told from one who is slow.
///
/// # Errors
/// If it is none.
pub fn parse_silence(text: &str) -> Result<Duration, String> {
    parse_time(text, 1.0)
        .filter(|time| time.is_zero() || *time >= Duration::from_secs(1))
        .ok_or_else(|| "not a time of 1 second or more, such as 5 or 2m, nor 0".to_owned())
}

/// Reads a number of milliseconds, which may have another unit: 500, 2s, 1m.
///
/// # Errors
/// If it is none.
pub fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    parse_time(text, 1e-3).ok_or_else(|| "not a time in milliseconds, such as 500 or 2s".to_owned())
}

/// Reads a time; without a unit its number counts so many seconds.
fn parse_time(text: &str, usual: f64) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "" => usual,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Reads a number of milliseconds after which something happens again and again.
fn parse_period(text: &str) -> Result<Duration, String> {
    parse_milliseconds(text)
        .ok()
        .filter(|period| !period.is_zero())
        .ok_or_else(|| "not a time in milliseconds, 1 or more".to_owned())
}

fn parse_port_base(text: &str) -> Result<u16, String> {
    let even = |port: &u16| *port >= 2 && port.is_multiple_of(2);
    text.parse()
        .ok()
        .filter(even)
        .ok_or_else(|| "not an even number from 2 to 65534".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_of_nothing_would_never_end() {
        assert!(parse_period("0").is_err() && parse_period("-1").is_err());
        assert_eq!(parse_period("1"), Ok(Duration::from_millis(1)));
    }

    const TABLE: &[Unsupported] = &[
        Unsupported {
            aliases: &["forward"],
            ..Unsupported::valued("fec", Some('F'), "forward error correction")
        },
        Unsupported::flag("daemon-mode", Some('D'), "run as a daemon"),
    ];

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        network: NetworkOptions,
        #[command(flatten)]
        display: DisplayOptions,
    }

    fn parsed(arguments: &[&str]) -> Result<Program, OptionsError> {
        let line = ["program"].iter().chain(arguments).map(OsString::from);
        parse(line, TABLE, "udp-program")
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
    fn what_a_name_may_stand_for_is_told() {
        assert_eq!(
            parsed(&["--no"]).unwrap_err().to_string(),
            "--no is ambiguous: it may stand for --nokbd, --no-progress"
        );
        let unknown = parsed(&["--nothing"]).unwrap_err();
        assert!(matches!(unknown, OptionsError::CommandLine(_)));
    }

    #[test]
    fn rates_and_times_have_units() {
        for (text, bits) in [
            ("9600", 9600),
            ("10m", 10_000_000),
            ("1.5G", 1_500_000_000),
            ("900kbit/s", 900_000),
            ("80Mbps", 80_000_000),
        ] {
            assert_eq!(parse_bitrate(text), Ok(bits), "{text}");
        }
        for wrong in ["", "m", "10x", "-1", "0", "nan", "inf", "1e30", "10 m b"] {
            assert!(parse_bitrate(wrong).is_err(), "{wrong}");
        }
        for (text, millis) in [("5", 5000), ("0.25", 250), ("750ms", 750), ("2m", 120_000)] {
            let time = Duration::from_millis(millis);
            assert_eq!(parse_seconds(text), Ok(time), "{text}");
        }
        assert_eq!(parse_milliseconds("250"), parse_seconds("0.25"));
        assert_eq!(parse_milliseconds("2s"), parse_seconds("2"));
        assert_eq!(parse_silence("0"), parse_seconds("0"));
        assert_eq!(parse_silence("1500ms"), parse_seconds("1.5"));
        assert!(parse_silence("999ms").is_err());
        for wrong in ["", "s", "-1", "nan", "inf", "1h", "1e40"] {
            assert!(parse_silence(wrong).is_err(), "{wrong}");
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
            assert!(parse_milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_bases_are_even() {
        assert_eq!(parse_port_base("9000"), Ok(9000));
        assert_eq!(parse_port_base("65534"), Ok(65_534));
        for wrong in ["0", "9001", "65536", "x", ""] {
            assert!(parse_port_base(wrong).is_err(), "{wrong}");
        }
    }
}
