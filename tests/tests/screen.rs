//! What a person sees before a machine: during a transfer, at its end, and when something is asked.
//!
//! The pictures are of an emulated screen. With `IRONCAST_SCREENSHOTS` set to a folder they are
//! kept there too, for people.

use std::env;
use std::path::Path;
use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, Usb, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{RECEIVE, Room, TURN, demand_ok, demand_refusal};
use ironcast_tests::{
    BootOrder, Colour, Direction, LabError, Machine, MachineBuilder, Program, Screenshot, gate,
    image, partitions,
};

/// Length of the image of the transfer, and of its disk.
const LENGTH: u64 = 32 << 20;

/// Pixels of a row of text.
const ROW: usize = 19;

/// Rows of the band, below the title.
const BAND: std::ops::Range<usize> = ROW..10 * ROW;

/// The colours of the firmware's text.
const BLACK: Colour = [0, 0, 0];
const GREEN: Colour = [0, 0x98, 0];
const RED: Colour = [0x98, 0, 0];
const YELLOW: Colour = [0x98, 0x98, 0];
const GRAY: Colour = [0x98, 0x98, 0x98];

fn machine() -> MachineBuilder {
    Machine::builder("machine")
        .boot_order(BootOrder::NetworkFirst)
        .arg("-smbios")
        .arg("type=1,manufacturer=Example,product=Workstation 7,serial=SN-42")
        .screen()
}

/// Takes a picture, which is kept as `name` if somebody wants to look at it.
fn look(machine: &Machine, name: &str) -> Result<Screenshot, LabError> {
    if let Some(folder) = env::var_os("IRONCAST_SCREENSHOTS") {
        machine.save_screenshot(&Path::new(&folder).join(format!("screen-{name}.png")))?;
    }
    Ok(machine.screenshot()?.text_area())
}

/// Demands that a picture is of a page, which is where it was drawn: the title at the top, and the
/// messages at the bottom, below a line.
fn demand_page(picture: &Screenshot) -> Result<(), LabError> {
    let share = |rows, colour| picture.share(rows, |pixel| pixel == colour);
    let rows = picture.height() / ROW;
    let title = share(0..ROW, GRAY);
    let below = share(ROW..rows * ROW, GRAY);
    let messages = share(rows * ROW / 2..rows * ROW, BLACK);
    let is_page = title > 0.9 && below < 0.2 && (0.7..0.995).contains(&messages);
    match is_page {
        true => Ok(()),
        false => Err(LabError::wrong(format!(
            "no page: {title} of the title, {below} below it and {messages} of the messages"
        ))),
    }
}

/// Demands that a picture is of a page that has a band of this colour.
fn demand_band(picture: &Screenshot, colour: Colour) -> Result<(), LabError> {
    demand_page(picture)?;
    let band = picture.share(BAND, |pixel| pixel == colour);
    // The rest is letters, which are large.
    match (0.5..0.95).contains(&band) {
        true => Ok(()),
        false => Err(LabError::wrong(format!("{band} of the band is {colour:?}"))),
    }
}

#[test]
fn a_transfer_is_seen_and_its_end_from_afar() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=auto confirm=no then=wait\n")?;
    let image = room.path("image");
    partitions::write_gpt_image(&image, LENGTH, 512, 7)?;
    let disk = room.disk("disk", LENGTH)?;
    let sender = Program::sender(Ours)?.file(&image);
    let sender = sender.args(&["--min-receivers", "1", "--max-bitrate", "32m"]);
    let mut sending = sender.start(&room.server, "sender", room.folder.path())?;
    let mut machine = room.start(machine().disk(&disk, Nvme))?;
    let ports = "udp dport { 9000, 9001 }";
    machine.tap().set_loss_of(Direction::Towards, 1, ports)?;
    let mut check = || {
        machine.wait_for_line("transfer started", RECEIVE)?;
        for _ in 0..3 {
            machine.wait_for_line(" bytes received, ", RECEIVE)?;
        }
        let during = look(&machine, "transfer")?;
        demand_page(&during)?;
        demand_ok(&mut machine, RECEIVE)?;
        machine.wait_for_line("press any key", RECEIVE)?;
        let after = look(&machine, "ok")?;
        demand_band(&after, GREEN)?;
        if after.rows(0..ROW) != during.rows(0..ROW) {
            return Err(LabError::wrong("the title has changed or moved"));
        }
        sending.wait_success(Duration::from_secs(30))
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn a_question_and_a_failure_are_seen_from_afar() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=nvme0 confirm=ask then=wait\n")?;
    let disks = ["nvme0", "virtio0", "usb0"].map(|name| room.disk(name, LENGTH));
    let [nvme, virtio, usb] = disks;
    let (nvme, virtio, usb) = (nvme?, virtio?, usb?);
    let builder = machine().disk(&nvme, Nvme).disk(&virtio, VirtioBlk);
    let mut machine = room.start(builder.disk(&usb, Usb))?;
    let mut check = || {
        machine.wait_for_line("another key to stop; 50 s left", RECEIVE)?;
        demand_band(&look(&machine, "confirm")?, YELLOW)?;
        machine.press("n")?;
        demand_refusal(&mut machine, "nobody agreed")?;
        machine.wait_for_line("press any key to restart it", RECEIVE)?;
        demand_band(&look(&machine, "failed")?, RED)?;
        machine.switch_off();
        image::demand_untouched(&nvme)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[]))
}
