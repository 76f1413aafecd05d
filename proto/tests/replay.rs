//! Our codecs against recorded transfers of the stock programs.
//!
//! Byte arrays in the codecs' own tests show what we think the wire is; these show what it is. The
//! recordings are described in `captures/README.md`.

#![expect(
    clippy::expect_used,
    reason = "a test's helpers stop it by panicking too"
)]

#[cfg(test)]
mod pcap;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use ironcast_proto::bits::BitSet;
use ironcast_proto::fec::{encode, reference};
use ironcast_proto::wire::{Capabilities, ConnectReply, Data, Fec, Message, ReqAck, Retransmit};
use pcap::Datagram;

/// Recordings of the same 300,001 bytes.
const FULL: [&str; 6] = ["plain2", "nop2p", "loss5", "fec", "fecloss5", "bs512"];
const FULL_LEN: usize = 300_001;

/// All recordings.
const ALL: [&str; 7] = [
    "plain2", "nop2p", "loss5", "fec", "fecloss5", "bs512", "empty",
];

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 9001);

fn message(datagram: &Datagram) -> Message<'_> {
    Message::parse(&datagram.payload).expect("a stock program's message parses")
}

fn messages(datagrams: &[Datagram]) -> impl Iterator<Item = Message<'_>> {
    datagrams.iter().map(message)
}

fn data(datagrams: &[Datagram]) -> impl Iterator<Item = Data<'_>> {
    messages(datagrams).filter_map(|message| match message {
        Message::Data(data) => Some(data),
        _ => None,
    })
}

fn fec(datagrams: &[Datagram]) -> impl Iterator<Item = Fec<'_>> {
    messages(datagrams).filter_map(|message| match message {
        Message::Fec(fec) => Some(fec),
        _ => None,
    })
}

/// The block size that the sender told.
fn block_size(datagrams: &[Datagram]) -> usize {
    let told = messages(datagrams).find_map(|message| match message {
        Message::Hello(hello) => Some(usize::from(hello.block_size)),
        _ => None,
    });
    told.expect("a HELLO")
}

/// Bytes of each slice, as REQACK tells them.
fn slice_bytes(datagrams: &[Datagram]) -> BTreeMap<u32, usize> {
    let mut slices = BTreeMap::new();
    for message in messages(datagrams) {
        let Message::ReqAck(ReqAck {
            slice, slice_bytes, ..
        }) = message
        else {
            continue;
        };
        let bytes = usize::try_from(slice_bytes).expect("bytes of a slice");
        assert_eq!(
            *slices.entry(slice).or_insert(bytes),
            bytes,
            "slice {slice} keeps its size"
        );
    }
    slices
}

#[test]
fn every_message_is_known_and_becomes_the_same_bytes_again() {
    for name in ALL {
        for datagram in pcap::read(name) {
            let message = message(&datagram);
            let mut emitted = vec![0xaa; datagram.payload.len()];
            let len = message.emit(&mut emitted).expect("room for the message");
            assert_eq!(len, datagram.payload.len(), "{name}: {message}");
            let mut recorded = datagram.payload.clone();
            if matches!(message, Message::Hello(_)) {
                // Stock senders do not clear HELLO's padding.
                recorded[26..28].fill(0);
            }
            assert!(!matches!(message, Message::Unknown(_)), "{name}: {message}");
            assert_eq!(emitted, recorded, "{name}: {message}");
        }
    }
}

#[test]
fn recordings_have_the_messages_they_are_there_for() {
    let count = |name: &str, opcode| {
        let datagrams = pcap::read(name);
        messages(&datagrams)
            .filter(|message| message.opcode().name() == Some(opcode))
            .count()
    };
    let expected = [
        ("plain2", [4, 2, 1, 207, 0, 4, 8, 0, 2]),
        ("nop2p", [2, 1, 1, 321, 0, 6, 4, 2, 1]),
        ("loss5", [4, 2, 1, 277, 0, 8, 8, 6, 2]),
        ("fec", [4, 2, 1, 207, 40, 6, 12, 0, 2]),
        ("fecloss5", [4, 2, 1, 207, 80, 6, 12, 0, 0]),
        ("bs512", [4, 2, 1, 595, 0, 9, 16, 1, 2]),
        ("empty", [2, 1, 1, 0, 0, 1, 1, 0, 1]),
    ];
    let opcodes = [
        "CONNECT_REQ",
        "CONNECT_REPLY",
        "HELLO",
        "DATA",
        "FEC",
        "REQACK",
        "OK",
        "RETRANSMIT",
        "DISCONNECT",
    ];
    for (name, counts) in expected {
        assert_eq!(opcodes.map(|opcode| count(name, opcode)), counts, "{name}");
    }
}

#[test]
fn messages_go_between_the_ports_and_addresses_that_the_notes_say() {
    let broadcast = Ipv4Addr::new(10, 77, 0, 255);
    for name in ALL {
        let datagrams = pcap::read(name);
        let only_receiver = (name == "empty").then_some(Ipv4Addr::new(10, 77, 0, 2));
        let data_address = only_receiver.unwrap_or(Ipv4Addr::new(234, 77, 0, 1));
        for datagram in &datagrams {
            let message = message(datagram);
            let from_sender = matches!(
                message.opcode().name(),
                Some("HELLO" | "CONNECT_REPLY" | "DATA" | "FEC" | "REQACK")
            );
            assert_eq!(datagram.source == SENDER, from_sender, "{name}: {message}");
            let to = datagram.destination;
            assert_eq!(
                to.port(),
                if from_sender { 9000 } else { 9001 },
                "{name}: {message}"
            );
            match message {
                Message::Hello(_) => assert_eq!(*to.ip(), broadcast, "{name}"),
                Message::ConnectReq(_) => {
                    assert!([broadcast, *SENDER.ip()].contains(to.ip()), "{name}");
                }
                Message::ConnectReply(_) => assert!(to.ip().is_private(), "{name}"),
                _ if from_sender => assert_eq!(*to.ip(), data_address, "{name}"),
                _ => assert_eq!(to, SENDER, "{name}: {message}"),
            }
        }
    }
}

#[test]
fn replies_number_the_receivers_and_say_what_hello_said() {
    for name in ALL {
        let datagrams = pcap::read(name);
        let mut numbers = BTreeSet::new();
        for message in messages(&datagrams) {
            match message {
                Message::ConnectReply(reply) => {
                    assert!(numbers.insert(reply.receiver), "{name}: {reply}");
                    let expected = ConnectReply {
                        receiver: reply.receiver,
                        block_size: u32::try_from(block_size(&datagrams)).unwrap(),
                        capabilities: Capabilities::STOCK,
                        data_address: Ipv4Addr::new(234, 77, 0, 1),
                    };
                    assert_eq!(reply, expected, "{name}");
                }
                Message::Hello(hello) => {
                    assert_eq!(hello.capabilities, Capabilities::STOCK, "{name}");
                    assert_eq!(hello.data_address, Ipv4Addr::new(234, 77, 0, 1), "{name}");
                }
                Message::ConnectReq(request) => {
                    assert_eq!(request.capabilities, Capabilities::STOCK, "{name}");
                    assert_eq!(request.receive_buffer, 212_992, "{name}");
                }
                _ => {}
            }
        }
        let receivers = if ["nop2p", "empty"].contains(&name) {
            1
        } else {
            2
        };
        assert!(numbers.into_iter().eq(0..receivers), "{name}");
    }
}

#[test]
fn payloads_in_order_are_the_file() {
    let mut files = Vec::new();
    for name in FULL {
        let datagrams = pcap::read(name);
        let mut blocks = BTreeMap::new();
        for Data {
            slice,
            block,
            payload,
            ..
        } in data(&datagrams)
        {
            let known = *blocks.entry((slice, block)).or_insert(payload);
            assert_eq!(
                known, payload,
                "{name}: slice {slice} block {block} sent again"
            );
        }
        let file: Vec<u8> = blocks.into_values().flatten().copied().collect();
        assert_eq!(file.len(), FULL_LEN, "{name}");
        files.push(file);
    }
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn blocks_have_the_lengths_that_their_slices_give_them() {
    for name in ALL {
        let datagrams = pcap::read(name);
        let (block_size, slices) = (block_size(&datagrams), slice_bytes(&datagrams));
        for data in data(&datagrams) {
            let bytes = slices[&data.slice];
            assert_eq!(
                usize::try_from(data.slice_bytes),
                Ok(bytes),
                "{name}: {data}"
            );
            let start = usize::from(data.block) * block_size;
            assert!(start < bytes, "{name}: {data}");
            assert_eq!(
                data.payload.len(),
                block_size.min(bytes - start),
                "{name}: {data}"
            );
        }
        let whole = |bytes: usize| bytes.is_multiple_of(block_size) || bytes < block_size;
        assert!(
            slices.values().all(|&bytes| whole(bytes)),
            "{name}: {slices:?}"
        );
        assert_eq!(
            slices.last_key_value().map(|(_, &bytes)| bytes),
            Some(0),
            "{name}"
        );
        assert_eq!(
            slices.len(),
            usize::try_from(*slices.last_key_value().unwrap().0).unwrap() + 1
        );
        let total: usize = slices.values().sum();
        assert_eq!(total, if name == "empty" { 0 } else { FULL_LEN }, "{name}");
    }
}

#[test]
fn fec_blocks_come_once_each_and_whole() {
    for (name, stripes, redundancy) in [("fec", 4, 2), ("fecloss5", 4, 4)] {
        let datagrams = pcap::read(name);
        let (block_size, slices) = (block_size(&datagrams), slice_bytes(&datagrams));
        let mut blocks: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for fec in fec(&datagrams) {
            assert_eq!(fec.stripes, stripes, "{name}: {fec}");
            assert_eq!(
                usize::try_from(fec.slice_bytes),
                Ok(slices[&fec.slice]),
                "{name}: {fec}"
            );
            assert_eq!(fec.payload.len(), block_size, "{name}: {fec}");
            blocks.entry(fec.slice).or_default().push(fec.block);
        }
        let with_data = slices.into_iter().filter(|&(_, bytes)| bytes > 0);
        assert!(
            blocks.keys().copied().eq(with_data.map(|(slice, _)| slice)),
            "{name}"
        );
        for (slice, blocks) in blocks {
            assert!(
                blocks.into_iter().eq(0..stripes * redundancy),
                "{name}: slice {slice}"
            );
        }
    }
}

#[test]
fn fec_blocks_are_what_the_code_makes_of_the_data() {
    for name in ["fec", "fecloss5"] {
        let datagrams = pcap::read(name);
        let block_size = block_size(&datagrams);
        let mut slices: BTreeMap<u32, BTreeMap<u16, &[u8]>> = BTreeMap::new();
        for data in data(&datagrams) {
            let blocks = slices.entry(data.slice).or_default();
            blocks.insert(data.block, data.payload);
        }
        let mut compared = 0;
        for fec in fec(&datagrams) {
            let (row, stripe) = (fec.block / fec.stripes, fec.block % fec.stripes);
            let blocks = slices[&fec.slice].iter();
            let columns = blocks.filter(|(block, _)| *block % fec.stripes == stripe);
            let columns: Vec<&[u8]> = columns.map(|(_, payload)| *payload).collect();
            if columns.is_empty() {
                continue;
            }
            let mut parity = vec![0; block_size];
            encode(row, columns.iter().copied(), &mut parity);
            assert_eq!(parity, fec.payload, "{name}: {fec}");
            let byte = reference::encode_byte(row as u8, &columns, 7);
            assert_eq!(byte, fec.payload[7], "{name}: {fec}");
            compared += 1;
        }
        assert!(compared > 30, "{name}: only {compared} blocks");
    }
}

#[test]
fn receivers_leave_an_exit_wait_after_the_end() {
    for name in ALL {
        let datagrams = pcap::read(name);
        let mut end = None;
        for datagram in &datagrams {
            match message(datagram) {
                Message::ReqAck(ReqAck { slice_bytes: 0, .. }) => end = Some(datagram.micros),
                Message::Disconnect => {
                    let waited = datagram.micros - end.expect("the end comes first");
                    assert!((500_000..600_000).contains(&waited), "{name}: {waited} us");
                }
                _ => {}
            }
        }
        assert!(end.is_some(), "{name}");
    }
}

/// One slice's state as an onlooker sees it who follows "Rounds" of docs/protocol.md.
#[derive(Default)]
struct Round {
    /// The current round's number, once there was a REQACK.
    rxmit: Option<u32>,
    /// Blocks sent so far.
    sent: BitSet,
    /// Blocks that the round's answers lack.
    lacking: BitSet,
    /// Blocks sent again since the round's REQACK.
    sent_again: BitSet,
    /// Numbers of the receivers that said OK.
    ready: BitSet,
}

impl Round {
    fn data(&mut self, data: &Data<'_>) {
        let block = usize::from(data.block);
        if !self.sent.insert(block) {
            assert!(
                self.sent_again.insert(block),
                "{data}: sent again once a round"
            );
        }
    }

    fn reqack(&mut self, reqack: &ReqAck) {
        assert_eq!(
            reqack.rxmit,
            self.rxmit.map_or(0, |rxmit| rxmit + 1),
            "{reqack}"
        );
        assert_eq!(reqack.ready, self.ready, "{reqack}");
        assert_eq!(
            self.sent_again, self.lacking,
            "{reqack}: the union of what was asked for"
        );
        self.rxmit = Some(reqack.rxmit);
        (self.lacking, self.sent_again) = (BitSet::EMPTY, BitSet::EMPTY);
    }

    fn retransmit(&mut self, retransmit: &Retransmit) {
        assert_eq!(Some(retransmit.rxmit), self.rxmit, "{retransmit}");
        assert!(retransmit.received.is_subset(&self.sent), "{retransmit}");
        let lacking = self.sent.difference(&retransmit.received);
        assert!(!lacking.is_empty(), "{retransmit}");
        self.lacking = self.lacking.union(&lacking);
    }
}

#[test]
fn maps_and_ready_sets_tell_the_story_of_each_round() {
    for name in ALL {
        let datagrams = pcap::read(name);
        let mut numbers = BTreeMap::new();
        let mut rounds: BTreeMap<u32, Round> = BTreeMap::new();
        for datagram in &datagrams {
            match message(datagram) {
                Message::ConnectReply(reply) => {
                    numbers.insert(*datagram.destination.ip(), reply.receiver);
                }
                Message::Data(data) => rounds.entry(data.slice).or_default().data(&data),
                Message::ReqAck(reqack) => rounds.entry(reqack.slice).or_default().reqack(&reqack),
                Message::Retransmit(retransmit) => {
                    rounds
                        .entry(retransmit.slice)
                        .or_default()
                        .retransmit(&retransmit);
                }
                Message::Ok(ok) => {
                    let number = usize::try_from(numbers[datagram.source.ip()]).unwrap();
                    rounds.entry(ok.slice).or_default().ready.insert(number);
                }
                _ => {}
            }
        }
        let everyone = BitSet::below(numbers.len());
        assert!(
            rounds.values().all(|round| round.ready == everyone),
            "{name}"
        );
    }
}
