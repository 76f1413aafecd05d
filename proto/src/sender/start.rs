//! Waiting for receivers: HELLOs, and the rules that start the transfer.

use super::config::StartRules;
use crate::time::{Duration, Instant};

/// Time between HELLOs if none was set. Chosen (docs/protocol.md, "Rendezvous"): a stock receiver
/// asks once, and a single HELLO can be lost, or come before the receiver listens.
const HELLO_INTERVAL: Duration = Duration::from_secs(1);

/// The state of a sender whose transfer has not started.
#[derive(Debug)]
pub(super) struct Waiting {
    rules: StartRules,
    /// When the next HELLO is due.
    hello_at: Instant,
    hellos: u32,
    /// When the first of those who are connected now came.
    first_at: Option<Instant>,
    receivers: u16,
    /// Whether nobody needs to be there.
    alone: bool,
}

impl Waiting {
    /// Waits from `now` on; if `alone`, for nobody.
    pub(super) fn new(rules: StartRules, alone: bool, now: Instant) -> Self {
        Self {
            alone,
            rules,
            hello_at: now,
            hellos: 0,
            first_at: None,
            receivers: 0,
        }
    }

    /// Whether a HELLO is to be sent; counts it as sent.
    pub(super) fn take_hello(&mut self, now: Instant) -> bool {
        if self.hello_at > now {
            return false;
        }
        self.hello_at = now + self.rules.hello_interval.unwrap_or(HELLO_INTERVAL);
        self.hellos = self.hellos.saturating_add(1);
        true
    }

    /// Takes in how many receivers are connected.
    pub(super) fn connected(&mut self, now: Instant, receivers: u16) {
        self.receivers = receivers;
        self.first_at = match receivers {
            0 => None,
            _ => self.first_at.or(Some(now)),
        };
    }

    /// Whether the transfer is to start.
    pub(super) fn is_to_start(&self, now: Instant) -> bool {
        let enough_hellos = self
            .rules
            .autostart
            .is_some_and(|hellos| self.hellos >= hellos);
        (self.receivers > 0 || self.alone)
            && (enough_hellos || self.start_at().is_some_and(|at| at <= now))
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Instant {
        self.start_at()
            .map_or(self.hello_at, |at| at.min(self.hello_at))
    }

    fn start_at(&self) -> Option<Instant> {
        let first_at = self.first_at?;
        let enough = self
            .rules
            .min_receivers
            .is_some_and(|min| self.receivers >= min);
        let at_least = enough.then(|| first_at + self.rules.min_wait);
        let at_most = self.rules.max_wait.map(|wait| first_at + wait);
        [at_least, at_most].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn waiting(rules: StartRules) -> Waiting {
        Waiting::new(rules, false, at(0))
    }

    #[test]
    fn without_rules_nothing_starts_and_hello_is_said_each_second() {
        let mut waiting = waiting(StartRules::default());
        assert!(waiting.take_hello(at(0)) && !waiting.take_hello(at(0)));
        assert_eq!(waiting.due(), at(1));
        assert!(waiting.take_hello(at(1)));
        waiting.connected(at(1), 5);
        assert!(!waiting.is_to_start(at(100_000)));
    }

    #[test]
    fn enough_receivers_start_after_the_least_wait() {
        let min_wait = Duration::from_secs(10);
        let mut waiting = waiting(StartRules {
            min_receivers: Some(2),
            min_wait,
            ..StartRules::default()
        });
        waiting.connected(at(5), 1);
        assert!(!waiting.is_to_start(at(60)));
        waiting.connected(at(6), 2);
        assert!(!waiting.is_to_start(at(14)));
        assert!(waiting.is_to_start(at(15)));
    }

    #[test]
    fn too_few_receivers_start_after_the_longest_wait_but_none_never() {
        let max_wait = Some(Duration::from_secs(30));
        let mut waiting = waiting(StartRules {
            min_receivers: Some(9),
            max_wait,
            ..StartRules::default()
        });
        assert!(!waiting.is_to_start(at(1000)));
        waiting.connected(at(1000), 1);
        assert!(!waiting.is_to_start(at(1029)));
        assert!(waiting.is_to_start(at(1030)));
        waiting.connected(at(1031), 0);
        waiting.connected(at(1040), 1);
        assert!(
            !waiting.is_to_start(at(1041)),
            "the wait begins anew with a new first receiver"
        );
    }

    #[test]
    fn so_many_hellos_start_if_anyone_is_there() {
        let mut waiting = waiting(StartRules {
            autostart: Some(2),
            ..StartRules::default()
        });
        assert!(waiting.take_hello(at(0)) && waiting.take_hello(at(1)));
        assert!(!waiting.is_to_start(at(1)));
        waiting.connected(at(2), 1);
        assert!(waiting.is_to_start(at(2)));
    }
}
