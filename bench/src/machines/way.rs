//! The ways of imaging a machine that are compared: what it netboots, and who sends.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ironcast_tests::{Architecture, Kind, Program, PxeSettings, boot_loader, ironcast_efi};

/// What the machine with `ironcast.efi` is told: all defaults, but that it switches itself off and
/// tells when it was how far.
const SETTINGS: &str = "disk=auto confirm=no then=poweroff stats=yes\n";

/// The boot loader of the usual way. Of GRUB and iPXE it is the one that has the receiver running
/// first.
const LOADER: &str = "usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi";

/// A way of imaging a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Our receiver in the firmware, and our sender.
    Ours,
    /// The distribution's kernel and an initramfs with the stock receiver, by GRUB, and the stock
    /// sender. All of it as it is if one sets nothing.
    Linux,
    /// The same made as quick as options go: kernel and initramfs in one EFI file; the receiver
    /// with a buffer of 8 MiB and without synchronous writes; the sender with `--full-duplex`.
    TunedLinux,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Linux, Self::TunedLinux];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ironcast.efi",
            Self::Linux => "Linux",
            Self::TunedLinux => "Linux, tuned",
        }
    }

    /// What the PXE server gives out.
    ///
    /// Fails if a file has not been made.
    pub fn served(self) -> Result<PxeSettings> {
        Ok(match self {
            Self::Ours => PxeSettings::ironcast(&ironcast_efi(Architecture::X86_64)?, SETTINGS),
            Self::Linux => booting("grubnetx64.efi", &boot_loader(LOADER)?)
                .file("grub/grub.cfg", &linux_file("grub.cfg"))
                .file("vmlinuz", &linux_file("vmlinuz"))
                .file("initramfs.img", &linux_file("initramfs.img")),
            Self::TunedLinux => booting("linux.efi", &linux_file("linux.efi")),
        })
    }

    /// The sender of `image`, which starts when one receiver has connected.
    ///
    /// Fails if it isn't there.
    pub fn sender(self, image: &Path) -> Result<Program> {
        let kind = match self {
            Self::Ours => Kind::Ours,
            Self::Linux | Self::TunedLinux => Kind::Stock,
        };
        let sender = Program::sender(kind)?.file(image);
        let sender = sender.args(&["--min-receivers", "1"]);
        Ok(match self {
            Self::Ours | Self::Linux => sender,
            Self::TunedLinux => sender.arg("--full-duplex"),
        })
    }
}

fn booting(name: &str, file: &Path) -> PxeSettings {
    let settings = PxeSettings {
        boot_file: name.to_owned(),
        ..PxeSettings::default()
    };
    settings.file(name, file)
}

/// Where `cargo xtask bench` leaves what it makes of the distribution's Linux.
fn linux_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/bench/linux")
        .join(name)
}
