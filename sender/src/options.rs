//! The command line: udp-sender's option names and meanings.
//!
//! What udp-sender has and this program has not yet is in one table, and refused; see
//! docs/programs.md.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use ironcast_hosted::options::{self, DisplayOptions, NetworkOptions, OptionsError};
use ironcast_hosted::values::{
    parse_bitrate, parse_clamped, parse_milliseconds, parse_seconds, parse_silence,
};
use ironcast_hosted::{Interface, InterfaceError, Manual, parse_size};
use ironcast_proto::fec::{Layout, LayoutError};
use ironcast_proto::geometry::{self, MAX_RECEIVERS, MAX_SLICE_BLOCKS};
use ironcast_proto::sender::{Addressing, Config, Duplex, SliceBlocks, StartRules, data_group};

use crate::cast::CastOptions;
use crate::fog;
use crate::image::Origin;
pub use crate::stock::STOCK;
use crate::transfer::Settings;

/// Fewer bits a second are likely not to be meant. Chosen: a block of the usual size takes a second
/// then.
const LIKELY_BITRATE: u64 = 12_000;

/// What follows the options in the help.
pub const MANUAL: Manual = Manual {
    examples: &[
        (
            "ironcast-sender -f disk.img -i eth0 -C 20 -W 120",
            "to 20 machines, or to those that are there 2 minutes after the first",
        ),
        (
            "zstd -dc disk.img.zst | ironcast-sender -i eth0 -C 20",
            "from a pipe",
        ),
        (
            "ironcast-sender -f disk.img --async --fec 8x8/64 --max-bitrate 200m --autostart 20",
            "to machines that cannot answer",
        ),
    ],
    exit_statuses: &[
        ("0", "every receiver that took part has the whole image"),
        (
            "1",
            "it could not go on: the file, the command of --pipe, the interface, a port",
        ),
        ("2", "the command line makes no sense"),
        ("3", "the command line has an option that is not supported"),
        (
            "4",
            "some receivers have the whole image; others left, were dropped, or failed",
        ),
        ("5", "no receiver has the whole image"),
        ("6", "no transfer started within --start-timeout"),
        ("129", "SIGHUP ended it"),
        ("130", "SIGINT (Ctrl-C) ended it"),
        ("143", "SIGTERM ended it"),
    ],
};

/// Sends a file to any number of receivers at once.
#[derive(Clone, Debug, Parser)]
#[command(name = "ironcast-sender", version, max_term_width = 100, after_help = MANUAL.help())]
pub struct Options {
    /// File or device to send [default: stdin]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Send what this command makes of the file, which is its stdin
    #[arg(long, short = 'p', value_name = "COMMAND")]
    pub pipe: Option<String>,

    #[command(flatten)]
    network: NetworkOptions,

    #[command(flatten)]
    start: StartOptions,

    #[command(flatten)]
    data: DataOptions,

    #[command(flatten)]
    forward: ForwardOptions,

    /// One transfer after the other.
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// About cast streams.
    #[command(flatten)]
    pub cast: CastOptions,

    /// Begin the stream with FOG's header (FOGMC1), which says that it is this file
    #[arg(long, value_name = "NAME", value_parser = fog::parse_name)]
    pub fog_name: Option<String>,

    /// Add the result of each receiver to this file, as a JSON object on a line of its own
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,

    /// What is shown, and the keyboard.
    #[command(flatten)]
    pub display: DisplayOptions,
}

#[derive(clap::Args, Clone, Debug)]
#[command(
    next_help_heading = "Start: any of these, a key at either end, or a signal of a receiver"
)]
struct StartOptions {
    /// Start as soon as so many receivers are connected
    #[arg(long, short = 'C', alias = "min-clients", value_name = "COUNT")]
    #[arg(value_parser = |text: &str| parse_clamped(text, 0..=MAX_RECEIVERS))]
    min_receivers: Option<u16>,

    /// But not before so many seconds since the first connected
    #[arg(long, short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    min_wait: Option<Duration>,

    /// Start so many seconds after the first receiver connected, however many there are
    #[arg(long, short = 'W', value_name = "SECONDS", value_parser = parse_seconds)]
    max_wait: Option<Duration>,

    /// Start after so many HELLOs
    #[arg(long, short = 'S', value_name = "COUNT", value_parser = parse_count)]
    autostart: Option<u32>,

    /// Milliseconds between HELLOs [default: 1000]
    #[arg(long, short = 'H', value_name = "MS", value_parser = parse_milliseconds)]
    rexmit_hello_interval: Option<Duration>,

    /// Give up if the transfer has not started after so many seconds
    #[arg(long, short = 'T', value_name = "SECONDS", value_parser = parse_seconds)]
    start_timeout: Option<Duration>,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
struct DataOptions {
    /// Multicast group for the data [default: made of the interface's address]
    #[arg(long, short = 'm', value_name = "ADDRESS", value_parser = parse_group)]
    #[arg(aliases = ["mcast_data_address", "mcast-address", "mcast_address"])]
    mcast_data_address: Option<Ipv4Addr>,

    /// Send the data to the receivers' broadcast address, not to a multicast group
    #[arg(long, short = 'B')]
    broadcast: bool,

    /// Take one receiver only, and send to its own address
    #[arg(long, short = '1', aliases = ["point-to-point", "point_to_point"])]
    #[arg(overrides_with = "nopointopoint")]
    pointopoint: bool,

    /// Send to the multicast group even if there is only one receiver
    #[arg(long, short = '2', aliases = ["nopoint-to-point", "nopoint_to_point"])]
    nopointopoint: bool,

    /// Bytes in a block, a multiple of 4
    #[arg(long, short = 'b', value_name = "BYTES", default_value = "1456")]
    #[arg(value_parser = parse_block_size)]
    blocksize: u16,

    /// Send a slice while the one before it waits for answers [default, unless the interface is
    /// half duplex]
    #[arg(long, short = 'd', overrides_with = "half_duplex")]
    full_duplex: bool,

    /// Send a slice only when everyone has the one before it
    #[arg(long, short = 'c')]
    half_duplex: bool,

    /// Blocks in a slice; in half duplex to begin with [default: what the receivers' buffers hold,
    /// in half duplex 130; fewer if blocks are larger than 1456 bytes]
    #[arg(long, alias = "slice-size", value_name = "BLOCKS")]
    #[arg(value_parser = parse_slice_size)]
    default_slice_size: Option<u16>,

    /// Least blocks in a slice, in half duplex [default: 32]
    #[arg(long, value_name = "BLOCKS", value_parser = parse_slice_size)]
    min_slice_size: Option<u16>,

    /// Most blocks in a slice, in half duplex [default: 1024; fewer if blocks are larger than 1456
    /// bytes]
    #[arg(long, value_name = "BLOCKS", value_parser = parse_slice_size)]
    max_slice_size: Option<u16>,

    /// Requests without an answer after which a receiver is dropped
    #[arg(long, short = 'R', alias = "retriesUntilDrop", value_name = "COUNT")]
    #[arg(default_value_t = 200, value_parser = parse_count)]
    retries_until_drop: u32,

    /// Drop a receiver that is waited for when it has said nothing for so long; 0: only by
    /// --retries-until-drop. In seconds, at least one, or with a unit: 1500ms
    #[arg(long, value_name = "TIME", default_value = "5", value_parser = parse_silence)]
    drop_after: Duration,

    /// Drop a receiver that is alive, but has not got a slice so long after it was asked for it, or
    /// that most of the others have waited for so long in all, and a quarter of the time beside; 0:
    /// never
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = parse_seconds)]
    stall_limit: Duration,

    /// Most bits a second, with their IP headers: 900k, 80m, 1.5g [default: no limit]
    #[arg(long, short = 'r', value_name = "RATE", value_parser = parse_bitrate)]
    #[arg(alias = "max_bitrate")]
    max_bitrate: Option<u64>,

    /// Taken for the sake of old scripts, and without effect, as in udp-sender
    #[arg(long, short = 'I', value_name = "VALUE", hide = true)]
    ignored: Option<String>,

    /// Taken for the sake of old scripts, and without effect
    #[arg(long, hide = true)]
    print_seed: bool,

    /// Follow the network's own queue, as this program always does: it waits where that is full
    #[arg(long, short = 'A')]
    autorate: bool,

    /// Bytes of the system's memory for packets to be sent [default: the system's]
    #[arg(long, short = 's', value_name = "BYTES", value_parser = parse_size)]
    sendbuf: Option<usize>,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Redundancy, and receivers without a way back")]
struct ForwardOptions {
    /// Add redundancy: deal the blocks of a slice into so many stripes of so many blocks, and add
    /// so many blocks to each. 8x8/128 is a good choice; without the last number it is 128, or
    /// less if there are more than 8 stripes
    #[arg(long, short = 'F', value_name = "STRIPESxREDUNDANCY/STRIPESIZE")]
    #[arg(value_parser = parse_fec)]
    fec: Option<Fec>,

    /// Send without waiting for anyone: receivers don't connect, and can't ask for what they lack.
    /// To be used with --fec, --max-bitrate and one of the start rules
    #[arg(long = "async", short = 'a')]
    asynchronous: bool,

    /// Let receivers join while the transfer goes on; they get the rest of the image
    #[arg(long, short = 'Z')]
    streaming: bool,

    /// With --streaming: tell receivers that they can join so many blocks before each slice's end
    #[arg(long, short = 'Y', value_name = "BLOCKS", default_value_t = 50)]
    #[arg(value_parser = |text: &str| parse_clamped(text, 0..=u16::MAX))]
    rehello_offset: u16,
}

/// What --fec asks for: with a redundancy of 0 nothing, as with the stock sender.
#[derive(Clone, Copy, Debug)]
struct Fec(Option<Layout>);

/// Options about one transfer after the other.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "One transfer after the other")]
pub struct DaemonOptions {
    /// Wait for the next receivers when a transfer is done; given twice: in the background
    #[arg(long, short = 'D', action = ArgAction::Count)]
    pub daemon_mode: u8,

    /// A file for the daemon's process number
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// End the daemon whose number is in --pid-file, after its transfer
    #[arg(long, short = 'K')]
    pub kill: bool,
}

impl Options {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// [`OptionsError`], also if it asks for help or the version.
    pub fn parse_from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        let options: Self = options::parse(line, &STOCK)?;
        let DaemonOptions {
            daemon_mode,
            pid_file,
            kill,
        } = &options.daemon;
        let has_stdin = options.file.is_none() && options.pipe.is_none();
        let contradiction = match (kill, pid_file, daemon_mode) {
            (true, None, _) => "--kill needs --pid-file: it tells which daemon is to end",
            (false, _, 2..) if has_stdin => {
                "--daemon-mode given twice needs --file: in the background there is no stdin"
            }
            _ => return Ok(options),
        };
        Err(OptionsError::Contradiction(contradiction.to_owned()))
    }

    /// Where the image comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.file.clone().map_or(Origin::Stdin, Origin::File)
    }

    /// What is to be done, on the interface that was asked for.
    ///
    /// # Errors
    /// [`InterfaceError`] if there is no such interface.
    pub fn settings(&self) -> Result<Settings, InterfaceError> {
        let interface = self.network.find_interface()?;
        Ok(Settings {
            protocol: self.protocol(&interface),
            interface,
            ttl: self.network.ttl,
            send_buffer: self.data.sendbuf,
            start_timeout: self.start.timeout(),
        })
    }

    /// What is likely not to be meant so.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.display.warnings();
        if self.forward.asynchronous && self.data.max_bitrate.is_none_or(|rate| rate == 0) {
            let text = "Warning: --async without --max-bitrate sends as fast as this host can; \
                        receivers that can't take that lose data.";
            warnings.push(text.to_owned());
        }
        let slow = |rate: &u64| (1..LIKELY_BITRATE).contains(rate);
        if let Some(rate) = self.data.max_bitrate.filter(slow) {
            let text = format!(
                "Warning: --max-bitrate {rate} is {rate} bits a second; {rate}m is so many million."
            );
            warnings.push(text);
        }
        warnings
    }

    /// Whether anything but a person starts the transfer.
    #[must_use]
    pub fn starts_by_itself(&self) -> bool {
        let rules = self.start.rules();
        rules.min_receivers.is_some() || rules.max_wait.is_some() || rules.autostart.is_some()
    }

    fn protocol(&self, interface: &Interface) -> Config {
        let data = &self.data;
        Config {
            port_base: self.network.portbase,
            control_address: self.network.control_address(interface),
            data_address: data
                .mcast_data_address
                .unwrap_or_else(|| data_group(interface.address)),
            addressing: data.addressing(),
            block_size: data.blocksize,
            duplex: data.duplex(interface),
            slice_blocks: SliceBlocks {
                default: data.default_slice_size,
                min: data.min_slice_size,
                max: data.max_slice_size,
            },
            start: self.start.rules(),
            retries_until_drop: data.retries_until_drop,
            drop_after: Some(data.drop_after).filter(|after| !after.is_zero()),
            stall_limit: Some(data.stall_limit).filter(|limit| !limit.is_zero()),
            tag: random_tag(),
            fec: self.forward.fec.and_then(|Fec(layout)| layout),
            asynchronous: self.forward.asynchronous,
            streaming: self
                .forward
                .streaming
                .then_some(self.forward.rehello_offset),
            max_bitrate: data.max_bitrate.filter(|&rate| rate > 0),
        }
    }
}

/// A tag that other transfers hardly have (docs/protocol.md, "Transfer tag"). What hash maps are
/// seeded with is random enough.
fn random_tag() -> u16 {
    // 15 bits of it, and never 0.
    RandomState::new().build_hasher().finish() as u16 | 0x8000
}

/// As with the stock sender, 0 is as good as leaving an option out.
fn set(time: Option<Duration>) -> Option<Duration> {
    time.filter(|time| !time.is_zero())
}

impl StartOptions {
    fn timeout(&self) -> Option<Duration> {
        set(self.start_timeout)
    }

    fn rules(&self) -> StartRules {
        let min_wait = set(self.min_wait);
        let min_receivers = self.min_receivers.filter(|&count| count > 0);
        StartRules {
            // As the stock sender, which a least wait alone starts too.
            min_receivers: min_receivers.or(min_wait.map(|_| 1)),
            min_wait: min_wait.unwrap_or_default(),
            max_wait: set(self.max_wait),
            autostart: self.autostart.filter(|&hellos| hellos > 0),
            hello_interval: set(self.rexmit_hello_interval),
        }
    }
}

impl DataOptions {
    /// As was asked for, else as the interface has it.
    fn duplex(&self, interface: &Interface) -> Duplex {
        let is_half = !self.full_duplex && interface.is_half_duplex();
        match self.half_duplex || is_half {
            true => Duplex::Half,
            false => Duplex::Full,
        }
    }

    fn addressing(&self) -> Addressing {
        if self.broadcast {
            Addressing::Broadcast
        } else if self.pointopoint {
            Addressing::PointToPoint
        } else if self.nopointopoint {
            Addressing::Multicast
        } else {
            Addressing::Automatic
        }
    }
}

fn parse_fec(text: &str) -> Result<Fec, LayoutError> {
    let rows = text.split('/').next().unwrap_or_default();
    let redundancy = rows
        .split_once('x')
        .map_or(rows, |(_, redundancy)| redundancy);
    match redundancy {
        "" | "0" => Ok(Fec(None)),
        _ => text.parse().map(|layout| Fec(Some(layout))),
    }
}

fn parse_slice_size(text: &str) -> Result<u16, String> {
    parse_clamped(text, 1..=MAX_SLICE_BLOCKS)
}

fn parse_count(text: &str) -> Result<u32, String> {
    parse_clamped(text, 0..=u32::MAX)
}

fn parse_block_size(text: &str) -> Result<u16, String> {
    let size = parse_clamped(text, 0..=u32::MAX)?;
    geometry::check_block_size(size).map_err(|error| error.to_string())
}

fn parse_group(text: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .ok()
        .filter(Ipv4Addr::is_multicast)
        .ok_or_else(|| "not a multicast address (224.0.0.0 to 239.255.255.255)".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use ironcast_hosted::ExitStatus;

    use super::*;

    fn interface() -> Interface {
        Interface {
            name: "eth0".to_owned(),
            address: Ipv4Addr::new(10, 77, 0, 1),
            broadcast: Some(Ipv4Addr::new(10, 77, 0, 255)),
            loopback: false,
        }
    }

    fn parsed(line: &str) -> Result<Options, OptionsError> {
        let words = line.split_whitespace().map(OsString::from);
        Options::parse_from_line([OsString::from("ironcast-sender")].into_iter().chain(words))
    }

    fn protocol(line: &str) -> Config {
        parsed(line).unwrap().protocol(&interface())
    }

    #[test]
    fn without_options_it_is_as_stock() {
        let config = protocol("");
        assert_eq!(config.port_base, 9000);
        assert_eq!(config.control_address, Ipv4Addr::new(10, 77, 0, 255));
        assert_eq!(config.data_address, Ipv4Addr::new(233, 255, 0, 1));
        assert_eq!(config.block_size, 1456);
        assert_eq!(config.duplex, Duplex::Full);
        assert_eq!(config.retries_until_drop, 200);
        assert_eq!(config.addressing, Addressing::Automatic);
        assert!(!parsed("").unwrap().starts_by_itself());
    }

    #[test]
    fn the_command_line_of_fog() {
        let line = "--rexmit-hello-interval 500 --interface eth0 --min-receivers 3 --max-wait 600 \
                    --mcast-data-address 239.0.106.2 --mcast-rdv-address 239.0.106.1 \
                    --portbase 57842 --full-duplex --ttl 32 --nokbd --nopointopoint \
                    --file d1p1.img";
        let options = parsed(line).unwrap();
        assert_eq!(options.file, Some(PathBuf::from("d1p1.img")));
        assert!(options.display.nokbd && options.starts_by_itself());
        let config = protocol(line);
        assert_eq!(
            config.start.hello_interval,
            Some(Duration::from_millis(500))
        );
        assert_eq!(config.start.min_receivers, Some(3));
        assert_eq!(config.start.max_wait, Some(Duration::from_secs(600)));
        assert_eq!(config.data_address, Ipv4Addr::new(239, 0, 106, 2));
        assert_eq!(config.control_address, Ipv4Addr::new(239, 0, 106, 1));
        assert_eq!(config.port_base, 57_842);
        assert_eq!(config.addressing, Addressing::Multicast);
    }

    #[test]
    fn the_command_line_of_clonezilla() {
        let line = "--mcast-all-addr 224.0.0.1 --portbase 2232 --ttl 1 --min-clients 4 \
                    --min-wait 10 --max-wait 300 --nopointopoint --nokbd";
        let config = protocol(line);
        assert_eq!(config.control_address, Ipv4Addr::new(224, 0, 0, 1));
        assert_eq!(config.start.min_receivers, Some(4));
        assert_eq!(config.start.min_wait, Duration::from_secs(10));
    }

    #[test]
    fn a_ttl_above_1_looks_beyond_the_network() {
        let config = protocol("--ttl 2");
        assert_eq!(config.control_address, Ipv4Addr::new(224, 0, 0, 1));
    }

    #[test]
    fn a_least_wait_alone_starts_it_too() {
        let config = protocol("-w 5");
        assert_eq!(config.start.min_receivers, Some(1));
        assert_eq!(config.start.min_wait, Duration::from_secs(5));
    }

    #[test]
    fn zero_is_no_rule() {
        let line = "-C 0 -w 0 -W 0 -S 0 -H 0";
        assert_eq!(protocol(line).start, StartRules::default());
        assert!(!parsed(line).unwrap().starts_by_itself());
        assert_eq!(protocol("-C 3 -W 0").start.min_receivers, Some(3));
        assert_eq!(parsed("-T 0").unwrap().start.timeout(), None);
    }

    #[test]
    fn of_two_that_exclude_each_other_the_last_counts() {
        assert_eq!(protocol("-d -c").duplex, Duplex::Half);
        assert_eq!(protocol("-c -d").duplex, Duplex::Full);
        assert_eq!(protocol("-1 -2").addressing, Addressing::Multicast);
        assert_eq!(protocol("-2 -1").addressing, Addressing::PointToPoint);
        assert_eq!(protocol("-2 -B").addressing, Addressing::Broadcast);
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
        let names = names
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .filter_map(clap::Arg::get_long);
        for name in names.chain(STOCK.refused.iter().map(|option| option.long)) {
            assert!(manual.contains(&format!("`--{name}`")), "--{name}");
        }
    }

    #[test]
    fn in_the_background_there_is_no_stdin() {
        let error = parsed("-DD -C 1").unwrap_err().to_string();
        assert!(error.contains("--file"), "{error}");
        assert!(parsed("-DD -f image").is_ok() && parsed("-D").is_ok());
        assert!(parsed("-DD -p ls").is_ok() && parsed("-DD -K --pid-file x").is_ok());
    }

    #[test]
    fn a_loadable_governor_is_refused_with_what_to_take_instead() {
        let error = parsed("--rate-governor auto.so:x=1").unwrap_err();
        assert!(matches!(error, OptionsError::Unsupported { .. }));
        assert!(error.to_string().contains("--max-bitrate"), "{error}");
    }

    #[test]
    fn transfers_without_a_way_back() {
        let config = protocol("--async --fec 8x8/64 --max-bitrate 80m --streaming -Y 20");
        assert!(config.asynchronous);
        assert_eq!(config.fec, "8x8/64".parse().ok());
        assert_eq!(config.max_bitrate, Some(80_000_000));
        assert_eq!(config.streaming, Some(20));
        assert_eq!(protocol("--rehello-offset 9").streaming, None);
    }

    #[test]
    fn the_silent_are_dropped_after_5_seconds_unless_said_otherwise() {
        assert_eq!(protocol("").drop_after, Some(Duration::from_secs(5)));
        let config = protocol("--drop-after 1500ms");
        assert_eq!(config.drop_after, Some(Duration::from_millis(1500)));
        assert_eq!(protocol("--drop-after 0").drop_after, None);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for line in [
            "-b 1455",
            "-b 0",
            "-C 2x",
            "-C -1",
            "-w -1",
            "-m 10.0.0.1",
            "-t -1",
            "-P 9001",
            "-w x",
            "-F 0x8",
            "-F 1024x64/1",
        ] {
            let error = parsed(line).unwrap_err();
            assert!(matches!(error, OptionsError::Value { .. }), "{line}");
        }
    }

    #[test]
    fn values_beyond_what_can_be_used_are_taken_for_the_nearest_that_can() {
        let line = "-C 2000 -S 99999999999 --default-slice-size 2000 --min-slice-size 0 \
                    --max-slice-size 1025 --streaming -Y 100000";
        let config = protocol(line);
        assert_eq!(config.start.min_receivers, Some(1024));
        assert_eq!(config.start.autostart, Some(u32::MAX));
        assert_eq!(config.slice_blocks.default, Some(1024));
        assert_eq!(config.slice_blocks.min, Some(1));
        assert_eq!(config.slice_blocks.max, Some(1024));
        assert_eq!(config.streaming, Some(u16::MAX));
        assert_eq!(parsed("-t 256").unwrap().network.ttl, 255);
        assert_eq!(parsed("-t 0").unwrap().network.ttl, 0);
    }

    #[test]
    fn no_rate_and_no_redundancy_count_as_not_given() {
        assert_eq!(protocol("-r 0").max_bitrate, None);
        for line in ["-F 4x", "-F 0", "-F 8x0/64"] {
            assert_eq!(protocol(line).fec, None, "{line}");
        }
        assert_eq!(protocol("-F 4").fec, "8x4/128".parse().ok());
    }

    #[test]
    fn at_full_rate_to_those_who_cannot_answer_is_warned_of() {
        let warnings = |line| parsed(line).unwrap().warnings();
        assert!(warnings("--async")[0].contains("--max-bitrate"));
        assert_eq!(warnings("--async -r 0 more").len(), 2);
        assert_eq!(warnings("--async -r 80m"), Vec::<String>::new());
        assert_eq!(warnings(""), Vec::<String>::new());
        assert!(warnings("-r 100")[0].contains("100m"));
        assert_eq!(warnings("-r 64k"), Vec::<String>::new());
    }

    #[test]
    fn what_kill_needs_is_told() {
        let error = parsed("-K").unwrap_err().to_string();
        assert!(error.contains("--pid-file"), "{error}");
    }
}
