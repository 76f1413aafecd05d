//! The loop of a transfer: between the sockets, the operator, and the engine that writes the image.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use ironcast_cast::CastSettings;
use ironcast_hosted::{
    BufferSizes, Clock, Command, Endpoint, EndpointError, Interface, Operator, Sent, Signal,
    Target, Wake, Waker, wait,
};
use ironcast_proto::receiver::{self, Config, Failure, Stats};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_receiver_nostd::Engine;
use ironcast_receiver_nostd::decode::gzip;
use ironcast_receiver_nostd::engine::{
    self, Decompress, DiskOptions, Event, Memory, Provenance, Report,
};

use crate::background::Background;
use crate::gathering::Gathering;

/// Memory for blocks until they are written, 8 MiB: more than five of the largest slices that a
/// sender makes unasked.
const RING_LEN: usize = 32 * engine::WRITE_SIZE;

/// Bytes of the system's memory for datagrams that have arrived, unless the operator says
/// otherwise: several times what a sender has under way, for the system counts every small packet
/// as 2 KiB or so.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Datagrams taken between looks at everything else.
const BURST: usize = 256;

/// Pieces of work done between looks at everything else: of the longest, which are writes, the disk
/// takes only one at a time.
const WORK_BURST: usize = 16;

/// How a transfer is to go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interface it goes over.
    pub interface: Interface,
    /// The time to live of multicast packets.
    pub ttl: u32,
    /// Bytes of the system's memory for datagrams that have arrived; `None` for 8 MiB, or
    /// as much of it as the system gives.
    pub receive_buffer: Option<usize>,
    /// What is done with compressed images.
    pub decompress: Decompress,
    /// What is asked of cast streams, and how they are written.
    pub cast: CastSettings,
    /// The name that FOG's header has to have, if there has to be one.
    pub fog_name: Option<String>,
    /// What the protocol leaves open; its sizes are filled in here.
    pub protocol: Config,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The time on the transfer's clock.
    pub now: Instant,
    /// Since its start; `None` before it.
    pub running: Option<Duration>,
    /// Bytes that have arrived without a gap.
    pub received: u64,
    /// Bytes that were written.
    pub written: u64,
    /// What the protocol counted.
    pub stats: Stats,
}

/// Whoever wants to know how it goes.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event<io::Error>);

    /// The stream is of this image, which was accepted.
    fn image(&mut self, image: Provenance<'_>);

    /// Something is not as it should be; the transfer goes on.
    fn warning(&mut self, warning: &dyn Error);

    /// When it wants to see the [`Progress`] next; `None` for never.
    fn progress_due(&self) -> Option<Instant>;

    /// The progress at a time when it was due.
    fn progress(&mut self, progress: &Progress);
}

/// How a transfer ended.
#[derive(Debug)]
pub enum Ending {
    /// The image is at its target.
    Complete(Report),
    /// It is not, and the sender was told.
    Failed(engine::Error<io::Error>),
    /// A signal ended it, and the sender was told.
    Stopped(Signal),
}

/// What is known at the end of a transfer.
#[derive(Debug)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// How far it got.
    pub progress: Progress,
}

/// Why a transfer could not begin, or go on.
#[derive(Debug)]
pub enum ReceiveError {
    /// The sockets can't be opened.
    Network(EndpointError),
    /// The system can't wait for events.
    Wait(io::Error),
    /// There are no resources for writing in the background.
    Writer(io::Error),
    /// The engine does not take the memory that it is given.
    Memory(engine::MemoryError),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Wait(_) => f.write_str("can't wait for network events"),
            Self::Writer(_) => f.write_str("can't start the thread that writes"),
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl Error for ReceiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Network(error) => error.source(),
            Self::Wait(error) | Self::Writer(error) => Some(error),
            Self::Memory(error) => error.source(),
        }
    }
}

impl From<EndpointError> for ReceiveError {
    fn from(error: EndpointError) -> Self {
        Self::Network(error)
    }
}

/// Receives an image from whoever sends one, writes it to `target`, and returns when that has come
/// to an end.
///
/// # Errors
/// [`ReceiveError`]; what goes wrong later is an [`Ending`].
pub fn receive(
    settings: &Settings,
    target: Target,
    operator: &mut dyn Operator,
    observer: &mut dyn Observer,
) -> Result<Summary, ReceiveError> {
    let mut protocol = settings.protocol.clone();
    let sizes = BufferSizes {
        receive: Some(settings.receive_buffer.unwrap_or(RECEIVE_BUFFER)),
        send: None,
    };
    let mut endpoint =
        Endpoint::open(&settings.interface, protocol.port_base, settings.ttl, sizes)?;
    endpoint.join(protocol.control_address)?;
    protocol.receive_buffer = u32::try_from(endpoint.receive_buffer()).unwrap_or(u32::MAX);
    let mut ring = vec![0; RING_LEN];
    let mut write_buffer = vec![0; engine::WRITE_SIZE];
    let mut gzip = Box::new(gzip::Decoder::new());
    let memory = Memory {
        ring: &mut ring,
        write_buffer: &mut write_buffer,
        gzip: Some(&mut gzip),
    };
    let clock = Clock::start();
    let name = target.name().to_owned();
    let disk = Background::start(target).map_err(ReceiveError::Writer)?;
    let waker = disk.waker();
    let options = DiskOptions::AS_SENT;
    let mut engine = Engine::new(
        protocol,
        settings.decompress,
        options,
        memory,
        disk,
        clock.now(),
    )
    .map_err(ReceiveError::Memory)?;
    let mut cast_options = settings.cast.for_engine();
    cast_options.wanted.fog_name = settings.fog_name.as_deref();
    engine.set_cast_options(cast_options);
    engine.identify(settings.interface.identity(&name));
    let mut transfer = Transfer {
        clock,
        endpoint,
        engine,
        waker,
        gathering: Gathering::default(),
        may_have_command: true,
        started: None,
        stopped: None,
    };
    let ending = transfer.run(operator, observer)?;
    Ok(Summary {
        ending,
        progress: transfer.progress(transfer.clock.now()),
    })
}

/// A transfer under way.
struct Transfer<'t> {
    clock: Clock,
    endpoint: Endpoint,
    engine: Engine<'t, Background>,
    /// Tells when the disk is done with something.
    waker: Waker,
    gathering: Gathering,
    /// Whether the operator has to be asked for a command.
    may_have_command: bool,
    /// When the transfer started.
    started: Option<Instant>,
    /// The signal that ends it.
    stopped: Option<Signal>,
}

impl Transfer<'_> {
    fn run(
        &mut self,
        operator: &mut dyn Operator,
        observer: &mut dyn Observer,
    ) -> Result<Ending, ReceiveError> {
        let mut message = [0; MAX_CONTROL_LEN];
        loop {
            let now = self.clock.now();
            // What has arrived goes first: after a long write it is word from a sender that would
            // otherwise count as silent.
            let received = self.receive_burst(now);
            self.engine.handle_timeout(now);
            self.obey(now, operator);
            let is_busy = (0..WORK_BURST).all(|_| self.engine.work(now));
            self.transmit(&mut message);
            if let Some(ending) = self.tell_events(now, operator, observer) {
                return Ok(ending);
            }
            if observer.progress_due().is_some_and(|due| due <= now) {
                observer.progress(&self.progress(now));
            }
            let now = self.clock.now();
            let wake = if is_busy || received == BURST {
                Wake::Now
            } else {
                if let Some(pause) = self.gathering.pause(now, received) {
                    thread::sleep(pause);
                }
                Wake::Never
                    .or_at(self.engine.poll_timeout())
                    .or_at(observer.progress_due())
                    .or_at(operator.poll_interval().map(|interval| now + interval))
            };
            self.wait(now, wake, operator).map_err(ReceiveError::Wait)?;
        }
    }

    /// Waits for whatever comes first; for the operator only until there is nothing more to
    /// command.
    fn wait(&mut self, now: Instant, wake: Wake, operator: &dyn Operator) -> io::Result<()> {
        let [signals, keyboard] = match self.stopped {
            Some(_) => [None, None],
            None => operator.wake_fds(),
        };
        let others = [Some(self.waker.as_fd()), signals, keyboard];
        let [disk, signal, key] = wait(&mut self.endpoint, others, false, now, wake)?;
        if disk {
            self.waker.rearm();
        }
        self.may_have_command = signal || key || operator.poll_interval().is_some();
        Ok(())
    }

    /// Takes what has arrived, and tells how many datagrams that were; after [`BURST`] there may be
    /// more.
    fn receive_burst(&mut self, now: Instant) -> usize {
        for received in 0..BURST {
            let Some((from, datagram)) = self.endpoint.receive() else {
                return received;
            };
            self.engine.handle_datagram(now, from, datagram);
        }
        BURST
    }

    fn obey(&mut self, now: Instant, operator: &mut dyn Operator) {
        if self.stopped.is_some() || !self.may_have_command {
            return;
        }
        match operator.poll_command() {
            Some(Command::Start) => self.engine.go(),
            Some(Command::Stop(signal)) => {
                self.stopped = Some(signal);
                self.engine.abort(now);
            }
            None => {}
        }
    }

    /// Sends what is to be sent. What finds no room is lost, as any datagram may be: the sender
    /// asks again.
    fn transmit(&mut self, message: &mut [u8]) {
        while let Some(transmit) = self.engine.poll_transmit(message) {
            let parts = [IoSlice::new(&message[..transmit.len])];
            match self.endpoint.send(transmit.destination, &parts) {
                Sent::Done | Sent::Blocked | Sent::Lost(_) => {}
            }
        }
    }

    /// Passes the engine's events on; how the transfer ended, if it has.
    fn tell_events(
        &mut self,
        now: Instant,
        operator: &mut dyn Operator,
        observer: &mut dyn Observer,
    ) -> Option<Ending> {
        while let Some(event) = self.engine.poll_event() {
            observer.event(&event);
            match event {
                Event::Receiver(receiver::Event::Join { group }) => {
                    // Data may still come another way, as point-to-point does.
                    if let Err(error) = self.endpoint.follow(group) {
                        observer.warning(&error);
                    }
                }
                Event::Receiver(receiver::Event::Started) => {
                    self.started = Some(now);
                    operator.transfer_started();
                }
                Event::Image => {
                    if let Some((manifest, signed)) = self.engine.image() {
                        observer.image(Provenance { manifest, signed });
                    }
                }
                Event::Finished(result) => return Some(self.ending(result)),
                Event::Receiver(_) => {}
            }
        }
        None
    }

    fn ending(&self, result: Result<Report, engine::Error<io::Error>>) -> Ending {
        match (result, self.stopped) {
            (Ok(report), _) => Ending::Complete(report),
            (Err(engine::Error::Transfer(Failure::Aborted)), Some(signal)) => {
                Ending::Stopped(signal)
            }
            (Err(error), _) => Ending::Failed(error),
        }
    }

    fn progress(&self, now: Instant) -> Progress {
        let progress = self.engine.progress();
        Progress {
            now,
            running: self.started.map(|started| now - started),
            received: progress.received,
            written: progress.written,
            stats: *self.engine.stats(),
        }
    }
}
