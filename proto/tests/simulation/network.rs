//! A network that loses, repeats, delays and reorders, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;
use std::time::Duration;

use ironcast_proto::time::Instant;

use crate::random::Random;
use crate::world::FRAMING;

/// What a link does to each datagram. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// Datagrams lost, in percent.
    pub loss: f64,
    /// Losses that begin a burst, in percent of datagrams.
    pub burst: f64,
    /// How long a burst lasts. A time and not a count: a count of requests that come once a second
    /// would be an outage of minutes.
    pub burst_time: Duration,
    /// Datagrams that come twice, in percent.
    pub duplicate: f64,
    /// Least time on the way.
    pub delay: Duration,
    /// Most time on top of it; datagrams overtake each other within it.
    pub jitter: Duration,
    /// How long it takes for each byte, and for how many bytes there is a queue; what finds that
    /// full is lost. 0 for a link as fast as can be.
    pub byte_time: Duration,
    pub queue: u32,
}

impl Conditions {
    /// Loses that share of datagrams.
    pub fn lossy(loss: f64) -> Self {
        Self {
            loss,
            ..Self::default()
        }
    }
}

/// A link in one direction between a host and the switch.
#[derive(Clone, Debug, Default)]
pub struct Link {
    pub conditions: Conditions,
    /// When the running burst of losses is over.
    burst_until: Instant,
    /// When all that is in its queue has left.
    idle_at: Instant,
}

impl Link {
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            burst_until: Instant::ZERO,
            idle_at: Instant::ZERO,
        }
    }

    /// When a datagram of `len` bytes that comes at `now` leaves the queue; `None` if that is full.
    fn queue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let time = self.conditions.byte_time;
        if self.idle_at.since(now) > time * self.conditions.queue {
            return None;
        }
        self.idle_at = self.idle_at.max(now) + time * len as u32;
        Some(self.idle_at)
    }

    /// Times at which copies of a datagram of `len` bytes sent at `now` arrive: none if it is lost.
    fn carry(&mut self, now: Instant, len: usize, random: &mut Random) -> Vec<Instant> {
        let conditions = self.conditions;
        let Some(now) = self.queue(now, len) else {
            return Vec::new();
        };
        if now < self.burst_until {
            return Vec::new();
        }
        if random.chance(conditions.burst) {
            self.burst_until = now + conditions.burst_time;
        }
        if random.chance(conditions.loss) {
            return Vec::new();
        }
        let copies = if random.chance(conditions.duplicate) {
            2
        } else {
            1
        };
        let jitter = conditions.jitter.as_micros() as u64;
        (0..copies)
            .map(|_| now + conditions.delay + Duration::from_micros(random.below(jitter + 1)))
            .collect()
    }
}

/// A datagram on its way to one host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    pub from: SocketAddrV4,
    pub to: usize,
    pub bytes: Vec<u8>,
}

/// All that is on its way.
#[derive(Debug)]
pub struct Network {
    pub random: Random,
    on_its_way: BinaryHeap<Reverse<(Instant, u64, Datagram)>>,
    sent: u64,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            on_its_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Sends one datagram over the links `up` and `down`.
    pub fn send(&mut self, now: Instant, datagram: Datagram, up: &mut Link, down: &mut Link) {
        let len = datagram.bytes.len() + FRAMING;
        for reached_switch in up.carry(now, len, &mut self.random) {
            for arrives in down.carry(reached_switch, len, &mut self.random) {
                self.sent += 1;
                self.on_its_way
                    .push(Reverse((arrives, self.sent, datagram.clone())));
            }
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_its_way.peek().map(|Reverse((at, _, _))| *at)
    }

    /// A datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        if self.next_arrival()? > now {
            return None;
        }
        self.on_its_way
            .pop()
            .map(|Reverse((_, _, datagram))| datagram)
    }
}
