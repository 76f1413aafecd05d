//! The ways in which a machine comes to start `ironcast.efi`, beside netbooting a PC.
//!
//! `qemu.rs` has what happens afterwards. Here it only has to be right that the program starts,
//! finds its settings and its network, and writes the one disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, Usb, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{RECEIVE, Room, TURN, UNATTENDED, demand_ok, demand_written};
use ironcast_tests::signing::{self, SigningKey};
use ironcast_tests::{
    Architecture, Board, BootOrder, DiskKind, LabError, Machine, MachineBuilder, PxeSettings,
    Running, boot_loader, gate, image, ironcast_efi, pxe, test_medium, variables,
};

/// Bytes of the disks.
const DISK: u64 = 64 << 20;

/// Images the machine's disk, which `attach` attaches, and compares it with what was sent. The
/// machine has to find its settings in `source`.
fn image_disk(
    room: &Room,
    source: &str,
    attach: impl FnOnce(&Path) -> MachineBuilder,
) -> Result<(), LabError> {
    let image = room.small_image()?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(attach(&disk))?;
    let mut check = || {
        machine.wait_for_serial(&format!("ironcast: settings of {source}: "), RECEIVE)?;
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(30))?;
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// One server for machines of both architectures.
fn arm_machine(kind: DiskKind) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let settings = PxeSettings::ironcast(&ironcast_efi(Architecture::X86_64)?, UNATTENDED)
        .ironcast_for_arm(&ironcast_efi(Architecture::Aarch64)?);
    let room = Room::serving(&settings)?;
    image_disk(&room, "tftp://10.77.0.1/ironcast.conf", |disk| {
        let machine = Machine::builder("machine").board(Board::Arm);
        machine.memory(128).disk(disk, kind)
    })
}

#[test]
fn arm_virtio_blk() -> Result<(), LabError> {
    arm_machine(VirtioBlk)
}

#[test]
fn arm_nvme() -> Result<(), LabError> {
    arm_machine(Nvme)
}

/// A room whose server gives out a signed program, after `spoil` has done something to it, and
/// machines whose firmware starts nothing else.
fn secure_room(spoil: impl FnOnce(&mut Vec<u8>)) -> Result<(Room, MachineBuilder), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let key = SigningKey::make(folder.path())?;
    let efi = folder.path().join("ironcast.efi");
    let doing = |e| LabError::io("change the program", e);
    fs::copy(ironcast_efi(Architecture::X86_64)?, &efi).map_err(doing)?;
    signing::sign(&efi, &key.key, &key.certificate)?;
    let mut bytes = fs::read(&efi).map_err(doing)?;
    spoil(&mut bytes);
    fs::write(&efi, bytes).map_err(doing)?;
    let room = Room::serving(&PxeSettings::ironcast(&efi, UNATTENDED))?;
    let variables = room.path("enrolled.vars");
    key.enrol(&Board::SecureBoot.blank_variables()?, &variables)?;
    let machine = Machine::builder("machine").board(Board::SecureBoot);
    Ok((room, machine.variables(&variables)))
}

#[test]
fn secure_boot_starts_what_is_signed() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let (room, machine) = secure_room(|_| {})?;
    let source = "tftp://10.77.0.1/ironcast.conf";
    image_disk(&room, source, |disk| machine.disk(disk, VirtioBlk))
}

/// The firmware fetches the program and then refuses it.
fn secure_boot_refuses(spoil: impl FnOnce(&mut Vec<u8>)) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let (room, machine) = secure_room(spoil)?;
    let disk = room.disk("disk", DISK)?;
    let mut machine = room.start(machine.disk(&disk, VirtioBlk))?;
    let mut check = || {
        machine.wait_for_line("Access Denied", RECEIVE)?;
        if machine.serial().contains("ironcast:") {
            return Err(LabError::wrong("the program has started"));
        }
        machine.switch_off();
        image::demand_untouched(&disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[]))
}

#[test]
fn secure_boot_refuses_what_is_not_signed() -> Result<(), LabError> {
    let unsigned = fs::read(ironcast_efi(Architecture::X86_64)?)
        .map_err(|e| LabError::io("read the program", e))?;
    secure_boot_refuses(|program| *program = unsigned)
}

#[test]
fn secure_boot_refuses_what_was_changed_after_signing() -> Result<(), LabError> {
    secure_boot_refuses(|program| {
        // A letter of a text in it.
        let place = program
            .windows(17)
            .position(|bytes| bytes == b"ironcast: result ")
            .unwrap();
        program[place] ^= 0x20;
    })
}

/// Nothing is booted over the network: the program asks for an address by itself. The only disk
/// that could be meant is the one that it was not started from.
fn usb_stick(board: Board) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::serving(&PxeSettings::default())?;
    let (medium, stick) = (test_medium()?, room.path("stick"));
    fs::copy(&medium, &stick).map_err(|e| LabError::io("copy the medium", e))?;
    image_disk(&room, r"\EFI\BOOT\ironcast.conf", |disk| {
        let machine = Machine::builder("machine").board(board);
        machine.disk(&stick, Usb).disk(disk, VirtioBlk)
    })?;
    image::demand_equal(&medium, &stick)
}

#[test]
fn usb_stick_in_a_pc() -> Result<(), LabError> {
    usb_stick(Board::Pc)
}

#[test]
fn usb_stick_in_an_arm_machine() -> Result<(), LabError> {
    usb_stick(Board::Arm)
}

/// A room whose server gives out the program by HTTP, and nothing by TFTP, and a machine that
/// begins with that.
fn http_room() -> Result<(Room, MachineBuilder), LabError> {
    let settings = PxeSettings::default()
        .file("net/it.efi", &ironcast_efi(Architecture::X86_64)?)
        .text("net/ironcast.conf/default", UNATTENDED)
        .http("http://10.77.0.1/net/it.efi");
    let room = Room::serving(&settings)?;
    let variables = room.path("http.vars");
    variables::boot_by_http(&Board::Pc.blank_variables()?, &variables)?;
    let machine = Machine::builder("machine").variables(&variables);
    Ok((room, machine))
}

#[test]
fn http_boot() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let (room, machine) = http_room()?;
    let server = pxe::serve_by_http(&room.server, &room.path("tftp"), room.folder.path())?;
    let source = "http://10.77.0.1/net/ironcast.conf/default";
    image_disk(&room, source, |disk| machine.disk(disk, VirtioBlk))?;
    // Its own settings are asked for before everybody's.
    let own = "GET /net/ironcast.conf/52-54-00-";
    match server.log().contains(own) {
        true => Ok(()),
        false => Err(LabError::wrong(format!("no {own}:\n{}", server.log()))),
    }
}

/// The server gives out the program, and then begins to answer and never ends.
#[test]
fn p4_a_silent_http_server_is_not_waited_for_without_end() -> Result<(), LabError> {
    const SERVER: &str = "
import http.server, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        if self.path.endswith('.efi'):
            return super().do_GET()
        self.send_response(200)
        self.send_header('Content-Length', '100')
        self.end_headers()
        self.wfile.write(b'disk=auto')
        time.sleep(600)
http.server.ThreadingHTTPServer(('', 80), Handler).serve_forever()
";
    let _places = gate::take(1, TURN)?;
    let (room, machine) = http_room()?;
    let disk = room.disk("disk", DISK)?;
    let mut command = room.server.command("python3")?;
    command.args(["-c", SERVER]).current_dir(room.path("tftp"));
    let server = Running::start("http", command, room.folder.path())?;
    let mut machine = room.start(machine.disk(&disk, VirtioBlk))?;
    let mut check = || {
        machine.wait_for_line("it could not be read", RECEIVE)?;
        machine.wait_for_line("Press y to agree", RECEIVE)?;
        machine.switch_off();
        image::demand_untouched(&disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&server]))
}

/// What a boot loader's menu says, in place of any file with settings.
const WORDS: &str = "disk=auto confirm=no then=poweroff";

/// A machine that netboots a boot loader, which reads a script and starts the program.
fn by_loader(loader: &str, script: (&str, &str)) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let (name, text) = script;
    let settings = PxeSettings {
        boot_file: "loader.efi".to_owned(),
        ..PxeSettings::default()
    };
    let settings = settings
        .file("loader.efi", &boot_loader(loader)?)
        .file("ironcast.efi", &ironcast_efi(Architecture::X86_64)?)
        .text(name, text)
        // iPXE asks once more, and is to have the script then.
        .option("--dhcp-match=set:ipxe,175")
        .option(&format!("--dhcp-boot=tag:ipxe,{name}"));
    let room = Room::serving(&settings)?;
    image_disk(&room, "the load options", |disk| {
        Machine::builder("machine").disk(disk, VirtioBlk)
    })
}

fn ipxe(loader: &str) -> Result<(), LabError> {
    let script = format!("#!ipxe\nchain ironcast.efi {WORDS}\n");
    by_loader(loader, ("boot.ipxe", &script))
}

#[test]
fn ipxe_with_the_firmwares_driver() -> Result<(), LabError> {
    ipxe("usr/lib/ipxe/snponly.efi")
}

#[test]
fn ipxe_with_all_drivers() -> Result<(), LabError> {
    ipxe("boot/ipxe.efi")
}

#[test]
fn grub_chainloader() -> Result<(), LabError> {
    let script = format!("chainloader /ironcast.efi {WORDS}\nboot\n");
    by_loader(
        "usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi",
        ("grub/grub.cfg", &script),
    )
}

/// The medium again, but where the firmware doesn't find the program.
#[test]
fn uefi_shell() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::serving(&PxeSettings::default())?;
    let (stick, script) = (room.path("stick"), room.path("startup.nsh"));
    let failed = |e| LabError::io("make a medium with a script", e);
    fs::copy(test_medium()?, &stick).map_err(failed)?;
    fs::write(&script, format!("FS0:\\tools\\BOOTX64.EFI {WORDS}\r\n")).map_err(failed)?;
    let partition = format!("{}@@1M", stick.display());
    let script = script.display().to_string();
    for (tool, words) in [
        ("mmove", ["::/EFI/BOOT", "::/tools"]),
        ("mcopy", [script.as_str(), "::/startup.nsh"]),
    ] {
        room.server
            .run(tool, &["-i", &partition, words[0], words[1]])?;
    }
    image_disk(&room, "the load options", |disk| {
        let machine = Machine::builder("machine").boot_order(BootOrder::DisksOnly);
        machine.disk(&stick, Usb).disk(disk, VirtioBlk)
    })
}
