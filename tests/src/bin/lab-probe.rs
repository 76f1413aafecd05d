//! Counts UDP datagrams between two hosts of the lab, to measure whether it carries and loses what
//! it was told to. A program, since only a process can be inside a namespace.
//!
//! `lab-probe count PORT GROUP OWN` prints `listening`, then how many datagrams it got until none
//! came for a second; `lab-probe send ADDRESS PORT COUNT` sends them.

use std::env;
use std::error::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["count", port, group, own] => count(port.parse()?, group.parse()?, own.parse()?),
        ["send", address, port, count] => send(address.parse()?, port.parse()?, count.parse()?),
        _ => Err("usage: lab-probe count PORT GROUP OWN | send ADDRESS PORT COUNT".into()),
    }
}

fn count(port: u16, group: Ipv4Addr, own: Ipv4Addr) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    socket.join_multicast_v4(&group, &own)?;
    println!("listening");
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut count = 0;
    while socket.recv(&mut [0; 64]).is_ok() {
        count += 1;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    }
    println!("got {count}.");
    Ok(())
}

fn send(address: Ipv4Addr, port: u16, count: u32) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for number in 0..count {
        socket.send_to(&number.to_be_bytes(), (address, port))?;
        // Slow enough that no queue on the way can overflow.
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
