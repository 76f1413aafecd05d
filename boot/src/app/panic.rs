//! What happens when this program itself is wrong: the machine says so, and ends in time.

use core::panic::PanicInfo;

use ironcast_proto::time::Duration;
use uefi::proto::console::text::Color;
use uefi::runtime::{self, ResetType};
use uefi::{Status, boot, print, println, system};

/// How long the message stays before the machine switches itself off.
const SHOWN: Duration = Duration::from_secs(600);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Nothing of the program's own state can be relied on here, so the firmware's console has to
    // do. Whatever stands on it, this is seen.
    let _ = system::with_stdout(|screen| screen.set_color(Color::White, Color::Red));
    print!(
        "\r\nironcast: result failed: an error in this program: {}",
        info.message()
    );
    match info.location() {
        Some(place) => println!(" ({place}); please report it"),
        None => println!("; please report it"),
    }
    boot::stall(SHOWN);
    runtime::reset(ResetType::SHUTDOWN, Status::ABORTED, None)
}
