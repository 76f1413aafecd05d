//! The command lines of the field, as scripts have them, with our programs linked to stock's names.
//!
//! The words are those of FOG, Clonezilla and LINBO but for addresses and waits; each script runs
//! with ours on the server, on the clients, and on both.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Kind, Lab, LabError, Program, Running, image};

const LIMIT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 2;

/// A folder in which `udp-sender` and `udp-receiver` are programs of `kind`.
fn linked(kind: Kind, folder: &Path) -> Result<PathBuf, LabError> {
    let bin = folder.join(format!("{kind:?}"));
    if !bin.exists() {
        fs::create_dir(&bin).map_err(|e| LabError::io("make a folder", e))?;
        for (name, program) in [
            ("udp-sender", Program::sender(kind)?),
            ("udp-receiver", Program::receiver(kind)?),
        ] {
            symlink(program.path(), bin.join(name)).map_err(|e| LabError::io("make a link", e))?;
        }
    }
    Ok(bin)
}

/// Starts a script on a host, in a folder of its own there.
fn start(
    host: &Host,
    name: &str,
    kind: Kind,
    folder: &Path,
    script: &str,
) -> Result<Running, LabError> {
    let bin = linked(kind, folder)?;
    let own = folder.join(name);
    fs::create_dir(&own).map_err(|e| LabError::io("make a folder", e))?;
    let mut command = host.command("sh")?;
    let script = format!(
        "PATH={}:$PATH; cd {}\n{script}",
        bin.display(),
        own.display()
    );
    command.args(["-ec", &script]);
    Running::start_with(name, command, folder, Stdio::null(), None)
}

/// Runs `server` and on each of the clients `client`; then each client has to have the server's
/// files `one` and `two`.
fn demand_both_files(server: &str, client: &str) -> Result<(), LabError> {
    for (sender, receiver) in [(Ours, Stock), (Stock, Ours), (Ours, Ours)] {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let folder = folder.path();
        for (name, len) in [("one", 3_000_001), ("two", 700_000)] {
            image::write_random(&folder.join(name), len, len)?;
        }
        let lab = Lab::new()?;
        let server_host = lab.host("10.77.0.1")?;
        // First: a stock receiver that asks before anybody listens at its rendez-vous address does
        // not ask again.
        let mut running = start(&server_host, "server", sender, folder, server)?;
        running.wait_for("UDP sender for", LIMIT)?;
        let (mut hosts, mut clients) = (Vec::new(), Vec::new());
        for number in 0..CLIENTS {
            let host = lab.host(&format!("10.77.0.{}", number + 2))?;
            let name = format!("client{number}");
            clients.push(start(&host, &name, receiver, folder, client)?);
            hosts.push(host);
        }
        let mut result = running.wait_success(LIMIT);
        for client in &mut clients {
            result = result.and_then(|()| client.wait_success(LIMIT));
            for file in ["one", "two"] {
                let received = folder.join(client.name()).join(file);
                result = result.and_then(|()| image::demand_equal(&folder.join(file), &received));
            }
        }
        result.map_err(|error| {
            let logs: String = clients.iter().map(Running::log).collect();
            LabError::wrong(format!(
                "{sender:?} to {receiver:?}: {error}\n{}\n{logs}",
                running.log()
            ))
        })?;
    }
    Ok(())
}

#[test]
fn fog() -> Result<(), LabError> {
    demand_both_files(
        "for file in ../one ../two; do
           udp-sender --max-bitrate 200m --rexmit-hello-interval 500 --interface eth0 \
             --min-receivers 2 --max-wait 20 --mcast-data-address 239.0.106.2 \
             --mcast-rdv-address 239.0.106.1 --portbase 9040 --full-duplex --ttl 32 --nokbd \
             --nopointopoint --file $file
         done",
        "for file in one two; do
           udp-receiver --nokbd --portbase 9040 --ttl 32 --mcast-rdv-address 10.77.0.1 > $file
         done",
    )
}

#[test]
fn clonezilla() -> Result<(), LabError> {
    demand_both_files(
        "port=2232
         for file in ../one ../two; do
           udp-sender --interface eth0 --mcast-all-addr 224.0.0.1 --portbase $port --ttl 1 --nokbd \
             --min-clients 2 --min-wait 1 --max-wait 20 --file $file
           port=$((port + 2))
         done",
        "port=2232
         for file in one two; do
           udp-receiver --interface eth0 --mcast-all-addr 224.0.0.1 --portbase $port --ttl 1 \
             --nokbd | cat > $file
           port=$((port + 2))
         done",
    )
}

#[test]
fn linbo_with_the_obsolete_spellings() -> Result<(), LabError> {
    demand_both_files(
        "for file in ../one ../two; do
           udp-sender --interface eth0 --nopointopoint --portbase 9010 --full-duplex --nokbd \
             --min-clients 2 --max-wait 20 --retriesUntilDrop 50 \
             --mcast_all_address 224.0.0.1 --file $file
         done",
        "for file in one two; do
           udp-receiver --interface eth0 --portbase 9010 --nokbd --exitWait 700 \
             --mcast_all_address 224.0.0.1 --file $file
         done",
    )
}

#[test]
fn variables_that_are_not_set_and_words_too_many() -> Result<(), LabError> {
    demand_both_files(
        "for file in ../one ../two; do
           cp $file ./-image
           udp-sender --interface eth0 -M \"$unset\" -f -image -k -T '' -S \"$unset\" -z 0 \
             --min-clients 2 --max-wait 20 --default-slice-size 2000 -F 4/64 one more
         done",
        "for file in one two; do
           udp-receiver more --interface eth0 --nokb -s \"$unset\" -w \"$unset\" -M '' -f $file one
         done",
    )
}
