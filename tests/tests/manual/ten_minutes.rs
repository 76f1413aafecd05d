//! The manual's way from nothing to an imaged machine, with its own configurations and command.

use std::time::Duration;

use ironcast_tests::room::{RECEIVE, TURN, demand_ok};
use ironcast_tests::{DiskKind, Kind, LabError, Machine, Program, Running, gate, image};

use super::snippets::{self, Network};

/// Bytes of the image.
const IMAGE: u64 = 16 << 20;

/// The one block of the kind `info` that begins with `words`.
fn block(info: &str, words: &str) -> Result<String, LabError> {
    let blocks = snippets::blocks(&super::manual()?).into_iter();
    let mut fitting = blocks.filter(|(kind, text)| kind == info && text.starts_with(words));
    match (fitting.next(), fitting.next()) {
        (Some((_, text)), None) => Ok(text),
        _ => Err(LabError::wrong(format!(
            "docs/manual.md has not one block {info} that begins with {words:?}"
        ))),
    }
}

/// Starts the manual's sender of `disk.img.zst`, for one machine in place of 20.
fn start_sender(network: &Network) -> Result<Running, LabError> {
    let line = block("sh", "ironcast-sender --file disk.img.zst")?;
    let mut words = line.split_whitespace().skip(1).map(|word| match word {
        "20" => "1",
        word => word,
    });
    let path = Program::sender(Kind::Ours)?.path().to_path_buf();
    let mut command = network.server.command(path)?;
    command.args(words.by_ref()).current_dir(network.path());
    Running::start("sender", command, network.path())
}

/// All of it through the manual's firewall.
#[test]
fn a_machine_is_imaged() -> Result<(), LabError> {
    let network = Network::new()?;
    let _places = gate::take(1, TURN)?;
    let rules = network.configure("nft")?;
    network.server.run("nft", &["--file", &rules])?;
    let _dnsmasq = snippets::start_dnsmasq(&network, "dnsmasq")?;
    network.serve_program(&block("text", "disk=auto")?)?;
    let (image, disk) = (network.path().join("disk.img"), network.path().join("disk"));
    image::write_random(&image, IMAGE, 7)?;
    image::make_sparse(&disk, 4 * IMAGE)?;
    network
        .server
        .run("zstd", &["-q", &image.display().to_string()])?;
    let mut sender = start_sender(&network)?;
    let machine = Machine::builder("machine").disk(&disk, DiskKind::VirtioBlk);
    let mut machine = machine.start(&network.lab, network.path())?;
    demand_ok(&mut machine, RECEIVE)?;
    sender.wait_success(Duration::from_secs(30))?;
    machine.wait_off(Duration::from_secs(30))?;
    image::demand_starts_with(&image, &disk)?;
    let results = network.path().join("results.jsonl");
    let results = std::fs::read_to_string(results).map_err(|e| LabError::io("read results", e))?;
    match results.contains(r#""result":"ok""#) && results.contains(r#""verified":true"#) {
        true => Ok(()),
        false => Err(LabError::wrong(results)),
    }
}
