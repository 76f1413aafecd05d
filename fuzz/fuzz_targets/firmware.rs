//! What a machine reads before the transfer: settings, a DHCP answer, the start of an image, and
//! what its firmware says of it.
#![no_main]

use ironcast_receiver_nostd::dhcp_answer::DhcpAnswer;
use ironcast_receiver_nostd::settings::Settings;
use ironcast_receiver_nostd::{image, smbios};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    if *choice > 250 {
        let _ = (smbios::system(bytes), smbios::table(bytes));
        return;
    }
    match choice % 3 {
        0 => {
            let Ok(text) = core::str::from_utf8(bytes) else {
                return;
            };
            if let Err(error) = Settings::default().apply(text) {
                assert!(!error.to_string().is_empty());
            }
        }
        1 => {
            if let Some(answer) = DhcpAnswer::new(bytes) {
                assert!(answer.prefix() <= 32);
                let _ = (answer.address(), answer.router(), answer.duration());
                let _ = (answer.file_server(), answer.boot_file());
            }
        }
        _ => {
            let _ = image::needed(bytes);
        }
    }
});
