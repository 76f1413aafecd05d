//! One sender, its receivers, the network between them, and the clock.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::time::Duration;

use ironcast_proto::fec::{self, Layout};
use ironcast_proto::receiver;
use ironcast_proto::sender::{self, Encode, Event, FecBlock, Outcome, Sender, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{MAX_CONTROL_LEN, Report, State};

use crate::host::Host;
use crate::network::{Conditions, Datagram, Link, Network};
use crate::random::Random;

/// Bits a second of the sender's link.
const LINK_RATE: u64 = 1_000_000_000;
/// Bytes of Ethernet, IP and UDP around each datagram, with preamble and gap.
pub const FRAMING: usize = 66;
/// No run may take more steps: a machine that spins must not hang the test.
const MAX_STEPS: u64 = 20_000_000;

/// Datagrams that a frozen machine's socket keeps.
const BACKLOG: usize = 200;
/// Datagrams that can be replayed.
const SEEN: usize = 500;

const SENDER: usize = 0;
pub const PORT_BASE: u16 = 9000;

/// What to simulate.
#[derive(Clone)]
pub struct Scenario {
    pub seed: u64,
    pub receivers: usize,
    pub image: Vec<u8>,
    /// From the switch to each receiver.
    pub down: Conditions,
    /// From each receiver to the switch.
    pub up: Conditions,
    pub sender: sender::Config,
    pub receiver: receiver::Config,
    /// Until when the sender has only so many bytes of the image.
    pub source_pauses: Option<(u64, Instant)>,
}

impl Scenario {
    pub fn new(seed: u64, receivers: usize, image_len: usize) -> Self {
        let start = StartRules {
            min_receivers: Some(receivers as u16),
            max_wait: Some(Duration::from_secs(60)),
            hello_interval: Some(Duration::from_millis(500)),
            ..StartRules::default()
        };
        Self {
            seed,
            receivers,
            image: Random::new(seed).bytes(image_len),
            down: Conditions::default(),
            up: Conditions::default(),
            sender: sender::Config {
                start,
                ..sender::Config::default()
            },
            receiver: receiver::Config {
                capacity: 512 << 10,
                ..receiver::Config::default()
            },
            source_pauses: None,
        }
    }

    /// The same conditions in both directions.
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.down = conditions;
        self.up = conditions;
        self
    }

    pub fn build(self) -> World {
        World::new(self)
    }

    pub fn run(self) -> World {
        let mut world = self.build();
        world.run();
        world
    }
}

pub struct World {
    pub now: Instant,
    pub sender: Box<Sender>,
    pub hosts: Vec<Host>,
    pub outcome: Option<Outcome>,
    /// What the sender told of each host, by its index.
    pub standings: Vec<(usize, sender::Standing)>,
    /// How far each receiver was by its last report, and what it had written.
    reports: HashMap<SocketAddrV4, (State, u64)>,
    pub started_at: Option<Instant>,
    /// See [`Scenario::source_pauses`].
    source_pauses: Option<(u64, Instant)>,
    /// From when on the sender is without power.
    pub sender_dies_at: Option<Instant>,
    /// A digest of every datagram that arrived anywhere, and when.
    trace: DefaultHasher,
    image: Vec<u8>,
    first_image: Option<Vec<u8>>,
    network: Network,
    /// Each receiver's links, down and up.
    links: Vec<(Link, Link)>,
    sender_free_at: Instant,
    fec: Option<Layout>,
    block_size: u16,
    /// Stream bytes of the slices whose FEC blocks have been made.
    encoded: HashMap<u32, Range<u64>>,
    /// Some of the datagrams that arrived.
    seen: Vec<Datagram>,
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let now = Instant::from_micros(1);
        let (fec, block_size) = (scenario.sender.fec, scenario.sender.block_size);
        let mut sender = Box::new(Sender::new(scenario.sender, now));
        if scenario.source_pauses.is_none() {
            sender.supply(scenario.image.len() as u64, true);
        }
        Self {
            now,
            sender,
            hosts: (0..scenario.receivers)
                .map(|_| Host::new(scenario.receiver.clone(), now))
                .collect(),
            outcome: None,
            standings: Vec::new(),
            reports: HashMap::new(),
            started_at: None,
            source_pauses: scenario.source_pauses,
            sender_dies_at: None,
            trace: DefaultHasher::new(),
            image: scenario.image,
            first_image: None,
            network: Network::new(scenario.seed ^ 0x5eed),
            links: vec![(Link::new(scenario.down), Link::new(scenario.up)); scenario.receivers],
            sender_free_at: now,
            fec,
            block_size,
            encoded: HashMap::new(),
            seen: Vec::new(),
        }
    }

    /// Changes the links of one receiver.
    pub fn set_link(&mut self, receiver: usize, down: Conditions, up: Conditions) {
        self.links[receiver] = (Link::new(down), Link::new(up));
    }

    /// Hands a forged datagram to a receiver as if it came from `from`.
    pub fn forge(&mut self, receiver: usize, from: SocketAddrV4, bytes: &[u8]) {
        self.hosts[receiver].receive(self.now, from, bytes);
    }

    /// Runs to the end of every party.
    pub fn run(&mut self) {
        self.run_until(Instant::from_micros(u64::MAX));
        assert!(
            self.is_over(),
            "P4: nothing is due any more, and not everyone has ended: {:?}",
            self.sender
        );
    }

    /// Runs to the first moment of the transfer itself.
    pub fn run_to_start(&mut self) {
        while self.started_at.is_none() {
            self.run_until(self.now + Duration::from_micros(100));
        }
    }

    /// Runs to the end of every party, or to a point in time.
    pub fn run_until(&mut self, end: Instant) {
        for _ in 0..MAX_STEPS {
            self.step();
            let Some(next) = self.next_time() else { return };
            if self.is_over() {
                return;
            }
            self.now = next.min(end);
            if next > end {
                return;
            }
        }
        let open: Vec<_> = self
            .hosts
            .iter()
            .filter(|host| !host.is_done(self.now))
            .collect();
        let machines: Vec<_> = open
            .iter()
            .map(|host| (&host.machine, host.disk.len()))
            .collect();
        panic!(
            "P4: no end after {MAX_STEPS} steps, at {:?}: {machines:?}",
            self.now
        );
    }

    pub fn is_over(&self) -> bool {
        let sender_done = self.outcome.is_some() || self.is_sender_dead();
        sender_done && self.hosts.iter().all(|host| host.is_done(self.now))
    }

    pub fn image(&self) -> &[u8] {
        &self.image
    }

    pub fn digest(&self) -> u64 {
        self.trace.finish()
    }

    /// How far a receiver is by its last report, and what it has written.
    pub fn report(&self, receiver: usize) -> Option<(State, u64)> {
        self.reports.get(&address(receiver + 1)).copied()
    }

    /// Every living receiver must have exactly the image, and say so.
    pub fn assert_all_equal(&self) {
        for (index, host) in self.hosts.iter().enumerate() {
            if host.is_dead(self.now) {
                continue;
            }
            assert_eq!(host.result, Some(Ok(())), "receiver {index}");
            assert!(
                host.disk == self.image,
                "P1: receiver {index} has other bytes than were sent"
            );
            if host.machine.is_reported() {
                let done = (State::DONE, self.image.len() as u64);
                assert_eq!(self.report(index), Some(done), "P5: receiver {index}");
            }
        }
    }

    fn is_sender_dead(&self) -> bool {
        self.sender_dies_at.is_some_and(|at| at <= self.now)
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.receive(self.now) {
            (self.now, &datagram).0.as_micros().hash(&mut self.trace);
            (datagram.to, &datagram.bytes).hash(&mut self.trace);
            if self.seen.len() < SEEN {
                self.seen.push(datagram.clone());
            }
            self.deliver(&datagram);
        }
        for host in &mut self.hosts {
            host.thaw(self.now);
            if !host.is_dead(self.now) && !host.is_frozen(self.now) {
                if host
                    .machine
                    .poll_timeout()
                    .is_some_and(|due| due <= self.now)
                {
                    host.machine.handle_timeout(self.now);
                }
                host.work(self.now);
            }
        }
        if !self.is_sender_dead() {
            if self
                .sender
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                self.sender.handle_timeout(self.now);
            }
            self.supply();
            self.transmit_sender();
        }
        self.transmit_hosts();
        self.poll_events();
    }

    fn deliver(&mut self, datagram: &Datagram) {
        match datagram.to {
            SENDER if self.is_sender_dead() => {}
            SENDER => {
                let Datagram { from, bytes, .. } = datagram;
                if let Some(reported) = self.sender.handle_datagram(self.now, *from, bytes) {
                    let Report { state, written, .. } = reported.report;
                    self.reports.insert(*from, (state, written));
                }
            }
            number => {
                let host = &mut self.hosts[number - 1];
                if host.is_frozen(self.now) {
                    if host.backlog.len() < BACKLOG {
                        host.backlog.push((datagram.from, datagram.bytes.clone()));
                    }
                } else if !host.is_dead(self.now) {
                    host.receive(self.now, datagram.from, &datagram.bytes);
                    host.work(self.now);
                }
            }
        }
    }

    fn supply(&mut self) {
        match self.source_pauses {
            Some((bytes, until)) if self.now < until => self.sender.supply(bytes, false),
            Some(_) => self.sender.supply(self.image.len() as u64, true),
            None => {}
        }
    }

    /// Lets a receiver do nothing for a time. A little of what comes for it is kept.
    pub fn freeze(&mut self, receiver: usize, time: Duration) {
        self.hosts[receiver].frozen_until = Some(self.now + time);
    }

    /// Hands a forged datagram to the sender as if it came from `from`.
    pub fn forge_at_sender(&mut self, from: SocketAddrV4, bytes: &[u8]) {
        let _ = self.sender.handle_datagram(self.now, from, bytes);
    }

    /// Delivers some datagrams again that arrived before, or parts of them.
    pub fn replay(&mut self, random: &mut Random, truncated: bool) {
        for _ in 0..30.min(self.seen.len()) {
            let index = random.below(self.seen.len() as u64) as usize;
            let mut datagram = self.seen[index].clone();
            if truncated {
                let len = random.below(datagram.bytes.len() as u64 + 1) as usize;
                datagram.bytes.truncate(len);
            }
            self.deliver(&datagram);
        }
    }

    /// Puts another sender, of another image, in the sender's place, as of now.
    pub fn replace_sender(&mut self, config: sender::Config, image: Vec<u8>) {
        self.fec = config.fec;
        self.block_size = config.block_size;
        *self.sender = Sender::new(config, self.now);
        self.sender.supply(image.len() as u64, true);
        self.first_image = Some(std::mem::replace(&mut self.image, image));
        self.outcome = None;
        self.started_at = None;
        self.encoded.clear();
    }

    /// The image of the sender that was replaced.
    pub fn first_image(&self) -> Option<&Vec<u8>> {
        self.first_image.as_ref()
    }

    /// Puts a receiver in the place of one, as of now.
    pub fn start_host(&mut self, receiver: usize, config: receiver::Config) {
        self.hosts[receiver] = Host::new(config, self.now);
    }

    /// Makes the FEC blocks that are asked for; true if there were any.
    fn encode(&mut self) -> bool {
        let before = self.encoded.len();
        while let Some(Encode { slice, range }) = self.sender.poll_encode() {
            assert!(range.end <= self.image.len() as u64);
            self.encoded.insert(slice, range);
            self.sender.encoded(slice);
        }
        self.encoded.len() > before
    }

    fn fec_block(&self, block: FecBlock) -> Vec<u8> {
        let range = self.encoded.get(&block.slice).expect("it was encoded");
        let bytes = &self.image[range.start as usize..range.end as usize];
        let stripes = usize::from(self.fec.expect("there is FEC").stripes());
        let columns = bytes
            .chunks(usize::from(self.block_size))
            .skip(usize::from(block.stripe))
            .step_by(stripes);
        let mut parity = vec![0; usize::from(self.block_size)];
        fec::encode(block.row, columns, &mut parity);
        parity
    }

    fn transmit_sender(&mut self) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        while self.sender_free_at <= self.now {
            let Some(transmit) = self.sender.poll_transmit(self.now, &mut buffer) else {
                if self.encode() {
                    continue;
                }
                return;
            };
            let mut bytes = buffer[..transmit.len].to_vec();
            let payload = transmit.payload.start as usize..transmit.payload.end as usize;
            bytes.extend_from_slice(&self.image[payload]);
            if let Some(block) = transmit.fec {
                bytes.extend_from_slice(&self.fec_block(block));
            }
            let bits = (bytes.len() + FRAMING) as u64 * 8;
            self.sender_free_at =
                self.now + Duration::from_micros((bits * 1_000_000).div_ceil(LINK_RATE));
            let to = *transmit.destination.ip();
            let group = to.is_multicast() || to.is_broadcast();
            for number in 1..=self.hosts.len() {
                if group || to == *address(number).ip() {
                    let (down, _) = &mut self.links[number - 1];
                    let datagram = Datagram {
                        from: address(SENDER),
                        to: number,
                        bytes: bytes.clone(),
                    };
                    self.network
                        .send(self.now, datagram, &mut Link::default(), down);
                }
            }
        }
    }

    fn transmit_hosts(&mut self) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        for (index, host) in self.hosts.iter_mut().enumerate() {
            if host.is_dead(self.now) || host.is_frozen(self.now) {
                continue;
            }
            while let Some(transmit) = host.machine.poll_transmit(&mut buffer) {
                let bytes = buffer[..transmit.len].to_vec();
                let datagram = Datagram {
                    from: address(index + 1),
                    to: SENDER,
                    bytes,
                };
                let (_, up) = &mut self.links[index];
                self.network
                    .send(self.now, datagram, up, &mut Link::default());
            }
            host.work(self.now);
        }
    }

    fn poll_events(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            match event {
                Event::Started { .. } => self.started_at = Some(self.now),
                Event::Finished(outcome) => self.outcome = Some(outcome),
                Event::Receiver {
                    address, standing, ..
                } => {
                    let index =
                        (0..self.hosts.len()).find(|host| self::address(host + 1) == address);
                    // Strangers may have connected.
                    if let Some(index) = index {
                        self.standings.push((index, standing));
                    }
                }
                Event::Refused { .. } => {}
            }
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let sender = if self.is_sender_dead() || self.outcome.is_some() {
            None
        } else {
            let free = Some(self.sender_free_at).filter(|&at| at > self.now);
            let death = self.sender_dies_at.filter(|&at| at > self.now);
            let source = self.source_pauses.map(|(_, until)| until);
            let source = source.filter(|&at| at > self.now);
            [self.sender.poll_timeout(), free, death, source]
                .into_iter()
                .flatten()
                .min()
        };
        let hosts = self
            .hosts
            .iter()
            .filter(|host| !host.is_done(self.now))
            .filter_map(|host| host.due(self.now));
        let next = hosts
            .chain(sender)
            .chain(self.network.next_arrival())
            .min()?;
        // What is due already must not stop the clock: it is tried again a moment later.
        Some(next.max(self.now + Duration::from_micros(1)))
    }
}

/// The address of the sender, number 0, or of a receiver.
pub fn address(number: usize) -> SocketAddrV4 {
    let ip = Ipv4Addr::new(10, 77, (number / 250) as u8, (number % 250) as u8 + 1);
    SocketAddrV4::new(
        ip,
        if number == SENDER {
            PORT_BASE + 1
        } else {
            PORT_BASE
        },
    )
}
