//! A sender, its receivers and the wires between them, in virtual time.
//!
//! The machines are the real ones of `ironcast-proto`; what lies between is reduced to what decides
//! how long a transfer takes: the rate of the sender's link, the time its processor needs for each
//! answer, the room for answers that wait for it, each receiver's disk, and loss.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use ironcast_proto::receiver::{self, Conclusion, Receiver};
use ironcast_proto::sender::{self, Sender, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_tests::image::Random;

/// Bits a second of the sender's link.
pub const LINK_RATE: u64 = 1_000_000_000;
/// Nanoseconds that the sender's processor is busy with each answer.
pub const ANSWER_TIME: u64 = 5_000;
/// Answers that can wait at the sender: what its network card and its socket hold together.
pub const ANSWER_ROOM: usize = 512;
/// Bytes a second of a receiver's disk, and of a slow one's.
pub const DISK_RATE: u64 = 200_000_000;
/// See [`DISK_RATE`].
pub const SLOW_DISK_RATE: u64 = 30_000_000;
/// Bytes of a receiver's memory for blocks: as the program has it.
pub const CAPACITY: u64 = 8 << 20;
/// Bytes that a receiver's system holds for it, and that it tells the sender: as the program asks
/// for, and gets from most systems as root.
pub const RECEIVE_BUFFER: u32 = 8 << 20;

/// Nanoseconds from the sender's card to a receiver's program.
const DELAY: u64 = 20_000;
/// Most nanoseconds, at random, until a receiver's answer is on its way.
const REACTION: u64 = 50_000;
/// Bytes of Ethernet, IP and UDP around each datagram, with preamble and gap.
const FRAMING: usize = 66;
/// Bytes that a receiver writes to its disk at once.
const WRITE: u64 = 128 << 10;
/// No run has more events: a machine that spins must not hang the benchmark.
const MOST_EVENTS: u64 = 2_000_000_000;

/// What one of the receivers is, beside all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddOne {
    /// Like the others.
    None,
    /// Its disk is slow.
    Slow,
    /// It falls silent when it has a quarter of the image.
    Dead,
}

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// How many receivers, 1 to 1024.
    pub receivers: usize,
    /// Datagrams lost on the way to each receiver, and of its answers; percent.
    pub loss: f64,
    /// What the first receiver is.
    pub odd: OddOne,
    /// Bytes of the image.
    pub size: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// From the start of the transfer until each receiver has acknowledged all of it, or was given
    /// up.
    pub time: Duration,
    /// Datagrams that the sender sent from the start on.
    pub sent: u64,
    /// Answers that the receivers sent from the start on.
    pub answers: u64,
    /// Answers for which the sender had no room.
    pub overrun: u64,
    /// How many receivers have the whole image.
    pub completed: u16,
}

/// Runs a scenario to its end; `None` if it has none.
#[must_use]
pub fn run(scenario: Scenario) -> Option<Outcome> {
    let mut world = World::new(scenario);
    for _ in 0..MOST_EVENTS {
        let Reverse((at, _, event)) = world.events.pop()?;
        world.now = at;
        world.happen(event);
        if let Some(outcome) = world.outcome() {
            return Some(outcome);
        }
    }
    None
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A datagram arrives at one receiver, or at all.
    Arrives(Option<usize>, Rc<[u8]>),
    /// An answer of a receiver arrives at the sender's card.
    Answered(usize, Vec<u8>),
    /// The sender's processor is free for the next answer.
    Handled,
    /// The sender's link is free.
    LinkFree,
    /// The sender wanted to be woken.
    WakeSender,
    /// A receiver wanted to be woken.
    Wake(usize),
    /// A receiver's disk has written so many bytes.
    Written(usize, u64),
}

struct Host {
    machine: Receiver,
    disk_rate: u64,
    written: u64,
    writing: bool,
    length: Option<u64>,
    dead: bool,
    /// When it will be woken.
    wakes_at: u64,
}

struct World {
    scenario: Scenario,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    random: Random,
    sender: Box<Sender>,
    hosts: Vec<Host>,
    link_free_at: u64,
    sender_wakes_at: u64,
    /// Answers that wait for the sender's processor.
    waiting: VecDeque<(usize, Vec<u8>)>,
    handling: bool,
    started_at: Option<u64>,
    /// When anything became of a receiver last.
    settled_at: u64,
    finished: Option<sender::Outcome>,
    sent: u64,
    answers: u64,
    overrun: u64,
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let start = StartRules {
            min_receivers: u16::try_from(scenario.receivers).ok(),
            ..StartRules::default()
        };
        let config = sender::Config {
            start,
            // One receiver gets the same datagrams as many do.
            addressing: sender::Addressing::Multicast,
            ..sender::Config::default()
        };
        let now = Instant::from_micros(1);
        let mut sender = Box::new(Sender::new(config, now));
        sender.supply(scenario.size, true);
        let host = |number| Host {
            machine: Receiver::new(
                receiver::Config {
                    capacity: CAPACITY,
                    receive_buffer: RECEIVE_BUFFER,
                    ..receiver::Config::default()
                },
                now,
            ),
            disk_rate: match (number, scenario.odd) {
                (0, OddOne::Slow) => SLOW_DISK_RATE,
                _ => DISK_RATE,
            },
            written: 0,
            writing: false,
            length: None,
            dead: false,
            wakes_at: u64::MAX,
        };
        let mut world = Self {
            scenario,
            now: 1_000,
            events: BinaryHeap::new(),
            count: 0,
            random: Random::new(scenario.receivers as u64),
            sender,
            hosts: (0..scenario.receivers).map(host).collect(),
            link_free_at: 0,
            sender_wakes_at: u64::MAX,
            waiting: VecDeque::new(),
            handling: false,
            started_at: None,
            settled_at: 0,
            finished: None,
            sent: 0,
            answers: 0,
            overrun: 0,
        };
        world.tend_sender();
        for number in 0..world.hosts.len() {
            world.tend_host(number);
        }
        world
    }

    fn outcome(&self) -> Option<Outcome> {
        let finished = self.finished?;
        Some(Outcome {
            time: Duration::from_nanos(self.settled_at - self.started_at?),
            sent: self.sent,
            answers: self.answers,
            overrun: self.overrun,
            completed: finished.completed,
        })
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn time(&self) -> Instant {
        Instant::from_micros(self.now / 1_000)
    }

    fn is_lost(&mut self) -> bool {
        let part = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        part * 100.0 < self.scenario.loss
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(Some(number), datagram) => self.arrive(number, &datagram),
            Event::Arrives(None, datagram) => {
                for number in 0..self.hosts.len() {
                    self.arrive(number, &datagram);
                }
            }
            Event::Answered(number, answer) => self.answered(number, answer),
            Event::Handled => self.handled(),
            Event::LinkFree => self.tend_sender(),
            Event::WakeSender => {
                self.sender_wakes_at = u64::MAX;
                if self
                    .sender
                    .poll_timeout()
                    .is_some_and(|due| due <= self.time())
                {
                    self.sender.handle_timeout(self.time());
                }
                self.tend_sender();
            }
            Event::Wake(number) => self.wake(number),
            Event::Written(number, bytes) => {
                let host = &mut self.hosts[number];
                host.writing = false;
                host.written += bytes;
                host.machine.release(host.written);
                self.tend_host(number);
            }
        }
    }

    fn arrive(&mut self, number: usize, datagram: &[u8]) {
        if self.is_lost() || self.hosts[number].dead {
            return;
        }
        let now = self.time();
        // Where the bytes belong is the program's business; here they are all the same.
        let _ = self.hosts[number]
            .machine
            .handle_datagram(now, address(None), datagram);
        self.tend_host(number);
    }

    fn wake(&mut self, number: usize) {
        let now = self.time();
        let host = &mut self.hosts[number];
        host.wakes_at = u64::MAX;
        if host.machine.poll_timeout().is_some_and(|due| due <= now) {
            host.machine.handle_timeout(now);
        }
        self.tend_host(number);
    }

    fn answered(&mut self, number: usize, answer: Vec<u8>) {
        if self.is_lost() {
            return;
        }
        if self.waiting.len() >= ANSWER_ROOM {
            self.overrun += u64::from(self.started_at.is_some());
            return;
        }
        self.waiting.push_back((number, answer));
        if !self.handling {
            self.handling = true;
            self.schedule(self.now + ANSWER_TIME, Event::Handled);
        }
    }

    fn handled(&mut self) {
        if let Some((number, answer)) = self.waiting.pop_front() {
            let now = self.time();
            self.sender
                .handle_datagram(now, address(Some(number)), &answer);
        }
        self.handling = !self.waiting.is_empty();
        if self.handling {
            self.schedule(self.now + ANSWER_TIME, Event::Handled);
        }
        self.tend_sender();
    }

    /// Sends what the sender has to send, hears what it tells, and notes when to wake it.
    fn tend_sender(&mut self) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        while self.link_free_at <= self.now {
            let Some(transmit) = self.sender.poll_transmit(self.time(), &mut buffer) else {
                break;
            };
            let payload = (transmit.payload.end - transmit.payload.start) as usize;
            let mut bytes = buffer[..transmit.len].to_vec();
            bytes.resize(transmit.len + payload, 0);
            let nanoseconds = (bytes.len() + FRAMING) as u64 * 8 * 1_000_000_000 / LINK_RATE;
            self.link_free_at = self.now + nanoseconds;
            self.sent += u64::from(self.started_at.is_some());
            let to = *transmit.destination.ip();
            let one = (0..self.hosts.len()).find(|&number| to == *address(Some(number)).ip());
            let one = if to.is_multicast() || to.is_broadcast() {
                None
            } else {
                one
            };
            self.schedule(self.link_free_at + DELAY, Event::Arrives(one, bytes.into()));
            self.schedule(self.link_free_at, Event::LinkFree);
        }
        while let Some(event) = self.sender.poll_event() {
            match event {
                sender::Event::Started { .. } => self.started_at = Some(self.now),
                sender::Event::Receiver { .. } => self.settled_at = self.now,
                sender::Event::Finished(outcome) => self.finished = Some(outcome),
                sender::Event::Refused { .. } => {}
            }
        }
        if let Some(due) = self.sender.poll_timeout() {
            let at = (due.as_micros() * 1_000).max(self.now + 1_000);
            if at < self.sender_wakes_at {
                self.sender_wakes_at = at;
                self.schedule(at, Event::WakeSender);
            }
        }
    }

    /// Sends what a receiver has to send, lets its disk write, and notes when to wake it.
    fn tend_host(&mut self, number: usize) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        let quarter = self.scenario.size / 4;
        let dies = number == 0 && self.scenario.odd == OddOne::Dead;
        let host = &mut self.hosts[number];
        host.dead |= dies && host.machine.contiguous() >= quarter;
        if host.dead {
            return;
        }
        while let Some(event) = host.machine.poll_event() {
            if let receiver::Event::Ended { bytes } = event {
                host.length = Some(bytes);
            }
        }
        self.write(number);
        while let Some(transmit) = self.hosts[number].machine.poll_transmit(&mut buffer) {
            self.answers += u64::from(self.started_at.is_some());
            let at = self.now + DELAY + self.random.next_u64() % REACTION;
            self.schedule(at, Event::Answered(number, buffer[..transmit.len].to_vec()));
        }
        let host = &mut self.hosts[number];
        if let Some(due) = host.machine.poll_timeout() {
            let at = (due.as_micros() * 1_000).max(self.now + 1_000);
            if at < host.wakes_at {
                host.wakes_at = at;
                self.schedule(at, Event::Wake(number));
            }
        }
    }

    fn write(&mut self, number: usize) {
        let now = self.time();
        let host = &mut self.hosts[number];
        if host.writing {
            return;
        }
        if host.length == Some(host.written) {
            host.machine.conclude(Conclusion {
                written: host.written,
                ..Conclusion::default()
            });
            host.machine.confirm(now);
            host.length = None;
            return;
        }
        let ready = host.machine.contiguous().saturating_sub(host.written);
        if ready >= WRITE || (ready > 0 && host.length.is_some()) {
            host.writing = true;
            let bytes = ready.min(WRITE);
            let at = self.now + bytes * 1_000_000_000 / host.disk_rate;
            self.schedule(at, Event::Written(number, bytes));
        }
    }
}

/// The address of a receiver, or of the sender.
fn address(receiver: Option<usize>) -> SocketAddrV4 {
    let Some(number) = receiver else {
        return SocketAddrV4::new(Ipv4Addr::new(10, 77, 255, 1), 9001);
    };
    let [.., high, low] = (number as u32 + 1).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, 77, high, low), 9000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receiver_gets_the_image_at_the_rate_of_the_link_and_a_dead_one_does_not() {
        let mut scenario = Scenario {
            receivers: 1,
            loss: 0.0,
            odd: OddOne::None,
            size: 4 << 20,
        };
        let outcome = run(scenario).unwrap();
        assert_eq!(outcome.completed, 1);
        let least = (4 << 20) as f64 * 8.0 / LINK_RATE as f64;
        let time = outcome.time.as_secs_f64();
        assert!(time > least && time < 2.0 * least, "{time} {least}");
        scenario.odd = OddOne::Dead;
        scenario.receivers = 2;
        assert_eq!(run(scenario).unwrap().completed, 1);
    }
}
