//! A network that loses, repeats, delays and reorders, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;
use std::time::Duration;

use ironcast_proto::time::Instant;

use crate::random::Random;

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
}

impl Link {
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            burst_until: Instant::ZERO,
        }
    }

    /// Times at which copies of a datagram sent at `now` arrive: none if it is lost.
    fn carry(&mut self, now: Instant, random: &mut Random) -> Vec<Instant> {
        let conditions = self.conditions;
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
        for reached_switch in up.carry(now, &mut self.random) {
            for arrives in down.carry(reached_switch, &mut self.random) {
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
