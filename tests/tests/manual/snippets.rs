//! The manual's configurations, given to the programs that they are for.
//!
//! Each is a fenced block whose info string names the program. The programs first check them, as
//! an administrator would; then each DHCP server runs with its own, is asked for each kind of
//! firmware, and boots a machine. Only PowerShell's commands are not run: they need a Windows
//! Server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ironcast_tests::room::{RECEIVE, TURN, UNATTENDED};
use ironcast_tests::{
    Architecture, Host, Lab, LabError, Machine, Running, dhcp_server, gate, ironcast_efi,
};
use tempfile::TempDir;

use super::manual;

/// The info strings of blocks that are given to programs.
const CHECKED: &[&str] = &["dnsmasq", "dnsmasq-proxy", "dhcpd", "kea", "nft"];

/// Those of the others.
const UNCHECKED: &[&str] = &["sh", "text", "powershell"];

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);

/// The blocks of the manual, each with its info string, without indentation.
pub fn blocks(manual: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut indent = None;
    for line in manual.lines() {
        let text = line.trim_start();
        match (indent, text.strip_prefix("```")) {
            (None, Some(info)) => {
                indent = Some(line.len() - text.len());
                blocks.push((info.to_owned(), String::new()));
            }
            (Some(_), Some(_)) => indent = None,
            (Some(indent), None) => {
                if let Some((_, block)) = blocks.last_mut() {
                    block.push_str(line.get(indent..).unwrap_or_default());
                    block.push('\n');
                }
            }
            (None, None) => {}
        }
    }
    blocks
}

/// All blocks with `info`, one behind the other.
fn configuration(info: &str) -> Result<String, LabError> {
    let blocks = blocks(&manual()?).into_iter();
    let of_kind = blocks.filter(|(kind, _)| kind == info);
    let text: String = of_kind.map(|(_, text)| text).collect();
    match text.is_empty() {
        true => Err(LabError::wrong(format!(
            "docs/manual.md has no block {info}"
        ))),
        false => Ok(text),
    }
}

/// A network with the server of the manual, and a machine.
pub struct Network {
    pub lab: Lab,
    folder: TempDir,
    pub server: Host,
    machine: Host,
}

impl Network {
    pub fn new() -> Result<Self, LabError> {
        let lab = Lab::new()?;
        let error = |e| LabError::io("make a folder", e);
        Ok(Self {
            folder: tempfile::tempdir().map_err(error)?,
            server: lab.host("10.0.0.1")?,
            machine: lab.host("10.0.0.2")?,
            lab,
        })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the manual's configuration of the kind `info`, changed only in where its server
    /// keeps its files, into a file, and gives the file's path.
    pub fn configure(&self, info: &str) -> Result<String, LabError> {
        let text = configuration(info)?
            .replace("/srv/tftp", &self.path().display().to_string())
            .replace(r#""memfile""#, r#""memfile", "persist": false"#);
        let file = self.path().join(info);
        fs::write(&file, text).map_err(|e| LabError::io("write a configuration", e))?;
        Ok(file.display().to_string())
    }

    /// Checks the configuration in `file` by `command` with `arguments`.
    fn check(mut command: Command, arguments: &[&str]) -> Result<(), LabError> {
        let doing = format!("run {command:?}");
        let output = command.args(arguments).output();
        let output = output.map_err(|e| LabError::io(&doing, e))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(LabError::wrong(format!(
                "{doing} with {arguments:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ))),
        }
    }

    /// What a machine is offered whose firmware is of the kind `firmware`.
    fn ask(&self, firmware: &Firmware) -> Result<Offer, LabError> {
        let architecture = firmware.architecture.to_string();
        let answer = self
            .machine
            .run("python3", &["-c", ASK, firmware.class, &architecture])?;
        let mut words = answer.trim_end_matches('\n').split('\t').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Ok(Offer {
            address: next(),
            server: next(),
            file: next(),
            class: next(),
        })
    }

    /// Asks as every kind of firmware. Addresses come from the server unless it is a proxy, which
    /// serves no HTTP boot.
    fn ask_for_all(&self, is_proxy: bool) -> Result<(), LabError> {
        for firmware in FIRMWARES {
            let is_http = firmware.class.starts_with("HTTP");
            let offer = self.ask(firmware)?;
            let file = if is_proxy && is_http {
                ""
            } else {
                firmware.file
            };
            assert_eq!(offer.file, file, "{firmware:?} {offer:?}");
            assert_eq!(
                offer.address.starts_with("10.0.0.1"),
                !is_proxy,
                "{offer:?}"
            );
            if !is_http && !file.is_empty() {
                assert_eq!(offer.server, "10.0.0.1", "{firmware:?} {offer:?}");
            }
            if is_http && !is_proxy {
                assert_eq!(offer.class, "HTTPClient", "{firmware:?} {offer:?}");
            }
        }
        Ok(())
    }
}

impl Network {
    /// Lays out the program for PCs, with `conf` as its settings, where the server serves files.
    pub fn serve_program(&self, conf: &str) -> Result<(), LabError> {
        let failed = |e| LabError::io("lay out what the server serves", e);
        let efi = ironcast_efi(Architecture::X86_64)?;
        fs::copy(efi, self.path().join("ironcast.efi")).map_err(failed)?;
        fs::write(self.path().join("ironcast.conf"), conf).map_err(failed)
    }

    /// Boots a PC, and waits until the program has found its settings beside itself.
    fn boot(&self) -> Result<(), LabError> {
        let _places = gate::take(1, TURN)?;
        self.serve_program(UNATTENDED)?;
        let mut machine = Machine::builder("machine").start(&self.lab, self.path())?;
        machine.wait_for_serial(
            "ironcast: settings of tftp://10.0.0.1/ironcast.conf: ",
            RECEIVE,
        )
    }
}

/// A kind of firmware, and what it is to get.
#[derive(Debug)]
struct Firmware {
    class: &'static str,
    architecture: u16,
    file: &'static str,
}

const FIRMWARES: &[Firmware] = &[
    Firmware {
        class: "PXEClient:Arch:00007:UNDI:003016",
        architecture: 7,
        file: "ironcast.efi",
    },
    Firmware {
        class: "PXEClient:Arch:00011:UNDI:003016",
        architecture: 11,
        file: "ironcast-aa64.efi",
    },
    Firmware {
        class: "HTTPClient:Arch:00016:UNDI:003016",
        architecture: 16,
        file: "http://10.0.0.1/boot/ironcast.efi",
    },
    // A PC that boots by BIOS, for which there is nothing.
    Firmware {
        class: "PXEClient:Arch:00000:UNDI:002001",
        architecture: 0,
        file: "",
    },
];

/// What a DHCP server offers; what it doesn't is empty.
#[derive(Debug)]
struct Offer {
    address: String,
    server: String,
    file: String,
    class: String,
}

/// Asks for an address as firmware does, with its vendor class and architecture, and shows the
/// first offer: address, server, file, and vendor class, with tabs between. A server that gives no
/// address and no file is a proxy, and is asked for the file at its own port. Without any offer it
/// shows nothing, which takes 6 s.
const ASK: &str = r"
import socket, struct, sys
vendor, architecture = sys.argv[1].encode(), int(sys.argv[2])
XID, MAC, OWN = b'iron', bytes.fromhex('525400123456'), socket.inet_aton('10.0.0.2')
DISCOVER, REQUEST = 1, 3
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
s.bind(('', 68))
s.settimeout(2)

def ask(kind, own, place):
    options = bytes([53, 1, kind, 60, len(vendor)]) + vendor
    options += struct.pack('>BBH', 93, 2, architecture) + b'\x5e\x03\x01\x03\x10'
    options += b'\x61\x11\x00' + MAC + bytes(10) + bytes([55, 7, 1, 3, 43, 54, 60, 66, 67, 255])
    flags = 0x8000 if kind == DISCOVER else 0
    header = struct.pack('>4B4s2H4s12x', 1, 1, 6, 0, XID, 0, flags, own)
    message = header + MAC.ljust(16, b'\0') + bytes(192) + b'\x63\x82\x53\x63' + options
    for attempt in range(3):
        s.sendto(message, place)
        try:
            reply = s.recv(4096)
        except TimeoutError:
            continue
        if reply[4:8] == XID:
            return parse(reply)

def parse(reply):
    found, at = {}, 240
    while at < len(reply) and reply[at] != 255:
        code = reply[at]
        length = 0 if code == 0 else reply[at + 1] + 1
        found[code] = reply[at + 2:at + 1 + length]
        at += 1 + length
    text = lambda data: data.split(b'\0')[0].decode()
    address, server = (socket.inet_ntoa(reply[at:at + 4]) for at in (16, 20))
    file = text(reply[108:236]) or text(found.get(67, b''))
    return [address, server, file, text(found.get(60, b''))]

offer = ask(DISCOVER, bytes(4), ('255.255.255.255', 67))
if offer and offer[0] == '0.0.0.0' and not offer[2]:
    offer = ask(REQUEST, OWN, (offer[1], 4011))
if offer:
    print(*offer, sep='\t')
";

#[test]
fn every_block_is_checked_or_known_not_to_be() {
    let found = blocks(&manual().unwrap());
    for (info, _) in &found {
        let known = CHECKED.iter().chain(UNCHECKED).any(|known| known == info);
        assert!(
            known,
            "docs/manual.md has a block {info:?}, which no test gives to a program"
        );
    }
    for info in CHECKED {
        assert!(found.iter().any(|(found, _)| found == info), "{info}");
    }
}

#[test]
fn nftables() -> Result<(), LabError> {
    let network = Network::new()?;
    let file = network.configure("nft")?;
    Network::check(
        network.server.command("nft")?,
        &["--check", "--file", &file],
    )
}

/// Checks and starts dnsmasq with the manual's configuration of the kind `info`.
pub fn start_dnsmasq(network: &Network, info: &str) -> Result<Running, LabError> {
    let file = format!("--conf-file={}", network.configure(info)?);
    Network::check(network.server.command("dnsmasq")?, &["--test", &file])?;
    let mut command = network.server.command("dnsmasq")?;
    let leases = format!(
        "--dhcp-leasefile={}",
        network.path().join("leases").display()
    );
    command.args(["--no-daemon", "--no-ping", &file, &leases]);
    let mut server = Running::start("dnsmasq", command, network.path())?;
    server.wait_for("TFTP root is", START)?;
    Ok(server)
}

fn start_dhcpd(network: &Network) -> Result<Running, LabError> {
    let file = network.configure("dhcpd")?;
    let leases = network.path().join("leases").display().to_string();
    fs::write(&leases, "").map_err(|e| LabError::io("write a file", e))?;
    let command = || dhcp_server(&network.server, "usr/sbin/dhcpd");
    let files = ["-cf", &file, "-lf", &leases, "--no-pid"];
    Network::check(command()?, &[&files[..], &["-t"]].concat())?;
    let mut command = command()?;
    command.args(files).args(["-4", "-f", "-d", "eth0"]);
    let mut server = Running::start("dhcpd", command, network.path())?;
    server.wait_for("Server starting service", START)?;
    Ok(server)
}

fn start_kea(network: &Network) -> Result<Running, LabError> {
    let file = network.configure("kea")?;
    let command = || {
        let mut command = dhcp_server(&network.server, "usr/sbin/kea-dhcp4")?;
        command.env("KEA_PIDFILE_DIR", network.path());
        command.env("KEA_LOCKFILE_DIR", network.path());
        Ok::<_, LabError>(command)
    };
    Network::check(command()?, &["-t", &file])?;
    let mut command = command()?;
    command.args(["-c", &file]);
    let mut server = Running::start("kea", command, network.path())?;
    server.wait_for("DHCP4_STARTED", START)?;
    Ok(server)
}

/// Gives out the files by TFTP, for DHCP servers that don't.
fn start_tftp(network: &Network) -> Result<Running, LabError> {
    let mut command = network.server.command("dnsmasq")?;
    command.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--enable-tftp",
    ]);
    command.arg(format!("--tftp-root={}", network.path().display()));
    let mut server = Running::start("tftp", command, network.path())?;
    server.wait_for("TFTP root is", START)?;
    Ok(server)
}

/// Gives out addresses and nothing else, at a host of its own.
fn start_another(network: &Network, host: &Host) -> Result<Running, LabError> {
    let mut command = host.command("dnsmasq")?;
    command.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--no-ping",
    ]);
    command.args(["--interface=eth0", "--dhcp-range=10.0.0.100,10.0.0.199,1h"]);
    command.arg(format!(
        "--dhcp-leasefile={}",
        network.path().join("others-leases").display()
    ));
    let mut server = Running::start("another", command, network.path())?;
    server.wait_for("DHCP, IP range", START)?;
    Ok(server)
}

#[test]
fn dnsmasq_alone() -> Result<(), LabError> {
    let network = Network::new()?;
    let _server = start_dnsmasq(&network, "dnsmasq")?;
    network.ask_for_all(false)?;
    network.boot()
}

#[test]
fn dnsmasq_beside_another_server() -> Result<(), LabError> {
    let network = Network::new()?;
    let _server = start_dnsmasq(&network, "dnsmasq-proxy")?;
    network.ask_for_all(true)?;
    let host = network.lab.host("10.0.0.3")?;
    let _another = start_another(&network, &host)?;
    network.boot()
}

#[test]
fn isc_dhcpd() -> Result<(), LabError> {
    let network = Network::new()?;
    let _servers = [start_dhcpd(&network)?, start_tftp(&network)?];
    network.ask_for_all(false)?;
    network.boot()
}

#[test]
fn kea() -> Result<(), LabError> {
    let network = Network::new()?;
    let _servers = [start_kea(&network)?, start_tftp(&network)?];
    network.ask_for_all(false)?;
    network.boot()
}

#[test]
fn blocks_lose_their_indentation() {
    let manual = "a\n   ```nft\n   x {\n       y\n\n   }\n   ```\n```sh\nls\n```\n";
    let found = blocks(manual);
    assert_eq!(found[0], ("nft".into(), "x {\n    y\n\n}\n".into()));
    assert_eq!(found[1], ("sh".into(), "ls\n".into()));
}
