//! The command line: udp-sender's option names and meanings.
//!
//! What udp-sender has and this program has not yet is in one table, and refused; see docs/programs.md.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use ironcast_hosted::options::{
    self, DisplayOptions, NetworkOptions, OptionsError, Unsupported, parse_milliseconds,
    parse_seconds,
};
use ironcast_hosted::{Interface, InterfaceError, parse_size};
use ironcast_proto::geometry::{self, MAX_RECEIVERS, MAX_SLICE_BLOCKS};
use ironcast_proto::sender::{Addressing, Config, Duplex, SliceBlocks, StartRules, data_group};

use crate::transfer::Settings;

/// Sends a file to any number of receivers at once.
#[derive(Clone, Debug, Parser)]
#[command(name = "ironcast-sender", version, max_term_width = 100)]
pub struct Options {
    /// File or device to send [default: stdin]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkOptions,

    #[command(flatten)]
    start: StartOptions,

    #[command(flatten)]
    data: DataOptions,

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
    #[arg(value_parser = up_to(MAX_RECEIVERS))]
    min_receivers: Option<u16>,

    /// But not before so many seconds since the first connected
    #[arg(long, short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    min_wait: Option<Duration>,

    /// Start so many seconds after the first receiver connected, however many there are
    #[arg(long, short = 'W', value_name = "SECONDS", value_parser = parse_seconds)]
    max_wait: Option<Duration>,

    /// Start after so many HELLOs
    #[arg(long, short = 'S', value_name = "COUNT")]
    autostart: Option<u32>,

    /// Milliseconds between HELLOs [default: only one HELLO is sent]
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

    /// Send a slice while the one before it waits for answers [default]
    #[arg(long, short = 'd', overrides_with = "half_duplex")]
    full_duplex: bool,

    /// Send a slice only when everyone has the one before it
    #[arg(long, short = 'c')]
    half_duplex: bool,

    /// Blocks in a slice; in half duplex to begin with [default: 112, in half duplex 130; fewer
    /// if blocks are larger than 1456 bytes]
    #[arg(long, alias = "slice-size", value_name = "BLOCKS")]
    #[arg(value_parser = up_to(MAX_SLICE_BLOCKS))]
    default_slice_size: Option<u16>,

    /// Least blocks in a slice, in half duplex [default: 32]
    #[arg(long, value_name = "BLOCKS", value_parser = up_to(MAX_SLICE_BLOCKS))]
    min_slice_size: Option<u16>,

    /// Most blocks in a slice, in half duplex [default: 1024; fewer if blocks are larger than 1456 bytes]
    #[arg(long, value_name = "BLOCKS", value_parser = up_to(MAX_SLICE_BLOCKS))]
    max_slice_size: Option<u16>,

    /// Requests without an answer after which a receiver is dropped
    #[arg(long, short = 'R', alias = "retriesUntilDrop", value_name = "COUNT")]
    #[arg(default_value_t = 200)]
    retries_until_drop: u32,

    /// Bytes of the system's memory for packets to be sent [default: the system's]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    sendbuf: Option<usize>,
}

/// What the stock sender is called.
const STOCK: &str = "udp-sender";

/// udp-sender's options that are refused for now.
pub const UNSUPPORTED: &[Unsupported] = &[
    Unsupported::valued("pipe", Some('p'), "a command that the data goes through"),
    Unsupported::flag("async", Some('a'), "transfers without a way back"),
    Unsupported::valued("fec", Some('F'), "forward error correction"),
    Unsupported {
        aliases: &["max_bitrate"],
        ..Unsupported::valued("max-bitrate", Some('r'), "a limit to the rate")
    },
    Unsupported::flag(
        "autorate",
        Some('A'),
        "a rate that follows the network's queue",
    ),
    Unsupported::valued(
        "rate-governor",
        Some('g'),
        "a loadable module that sets the rate",
    ),
    Unsupported::flag("streaming", Some('Z'), "receivers that join in the middle"),
    Unsupported::valued(
        "rehello-offset",
        None,
        "when receivers are told that they can join",
    ),
    Unsupported::valued("log", Some('l'), "a log file"),
    Unsupported::valued("bw-period", None, "the rate of each period in the log file"),
    Unsupported::valued(
        "print-uncompressed-position",
        Some('x'),
        "the position before --pipe",
    ),
    Unsupported::flag("daemon-mode", Some('D'), "one transfer after the other"),
    Unsupported::valued("pid-file", None, "a file with the daemon's process number"),
    Unsupported::flag("kill", Some('K'), "the end of a daemon"),
];

impl Options {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// [`OptionsError`], also if it asks for help or the version.
    pub fn parse_from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        options::parse(line, UNSUPPORTED, STOCK)
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
            start_timeout: self.start.start_timeout,
        })
    }

    /// Whether anything but a person starts the transfer.
    #[must_use]
    pub fn starts_by_itself(&self) -> bool {
        let start = &self.start;
        start.min_receivers.is_some()
            || start.min_wait.is_some()
            || start.max_wait.is_some()
            || start.autostart.is_some()
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
            duplex: if data.half_duplex {
                Duplex::Half
            } else {
                Duplex::Full
            },
            slice_blocks: SliceBlocks {
                default: data.default_slice_size,
                min: data.min_slice_size,
                max: data.max_slice_size,
            },
            start: self.start.rules(),
            retries_until_drop: data.retries_until_drop,
        }
    }
}

impl StartOptions {
    fn rules(&self) -> StartRules {
        StartRules {
            // As the stock sender, which a least wait alone starts too.
            min_receivers: self.min_receivers.or(self.min_wait.map(|_| 1)),
            min_wait: self.min_wait.unwrap_or_default(),
            max_wait: self.max_wait,
            autostart: self.autostart,
            hello_interval: self.rexmit_hello_interval,
        }
    }
}

impl DataOptions {
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

fn up_to(most: u16) -> RangedU64ValueParser<u16> {
    RangedU64ValueParser::new().range(1..=u64::from(most))
}

fn parse_block_size(text: &str) -> Result<u16, String> {
    let size = text
        .parse()
        .map_err(|_| "not a number of bytes".to_owned())?;
    geometry::check_block_size(size).map_err(|error| error.to_string())
}

fn parse_group(text: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .ok()
        .filter(Ipv4Addr::is_multicast)
        .ok_or_else(|| "not a multicast address (224.0.0.0 to 239.255.255.255)".to_owned())
}
