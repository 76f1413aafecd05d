//! The network, the sender at one end of it, and time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddrV4};

use ironcast_proto::sender::{self, Outcome, Sender, StartRules};
use ironcast_proto::time::{Duration, Instant};
use ironcast_proto::wire::{MAX_CONTROL_LEN, Report, State};

use super::machine::Machine;

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 9001);

/// Microseconds that a frame takes on a wire of 1 Gbit/s.
const WIRE_TIME: Duration = Duration::from_micros(12);

/// Time from end to end.
const DELAY: Duration = Duration::from_micros(50);

pub fn receiver_address(number: usize) -> SocketAddrV4 {
    let host = u8::try_from(number + 2).expect("a small network");
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 9000)
}

/// A number generator (xorshift64*), for runs that can be repeated.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 24
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the network does to frames, in percent of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub loss: u64,
    pub duplicates: u64,
    /// These arrive up to a millisecond late, behind others.
    pub late: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    at: Instant,
    number: u64,
    /// A machine's number; `None` for the sender.
    to: Option<usize>,
    from: SocketAddrV4,
    datagram: Vec<u8>,
}

pub struct Network {
    pub now: Instant,
    pub sender: Sender,
    pub machines: Vec<Machine>,
    pub outcome: Option<Outcome>,
    /// State, hash and message of the last report that came to the sender.
    pub last_report: Option<(State, [u8; 32], String)>,
    image: Vec<u8>,
    trouble: Trouble,
    random: Random,
    frames: BinaryHeap<Reverse<Frame>>,
    frame_count: u64,
    wire_free: Instant,
    /// When the sender is cut off.
    sender_dies: Option<Instant>,
}

impl Network {
    /// A sender of `image` that starts when all the machines are there.
    pub fn new(image: &[u8], machines: Vec<Machine>) -> Self {
        Self::with_sender(image, machines, sender::Config::default())
    }

    pub fn with_sender(image: &[u8], machines: Vec<Machine>, config: sender::Config) -> Self {
        let start = StartRules {
            min_receivers: Some(machines.len() as u16),
            hello_interval: Some(Duration::from_millis(500)),
            ..StartRules::default()
        };
        let mut sender = Sender::new(sender::Config { start, ..config }, Instant::ZERO);
        sender.supply(image.len() as u64, true);
        Self {
            now: Instant::ZERO,
            sender,
            machines,
            outcome: None,
            last_report: None,
            image: image.to_vec(),
            trouble: Trouble::default(),
            random: Random::new(1),
            frames: BinaryHeap::new(),
            frame_count: 0,
            wire_free: Instant::ZERO,
            sender_dies: None,
        }
    }

    pub fn troubled(mut self, trouble: Trouble, seed: u64) -> Self {
        self.trouble = trouble;
        self.random = Random::new(seed);
        self
    }

    pub fn without_sender_from(mut self, dies: Instant) -> Self {
        self.sender_dies = Some(dies);
        self
    }

    /// Runs until every machine that lives has ended, and fails if that takes longer than `limit`.
    pub fn run(&mut self, limit: Duration) {
        self.run_until(limit, |network| {
            let mut living = network.machines.iter().filter(|machine| !machine.dead);
            living.all(|machine| machine.outcome.is_some())
        });
    }

    pub fn run_until(&mut self, limit: Duration, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            assert!(
                self.now <= Instant::ZERO + limit,
                "no end after {limit:?}: {:?}",
                self.machines
                    .iter()
                    .map(|machine| (machine.engine.progress(), machine.outcome))
                    .collect::<Vec<_>>()
            );
            self.step();
        }
    }

    fn step(&mut self) {
        while self
            .frames
            .peek()
            .is_some_and(|Reverse(frame)| frame.at <= self.now)
        {
            if let Some(Reverse(frame)) = self.frames.pop() {
                self.arrive(frame);
            }
        }
        let sends = self.turn_sender();
        for number in 0..self.machines.len() {
            for (_, datagram) in self.machines[number].turn(self.now) {
                self.put_on_wire(receiver_address(number), None, datagram);
            }
        }
        let tick = Duration::from_micros(1);
        let next = [self.frames.peek().map(|Reverse(frame)| frame.at)]
            .into_iter()
            .chain([self.sender.poll_timeout(), sends.then_some(self.wire_free)])
            .chain(self.machines.iter().map(Machine::due))
            .flatten()
            .min()
            .unwrap_or(self.now + Duration::from_secs(1));
        // A machine that could do more work comes round soon; who waits for nothing else does too.
        let soon = self.now + Duration::from_micros(500);
        self.now = next.min(soon).max(self.now + tick);
    }

    fn is_sender_dead(&self) -> bool {
        self.sender_dies.is_some_and(|dies| dies <= self.now)
    }

    fn arrive(&mut self, frame: Frame) {
        match frame.to {
            None if self.is_sender_dead() => {}
            None => {
                let Frame { from, datagram, .. } = &frame;
                if let Some(reported) = self.sender.handle_datagram(self.now, *from, datagram) {
                    let message = reported.report.message.to_owned();
                    let Report { state, hash, .. } = reported.report;
                    self.last_report = Some((state, hash, message));
                }
            }
            Some(number) => self.machines[number].receive(frame.from, frame.datagram),
        }
    }

    /// True if the sender has more to send as soon as the wire is free.
    fn turn_sender(&mut self) -> bool {
        if self.is_sender_dead() {
            return false;
        }
        self.sender.handle_timeout(self.now);
        while let Some(event) = self.sender.poll_event() {
            if let sender::Event::Finished(outcome) = event {
                self.outcome = Some(outcome);
            }
        }
        if self.now < self.wire_free {
            return true;
        }
        let mut buffer = [0; MAX_CONTROL_LEN];
        let Some(transmit) = self.sender.poll_transmit(self.now, &mut buffer) else {
            return false;
        };
        let mut datagram = buffer[..transmit.len].to_vec();
        let payload = transmit.payload.start as usize..transmit.payload.end as usize;
        datagram.extend_from_slice(&self.image[payload]);
        self.wire_free = self.now + WIRE_TIME;
        let to = *transmit.destination.ip();
        for number in 0..self.machines.len() {
            let is_member = || self.machines[number].groups.contains(&to);
            if to.is_broadcast() || to == *receiver_address(number).ip() || is_member() {
                self.put_on_wire(SENDER, Some(number), datagram.clone());
            }
        }
        true
    }

    fn put_on_wire(&mut self, from: SocketAddrV4, to: Option<usize>, datagram: Vec<u8>) {
        if self.random.chance(self.trouble.loss) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.trouble.duplicates));
        for _ in 0..copies {
            let mut at = self.now + DELAY;
            if self.random.chance(self.trouble.late) {
                at = at + Duration::from_micros(self.random.below(1000));
            }
            self.frame_count += 1;
            self.frames.push(Reverse(Frame {
                at,
                number: self.frame_count,
                to,
                from,
                datagram: datagram.clone(),
            }));
        }
    }
}
