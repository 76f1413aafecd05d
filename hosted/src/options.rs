//! The options that both programs have, and the way to refuse stock options that they don't have yet.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use ironcast_proto::time::Duration;

use crate::interface::{Interface, InterfaceError};

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
    #[arg(value_parser = parse_milliseconds)]
    pub stat_period: Duration,

    /// Show the licence
    #[arg(long, short = 'L')]
    pub license: bool,
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

/// Why a command line was refused: an option that is not supported yet.
#[derive(Debug)]
pub struct UnsupportedError {
    option: &'static str,
    purpose: &'static str,
    stock: &'static str,
}

impl fmt::Display for UnsupportedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "--{} is not supported yet ({}): leave it out, or use {}",
            self.option, self.purpose, self.stock
        )
    }
}

impl Error for UnsupportedError {}

/// Adds the options of `table` to a program's, in the place of `stock`'s. As with getopt, names may be
/// cut as long as they stay unambiguous, and of repeated options the last one counts.
#[must_use]
pub fn add_unsupported(command: Command, table: &'static [Unsupported]) -> Command {
    let command = command.infer_long_args(true).args_override_self(true);
    table.iter().fold(command, |command, option| {
        let arg = Arg::new(option.long)
            .long(option.long)
            .aliases(option.aliases)
            .help(option.purpose)
            .help_heading("Not supported yet, and refused");
        let arg = match option.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        command.arg(if option.takes_value {
            arg.action(ArgAction::Set)
                .num_args(1)
                .value_name("VALUE")
                .allow_hyphen_values(true)
                .value_parser(ValueParser::os_string())
        } else {
            // Counted, since some may be given twice.
            arg.action(ArgAction::Count)
        })
    })
}

/// Refuses the command line if an option of `table` is on it.
///
/// # Errors
/// [`UnsupportedError`] for the first one, in the table's order.
pub fn refuse_unsupported(
    matches: &ArgMatches,
    table: &'static [Unsupported],
    stock: &'static str,
) -> Result<(), UnsupportedError> {
    let given =
        |option: &&Unsupported| matches.value_source(option.long) == Some(ValueSource::CommandLine);
    match table.iter().find(given) {
        Some(option) => Err(UnsupportedError {
            option: option.long,
            purpose: option.purpose,
            stock,
        }),
        None => Ok(()),
    }
}

/// Reads a number of seconds.
///
/// # Errors
/// If it is no whole number.
pub fn parse_seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// Reads a number of milliseconds.
///
/// # Errors
/// If it is no whole number.
pub fn parse_milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
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

    const TABLE: &[Unsupported] = &[
        Unsupported {
            long: "fec",
            aliases: &["forward"],
            short: Some('F'),
            takes_value: true,
            purpose: "forward error correction",
        },
        Unsupported {
            long: "daemon-mode",
            aliases: &[],
            short: Some('D'),
            takes_value: false,
            purpose: "run as a daemon",
        },
    ];

    fn refusal(arguments: &[&str]) -> Option<String> {
        let command = add_unsupported(Command::new("x"), TABLE);
        let arguments = [&["x"], arguments].concat();
        let matches = command.try_get_matches_from(arguments).unwrap();
        refuse_unsupported(&matches, TABLE, "udp-x")
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn each_spelling_of_an_unsupported_option_is_refused_by_its_name() {
        let fec = "--fec is not supported yet (forward error correction): \
                   leave it out, or use udp-x";
        for arguments in [
            ["--fec", "8x8/128"],
            ["-F", "8x8"],
            ["--forw", "-1"],
            ["--fe", "x"],
        ] {
            assert_eq!(refusal(&arguments).as_deref(), Some(fec));
        }
        assert!(refusal(&["-D", "--daemon-mode"]).is_some());
        assert_eq!(refusal(&[]), None);
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
