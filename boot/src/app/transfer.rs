//! The transfer itself: datagrams in, sectors out, and a line about it now and then.
//!
//! One loop does everything, and nothing in it takes longer than one write to the disk: a network card
//! holds a few dozen frames, and what comes on top is lost and has to be sent again.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;
use core::net::Ipv4Addr;

use ironcast_proto::receiver::{self, Transmit};
use ironcast_proto::time::{Duration, Instant};
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_receiver_nostd::engine::{self, Decompress, Engine, Event, Memory, Report, WRITE_SIZE};
use ironcast_receiver_nostd::gzip::Workspace;
use ironcast_receiver_nostd::link::{Link, LinkMemory};
use ironcast_receiver_nostd::settings::Settings;

use super::clock::{Clock, Nap};
use super::console::Console;
use super::disk::{DiskError, DiskInfo, TargetDisk};
use super::failure::Failure;
use super::memory::{self, MemoryError, Pages};
use super::network::Network;
use super::nic::Nic;

/// How long the machine waits for a transfer to start: a night, so that machines can be switched on
/// in the evening for a transfer in the morning.
const START_TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(1);

/// How long the loop rests when nobody has been heard yet.
const REST: Duration = Duration::from_millis(5);

/// How long the last message may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A transfer that went well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Bytes of the stream.
    bytes: u64,
    /// From the start of the transfer until all was safe on the disk.
    time: Duration,
    /// BLAKE3 of the stream.
    pub(crate) hash: Hash,
}

/// A BLAKE3 hash; shown as `b3sum` prints it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash([u8; 32]);

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, millis) = (self.bytes, self.time.as_millis());
        write!(f, "bytes={bytes} seconds={}.{:03}", millis / 1000, millis % 1000)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A transfer that is about to happen.
#[derive(Debug)]
pub(crate) struct Transfer<'a> {
    config: receiver::Config,
    rendezvous: Option<Ipv4Addr>,
    clock: &'a Clock,
    console: &'a mut Console,
}

impl<'a> Transfer<'a> {
    /// A transfer with what `settings` say about it.
    pub(crate) fn new(settings: &Settings<'_>, clock: &'a Clock, console: &'a mut Console) -> Self {
        let config = receiver::Config {
            port_base: settings.port_base,
            start_timeout: Some(START_TIMEOUT),
            ..receiver::Config::default()
        };
        Self {
            config,
            rendezvous: settings.rendezvous,
            clock,
            console,
        }
    }

    /// Waits for a sender, and writes what it sends to `target`, which is the disk `disk`.
    pub(crate) fn run(
        self,
        network: &mut Network,
        target: &mut TargetDisk,
        disk: &DiskInfo,
    ) -> Result<Done, Failure> {
        let Self { mut config, rendezvous, clock, console } = self;
        let mut ring = memory::allocate_ring().map_err(no_memory)?;
        let mut write_buffer = Pages::allocate(WRITE_SIZE).map_err(no_memory)?;
        let mut gzip = Box::new(Workspace::new());
        console.line(&format!("ironcast: {} KiB of memory for blocks", ring.as_slice().len() >> 10));
        if let Some(address) = rendezvous.or_else(|| network.broadcast(clock.now())) {
            config.control_address = address;
        }
        let memory = Memory {
            ring: ring.as_mut_slice(),
            write_buffer: write_buffer.as_mut_slice(),
            gzip: Some(&mut gzip),
        };
        let engine = Engine::new(config, Decompress::Auto, memory, target, clock.now())
            .map_err(|error| Failure::new(format!("{error}"), "please report this error"))?;
        let mut receiving = Receiving::new(engine, clock);
        loop {
            match receiving.run(network, rendezvous, console)? {
                Some(Ok(report)) => return Ok(receiving.done(&report)),
                Some(Err(error)) => {
                    let written = receiving.engine.progress().written > 0;
                    return Err(failed(disk, &error, written));
                }
                None => network.renew(clock, console)?,
            }
        }
    }
}
