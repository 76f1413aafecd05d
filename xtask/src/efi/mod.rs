//! `cargo xtask efi`: builds the UEFI application and holds it to its size, signs it, and makes a
//! medium to start it from.

mod usb;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ironcast_cast::read_public_key;
use ironcast_tests::signing;

use crate::core_library::{Builder, Target};
use crate::paths;
use crate::run::run as run_command;
use crate::setup::{self, Purpose};

/// The most that the application may measure, in bytes: firmwares fetch it by TFTP, and it has to
/// fit beside the image's buffers in a machine of 128 MiB.
const SIZE_LIMIT: u64 = 704 * 1024;

/// The crates of Rust's library that it uses.
const LIBRARY: &str = "core,alloc,compiler_builtins";

/// Settings of `cargo xtask efi`.
#[derive(Args)]
pub(crate) struct Options {
    /// For machines with these processors [default: x86_64; with --usb: all]
    #[arg(long, value_name = "ARCH")]
    arch: Option<Choice>,

    /// Sign for Secure Boot with this private key (PEM)
    #[arg(long, value_name = "KEY", requires = "cert")]
    sign: Option<PathBuf>,

    /// The key's certificate (PEM), which the machines have to know
    #[arg(long, value_name = "CRT", requires = "sign")]
    cert: Option<PathBuf>,

    /// Build in that only images are taken which the public key in this file has signed; may be
    /// given again, then any of them will do
    #[arg(long, value_name = "KEY.pub")]
    trust: Vec<PathBuf>,

    /// Make this file, to be copied to a USB stick that machines start from
    #[arg(long, value_name = "FILE")]
    usb: Option<PathBuf>,

    /// The settings (ironcast.conf) for the USB stick
    #[arg(long, value_name = "FILE", requires = "usb")]
    conf: Option<PathBuf>,
}

/// Which applications are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// PCs: target/efi/ironcast.efi
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm: target/efi/ironcast-aa64.efi
    Aarch64,
    /// Both
    All,
}

/// What a machine's processors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Choice {
    fn archs(self) -> &'static [Arch] {
        match self {
            Self::X86_64 => &[Arch::X86_64],
            Self::Aarch64 => &[Arch::Aarch64],
            Self::All => Arch::ALL,
        }
    }
}

impl Arch {
    /// All that are supported.
    pub(crate) const ALL: &[Self] = &[Self::X86_64, Self::Aarch64];

    /// The application for it.
    pub(crate) fn file(self) -> PathBuf {
        paths::efi_folder().join(match self {
            Self::X86_64 => "ironcast.efi",
            Self::Aarch64 => "ironcast-aa64.efi",
        })
    }

    /// Where firmware looks for it on a medium that it has no boot entry for, as mtools has it.
    fn place_on_media(self) -> &'static str {
        match self {
            Self::X86_64 => "::/EFI/BOOT/BOOTX64.EFI",
            Self::Aarch64 => "::/EFI/BOOT/BOOTAA64.EFI",
        }
    }

    fn target(self) -> Target {
        Target {
            name: match self {
                Self::X86_64 => "x86_64-unknown-uefi",
                Self::Aarch64 => "aarch64-unknown-uefi",
            },
            crates: LIBRARY,
        }
    }
}

/// Builds what is wanted.
pub(crate) fn run(options: &Options) -> Result<()> {
    let usual = match options.usb {
        Some(_) => Choice::All,
        None => Choice::X86_64,
    };
    let archs = options.arch.unwrap_or(usual).archs();
    let trusted = trusted(&options.trust)?;
    archs
        .iter()
        .try_for_each(|&arch| build_with(arch, &trusted, &arch.file()))?;
    if let (Some(key), Some(certificate)) = (&options.sign, &options.cert) {
        setup::provide(&[Purpose::Sign])?;
        for arch in archs {
            sign(&arch.file(), key, certificate)?;
        }
    }
    match &options.usb {
        Some(image) => make_medium(image, archs, options.conf.as_deref()),
        None => Ok(()),
    }
}

/// Makes `image`, a medium with the applications for `archs`, which have been built, and with the
/// settings of the file `conf`.
pub(crate) fn make_medium(image: &Path, archs: &[Arch], conf: Option<&Path>) -> Result<()> {
    setup::provide(&[Purpose::Image])?;
    usb::make(image, archs, conf)
}

/// Signs `efi`. A key that isn't there is told before the signer's own many lines.
fn sign(efi: &Path, key: &Path, certificate: &Path) -> Result<()> {
    for file in [key, certificate] {
        File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    signing::sign(efi, key, certificate)
        .with_context(|| format!("cannot sign {}", efi.display()))?;
    println!("{}: signed", efi.display());
    Ok(())
}

/// Builds the application for `arch` into its [file](Arch::file).
pub(crate) fn build(arch: Arch) -> Result<()> {
    build_with(arch, "", &arch.file())
}

/// Builds an application for `arch` that trusts the key in the file `key`, for the tests.
pub(crate) fn build_trusting(arch: Arch, key: &Path) -> Result<()> {
    let trusted = trusted(&[key.to_path_buf()])?;
    build_with(arch, &trusted, &paths::trusting_efi())
}

/// The keys in these files, as the application has them built in.
fn trusted(keys: &[PathBuf]) -> Result<String> {
    let mut texts: Vec<String> = Vec::new();
    for path in keys {
        let key =
            read_public_key(path).with_context(|| format!("cannot trust {}", path.display()))?;
        println!("{}: key {} is trusted", path.display(), key.number);
        let bytes = key.to_bytes();
        texts.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    Ok(texts.join(","))
}

/// Builds the application for `arch` that trusts these keys into the file `kept`.
fn build_with(arch: Arch, trusted: &str, kept: &Path) -> Result<()> {
    let builder = Builder::find(arch.target())?;
    run_command(
        builder
            .cargo("build")
            .args(["--package", "ironcast-boot", "--profile", "efi"])
            .env("IRONCAST_TRUST", trusted),
    )?;
    let made = builder.products("efi").join("ironcast.efi");
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let size = fs::copy(&made, kept)
        .with_context(|| format!("cannot copy {} to {}", made.display(), kept.display()))?;
    println!(
        "{}: {size} bytes (core library: {:?})",
        kept.display(),
        builder.way()
    );
    if size > SIZE_LIMIT {
        let file = kept.display();
        bail!("{file} has {size} bytes, more than the {SIZE_LIMIT} it may have");
    }
    Ok(())
}

/// Lints the application for each of its own targets.
pub(crate) fn lint() -> Result<()> {
    for arch in Arch::ALL {
        let mut clippy = Builder::find(arch.target())?.cargo("clippy");
        clippy.args(["--package", "ironcast-boot", "--", "-D", "warnings"]);
        run_command(&mut clippy)?;
    }
    Ok(())
}

/// Builds the application's documentation, for each of its own targets.
pub(crate) fn document() -> Result<()> {
    for arch in Arch::ALL {
        let mut doc = Builder::find(arch.target())?.cargo("doc");
        doc.args(["--package", "ironcast-boot", "--no-deps"]);
        run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}
