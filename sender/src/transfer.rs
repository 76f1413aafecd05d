//! The loop of a transfer: between the image, the sockets, the operator, and the machine that knows
//! the protocol.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::time::Duration;

use ironcast_hosted::{
    Batch, BufferSizes, Clock, Command, Endpoint, EndpointError, Interface, Operator, Sent, Signal,
    Wake, wait,
};
use ironcast_proto::sender::{Config, Event, Outcome, Reported, Sender, Stats, Transmit};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;

use crate::encoder::Encoder;
use crate::image::SourceError;
use crate::payload::Payload;
use crate::results::{MachineResult, Machines};
use crate::source::Source;

/// Datagrams sent between looks at what has arrived. An answer waits for no more than these.
const BURST: usize = 64;

/// Datagrams taken at a time: an answer of each receiver. So a flood of them stops nothing else.
const ANSWER_BURST: usize = 1024;

/// Memory for answers that have arrived: 1024 receivers may answer at once.
const ANSWERS: usize = 1 << 20;

/// How long the system may take nothing before the transfer is given up. Chosen: a queue of many
/// megabytes may take minutes to leave over a slow link, and receivers that hear nothing at all
/// give up after one.
const BLOCKED_LIMIT: Duration = Duration::from_secs(600);

/// How a transfer is to go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interface it goes over.
    pub interface: Interface,
    /// The time to live of multicast packets.
    pub ttl: u32,
    /// Bytes of the system's memory for datagrams to be sent; `None` for the system's default.
    pub send_buffer: Option<usize>,
    /// How long to wait for the transfer to start; `None` for ever.
    pub start_timeout: Option<Duration>,
    /// What the protocol leaves open.
    pub protocol: Config,
}

impl Settings {
    /// Opens the sockets of the transfer.
    ///
    /// # Errors
    /// [`EndpointError`], above all if another program has the port.
    pub fn open_endpoint(&self) -> Result<Endpoint, EndpointError> {
        let sizes = BufferSizes {
            receive: Some(ANSWERS),
            send: self.send_buffer,
        };
        let port = self.protocol.port_base.wrapping_add(1);
        let mut endpoint = Endpoint::open(&self.interface, port, self.ttl, sizes)?;
        endpoint.join(self.protocol.control_address)?;
        Ok(endpoint)
    }
}

/// How far a transfer is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The time on the transfer's clock.
    pub now: Instant,
    /// Since its start; `None` before it.
    pub running: Option<Duration>,
    /// Bytes that every receiver acknowledged.
    pub acknowledged: u64,
    /// Bytes of the image, if known.
    pub length: Option<u64>,
    /// How far the file has been read, by the command of `--pipe` if there is one, and if that can
    /// be told.
    pub position: Option<u64>,
    /// How many receivers take part.
    pub receivers: u16,
    /// One of those that the transfer waits for, and how many more there are.
    pub awaited: Option<(SocketAddrV4, usize)>,
    /// What the protocol counted.
    pub stats: Stats,
}

/// Whoever wants to know how it goes.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// A machine can't take part, and says why. Told of each once, and of 1024 at most.
    fn unable(&mut self, reported: &Reported<'_>);

    /// A datagram could not be sent. It counts as lost on the way, and is sent again if need be.
    fn lost(&mut self, destination: SocketAddrV4, error: &io::Error);

    /// When it wants to see the [`Progress`] next; `None` for never.
    fn progress_due(&self) -> Option<Instant>;

    /// The progress at a time when it was due.
    fn progress(&mut self, progress: &Progress);
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine brought it to its end.
    Finished(Outcome),
    /// All of so many bytes was sent to whoever listened: in an asynchronous transfer nobody can
    /// acknowledge anything.
    Sent(u64),
    /// A signal ended it. There is no message that tells the receivers.
    Stopped(Signal),
    /// It did not start in time.
    NotStarted,
}

/// What is known at the end of a transfer.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// How far it got.
    pub progress: Progress,
    /// The BLAKE3 hash of the image; `None` if not all of it was read.
    pub hash: Option<blake3::Hash>,
    /// What became of each machine.
    pub results: Vec<MachineResult>,
}

/// Why a transfer could not go on.
#[derive(Debug)]
pub enum SendError {
    /// The image can't be read.
    Source(SourceError),
    /// There are no resources for making FEC blocks.
    Encoder(io::Error),
    /// The system can't wait for events.
    Wait(io::Error),
    /// The system takes nothing to be sent any more.
    Blocked,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Encoder(_) => f.write_str("can't start the thread that makes FEC blocks"),
            Self::Wait(_) => f.write_str("can't wait for network events"),
            Self::Blocked => write!(
                f,
                "the system has sent nothing for {} s: the interface stands still; look at its \
                 driver, its queue (tc -s qdisc) and the switch's flow control",
                BLOCKED_LIMIT.as_secs()
            ),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => error.source(),
            Self::Encoder(error) | Self::Wait(error) => Some(error),
            Self::Blocked => None,
        }
    }
}

impl From<SourceError> for SendError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Sends `source` by the [sockets](Settings::open_endpoint) to whoever connects, and returns when
/// that has come to an end.
///
/// # Errors
/// [`SendError`]; receivers then notice by their own timeouts.
pub fn send(
    settings: &Settings,
    endpoint: Endpoint,
    source: Source,
    operator: &mut dyn Operator,
    observer: &mut dyn Observer,
) -> Result<Summary, SendError> {
    let protocol = &settings.protocol;
    let encoder = protocol
        .fec
        .map(|layout| Encoder::start(layout, protocol.block_size))
        .transpose()
        .map_err(SendError::Encoder)?;
    let clock = Clock::start();
    let now = clock.now();
    let mut transfer = Transfer {
        clock,
        endpoint,
        source,
        encoder,
        machine: Box::new(Sender::new(protocol.clone(), now)),
        machines: Machines::default(),
        asynchronous: protocol.asynchronous,
        start_deadline: settings.start_timeout.map(|timeout| now + timeout),
        started: None,
        header: [0; MAX_CONTROL_LEN],
        pending: None,
        batch: Batch::default(),
        blocked_since: None,
        may_have_command: true,
    };
    let ending = transfer.run(operator, observer)?;
    let progress = transfer.progress(transfer.clock.now());
    let hash = transfer.source.hash();
    Ok(Summary {
        ending,
        progress,
        results: transfer.machines.results(hash),
        hash,
    })
}

/// A transfer under way.
struct Transfer {
    clock: Clock,
    endpoint: Endpoint,
    source: Source,
    /// Makes FEC blocks, if there are to be any.
    encoder: Option<Encoder>,
    machine: Box<Sender>,
    /// What is known of each receiver.
    machines: Machines,
    /// Whether nobody answers.
    asynchronous: bool,
    /// When to give up waiting for the start; `None` for never, and after the start.
    start_deadline: Option<Instant>,
    /// When the transfer started.
    started: Option<Instant>,
    /// Message that was made last, but for its image bytes.
    header: [u8; MAX_CONTROL_LEN],
    /// What is to be done with it, if there was no room for it.
    pending: Option<Transmit>,
    /// Messages that are to be sent together.
    batch: Batch<Payload>,
    /// Since when the system has taken nothing, if it was asked to.
    blocked_since: Option<Instant>,
    /// Whether the operator has to be asked for a command.
    may_have_command: bool,
}

/// What a burst of sending came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Burst {
    /// There is more to send.
    Cut,
    /// There is nothing more to send now.
    Done,
    /// The system takes nothing now.
    Blocked,
}

impl Transfer {
    fn run(
        &mut self,
        operator: &mut dyn Operator,
        observer: &mut dyn Observer,
    ) -> Result<Ending, SendError> {
        loop {
            let now = self.clock.now();
            self.machine.handle_timeout(now);
            let (end, complete) = self.source.advance()?;
            self.machine.supply(end, complete);
            self.encode();
            let burst = self.send_burst(now, observer);
            if self.is_stuck(now) {
                return Err(SendError::Blocked);
            }
            self.encode();
            self.release();
            if let Some(outcome) = self.tell_events(now, operator, observer) {
                return Ok(match self.asynchronous {
                    true => Ending::Sent(outcome.bytes),
                    false => Ending::Finished(outcome),
                });
            }
            let command = match self.may_have_command {
                true => operator.poll_command(),
                false => None,
            };
            match command {
                Some(Command::Stop(signal)) => return Ok(Ending::Stopped(signal)),
                Some(Command::Start) => self.machine.start(),
                None => {}
            }
            if self.start_deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Ending::NotStarted);
            }
            if observer.progress_due().is_some_and(|due| due <= now) {
                observer.progress(&self.progress(now));
            }
            self.wait(burst, operator, observer)
                .map_err(SendError::Wait)?;
            self.receive(observer);
        }
    }

    /// Gives memory back that neither receivers nor messages that wait for room need.
    fn release(&mut self) {
        let image = |payload: &Payload| match payload {
            Payload::Image(range) if !range.is_empty() => Some(range.start),
            Payload::Image(_) | Payload::Fec(_) => None,
        };
        let pending = self.pending.as_ref().map(Payload::of);
        let needed = self.batch.payloads().chain(&pending).filter_map(image);
        let from = needed.fold(self.machine.needed_from(), u64::min);
        self.source.release(from);
    }

    /// Has the FEC blocks made that the machine will ask for.
    fn encode(&mut self) {
        let Some(encoder) = &mut self.encoder else {
            return;
        };
        while let Some(encode) = self.machine.poll_encode() {
            let pending = self.pending.as_ref().map(Payload::of);
            let is_needed = |slice| {
                let mut needed = self.batch.payloads().chain(&pending);
                needed.any(|payload| matches!(payload, Payload::Fec(block) if block.slice == slice))
            };
            encoder.begin(&encode, &self.source, is_needed);
        }
        while let Some(slice) = encoder.poll_done() {
            self.machine.encoded(slice);
        }
    }

    /// Sends until there is nothing more to send, or for a while.
    fn send_burst(&mut self, now: Instant, observer: &mut dyn Observer) -> Burst {
        let mut burst = Burst::Cut;
        for _ in 0..BURST {
            let next = self.pending.take();
            let next = next.or_else(|| self.machine.poll_transmit(now, &mut self.header));
            let Some(transmit) = next else {
                burst = Burst::Done;
                break;
            };
            if !self.gather(&transmit) {
                self.pending = Some(transmit);
                if !self.send_batch(now, observer) {
                    return Burst::Blocked;
                }
            }
        }
        match self.send_batch(now, observer) {
            true => burst,
            false => Burst::Blocked,
        }
    }

    /// Adds a message to the batch; false if that has to be sent first.
    fn gather(&mut self, transmit: &Transmit) -> bool {
        let payload = Payload::of(transmit);
        let len = payload.len(self.encoder.as_ref());
        let head = &self.header[..transmit.len];
        self.batch.push(transmit.destination, head, payload, len)
    }

    /// Sends the batch; false if the system has no room now.
    fn send_batch(&mut self, now: Instant, observer: &mut dyn Observer) -> bool {
        let Some(destination) = self.batch.destination() else {
            return true;
        };
        let (source, encoder) = (&self.source, self.encoder.as_ref());
        let bytes = |payload: &Payload| payload.bytes(source, encoder);
        let before = self.batch.payloads().count();
        let sent = self.endpoint.send_batch(&mut self.batch, bytes);
        if self.batch.payloads().count() < before {
            self.blocked_since = None;
        }
        match sent {
            Sent::Done => true,
            Sent::Blocked => {
                self.blocked_since.get_or_insert(now);
                false
            }
            Sent::Lost(error) => {
                observer.lost(destination, &error);
                true
            }
        }
    }

    /// Whether the system has taken nothing for too long.
    fn is_stuck(&self, now: Instant) -> bool {
        self.blocked_since
            .is_some_and(|since| since + BLOCKED_LIMIT <= now)
    }

    /// Passes the machine's events on; the outcome, if it has ended.
    fn tell_events(
        &mut self,
        now: Instant,
        operator: &mut dyn Operator,
        observer: &mut dyn Observer,
    ) -> Option<Outcome> {
        while let Some(event) = self.machine.poll_event() {
            observer.event(&event);
            self.machines.event(&event);
            match event {
                Event::Started { .. } => {
                    self.started = Some(now);
                    self.start_deadline = None;
                    operator.transfer_started();
                }
                Event::Finished(outcome) => return Some(outcome),
                Event::Receiver { .. } | Event::Refused { .. } => {}
            }
        }
        None
    }

    fn wait(
        &mut self,
        burst: Burst,
        operator: &dyn Operator,
        observer: &dyn Observer,
    ) -> io::Result<()> {
        let now = self.clock.now();
        let wake = match burst {
            Burst::Cut => Wake::Now,
            Burst::Blocked => {
                Wake::Never.or_at(self.blocked_since.map(|since| since + BLOCKED_LIMIT))
            }
            Burst::Done => Wake::Never.or_at(self.machine.poll_timeout()),
        };
        let wake = wake
            .or_at(observer.progress_due())
            .or_at(operator.poll_interval().map(|interval| now + interval))
            .or_at(self.start_deadline);
        let [signals, keyboard] = operator.wake_fds();
        let source = self.source.waker().as_fd();
        let encoder = self.encoder.as_ref().map(|encoder| encoder.waker().as_fd());
        let others = [signals, keyboard, Some(source), encoder];
        let blocked = burst == Burst::Blocked;
        let [signal, key, read, encoded] = wait(&mut self.endpoint, others, blocked, now, wake)?;
        if read {
            self.source.waker().rearm();
        }
        if let (true, Some(encoder)) = (encoded, &self.encoder) {
            encoder.waker().rearm();
        }
        self.may_have_command = signal || key || operator.poll_interval().is_some();
        Ok(())
    }

    fn receive(&mut self, observer: &mut dyn Observer) {
        let now = self.clock.now();
        for _ in 0..ANSWER_BURST {
            let Some((from, datagram)) = self.endpoint.receive() else {
                return;
            };
            let reported = self.machine.handle_datagram(now, from, datagram);
            if let Some(reported) = reported
                && self.machines.report(&reported)
            {
                observer.unable(&reported);
            }
        }
    }

    fn progress(&self, now: Instant) -> Progress {
        let mut awaited = self.machine.awaited();
        let first = awaited.next();
        Progress {
            now,
            running: self.started.map(|started| now - started),
            acknowledged: self.machine.acknowledged(),
            length: self.source.length(),
            position: self.source.position(),
            receivers: self.machine.receivers(),
            awaited: first.map(|(_, address)| (address, awaited.count())),
            stats: *self.machine.stats(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::thread;

    use super::*;
    use crate::image::Image;
    use crate::source::Chunking;

    /// An asynchronous transfer of `len` bytes over loopback, that has been read.
    fn transfer(len: usize) -> Transfer {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; len]).unwrap();
        file.rewind().unwrap();
        let image = Image {
            name: "image".to_owned(),
            file,
            command: None,
            front: Vec::new(),
            live: None,
        };
        let config = Config {
            asynchronous: true,
            ..Config::default()
        };
        let mut source = Source::read(image, Chunking::for_config(&config)).unwrap();
        while source.advance().unwrap() != (len as u64, true) {
            thread::yield_now();
        }
        let loopback = Interface::find(Some("127.0.0.1")).unwrap();
        let clock = Clock::start();
        let mut machine = Box::new(Sender::new(config, clock.now()));
        machine.supply(len as u64, true);
        machine.start();
        Transfer {
            clock,
            endpoint: Endpoint::open(&loopback, 0, 1, BufferSizes::default()).unwrap(),
            source,
            encoder: None,
            machine,
            machines: Machines::default(),
            asynchronous: true,
            start_deadline: None,
            started: None,
            header: [0; MAX_CONTROL_LEN],
            pending: None,
            batch: Batch::default(),
            blocked_since: None,
            may_have_command: false,
        }
    }

    /// Nobody who is told anything.
    struct Nobody;

    impl Observer for Nobody {
        fn event(&mut self, _: &Event) {}
        fn unable(&mut self, _: &Reported<'_>) {}
        fn lost(&mut self, _: SocketAddrV4, _: &io::Error) {}
        fn progress_due(&self) -> Option<Instant> {
            None
        }
        fn progress(&mut self, _: &Progress) {}
    }

    #[test]
    fn p4_an_interface_that_stands_still_ends_the_transfer() {
        let mut transfer = transfer(100_000);
        let now = transfer.clock.now();
        transfer.blocked_since = Some(now);
        assert!(!transfer.is_stuck(now + BLOCKED_LIMIT / 2));
        assert!(transfer.is_stuck(now + BLOCKED_LIMIT));
        let _ = transfer.send_burst(now, &mut Nobody);
        assert!(!transfer.is_stuck(now + BLOCKED_LIMIT), "something went");
    }

    #[test]
    fn bytes_of_a_message_that_waits_for_room_are_kept_when_all_receivers_have_them() {
        let mut transfer = transfer(3_000_000);
        let now = transfer.clock.now();
        let mut pending = None;
        while transfer.machine.needed_from() < 1_400_000 {
            let next = transfer.machine.poll_transmit(now, &mut transfer.header);
            pending = pending.or(next.filter(|transmit| !transmit.payload.is_empty()));
        }
        let range = pending.as_ref().unwrap().payload.clone();
        transfer.pending = pending;
        transfer.release();
        assert_eq!(transfer.source.block(range).len(), 1456);
        assert!(transfer.gather(&transfer.pending.clone().unwrap()));
        transfer.pending = None;
        transfer.release();
        assert!(
            !transfer.source.block(0..1456).is_empty(),
            "the batch has it"
        );
        transfer.batch = Batch::default();
        transfer.release();
        assert!(transfer.source.block(0..1456).is_empty());
    }
}
