//! A sender and a receiver that hand each other their datagrams, without a network or a disk.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ironcast_proto::receiver::{self, Conclusion, Receiver};
use ironcast_proto::sender::{self, Sender, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;

/// Bytes of an image; then the next transfer begins.
const IMAGE: u64 = 64 << 20;

/// Time between two datagrams: as on a link of a Gbit/s.
const GAP: Duration = Duration::from_micros(12);

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 9001);
const RECEIVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 9000);

/// A sender and a receiver in the midst of a transfer.
#[derive(Debug)]
pub struct Pair {
    now: Instant,
    sender: Box<Sender>,
    receiver: Box<Receiver>,
    length: Option<u64>,
    /// One of so many DATA messages is lost.
    lost_of: Option<u64>,
    sent: u64,
    datagram: Vec<u8>,
}

impl Pair {
    /// A pair that begins a transfer. One of `lost_of` DATA messages is lost, if it is given.
    #[must_use]
    pub fn new(lost_of: Option<u64>) -> Self {
        let now = Instant::from_micros(1);
        let (sender, receiver) = both(now);
        Self {
            now,
            sender,
            receiver,
            length: None,
            lost_of,
            sent: 0,
            datagram: Vec::new(),
        }
    }

    /// Goes on until a DATA message has been sent, and dealt with. Transfers follow one another.
    pub fn datagram(&mut self) {
        let sent = self.sent;
        while self.sent == sent {
            if !self.send() {
                self.wait();
            }
        }
    }

    /// Sends one datagram of the sender, if there is one, and deals with what follows from it.
    fn send(&mut self) -> bool {
        let mut buffer = [0; MAX_CONTROL_LEN];
        let Some(transmit) = self.sender.poll_transmit(self.now, &mut buffer) else {
            return false;
        };
        let payload = (transmit.payload.end - transmit.payload.start) as usize;
        // The payload's own bytes don't matter to the machines.
        self.datagram.resize(transmit.len + payload, 0);
        self.datagram[..transmit.len].copy_from_slice(&buffer[..transmit.len]);
        let is_data = payload > 0;
        self.sent += u64::from(is_data);
        let lost = self
            .lost_of
            .is_some_and(|count| self.sent.is_multiple_of(count));
        self.now = self.now + GAP;
        if !(is_data && lost) {
            let _ = self
                .receiver
                .handle_datagram(self.now, SENDER, &self.datagram);
            self.answer();
        }
        true
    }

    /// Lets the receiver write at once and answer.
    fn answer(&mut self) {
        while let Some(event) = self.receiver.poll_event() {
            if let receiver::Event::Ended { bytes } = event {
                self.length = Some(bytes);
            }
        }
        let written = self.receiver.contiguous();
        self.receiver.release(written);
        if self.length == Some(written) {
            self.length = None;
            self.receiver.conclude(Conclusion {
                written,
                ..Conclusion::default()
            });
            self.receiver.confirm(self.now);
        }
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(transmit) = self.receiver.poll_transmit(&mut buffer) {
            let answer = &buffer[..transmit.len];
            let _ = self.sender.handle_datagram(self.now, RECEIVER, answer);
        }
    }

    /// Waits until one of them has something to do; begins anew if the sender is done.
    fn wait(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            if matches!(event, sender::Event::Finished(_)) {
                (self.sender, self.receiver) = both(self.now);
                return;
            }
        }
        let due = [self.sender.poll_timeout(), self.receiver.poll_timeout()];
        if let Some(due) = due.into_iter().flatten().min() {
            self.now = due.max(self.now + Duration::from_micros(1));
        }
        if self
            .sender
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.sender.handle_timeout(self.now);
        }
        if self
            .receiver
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.receiver.handle_timeout(self.now);
        }
        self.answer();
    }
}

fn both(now: Instant) -> (Box<Sender>, Box<Receiver>) {
    let config = sender::Config {
        start: StartRules {
            min_receivers: Some(1),
            ..StartRules::default()
        },
        ..sender::Config::default()
    };
    let mut sender = Box::new(Sender::new(config, now));
    sender.supply(IMAGE, true);
    // What the program tells of its memory, from which the sender chooses its slices.
    let config = receiver::Config {
        capacity: 8 << 20,
        receive_buffer: 8 << 20,
        ..receiver::Config::default()
    };
    let receiver = Box::new(Receiver::new(config, now));
    (sender, receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_follow_one_another_with_loss_and_without() {
        let blocks = IMAGE / 1456;
        for lost_of in [None, Some(50)] {
            let mut pair = Pair::new(lost_of);
            for _ in 0..blocks * 5 / 2 {
                pair.datagram();
            }
            let begun = pair.sender.acknowledged();
            assert!(begun > 0 && begun < IMAGE, "{begun}");
        }
    }
}
