//! How a receiver meets senders: the one that it looks for, and strangers.
//!
//! Apart from the rest of the receiver since nothing here happens once a transfer is on, but for
//! counting strangers (docs/protocol.md, "Rendezvous").

use core::net::SocketAddrV4;

use super::session::Session;
use super::{Event, Failure, Receiver, State};
use crate::geometry;
use crate::time::Instant;
use crate::wire::{Capabilities, ConnectReply, Hello, HelloKind, Message};

impl Receiver {
    /// Takes a message, with its tag, while a sender is looked for.
    pub(super) fn find_sender(
        &mut self,
        now: Instant,
        (from, tag): (SocketAddrV4, u16),
        message: &Message<'_>,
    ) {
        if from.port() != self.sender_port() {
            self.stats.foreign += 1;
            return;
        }
        match message {
            Message::Hello(hello) => self.hear(now, (from, tag), hello),
            Message::ConnectReply(reply) if !self.config.passive => {
                self.connect(now, (from, tag), reply);
            }
            _ => self.stats.foreign += 1,
        }
    }

    /// Counts a message of someone else, and tells of another sender.
    pub(super) fn meet_stranger(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        message: &Message<'_>,
    ) {
        self.stats.foreign += 1;
        let is_sender = from.port() == self.sender_port() && matches!(message, Message::Hello(_));
        if is_sender && self.others.tell(now, from) {
            self.emit_event(Event::Other { sender: from });
        }
    }

    fn hear(&mut self, now: Instant, (from, tag): (SocketAddrV4, u16), hello: &Hello) {
        let State::Seeking(seeking) = &mut self.state else {
            return;
        };
        let is_under_way = hello.kind == HelloKind::Streaming;
        if is_under_way {
            seeking.hear_streaming(from);
        }
        if self.config.passive || hello.capabilities.contains(Capabilities::ASYNC) {
            if !is_under_way || self.config.late_join {
                self.listen(now, (from, tag), hello);
            }
            return;
        }
        if seeking.hear(now, from) {
            self.emit_event(Event::Heard { sender: from });
        }
        self.connect_to = Some(from);
    }

    /// Follows a sender that is not to hear of it.
    fn listen(&mut self, now: Instant, (from, tag): (SocketAddrV4, u16), hello: &Hello) {
        let Ok(block_size) = geometry::check_block_size(u32::from(hello.block_size)) else {
            self.stats.invalid += 1;
            return;
        };
        self.connect_to = None;
        self.emit_event(Event::Asynchronous {
            sender: from,
            block_size,
        });
        let mut session = Session::new(now, (from, tag), None, block_size, &self.config);
        if hello.kind == HelloKind::Streaming {
            session.join_late();
        }
        let step = session.learn_group(hello.data_address);
        self.state = State::Connected(session);
        self.take(now, step);
    }

    fn connect(&mut self, now: Instant, (from, tag): (SocketAddrV4, u16), reply: &ConnectReply) {
        let State::Seeking(seeking) = &mut self.state else {
            return;
        };
        let Ok(number) = u16::try_from(reply.receiver) else {
            seeking.refuse(now, Failure::Refused);
            return;
        };
        let Ok(block_size) = geometry::check_block_size(reply.block_size) else {
            seeking.refuse(now, Failure::BlockSize(reply.block_size));
            return;
        };
        let is_late = seeking.is_streaming(from) && self.config.late_join;
        self.connect_to = None;
        self.reporter.connect(now, reply.capabilities);
        self.emit_event(Event::Connected {
            sender: from,
            number,
            block_size,
            capabilities: reply.capabilities,
        });
        let mut session = Session::new(now, (from, tag), Some(number), block_size, &self.config);
        if is_late {
            session.join_late();
        }
        let step = session.learn_group(reply.data_address);
        self.state = State::Connected(session);
        self.take(now, step);
    }

    fn sender_port(&self) -> u16 {
        self.config.port_base.wrapping_add(1)
    }
}
