//! The transfer itself: datagrams in, sectors out, and a line about it now and then.
//!
//! One loop does everything, and nothing in it takes longer than one write to the disk: a network
//! card holds a few dozen frames, and what comes on top is lost and has to be sent again.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::ToString;
use core::net::Ipv4Addr;

use ironcast_proto::receiver::{self, Transmit};
use ironcast_proto::time::{Duration, Instant};
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_receiver_nostd::disk::Disk;
use ironcast_receiver_nostd::engine::{
    self, Decompress, DiskOptions, Engine, Event, Memory, Provenance, Report,
};
use ironcast_receiver_nostd::link::{Link, LinkMemory};
use ironcast_receiver_nostd::settings::Settings;
use ironcast_receiver_nostd::silence::{Remedy, Silence};

use super::arch::ticks;
use super::cast::CastSettings;
use super::clock::{Clock, Nap};
use super::console::Console;
use super::disk::DiskError;
use super::disk_options::disk_options;
use super::disks::DiskInfo;
use super::events;
use super::failure::Failure;
use super::identity;
use super::memory::Buffers;
use super::network::{Network, join};
use super::nic::Nic;
use super::outcome::{self, Done};
use super::processor::Processor;
use super::progress::{self, Meter};
use super::stats::{self, Moment};

/// How long the machine waits for a transfer to start: a night, so that machines can be switched on
/// in the evening for a transfer in the morning.
const START_TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// How long the loop rests when nobody has been heard yet.
const REST: Duration = Duration::from_millis(5);

/// How many batches of frames are taken before the disk's turn: more than a card holds, so that it
/// is left empty, unless the sender is faster than this machine.
const POLLS: u32 = 8;

/// How long the last message may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What the image goes to: a disk, or a dry run's place of one.
pub(crate) type Target = dyn Disk<Error = DiskError>;

/// A transfer that is about to happen.
#[derive(Debug)]
pub(crate) struct Transfer<'a> {
    config: receiver::Config,
    options: DiskOptions,
    rendezvous: Option<Ipv4Addr>,
    decompress: Decompress,
    cast: CastSettings,
    /// Whether to tell where the time went.
    stats: bool,
    clock: &'a Clock,
}

impl<'a> Transfer<'a> {
    /// A transfer with what `settings` say about it. Nothing is done yet, but what it will need of
    /// the firmware is there.
    pub(crate) fn new(settings: &Settings<'_>, clock: &'a Clock) -> Result<Self, Failure> {
        let config = receiver::Config {
            port_base: settings.port_base,
            start_timeout: Some(START_TIMEOUT),
            late_join: settings.late_join,
            ..receiver::Config::default()
        };
        Ok(Self {
            config,
            options: disk_options(settings)?,
            rendezvous: settings.rendezvous,
            decompress: settings.decompress,
            cast: CastSettings::new(settings)?,
            stats: settings.stats,
            clock,
        })
    }

    /// Waits for a sender, and writes what it sends to `target`, which is the disk `disk`.
    pub(crate) fn run(
        self,
        buffers: Buffers,
        network: &mut Network,
        target: &mut Target,
        disk: &DiskInfo,
        console: &mut Console,
    ) -> Result<Done, Failure> {
        let Self {
            mut config,
            options,
            rendezvous,
            decompress,
            cast,
            stats,
            clock,
        } = self;
        let Buffers {
            mut ring,
            mut write_buffer,
            mut gzip,
        } = buffers;
        let memory_len = ring.as_slice().len() as u64;
        let kib = memory_len >> 10;
        console.line(&format!("ironcast: {kib} KiB of memory for blocks"));
        if let Some(address) = rendezvous.or_else(|| network.broadcast()) {
            config.control_address = address;
        }
        tell_where(&config, console);
        let verify = options.verify && !target.is_dry_run();
        let memory = Memory {
            ring: ring.as_mut_slice(),
            write_buffer: write_buffer.as_mut_slice(),
            gzip: Some(&mut gzip),
        };
        let processor = Processor::find(clock);
        let mut queue = processor.as_ref().map(Processor::queue);
        let mut engine = Engine::new(config, decompress, options, memory, target, clock.now())
            .map_err(|error| Failure::new(format!("{error}"), "please report this error"))?;
        engine.set_cast_options(cast.for_engine());
        engine.identify(identity::of_this_machine(network, &disk.name()));
        if let Some(queue) = &mut queue {
            engine.set_offload(queue);
        }
        let meter = Meter::new(memory_len, verify);
        let mut receiving = Receiving::new(engine, clock, processor.as_ref(), meter);
        loop {
            console.set_busy(true);
            let ended = receiving.run(network, rendezvous, console);
            console.set_busy(false);
            if stats && !matches!(ended, Ok(None)) {
                console.plain_line(&stats::line(clock));
            }
            match ended? {
                Some(Ok(report)) => {
                    let done = receiving.done(&report, options);
                    done.explain(console);
                    return Ok(done);
                }
                Some(Err(engine::Error::DryRun(report))) => {
                    return Ok(receiving.done(&report, options).without_a_disk());
                }
                Some(Err(error)) => {
                    return Err(outcome::failed(disk, &error, receiving.engine.leftover()));
                }
                None => network.renew(clock, console)?,
            }
        }
    }
}

/// A transfer that goes on, whatever link it goes over.
struct Receiving<'a> {
    engine: Engine<'a, &'a mut Target>,
    clock: &'a Clock,
    /// One that helps, from the start of the transfer on.
    processor: Option<&'a Processor<'a>>,
    nap: Nap,
    /// A message in `buffer` that the link had no room for.
    pending: Option<Transmit>,
    buffer: [u8; MAX_CONTROL_LEN],
    /// The group in which the sender was looked for.
    rendezvous: Option<Ipv4Addr>,
    /// The group that the data come to.
    group: Option<Ipv4Addr>,
    meter: Meter,
    /// Whether the sender takes no answers, and repeats nothing.
    is_one_way: bool,
    silence: Silence,
    /// When the engine last had something to do.
    worked: Instant,
}

type Outcome = Result<Report, engine::Error<DiskError>>;

impl<'a> Receiving<'a> {
    fn new(
        engine: Engine<'a, &'a mut Target>,
        clock: &'a Clock,
        processor: Option<&'a Processor<'a>>,
        meter: Meter,
    ) -> Self {
        let now = clock.now();
        Self {
            engine,
            clock,
            processor,
            nap: Nap::new(),
            pending: None,
            buffer: [0; MAX_CONTROL_LEN],
            rendezvous: None,
            group: None,
            meter,
            is_one_way: false,
            silence: Silence::new(now),
            worked: now,
        }
    }

    /// Receives over `network` until the transfer ends, or until its address has to be renewed,
    /// which `None` tells.
    fn run(
        &mut self,
        network: &mut Network,
        rendezvous: Option<Ipv4Addr>,
        console: &mut Console,
    ) -> Result<Option<Outcome>, Failure> {
        let renew_at = network.renew_at();
        let mut memory = LinkMemory::new();
        let mut link = network.link(&mut memory, self.clock.now())?;
        self.rendezvous = rendezvous.filter(Ipv4Addr::is_multicast);
        if let Some(group) = self.rendezvous {
            join(&mut link, group, console);
        }
        loop {
            let now = self.clock.now();
            if self.is_seeking() && renew_at.is_some_and(|at| at <= now) {
                return Ok(None);
            }
            let turn = ticks();
            let seen = self.receive(&mut link);
            self.restart_if_deaf(seen, &mut link, console);
            self.engine.handle_timeout(now);
            self.transmit(&mut link);
            if let Some(outcome) = self.tell(&mut link, console) {
                stats::reach(Moment::Ready, self.worked);
                self.last_words(&mut link);
                self.show_last_figures(console);
                self.show_counts(&link, console);
                return Ok(Some(outcome));
            }
            let worked = self.work(now);
            self.show_progress(now, console);
            console.pump(now);
            if self.meter.started().is_none() {
                self.clock.refine();
            }
            if !seen && !worked && self.is_seeking() {
                self.nap.wait(REST);
            }
            if !seen && !worked {
                stats::IDLE.add(ticks().wrapping_sub(turn), 0);
            }
        }
    }

    /// Has the engine do a piece of its work; whether there was any.
    fn work(&mut self, now: Instant) -> bool {
        let (before, disk) = (ticks(), stats::DISK.ticks());
        let worked = self.engine.work(now);
        if worked {
            let counter = match self.engine.has_decoded() {
                true => &stats::DECODE,
                false => &stats::HASH,
            };
            let disk = stats::DISK.ticks().wrapping_sub(disk);
            counter.add(ticks().wrapping_sub(before).wrapping_sub(disk), 0);
            self.worked = self.clock.now();
        }
        let progress = self.engine.progress();
        for (moment, is_reached) in [
            (Moment::FirstData, progress.received > 0),
            (Moment::Arrived, progress.total == Some(progress.received)),
            (Moment::Flushed, progress.is_flushed),
        ] {
            if is_reached {
                stats::reach(moment, self.worked);
            }
        }
        worked
    }

    /// Empties the network card, and answers what has come. True if there was any frame.
    fn receive(&mut self, link: &mut Link<'_, &mut Nic>) -> bool {
        for round in 0..POLLS {
            let now = self.clock.now();
            let engine = &mut self.engine;
            let (before, nic) = (ticks(), stats::NIC.ticks());
            let mut bytes = 0;
            if !link.poll(now, &mut |from, data| {
                bytes += data.len();
                engine.handle_datagram(now, from, data)
            }) {
                return round > 0;
            }
            let nic = stats::NIC.ticks().wrapping_sub(nic);
            stats::COPY.add(ticks().wrapping_sub(before).wrapping_sub(nic), bytes);
            self.transmit(link);
        }
        true
    }

    /// Starts the card anew if it should have heard something and did not.
    fn restart_if_deaf(
        &mut self,
        seen: bool,
        link: &mut Link<'_, &mut Nic>,
        console: &mut Console,
    ) {
        let is_amid_slice = self.engine.is_amid_slice();
        let remedy = self.silence.remedy(seen, is_amid_slice, self.clock.now());
        if self.meter.started().is_none() || self.is_one_way || self.is_seeking() {
            return;
        }
        match remedy {
            Some(Remedy::Restart) => console.warn(&match link.device_mut().restart() {
                Ok(()) => {
                    "ironcast: nothing was heard for a while; the network card was started anew"
                        .to_owned()
                }
                Err(error) => {
                    format!("ironcast: nothing is heard, and the network card is gone: {error}")
                }
            }),
            // A switch may have forgotten it with the link, and would not ask for minutes.
            Some(Remedy::Join) => {
                for group in [self.rendezvous, self.group].into_iter().flatten() {
                    link.leave(group);
                    join(link, group, console);
                }
            }
            None => {}
        }
    }

    /// Whether no sender knows this machine yet.
    fn is_seeking(&self) -> bool {
        self.engine.sender().is_none()
    }

    fn transmit(&mut self, link: &mut Link<'_, &mut Nic>) {
        loop {
            if self.pending.is_none() {
                self.pending = self.engine.poll_transmit(&mut self.buffer);
            }
            match &self.pending {
                Some(transmit) if link.send(transmit, &self.buffer) => self.pending = None,
                _ => return,
            }
        }
    }

    /// Acts on the engine's events, and gives its last.
    fn tell(&mut self, link: &mut Link<'_, &mut Nic>, console: &mut Console) -> Option<Outcome> {
        while let Some(event) = self.engine.poll_event() {
            let event = match event {
                Event::Receiver(event) => event,
                Event::Image => {
                    self.tell_image(console);
                    continue;
                }
                Event::Finished(outcome) => return Some(outcome),
            };
            if let Some(text) = events::text(&event) {
                match events::is_warning(&event) {
                    true => console.warn(&text),
                    false => console.line(&text),
                }
            }
            match event {
                receiver::Event::Join { group } => {
                    let old = self.group.replace(group);
                    if let Some(old) = old.filter(|&old| Some(old) != self.rendezvous) {
                        link.leave(old);
                        link.device_mut().leave(old);
                    }
                    join(link, group, console);
                }
                receiver::Event::Asynchronous { sender, .. }
                | receiver::Event::Connected { sender, .. } => {
                    stats::reach(Moment::Connected, self.clock.now());
                    self.is_one_way = matches!(event, receiver::Event::Asynchronous { .. });
                    console.page().sender = sender.ip().to_string();
                    console.page().status = "Waiting for the start".to_owned();
                }
                receiver::Event::Lost | receiver::Event::TooLate { .. } => {
                    let page = console.page();
                    page.sender.clear();
                    page.status = "Waiting for a sender".to_owned();
                }
                receiver::Event::Started => {
                    let now = self.clock.now();
                    stats::begin(now);
                    self.meter.start(now);
                    if let Some(processor) = self.processor {
                        processor.start();
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Says which image it is.
    fn tell_image(&self, console: &mut Console) {
        if let Some((manifest, signed)) = self.engine.image() {
            let image = Provenance { manifest, signed };
            let size = manifest.size;
            console.line(&format!("ironcast: the image is {image}, {size} bytes"));
        }
    }

    /// Sees to it that what was said last leaves this machine.
    fn last_words(&mut self, link: &mut Link<'_, &mut Nic>) {
        let deadline = self.clock.now() + LAST_WORDS;
        loop {
            self.transmit(link);
            link.poll(self.clock.now(), &mut |_, _| {});
            if link.is_all_sent() && self.pending.is_none() || self.clock.now() >= deadline {
                return;
            }
        }
    }

    fn show_progress(&mut self, now: Instant, console: &mut Console) {
        if !self.meter.is_due(now) {
            return;
        }
        let progress = self.engine.progress();
        let figures = self.meter.measure(now, progress, self.engine.stats());
        console.page().figures = Some(figures);
        console.progress(&format!("ironcast: {}", progress::line(&figures)));
    }

    /// Brings the page's figures up to date once more, if there are any to be told.
    fn show_last_figures(&mut self, console: &mut Console) {
        if self.meter.started().is_some() {
            let progress = self.engine.progress();
            let figures = self
                .meter
                .measure(self.worked, progress, self.engine.stats());
            console.page().figures = Some(figures);
        }
    }

    /// Shows what tells where a slow transfer was slow: lost frames are sent again, and a slow disk
    /// leaves no room for blocks.
    fn show_counts(&self, link: &Link<'_, &mut Nic>, console: &mut Console) {
        let (stats, frames) = (self.engine.stats(), link.stats());
        console.line(&format!(
            "ironcast: {} datagrams, {} blocks twice, {} without room, {} requests to send again, \
             {} damaged frames, {} fragments",
            stats.datagrams,
            stats.duplicates,
            stats.no_room,
            stats.retransmits,
            frames.damaged,
            frames.fragments
        ));
    }

    fn done(&self, report: &Report, options: DiskOptions) -> Done {
        let started = self.meter.started().unwrap_or(self.worked);
        let time = self.worked.since(started);
        let signed = self.engine.image().map(|(_, signed)| signed);
        Done::new(report, options, time, signed)
    }
}

/// Says where a sender is looked for.
fn tell_where(config: &receiver::Config, console: &mut Console) {
    let (address, port) = (config.control_address, config.port_base);
    console.page().status = format!("Waiting for a sender at {address}");
    console.line(&format!(
        "ironcast: looking for a sender at {address}, own port {port}"
    ));
}
