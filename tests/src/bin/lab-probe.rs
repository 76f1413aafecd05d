//! What tests need a process for: inside a namespace, or to be killed.
//!
//! `lab-probe count PORT GROUP OWN` prints `listening`, then how many datagrams it got until none
//! came for a second; `lab-probe send ADDRESS PORT COUNT` sends them, and `lab-probe say FROM TO
//! HEX...` datagrams of these bytes from an address and port of its own. `lab-probe hold` makes a
//! lab, prints the network namespace of a host in it, and does nothing for a minute.

use std::env;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use ironcast_tests::Lab;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["count", port, group, own] => count(port.parse()?, group.parse()?, own.parse()?),
        ["send", address, port, count] => send(address.parse()?, port.parse()?, count.parse()?),
        ["say", from, to, datagrams @ ..] => say(from.parse()?, to.parse()?, datagrams),
        ["hold"] => hold(),
        _ => Err(
            "usage: lab-probe count PORT GROUP OWN | send ADDRESS PORT COUNT | \
                  say FROM TO HEX... | hold"
                .into(),
        ),
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

fn say(from: SocketAddrV4, to: SocketAddrV4, datagrams: &[&str]) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(from)?;
    for hex in datagrams {
        let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
        let bytes: Result<Vec<u8>, _> = (0..hex.len()).step_by(2).map(byte).collect();
        socket.send_to(&bytes?, to)?;
        // Slow enough that no queue on the way can overflow.
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn hold() -> Result<(), Box<dyn Error>> {
    let lab = Lab::new()?;
    let host = lab.host("10.77.0.1")?;
    let network = host.run("readlink", &["/proc/self/ns/net"])?;
    println!("network {}.", network.trim());
    thread::sleep(Duration::from_secs(60));
    Ok(())
}
