//! Who may take part: answers to CONNECT_REQ, before the transfer and while it goes on.
//!
//! Apart from the rest of the sender since it only ever adds receivers (docs/protocol.md,
//! "Rendezvous" and "Streaming").

use core::net::SocketAddrV4;

use super::{Sender, Standing, State};
use crate::time::{Duration, Instant};
use crate::wire::{Capabilities, ConnectReply, ConnectReq, Message};

/// How often those are greeted again who are waited for and were never heard. Chosen
/// (docs/protocol.md, "Rendezvous").
const GREET_AGAIN: Duration = Duration::from_millis(250);

impl Sender {
    /// Answers CONNECT_REQ. Once the transfer has started only those are answered who are in it:
    /// their first answer may have been lost.
    pub(super) fn greet(&mut self, now: Instant, address: SocketAddrV4, request: &ConnectReq) {
        let gives_reports = request.capabilities.contains(Capabilities::REPORTS);
        let number = match &mut self.state {
            State::Waiting(waiting) => {
                let number = self.roster.admit(address, *request);
                waiting.connected(now, self.roster.count(Standing::Connected));
                number
            }
            State::Transferring(_) => match self.find_place(now, address, request) {
                Some(number) => Some(number),
                None => return self.stats.ignored += 1,
            },
            State::Collecting { .. } | State::Finished(_) => return,
        };
        if self.config.asynchronous {
            return;
        }
        match number {
            Some(number) => {
                self.reports.admit(number, gives_reports);
                self.to_greet.insert(usize::from(number));
            }
            None => {
                self.to_refuse = Some(address);
                if self.refused.is_none() && self.told_refused.tell(now, address) {
                    self.refused = Some(address);
                }
            }
        }
    }

    /// Answers those again who are waited for and have answered nothing yet: they may not have
    /// heard that they are connected.
    pub(super) fn greet_again(&mut self, now: Instant) {
        let State::Transferring(transfer) = &self.state else {
            return;
        };
        let unheard = transfer
            .awaited(&self.roster)
            .difference(self.roster.answered());
        if unheard.is_empty() {
            return;
        }
        let due = *self.greet_again_at.get_or_insert(now + GREET_AGAIN);
        if due <= now {
            self.greet_again_at = Some(now + GREET_AGAIN);
            self.to_greet = self.to_greet.union(&unheard);
        }
    }

    /// The number of one who asks for a connection during the transfer, if the answer is for it:
    /// it may not have heard the first one, or may come only now.
    fn find_place(
        &mut self,
        now: Instant,
        address: SocketAddrV4,
        request: &ConnectReq,
    ) -> Option<u16> {
        if self.config.asynchronous {
            return None;
        }
        let number = self.roster.connected_number(address);
        if let Some(number) = number.filter(|&number| self.roster.has_answered(number)) {
            if !self.roster.ask_again(now, number) {
                return None;
            }
            self.roster.set(number, Standing::Restarted);
            return self.join(address, request);
        }
        number.or_else(|| self.join(address, request))
    }

    /// Takes in a receiver that comes during a streaming transfer.
    fn join(&mut self, address: SocketAddrV4, request: &ConnectReq) -> Option<u16> {
        self.config.streaming?;
        let State::Transferring(transfer) = &mut self.state else {
            return None;
        };
        // Receivers have one port. And who never answered would hold the others up again.
        if address.port() != self.config.port_base || self.roster.is_mute(address) {
            return None;
        }
        if !self.invitations.accept(address) {
            return None;
        }
        let number = self.roster.admit(address, *request)?;
        self.roster.renew(number);
        transfer.release_receiver(number);
        Some(number)
    }

    /// The next answer to one receiver alone.
    pub(super) fn next_reply(&mut self) -> Option<(SocketAddrV4, Message<'static>)> {
        if let Some(address) = self.to_refuse.take() {
            let reply = self.reply(ConnectReply::TABLE_FULL, self.capabilities());
            return Some((address, reply));
        }
        if let Some(number) = self.to_greet.first_from(0) {
            self.to_greet.remove(number);
            let mut capabilities = self.capabilities();
            if self.reports.is_giver(number) {
                capabilities = capabilities | Capabilities::REPORTS;
            }
            let reply = self.reply(number as i32, capabilities);
            return Some((self.roster.address(number)?, reply));
        }
        let address = self.reports.poll_acknowledge(&self.roster)?;
        Some((address, Message::ReportAck))
    }

    fn reply(&self, receiver: i32, capabilities: Capabilities) -> Message<'static> {
        Message::ConnectReply(ConnectReply {
            receiver,
            block_size: u32::from(self.config.block_size),
            capabilities,
            data_address: self.announced_address(),
        })
    }
}
