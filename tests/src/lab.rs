//! A private network: one bridge, and hosts and machines' taps on it, in namespaces without names.
//!
//! Each namespace is held by a process that reads a pipe whose other end is ours: when we end, in
//! whatever way, the pipe closes and the namespaces with their links go. Nothing has a name outside
//! its own namespace, so that any number of networks live side by side. Programs inside are started
//! through `setpriv --pdeathsig`, and so die with the *thread* that started them.
//!
//! As root a network namespace is all there is; an ordinary user gets a user namespace around it,
//! in which it is root, where the system allows that.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::run;
use crate::{LabError, find_tool};

/// How many frames a tap queues. The default of 1000 hides what a real network card drops.
const TAP_QUEUE: u32 = 64;

/// The name of a host's own interface, inside its namespace.
pub const INTERFACE: &str = "eth0";

/// Which way packets are lost, seen from the host or tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Packets that it should receive.
    Towards,
    /// Packets that it sends.
    From,
}

/// A private network. It lives as long as it or one of its hosts and taps does.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Where its bridge is.
    bridge: Arc<Namespace>,
    /// The bridge's own name.
    name: String,
    ports: Arc<AtomicU32>,
}

/// A host of a [`Lab`]: a network namespace with one interface, [`INTERFACE`].
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Arc<Namespace>,
    address: Ipv4Addr,
    port: Port,
}

/// A tap on a [`Lab`]'s bridge, for a virtual machine that runs in the bridge's namespace.
#[derive(Debug, Clone)]
pub struct Tap {
    port: Port,
}

/// A port of a [`Lab`]'s bridge, where packets are lost and counted: what a [`Host`] and a [`Tap`]
/// have in common.
#[derive(Debug, Clone)]
pub struct Port {
    lab: Lab,
    name: String,
}

impl Lab {
    /// Makes a network with a bridge and nothing on it. The bridge floods multicast to every port
    /// (no IGMP snooping).
    ///
    /// # Errors
    /// [`LabError::MissingTool`], or [`LabError::Failed`] where the system lets an ordinary user
    /// make no namespaces.
    pub fn new() -> Result<Self, LabError> {
        let namespace = Namespace::outermost()?;
        shell(&namespace, "ip link set lo up")?;
        Self::with_bridge(Arc::new(namespace), Arc::new(AtomicU32::new(0)))
    }

    /// Makes another network, from which nothing gets into this one, for machines that have a card
    /// in both.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `ip` refuses.
    pub fn beside(&self) -> Result<Self, LabError> {
        Self::with_bridge(self.bridge.clone(), self.ports.clone())
    }

    fn with_bridge(bridge: Arc<Namespace>, ports: Arc<AtomicU32>) -> Result<Self, LabError> {
        let name = format!("br{}", ports.fetch_add(1, Ordering::Relaxed));
        shell(
            &bridge,
            &format!(
                "ip link add {name} type bridge mcast_snooping 0 stp_state 0
                 ip link set {name} up"
            ),
        )?;
        Ok(Self {
            bridge,
            name,
            ports,
        })
    }

    /// Adds a host with an address out of its /24 network, whose multicast goes out of
    /// [`INTERFACE`]. Its link carries datagrams one by one, as a cable does: what a program hands
    /// over in one piece would otherwise be lost and counted in one piece.
    ///
    /// # Errors
    /// [`LabError::Wrong`] if `address` is none, [`LabError::Failed`] if `ip` refuses.
    pub fn host(&self, address: &str) -> Result<Host, LabError> {
        let address: Ipv4Addr = address
            .parse()
            .map_err(|_| LabError::wrong(format!("{address} is no IPv4 address")))?;
        let namespace = Namespace::inside(&self.bridge)?;
        let port = self.next_port("v");
        shell(
            &self.bridge,
            &format!(
                "ip link add {port} type veth peer name {INTERFACE} netns {}
                 ip link set {port} master {} up",
                namespace.holder.id(),
                self.name
            ),
        )?;
        shell(
            &namespace,
            &format!(
                "ip link set lo up
                 ip addr add {address}/24 brd + dev {INTERFACE}
                 ip link set {INTERFACE} up gso_max_segs 1
                 ip route add 224.0.0.0/4 dev {INTERFACE}"
            ),
        )?;
        Ok(Host {
            namespace: Arc::new(namespace),
            address,
            port: Port {
                lab: self.clone(),
                name: port,
            },
        })
    }

    /// Adds a tap with a queue as short as a real network card's ring.
    ///
    /// # Errors
    /// [`LabError::Wrong`] if the system refuses: taps need `/dev/net/tun` to be open to the user.
    pub fn tap(&self) -> Result<Tap, LabError> {
        let port = self.next_port("tap");
        shell(
            &self.bridge,
            &format!(
                "ip tuntap add dev {port} mode tap
                 ip link set {port} txqueuelen {TAP_QUEUE} master {} up",
                self.name
            ),
        )
        .map_err(|error| {
            LabError::wrong(format!(
                "no tap for a virtual machine could be made (is /dev/net/tun there and open to \
                 this user? `sudo chmod 666 /dev/net/tun` opens it until the next boot): {error}"
            ))
        })?;
        Ok(Tap {
            port: Port {
                lab: self.clone(),
                name: port,
            },
        })
    }

    /// A command that runs `program` in the bridge's namespace, where QEMU has to run to find its
    /// tap. It dies with the thread that starts it.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] if the program is not installed.
    pub fn command(&self, program: impl AsRef<Path>) -> Result<Command, LabError> {
        self.bridge.command(program)
    }

    fn next_port(&self, kind: &str) -> String {
        let number = self.ports.fetch_add(1, Ordering::Relaxed);
        format!("{kind}{number}")
    }

    /// Loses packets at the bridge's side of a link: loss in a host's own output would show up as
    /// an error of its `sendto`, which no real network gives.
    fn set_loss(&self, port: &str, direction: Direction, which: &str) -> Result<(), LabError> {
        let table = format!("lose_{}_{port}", direction.word());
        self.add_rule(&table, port, direction, &format!("{which} counter drop"))
    }

    fn count(&self, port: &str, direction: Direction, packets: &str) -> Result<Counter, LabError> {
        let number = self.ports.fetch_add(1, Ordering::Relaxed);
        let table = format!("count{number}_{}_{port}", direction.word());
        self.add_rule(&table, port, direction, &format!("{packets} counter"))?;
        Ok(Counter {
            lab: self.clone(),
            table,
        })
    }

    /// Puts one rule on what passes a port, in a table of its own, in place of the table's old one.
    fn add_rule(
        &self,
        table: &str,
        port: &str,
        direction: Direction,
        rule: &str,
    ) -> Result<(), LabError> {
        let side = match direction {
            Direction::Towards => "oifname",
            Direction::From => "iifname",
        };
        shell(
            &self.bridge,
            &format!(
                "nft 'add table bridge {table}; delete table bridge {table};
                  add table bridge {table};
                  add chain bridge {table} rules {{ type filter hook forward priority 0; }};
                  add rule bridge {table} rules {side} {port} {rule}'"
            ),
        )
    }
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Towards => "towards",
            Self::From => "from",
        }
    }
}

/// Counts packets on a link; see [`Port::count`].
#[derive(Debug, Clone)]
pub struct Counter {
    lab: Lab,
    table: String,
}

impl Counter {
    /// How many packets it has seen so far.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `nft` refuses, [`LabError::Wrong`] if it shows no counter.
    pub fn packets(&self) -> Result<u64, LabError> {
        let mut command = self.lab.command("nft")?;
        let listed = run(command.args(["list", "table", "bridge", &self.table]))?;
        listed
            .split_once("counter packets ")
            .and_then(|(_, rest)| rest.split_once(' '))
            .and_then(|(number, _)| number.parse().ok())
            .ok_or_else(|| LabError::wrong(format!("nft shows no counter: {listed}")))
    }
}

impl Host {
    /// The host's address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Lets its link carry up to `count` datagrams in one piece, if a program hands over so many at
    /// once and nothing is to be lost: 1 unless set, 65535 is what links of the system have.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `ip` refuses.
    pub fn set_segments(&self, count: u16) -> Result<(), LabError> {
        let script = format!("ip link set {INTERFACE} gso_max_segs {count}");
        shell(&self.namespace, &script)
    }

    /// A command that runs `program` inside the host. It dies with the thread that starts it.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] if the program is not installed.
    pub fn command(&self, program: impl AsRef<Path>) -> Result<Command, LabError> {
        self.namespace.command(program)
    }

    /// Runs `program` with `arguments` inside the host to its end and gives its stdout.
    ///
    /// # Errors
    /// [`LabError::Failed`] if its exit status is not 0.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, LabError> {
        run(self.command(program)?.args(arguments))
    }
}

impl Deref for Host {
    type Target = Port;

    fn deref(&self) -> &Port {
        &self.port
    }
}

impl Deref for Tap {
    type Target = Port;

    fn deref(&self) -> &Port {
        &self.port
    }
}

impl Port {
    /// The interface's name in the bridge's namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network that it is on.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Loses `percent` (0 to 100) of the UDP packets in `direction`, at random, in place of what
    /// was set before.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `nft` refuses.
    pub fn set_loss(&self, direction: Direction, percent: u32) -> Result<(), LabError> {
        self.set_loss_of(direction, percent, "ip protocol udp")
    }

    /// Like [`Port::set_loss`], only of packets that match `packets`, in the words of `nft`.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `nft` refuses.
    pub fn set_loss_of(
        &self,
        direction: Direction,
        percent: u32,
        packets: &str,
    ) -> Result<(), LabError> {
        let which = format!("{packets} numgen random mod 100 < {percent}");
        self.lab.set_loss(&self.name, direction, &which)
    }

    /// Loses one of `count` packets that match `packets`, evenly, in place of what was set before.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `nft` refuses.
    pub fn lose_one_of(
        &self,
        direction: Direction,
        count: u32,
        packets: &str,
    ) -> Result<(), LabError> {
        let which = format!("{packets} numgen inc mod {count} 0");
        self.lab.set_loss(&self.name, direction, &which)
    }

    /// How many packets [`Port::set_loss`] has lost in `direction` since it was last called.
    ///
    /// # Errors
    /// [`LabError::Failed`] if no loss was ever set.
    pub fn lost(&self, direction: Direction) -> Result<u64, LabError> {
        let table = format!("lose_{}_{}", direction.word(), self.name);
        let lab = self.lab.clone();
        Counter { lab, table }.packets()
    }

    /// Begins to count the packets in `direction` that match `packets`, in the words of `nft`:
    /// `ip daddr 239.1.2.3 udp dport 9000`, say.
    ///
    /// # Errors
    /// [`LabError::Failed`] if `nft` refuses.
    pub fn count(&self, direction: Direction, packets: &str) -> Result<Counter, LabError> {
        self.lab.count(&self.name, direction, packets)
    }
}

/// A network namespace, alive as long as its holder is.
#[derive(Debug)]
struct Namespace {
    holder: Child,
    /// Whether a user namespace has to be entered too.
    user: bool,
}

impl Namespace {
    /// A namespace of its own, for the bridge.
    fn outermost() -> Result<Self, LabError> {
        let user = !rustix::process::geteuid().is_root();
        let mut command = Command::new(find_tool("unshare")?);
        if user {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--"]);
        Self::hold(command, user)
    }

    /// Another namespace with the same owner, for a host.
    fn inside(outer: &Self) -> Result<Self, LabError> {
        let mut command = outer.enter()?;
        command.arg(find_tool("unshare")?).args(["--net", "--"]);
        Self::hold(command, outer.user)
    }

    fn hold(mut command: Command, user: bool) -> Result<Self, LabError> {
        let mut holder = command
            .args(["sh", "-c", "echo held; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| LabError::io(format!("start {command:?}"), e))?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.as_mut() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|e| LabError::io("read from the namespace's holder", e))?;
        }
        if line == "held\n" {
            return Ok(Self { holder, user });
        }
        let output = holder
            .wait_with_output()
            .map_err(|e| LabError::io("wait for the namespace's holder", e))?;
        Err(LabError::Failed {
            what: "no network namespace could be made: run as root, or allow user namespaces \
                   (sysctl kernel.unprivileged_userns_clone, \
                   kernel.apparmor_restrict_unprivileged_userns)"
                .to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The beginning of a command that runs inside.
    fn enter(&self) -> Result<Command, LabError> {
        let mut command = Command::new(find_tool("nsenter")?);
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        if self.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--");
        Ok(command)
    }

    fn command(&self, program: impl AsRef<Path>) -> Result<Command, LabError> {
        let program = find_tool(program)?;
        let mut command = self.enter()?;
        // After the namespaces are entered, for a change of credentials clears it.
        command
            .arg(find_tool("setpriv")?)
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program);
        Ok(command)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail only if the holder is gone already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn shell(namespace: &Namespace, script: &str) -> Result<(), LabError> {
    for tool in ["ip", "nft"] {
        find_tool(tool)?;
    }
    let path = "PATH=$PATH:/usr/sbin:/sbin";
    let script = format!("set -eu\n{path}\n{script}");
    run(namespace.command("sh")?.args(["-c", &script])).map(drop)
}
