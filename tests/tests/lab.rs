//! The laboratory tested by itself: links, loss, taps, the PXE server, and that nothing
//! outlives it.
//!
//! The other tests stand on these: a lab that loses nothing when told to lose would let every test
//! of loss pass.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ironcast_tests::{
    BootOrder, Direction, Host, Lab, LabError, Machine, PxeServer, PxeSettings, Running, gate,
};

const PROBE: &str = env!("CARGO_BIN_EXE_lab-probe");
const GROUP: &str = "239.1.2.3";

/// How many of 1000 datagrams from `from` to `address` arrive at `to`.
fn arriving(from: &Host, to: &Host, address: &str) -> Result<u32, LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let mut count = to.command(PROBE)?;
    count.args(["count", "7000", GROUP, &to.address().to_string()]);
    let mut count = Running::start("count", count, folder.path())?;
    count.wait_for("listening", Duration::from_secs(5))?;
    from.run(PROBE, &["send", address, "7000", "1000"])?;
    count.wait_success(Duration::from_secs(15))?;
    let log = count.log();
    log.split_once("got ")
        .and_then(|(_, rest)| rest.split_once('.'))
        .and_then(|(number, _)| number.parse().ok())
        .ok_or_else(|| LabError::wrong(format!("no count in {log:?}")))
}

fn two_hosts() -> Result<(Host, Host), LabError> {
    let lab = Lab::new()?;
    Ok((lab.host("10.77.0.1")?, lab.host("10.77.0.2")?))
}

#[test]
fn everything_arrives_by_unicast_broadcast_and_multicast() -> Result<(), LabError> {
    let (a, b) = two_hosts()?;
    assert_eq!(arriving(&a, &b, "10.77.0.2")?, 1000);
    assert_eq!(arriving(&a, &b, GROUP)?, 1000);
    Ok(())
}

#[test]
fn half_is_lost_towards_a_host_and_nothing_of_what_it_sends() -> Result<(), LabError> {
    let (a, b) = two_hosts()?;
    b.set_loss(Direction::Towards, 50)?;
    // 1000 tosses of a coin: 6 standard deviations are 95.
    let got = arriving(&a, &b, "10.77.0.2")?;
    assert!((400..=600).contains(&got), "{got} of 1000 arrived");
    assert_eq!(arriving(&b, &a, "10.77.0.1")?, 1000);
    b.set_loss(Direction::Towards, 0)?;
    assert_eq!(arriving(&a, &b, "10.77.0.2")?, 1000);
    Ok(())
}

#[test]
fn loss_from_a_host_is_its_own() -> Result<(), LabError> {
    let (a, b) = two_hosts()?;
    a.set_loss(Direction::From, 20)?;
    let got = arriving(&a, &b, GROUP)?;
    assert!((720..=880).contains(&got), "{got} of 1000 arrived");
    assert_eq!(arriving(&b, &a, GROUP)?, 1000);
    Ok(())
}

#[test]
fn labs_side_by_side_do_not_see_each_other() -> Result<(), LabError> {
    let (a, b) = two_hosts()?;
    let (_c, d) = two_hosts()?;
    assert_eq!(arriving(&a, &d, GROUP)?, 0);
    assert_eq!(arriving(&a, &b, GROUP)?, 1000);
    Ok(())
}

#[test]
fn a_tap_has_the_queue_of_a_real_card() -> Result<(), LabError> {
    let lab = Lab::new()?;
    let tap = lab.tap()?;
    let mut show = lab.command("ip")?;
    let shown = show.args(["link", "show", tap.name()]).output();
    let shown = shown.map_err(|e| LabError::io("run ip", e))?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("qlen 64"), "{shown}");
    Ok(())
}

#[test]
fn programs_die_with_the_thread_that_started_them() -> Result<(), LabError> {
    let (a, _b) = two_hosts()?;
    let folder = tempfile::tempdir().unwrap();
    let mut command = a.command("sh")?;
    command.args(["-c", "echo ready; exec sleep 100"]);
    let start = || -> Result<Running, LabError> {
        let mut running = Running::start("sleeper", command, folder.path())?;
        running.wait_for("ready", Duration::from_secs(5))?;
        assert!(running.is_running());
        Ok(running)
    };
    let mut running = thread::scope(|scope| scope.spawn(start).join().unwrap())?;
    running.wait(Duration::from_secs(5))?;
    Ok(())
}

#[test]
fn nothing_outlives_a_killed_process() -> Result<(), LabError> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROBE);
    command.arg("hold");
    let mut holder = Running::start("holder", command, folder.path())?;
    holder.wait_for("].", Duration::from_secs(20))?;
    let log = holder.log();
    let network = log.split_once("network ").unwrap().1;
    let network = network.split_once("].").unwrap().0.to_owned() + "]";
    assert!(processes_in(&network) > 0, "nobody is in {network}");
    holder.kill();
    let deadline = Instant::now() + Duration::from_secs(5);
    while processes_in(&network) > 0 {
        assert!(Instant::now() < deadline, "somebody is left in {network}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How many processes are in a network namespace, given as `/proc/PID/ns/net` shows it.
fn processes_in(network: &str) -> usize {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("ns/net")).ok())
        .filter(|link| link == Path::new(network))
        .count()
}

#[test]
fn a_machine_asks_the_pxe_server_and_gets_its_file() -> Result<(), LabError> {
    let _places = gate::take(1, Duration::from_secs(600))?;
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new()?;
    let server = lab.host("10.77.0.1")?;
    // No program: the firmware fetches it and then says that it can't start it.
    let settings = PxeSettings::default().text("ironcast.efi", "not an EFI file");
    let pxe = PxeServer::start(&server, folder.path(), &settings)?;
    let mut machine = Machine::builder("machine")
        .boot_order(BootOrder::NetworkFirst)
        .start(&lab, folder.path())?;
    let address = machine.wait_for_serial("Station IP address is", Duration::from_secs(60));
    address.map_err(|e| LabError::wrong(format!("{e}\n{}", pxe.log())))?;
    machine.wait_for_serial("NBP file downloaded", Duration::from_secs(30))?;
    assert!(pxe.log().contains(machine.mac()), "{}", pxe.log());
    machine.switch_off();
    assert!(!machine.is_on());
    Ok(())
}

#[test]
fn waiting_for_serial_output_that_never_comes_shows_what_came() -> Result<(), LabError> {
    let _places = gate::take(1, Duration::from_secs(600))?;
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new()?;
    let mut machine = Machine::builder("blank").start(&lab, folder.path())?;
    machine.wait_for_serial("Start PXE", Duration::from_secs(60))?;
    let error = machine.wait_for_serial("never", Duration::from_millis(100));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("serial port to send \"never\""), "{error}");
    assert!(error.contains("Start PXE"), "{error}");
    Ok(())
}
