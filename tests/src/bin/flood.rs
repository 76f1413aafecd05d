//! `flood ADDRESS PORT COUNT [OPCODE]`: says to a program what can be said to it, from everywhere.
//!
//! Datagrams of this or every opcode, most of them of the right length and full of random numbers,
//! from many ports of each address that the host has.

use std::env;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Opcodes with the lengths that they come in (docs/protocol.md, "Opcodes"), and one that is none.
const MESSAGES: &[(u16, usize)] = &[
    (0x0000, 8),
    (0x0001, 140),
    (0x0002, 4),
    (0x0003, 12),
    (0x0004, 4),
    (0x0006, 144),
    (0x0007, 32),
    (0x0008, 1472),
    (0x0009, 1472),
    (0x000a, 28),
    (0x000b, 28),
    (0x0500, 28),
    (0x1234, 100),
];

/// How many ports of each address.
const PORTS: usize = 4;

/// Datagrams between two pauses of a millisecond: what the program's socket holds.
const BURST: u64 = 25;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, port, count, rest @ ..] = args.as_slice() else {
        return Err("usage: flood ADDRESS PORT COUNT [OPCODE]".into());
    };
    let chosen: Option<u16> = rest.first().map(|opcode| opcode.parse()).transpose()?;
    let is_chosen = |opcode: u16| chosen.is_none_or(|chosen| chosen == opcode);
    let messages: Vec<(u16, usize)> = MESSAGES
        .iter()
        .copied()
        .filter(|(opcode, _)| is_chosen(*opcode))
        .collect();
    let target = SocketAddrV4::new(address.parse()?, port.parse()?);
    let mut random = Random(1);
    let mut sockets = Vec::new();
    for own in own_addresses()? {
        for _ in 0..PORTS {
            let socket = UdpSocket::bind((own, 0))?;
            socket.set_broadcast(true)?;
            sockets.push(socket);
        }
    }
    for number in 0..count.parse()? {
        let message = message(&messages, &mut random);
        let socket = &sockets[random.below(sockets.len())];
        // Nobody may listen yet, or any more.
        let _ = socket.send_to(&message, target);
        if number % BURST == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn own_addresses() -> Result<Vec<Ipv4Addr>, Box<dyn Error>> {
    let output = Command::new("ip")
        .args(["-4", "-o", "address", "show", "scope", "global"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let address = |line: &str| {
        line.split_whitespace()
            .nth(3)?
            .split('/')
            .next()?
            .parse()
            .ok()
    };
    Ok(text.lines().filter_map(address).collect())
}

/// A message that may pass for a true one: its numbers are small as often as not.
fn message(messages: &[(u16, usize)], random: &mut Random) -> Vec<u8> {
    let (opcode, length) = messages[random.below(messages.len())];
    let length = match random.below(20) {
        0 => random.below(1473),
        _ => length,
    };
    let mut message = vec![0; length];
    let are_small = random.below(2) == 0;
    for (place, byte) in message.iter_mut().enumerate() {
        let value = random.below(256) as u8;
        *byte = match are_small && place % 4 < 3 {
            true => 0,
            false => value,
        };
    }
    for (byte, value) in message.iter_mut().zip(opcode.to_be_bytes()) {
        *byte = value;
    }
    message
}

/// Marsaglia's xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
