//! A machine: an engine, the card its frames wait in, and the loop that a program around it has.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use ironcast_proto::receiver::{self, Config};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_receiver_nostd::decode::gzip;
use ironcast_receiver_nostd::engine::{
    CastOptions, Decompress, DiskOptions, Engine, Error, Event, MIN_RING_LEN, Memory, Report,
    WRITE_SIZE,
};

use super::disk::{DiskError, TestDisk};

/// How a transfer ended for a machine.
pub type Outcome = Result<Report, Error<DiskError>>;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    pub config: Config,
    pub decompress: Decompress,
    pub options: DiskOptions,
    pub cast: CastOptions<'static>,
    pub ring: usize,
    /// Frames that the card holds while nobody looks.
    pub card: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Config::default(),
            decompress: Decompress::Auto,
            options: DiskOptions {
                may_be_empty: true,
                ..DiskOptions::default()
            },
            cast: CastOptions::default(),
            ring: 4 * MIN_RING_LEN,
            card: 64,
        }
    }
}

impl Setup {
    /// The engine. Its memory is as large as the test program lives long.
    pub fn engine(&self, disk: TestDisk) -> Engine<'static, TestDisk> {
        let memory = Memory {
            ring: vec![0; self.ring].leak(),
            write_buffer: vec![0; WRITE_SIZE].leak(),
            gzip: Some(Box::leak(Box::new(gzip::Decoder::new()))),
        };
        let mut engine = Engine::new(
            self.config.clone(),
            self.decompress,
            self.options,
            memory,
            disk,
            Instant::ZERO,
        )
        .expect("the memory is right");
        engine.set_cast_options(self.cast);
        engine
    }
}

pub struct Machine {
    pub engine: Engine<'static, TestDisk>,
    pub disk: TestDisk,
    pub outcome: Option<Outcome>,
    pub groups: Vec<Ipv4Addr>,
    /// Whether the machine is cut off from now on.
    pub dead: bool,
    card: VecDeque<(SocketAddrV4, Vec<u8>)>,
    card_len: usize,
    busy_until: Instant,
}

impl Machine {
    pub fn new(setup: &Setup, disk: TestDisk) -> Self {
        Self {
            engine: setup.engine(disk.clone()),
            disk,
            outcome: None,
            groups: Vec::new(),
            dead: false,
            card: VecDeque::new(),
            card_len: setup.card,
            busy_until: Instant::ZERO,
        }
    }

    pub fn receive(&mut self, from: SocketAddrV4, datagram: Vec<u8>) {
        if self.card.len() < self.card_len {
            self.card.push_back((from, datagram));
        }
    }

    /// One turn of the machine's loop, if the disk lets it. Gives what it sends.
    pub fn turn(&mut self, now: Instant) -> Vec<(SocketAddrV4, Vec<u8>)> {
        let mut sent = Vec::new();
        if self.dead || now < self.busy_until {
            return sent;
        }
        while let Some((from, datagram)) = self.card.pop_front() {
            self.engine.handle_datagram(now, from, &datagram);
        }
        self.engine.handle_timeout(now);
        self.poll(&mut sent);
        let worked = self.engine.work(now);
        self.poll(&mut sent);
        let wait = self.disk.take_spent() + u64::from(worked);
        self.busy_until = now + std::time::Duration::from_micros(wait);
        sent
    }

    /// When there is something to do next.
    pub fn due(&self) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let due = self.engine.poll_timeout()?;
        Some(
            if self.card.is_empty() {
                due
            } else {
                Instant::ZERO
            }
            .max(self.busy_until),
        )
    }

    fn poll(&mut self, sent: &mut Vec<(SocketAddrV4, Vec<u8>)>) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(transmit) = self.engine.poll_transmit(&mut buffer) {
            sent.push((transmit.destination, buffer[..transmit.len].to_vec()));
        }
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Receiver(receiver::Event::Join { group }) => self.groups.push(group),
                Event::Finished(outcome) => {
                    let before = self.outcome.replace(outcome);
                    assert_eq!(before, None, "a transfer ends once");
                }
                _ => assert_eq!(self.outcome, None, "nothing follows the end"),
            }
        }
    }
}
