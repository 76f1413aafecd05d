//! What a machine reads before the transfer: settings, a DHCP answer, the start of an image, and
//! what its firmware and its disks say.
#![no_main]

use ironcast_receiver_nostd::contents::{Contents, MAX_VOLUMES, START_LEN};
use ironcast_receiver_nostd::dhcp_answer::DhcpAnswer;
use ironcast_receiver_nostd::disk_identity::DiskIdentity;
use ironcast_receiver_nostd::gpt::{Header, SECTOR_SIZES};
use ironcast_receiver_nostd::settings::{Conditions, Settings};
use ironcast_receiver_nostd::{image, mbr, smbios};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match *choice {
        251.. => {
            let _ = (smbios::system(bytes), smbios::table(bytes));
        }
        246..=250 => look_at_disk(bytes),
        241..=245 => identify(bytes),
        choice => read_words(choice, bytes),
    }
});

/// What was there first, so that the inputs found then go on meaning the same.
fn read_words(choice: u8, bytes: &[u8]) {
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
            look_at_image(bytes);
        }
    }
}

/// What an image's first bytes say of its disk, and a table that is made right for another.
fn look_at_image(bytes: &[u8]) {
    let _ = image::needed(bytes, None);
    mbr::protect(&mut bytes.to_vec(), u64::MAX);
    for size in SECTOR_SIZES {
        let _ = image::needed(bytes, Some(size));
        let Ok(Some(header)) = Header::primary(bytes, size) else {
            continue;
        };
        let _ = header.check_array(bytes);
        let disk = header.disk_len().unwrap_or(u64::MAX);
        if let Ok(fitted) = header.fitted_to(disk.saturating_mul(2)) {
            assert!(fitted.array().end <= fitted.backup().array().start);
        }
    }
}

/// Any data as each bus's, and a condition that the outcome is compared with.
fn identify(bytes: &[u8]) {
    let (inquiry, page) = bytes.split_at(bytes.len().min(96));
    for identity in [
        DiskIdentity::from_ata(bytes),
        DiskIdentity::from_nvme(bytes),
        DiskIdentity::from_scsi(inquiry, page),
    ] {
        let (model, serial) = (identity.model.as_str(), identity.serial.as_str());
        for text in [model, serial] {
            assert!(
                text.bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic())
            );
            assert!(text.trim() == text && !text.contains("  "));
        }
        // Every text fits itself, if it can stand in a word of the settings.
        let word = format!("model={}", model.replace([' ', ','], "?"));
        if !model.is_empty() {
            let conditions = Conditions::parse(&word).expect("one condition");
            assert!(conditions.are_met_by(model, serial, 0), "{word}");
        }
    }
    if let Some(conditions) = core::str::from_utf8(page).ok().and_then(Conditions::parse) {
        let _ = conditions.are_met_by("Samsung SSD 980 PRO", "S5GX", 512_110_190_592);
    }
}

/// A disk that has these bytes again and again, and can't be read beyond 1 TiB.
fn look_at_disk(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    for sector in [512, 2048, 4096] {
        let mut buffer = vec![0; START_LEN];
        let mut reads = 0;
        let contents = Contents::read(sector, &mut buffer, |offset, buffer| {
            reads += 1;
            if offset >> 40 != 0 {
                return Err(());
            }
            let start = (offset % bytes.len() as u64) as usize;
            let endless = bytes.iter().cycle().skip(start);
            for (to, from) in buffer.iter_mut().zip(endless) {
                *to = *from;
            }
            Ok(())
        });
        let text = contents.expect("the start can be read").to_string();
        assert!(
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text}"
        );
        assert!(reads <= 1 + 2 * MAX_VOLUMES, "{reads} reads");
    }
}
