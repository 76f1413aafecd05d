//! Where the programs under test are, and one way of calling ours and the stock ones.
//!
//! Ours take the stock options, so that every test can be run with either kind on either side.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::INTERFACE;
use crate::{Host, LabError, Running, find_tool};

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `udp-sender` and `udp-receiver` of Debian's package `udpcast`.
    Stock,
    /// The same of Debian's testing, ten years younger: `IRONCAST_NEWER_DIR`, or where
    /// `cargo xtask setup` leaves them.
    Newer,
    /// `ironcast-sender` and `ironcast-receiver`.
    Ours,
}

impl Kind {
    /// Whether it is a stock program of any age.
    #[must_use]
    pub fn is_stock(self) -> bool {
        self != Self::Ours
    }

    fn sender(self) -> Result<PathBuf, LabError> {
        match self {
            Self::Stock => find_tool("udp-sender"),
            Self::Newer => newer_program("udp-sender"),
            Self::Ours => our_program("ironcast-sender"),
        }
    }

    fn receiver(self) -> Result<PathBuf, LabError> {
        match self {
            Self::Stock => find_tool("udp-receiver"),
            Self::Newer => newer_program("udp-receiver"),
            Self::Ours => our_program("ironcast-receiver"),
        }
    }
}

/// A sender or receiver that is about to be started, with the options that every test wants:
/// `--nokbd` and the lab's interface.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<std::ffi::OsString>,
    stdin: Stdio,
    stdout: Option<Stdio>,
}

impl Program {
    /// A sender.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] or [`LabError::MissingFile`] if it is not there.
    pub fn sender(kind: Kind) -> Result<Self, LabError> {
        Ok(Self::new(kind.sender()?))
    }

    /// A receiver.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] or [`LabError::MissingFile`] if it is not there.
    pub fn receiver(kind: Kind) -> Result<Self, LabError> {
        Ok(Self::new(kind.receiver()?))
    }

    fn new(path: PathBuf) -> Self {
        Self {
            path,
            args: Vec::new(),
            stdin: Stdio::null(),
            stdout: None,
        }
        .args(&["--nokbd", "--interface", INTERFACE])
    }

    /// Where the program is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, only that it is at `path`: a copy.
    #[must_use]
    pub fn with_path(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Adds `--file path`.
    #[must_use]
    pub fn file(self, path: &Path) -> Self {
        self.arg("--file").arg(path)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.args.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.args.extend(arguments.iter().map(Into::into));
        self
    }

    /// What its stdin is. Default: nothing.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Where its stdout goes. Default: its log, like stderr.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts it in `host`, with its log in `folder/name.log`.
    ///
    /// # Errors
    /// [`LabError::Io`] if it can't be started.
    pub fn start(self, host: &Host, name: &str, folder: &Path) -> Result<Running, LabError> {
        let mut command: Command = host.command(&self.path)?;
        command.args(&self.args);
        Running::start_with(name, command, folder, self.stdin, self.stdout)
    }
}

/// What a machine's processors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// Its name, as Rust has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// The UEFI application under test: `IRONCAST_EFI` (`IRONCAST_EFI_AA64` for
/// [`Architecture::Aarch64`]), or where `cargo xtask efi` leaves it.
///
/// # Errors
/// [`LabError::MissingFile`] if it has not been built.
pub fn ironcast_efi(architecture: Architecture) -> Result<PathBuf, LabError> {
    let (variable, file) = match architecture {
        Architecture::X86_64 => ("IRONCAST_EFI", "efi/ironcast.efi"),
        Architecture::Aarch64 => ("IRONCAST_EFI_AA64", "efi/ironcast-aa64.efi"),
    };
    built_file(variable, file, "cargo xtask efi --arch all")
}

/// The UEFI application for PCs that trusts the tests' key: `IRONCAST_TRUSTING_EFI`, or where the
/// tests' stage `efi` leaves it.
///
/// # Errors
/// [`LabError::MissingFile`] if it has not been built.
pub fn trusting_efi() -> Result<PathBuf, LabError> {
    let command = "cargo xtask test --only efi";
    built_file("IRONCAST_TRUSTING_EFI", "efi/trusting.efi", command)
}

/// A file of the tests' pair of keys: `trusted.key` or `trusted.pub`.
#[must_use]
pub fn test_key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("keys")
        .join(name)
}

/// The bootable demo image: `IRONCAST_OS_IMAGE`, or where `cargo xtask demo` leaves it.
///
/// # Errors
/// [`LabError::MissingFile`] if it has not been made.
pub fn os_image() -> Result<PathBuf, LabError> {
    built_file("IRONCAST_OS_IMAGE", "image/linux.img", "cargo xtask demo")
}

/// A medium with the UEFI application for each architecture, whose settings are
/// [`UNATTENDED`](crate::room::UNATTENDED): `IRONCAST_MEDIUM`, or where the tests' stage `efi`
/// leaves it.
///
/// # Errors
/// [`LabError::MissingFile`] if it has not been made.
pub fn test_medium() -> Result<PathBuf, LabError> {
    let command = "cargo xtask test --only efi";
    built_file("IRONCAST_MEDIUM", "image/test-medium.img", command)
}

/// A boot loader by its path in Debian's packages `ipxe` and `grub-efi-amd64-bin`, which are
/// unpacked below `IRONCAST_LOADERS`, or where `cargo xtask setup` leaves them.
///
/// # Errors
/// [`LabError::MissingFile`] if it is not there.
pub fn boot_loader(path: &str) -> Result<PathBuf, LabError> {
    let folder = env::var_os("IRONCAST_LOADERS").map(PathBuf::from);
    let remedy = "`cargo xtask setup` fetches it, or set IRONCAST_LOADERS to its folder";
    existing(
        folder.unwrap_or_else(|| cached("boot-loaders")).join(path),
        remedy,
    )
}

/// A command that runs a DHCP server in `host`, by its path in the packages of ISC's and Kea's that
/// are unpacked below `IRONCAST_DHCP_SERVERS`, or where `cargo xtask setup` leaves them.
///
/// # Errors
/// [`LabError::MissingFile`] if it isn't there.
pub fn dhcp_server(host: &Host, path: &str) -> Result<Command, LabError> {
    let folder = env::var_os("IRONCAST_DHCP_SERVERS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| cached("dhcp-servers"));
    let remedy = "`cargo xtask setup` fetches it, or set IRONCAST_DHCP_SERVERS to its folder";
    let mut command = host.command(existing(folder.join(path), remedy)?)?;
    let libraries = format!("usr/lib/{}-linux-gnu", env::consts::ARCH);
    command.env("LD_LIBRARY_PATH", folder.join(libraries));
    Ok(command)
}

fn built_file(variable: &str, in_target: &str, command: &str) -> Result<PathBuf, LabError> {
    let path = env::var_os(variable).map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../target")
                .join(in_target)
        },
        PathBuf::from,
    );
    existing(
        path,
        &format!("`{command}` makes it, or set {variable} to where it is"),
    )
}

/// One of our programs: in `IRONCAST_BIN_DIR`, or beside the folder of this test executable.
fn our_program(name: &str) -> Result<PathBuf, LabError> {
    let folder = match env::var_os("IRONCAST_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = env::current_exe().map_err(|e| LabError::io("find this executable", e))?;
            let folder = own.parent().unwrap_or(Path::new("."));
            match folder.file_name() {
                Some(last) if last == "deps" => folder.join(".."),
                _ => folder.to_path_buf(),
            }
        }
    };
    existing(
        folder.join(name),
        "`cargo build -p ironcast-sender -p ironcast-receiver` makes it, \
         or set IRONCAST_BIN_DIR to its folder",
    )
}

/// One of the newer stock programs.
fn newer_program(name: &str) -> Result<PathBuf, LabError> {
    let folder = env::var_os("IRONCAST_NEWER_DIR").map(PathBuf::from);
    let in_cache = || cached("newer-udpcast/bin");
    existing(
        folder.unwrap_or_else(in_cache).join(name),
        "`cargo xtask setup` fetches it, or set IRONCAST_NEWER_DIR to its folder",
    )
}

/// Where `cargo xtask setup` leaves what it fetches.
pub(crate) fn cached(name: &str) -> PathBuf {
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    home.join(".cache/ironcast").join(name)
}

pub(crate) fn existing(path: PathBuf, remedy: &str) -> Result<PathBuf, LabError> {
    if path.is_file() {
        return Ok(path);
    }
    Err(LabError::MissingFile {
        path,
        remedy: remedy.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_built_says_how_to_build_it() {
        let error = existing(
            "/nonexistent/ironcast.efi".into(),
            "`cargo xtask efi` makes it",
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "/nonexistent/ironcast.efi is not there: `cargo xtask efi` makes it"
        );
    }
}
