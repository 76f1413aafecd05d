//! The command line: udp-receiver's option names and meanings.
//!
//! What udp-receiver has and this program has not yet is in one table, and refused; see
//! docs/programs.md.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ironcast_cast::{CastOptions, CastSettings};
use ironcast_hosted::options::{self, DisplayOptions, NetworkOptions, OptionsError, Stock};
use ironcast_hosted::values::{parse_milliseconds, parse_seconds, parse_silence};
use ironcast_hosted::{Durability, Interface, InterfaceError, Manual, parse_size};
use ironcast_proto::receiver::Config;
use ironcast_receiver_nostd::engine::Decompress;

use crate::transfer::Settings;

/// What follows the options in the help.
pub const MANUAL: Manual = Manual {
    examples: &[
        (
            "ironcast-receiver -i eth0 -f /dev/sda",
            "to a disk, all of which is overwritten",
        ),
        (
            "ironcast-receiver -i eth0 -f /dev/sda --decompress auto",
            "likewise, from an image that may be compressed",
        ),
        ("ironcast-receiver -i eth0 | xz -dc > disk.img", "to a pipe"),
        (
            "ironcast-receiver -i eth0 -f disk.img --start-timeout 60 --receive-timeout 10",
            "without waiting for ever for a sender",
        ),
    ],
    exit_statuses: &[
        ("0", "the whole image is written"),
        (
            "1",
            "it could not go on: the target, the command of --pipe, the interface, a port",
        ),
        ("2", "the command line makes no sense"),
        ("3", "the command line has an option that is not supported"),
        (
            "4",
            "data were lost, and --ignore-lost-data put zeroes in their place",
        ),
        (
            "5",
            "the sender dropped or refused this receiver, or fell silent",
        ),
        ("6", "no transfer started within --start-timeout"),
        ("129", "SIGHUP ended it"),
        ("130", "SIGINT (Ctrl-C) ended it"),
        ("143", "SIGTERM ended it"),
    ],
};

/// Receives a file from a sender that serves any number of receivers at once.
#[derive(Clone, Debug, Parser)]
#[command(name = "ironcast-receiver", version, max_term_width = 100, after_help = MANUAL.help())]
pub struct Options {
    /// File or device to write [default: stdout]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Write what this command makes of the image: it reads that from its stdin, and its stdout is
    /// the file. Its failure is the transfer's
    #[arg(long, short = 'p', value_name = "COMMAND")]
    pub pipe: Option<String>,

    /// Decompress the image before it is written, or given to the command of --pipe. auto tells how
    /// it is compressed by its first bytes, and takes it as it is if by nothing known; cast unpacks
    /// cast streams only [default: cast with --file, else none]
    #[arg(long, value_name = "HOW", value_parser = decompress_parser())]
    decompress: Option<Decompress>,

    /// Leave it to the system when written data gets to the disk [default: before the end]
    #[arg(long, short = 'n', overrides_with = "sync")]
    nosync: bool,

    /// Wait for the disk with every write
    #[arg(long, short = 'y')]
    sync: bool,

    #[command(flatten)]
    network: NetworkOptions,

    /// Bytes of the system's memory for packets that have arrived [default: 8M, or what the system
    /// allows]
    #[arg(long, short = 'b', value_name = "BYTES", value_parser = parse_size)]
    rcvbuf: Option<usize>,

    #[command(flatten)]
    time: TimeOptions,

    #[command(flatten)]
    forward: ForwardOptions,

    /// About cast streams.
    #[command(flatten)]
    pub cast: CastOptions,

    /// Take only a stream that begins with FOG's header (FOGMC1) and is this file by it. The header
    /// is not written
    #[arg(long, value_name = "NAME", help_heading = "Cast streams")]
    fog_name: Option<String>,

    /// What is shown, and the keyboard.
    #[command(flatten)]
    pub display: DisplayOptions,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Time")]
struct TimeOptions {
    /// Give up if the transfer has not started after so many seconds
    #[arg(long, short = 's', value_name = "SECONDS", value_parser = parse_seconds)]
    start_timeout: Option<Duration>,

    /// Give up if the sender says nothing for so many seconds during the transfer, 1 or more
    /// [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_silence)]
    receive_timeout: Option<Duration>,

    /// Give up if what has arrived is not written so many seconds after the end [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    finish_timeout: Option<Duration>,

    /// Milliseconds to go on answering after the end [default: 500]
    #[arg(long, short = 'w', alias = "exitWait", value_name = "MS")]
    #[arg(value_parser = parse_milliseconds)]
    exit_wait: Option<Duration>,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Senders that take no answers")]
struct ForwardOptions {
    /// Go on when data was lost that nobody will send again, with zeroes in its place; the exit
    /// status is 4 then
    #[arg(long, short = 'Z')]
    ignore_lost_data: bool,

    /// Say nothing: take what a sender sends to others, or to whoever listens
    #[arg(long, short = 'd')]
    passive: bool,
}

/// The stock receiver, with all spellings that it takes. `--license` is not among its names, for
/// not all versions know it: where they don't, `--l` is `--log`. None of its options is refused.
pub const STOCK: Stock = Stock {
    program: "udp-receiver",
    names: &[
        "exit-wait",
        "exitWait",
        "file",
        "ignore-lost-data",
        "interface",
        "log",
        "mcast-all-address",
        "mcast-rdv-address",
        "mcast_all_address",
        "mcast_rdv_address",
        "no-progress",
        "nokbd",
        "nosync",
        "passive",
        "pipe",
        "port",
        "portbase",
        "print-uncompressed-position",
        "rcvbuf",
        "receive-timeout",
        "start-timeout",
        "stat-period",
        "statistics-period",
        "sync",
        "ttl",
    ],
    refused: &[],
};

impl Options {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// [`OptionsError`], also if it asks for help or the version.
    pub fn parse_from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        options::parse(line, &STOCK)
    }

    /// What is to be done, on the interface that was asked for, with cast streams as in `cast`.
    ///
    /// # Errors
    /// [`InterfaceError`] if there is no such interface.
    pub fn settings(&self, cast: CastSettings) -> Result<Settings, InterfaceError> {
        let interface = self.network.find_interface()?;
        Ok(Settings {
            protocol: self.protocol(&interface),
            interface,
            ttl: self.network.ttl,
            receive_buffer: self.rcvbuf,
            decompress: self.decompress(),
            cast,
            fog_name: self.fog_name.clone(),
        })
    }

    /// What is asked of cast streams. What is still in the system's memory is not read back: that
    /// would prove nothing about the disk.
    ///
    /// # Errors
    /// [`ironcast_cast::Error`] for a file that should have a key and has none.
    pub fn cast_settings(&self) -> Result<CastSettings, ironcast_cast::Error> {
        let settings = self.cast.settings()?;
        Ok(match self.durability() {
            Durability::Never => settings.unproved(),
            Durability::AtEnd | Durability::EachWrite => settings,
        })
    }

    /// What is done with streams that are not the plain bytes of a disk. What goes to stdout or to
    /// a command may be unpacked there.
    #[must_use]
    pub fn decompress(&self) -> Decompress {
        let is_for_us = self.file.is_some() && self.pipe.is_none() || self.cast.is_particular();
        self.decompress.unwrap_or(match is_for_us {
            true => Decompress::Cast,
            false => Decompress::None,
        })
    }

    /// When written bytes are to be safe.
    #[must_use]
    pub fn durability(&self) -> Durability {
        match (self.sync, self.nosync) {
            (true, _) => Durability::EachWrite,
            (false, true) => Durability::Never,
            (false, false) => Durability::AtEnd,
        }
    }

    fn protocol(&self, interface: &Interface) -> Config {
        let default = Config::default();
        // As with the stock receiver, 0 is as good as leaving an option out.
        let set = |time: Option<Duration>| time.filter(|time| !time.is_zero());
        Config {
            port_base: self.network.portbase,
            control_address: self.network.control_address(interface),
            exit_wait: self.time.exit_wait.unwrap_or(default.exit_wait),
            sender_timeout: set(self.time.receive_timeout).unwrap_or(default.sender_timeout),
            finish_timeout: set(self.time.finish_timeout).unwrap_or(default.finish_timeout),
            start_timeout: set(self.time.start_timeout),
            passive: self.forward.passive,
            ignore_lost_data: self.forward.ignore_lost_data,
            ..default
        }
    }
}

fn decompress_parser() -> impl TypedValueParser<Value = Decompress> {
    PossibleValuesParser::new(Decompress::WORDS)
        .map(|word| Decompress::from_word(&word).unwrap_or(Decompress::None))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use clap::CommandFactory;
    use ironcast_hosted::ExitStatus;

    use super::*;

    fn parsed(line: &str) -> Result<Options, OptionsError> {
        let words = line.split_whitespace().map(OsString::from);
        Options::parse_from_line(
            [OsString::from("ironcast-receiver")]
                .into_iter()
                .chain(words),
        )
    }

    fn protocol(line: &str) -> Config {
        let interface = Interface {
            name: "eth0".to_owned(),
            address: Ipv4Addr::new(10, 77, 0, 2),
            broadcast: Some(Ipv4Addr::new(10, 77, 0, 255)),
            loopback: false,
        };
        parsed(line).unwrap().protocol(&interface)
    }

    #[test]
    fn the_command_line_of_a_fog_client() {
        let line = "--nokbd --portbase 57842 --ttl 32 --mcast-rdv-address 10.77.0.1";
        let config = protocol(line);
        assert_eq!(config.port_base, 57_842);
        assert_eq!(config.control_address, Ipv4Addr::new(10, 77, 0, 1));
        assert_eq!(parsed(line).unwrap().file, None);
    }

    #[test]
    fn times_have_the_stock_units_and_spellings() {
        let config = protocol("--exitWait 2000 -s 30 --receive-timeout 7");
        assert_eq!(config.exit_wait, Duration::from_millis(2000));
        assert_eq!(config.start_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.sender_timeout, Duration::from_secs(7));
        assert_eq!(protocol("-w 10").exit_wait, Duration::from_millis(10));
    }

    #[test]
    fn no_time_to_wait_counts_as_not_given() {
        let config = protocol("--receive-timeout 0 --start-timeout 0 --finish-timeout 0");
        assert_eq!(config.sender_timeout, Duration::from_secs(60));
        assert_eq!(config.start_timeout, None);
        assert_eq!(config.finish_timeout, Config::default().finish_timeout);
        assert!(parsed("--receive-timeout 0.5").is_err());
    }

    #[test]
    fn what_is_in_memory_only_is_not_read_back() {
        let is_read_back = |line| {
            let settings = parsed(line).unwrap().cast_settings().unwrap();
            settings.for_engine().disk.unwrap().verify
        };
        assert!(is_read_back("--sync") && is_read_back("-f disk"));
        assert!(!is_read_back("--nosync") && !is_read_back("--no-verify"));
    }

    #[test]
    fn of_sync_and_nosync_the_last_counts() {
        let durability = |line| parsed(line).unwrap().durability();
        assert_eq!(durability(""), Durability::AtEnd);
        assert_eq!(durability("--sync --nosync"), Durability::Never);
        assert_eq!(durability("-n -y"), Durability::EachWrite);
    }

    #[test]
    fn compressed_images_are_taken_as_they_come_unless_it_is_said() {
        let decompress = |line: &str| parsed(line).unwrap().decompress();
        assert_eq!(decompress(""), Decompress::None);
        assert_eq!(decompress("--pipe cat -f x"), Decompress::None);
        assert_eq!(decompress("-f x"), Decompress::Cast);
        assert_eq!(decompress("--image lab"), Decompress::Cast);
        assert_eq!(decompress("-f x --decompress none"), Decompress::None);
        for word in Decompress::WORDS {
            let line = format!("--decompress {word}");
            assert_eq!(decompress(&line).to_string(), word);
        }
        assert!(parsed("--decompress xz").is_err());
    }

    #[test]
    fn every_stock_option_is_known() {
        for name in STOCK.names {
            // A value that suits none, so that all say something of it.
            let error = parsed(&format!("--{name}=/")).err().map(|e| e.to_string());
            let unknown = error.is_some_and(|error| error.contains("there is no option"));
            assert!(!unknown, "--{name}");
        }
    }

    #[test]
    fn the_help_has_every_exit_status() {
        let codes = ExitStatus::ALL.map(|status| status.code().to_string());
        assert_eq!(MANUAL.codes(), codes);
        let help = Options::command().render_help().to_string();
        assert!(help.contains("  143  SIGTERM ended it"), "{help}");
    }

    #[test]
    fn the_manual_has_every_option() {
        let manual = include_str!("../../docs/programs.md");
        let names = Options::command();
        let names = names.get_arguments().filter_map(clap::Arg::get_long);
        for name in names.chain(STOCK.refused.iter().map(|option| option.long)) {
            assert!(manual.contains(&format!("`--{name}`")), "--{name}");
        }
    }
}
