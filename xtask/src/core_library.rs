//! Gets Rust's core library for a target that the toolchain doesn't come with, in whatever way
//! works on this machine, and gives a cargo that builds for it.
//!
//! `rustup target add` is the way where its server can be reached. Where only the distribution's
//! mirror can, the library is built from source: Debian's `rust-src` of the very version of the
//! toolchain, and if no suite has that version any more, Debian's own newest compiler with its
//! source, from packages that are unpacked beside and not installed. docs/decisions/efi-build.md
//! has the reasons.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use crate::apt::{PrivateApt, unpack};
use crate::paths;
use crate::run::{command, output, quietly_within};
use crate::sources;

/// How long rustup may take to fetch a target's library (30 MB) before another way is tried.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(180);

/// The suites that are searched for the source of the toolchain's version, by the distribution's
/// own names for what is newer than this release. A Debian suite can drop a version, Ubuntu's keep
/// them.
const NEWER_SUITES: &[&str] = &["stable-backports", "testing", "unstable", "devel"];

/// Debian's newest compiler, kept up for its web browsers in every supported release, and a linker.
const DISTRIBUTION_COMPILER: &[&str] = &[
    "cargo-web",
    "rustc-web",
    "rust-web-clippy",
    "rust-web-src",
    "lld",
];

/// The environment variable that names the only way to try, for testing each.
const WAY: &str = "IRONCAST_CORE_LIBRARY";

/// Which way the core library comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Compiled, by `rustup target add`
    Rustup,
    /// Built from the distribution's source of the toolchain's version
    Source,
    /// The distribution's own compiler and source
    Distribution,
}

/// A target, and the library crates that are wanted for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Its name, as `rustc --target` takes it.
    pub(crate) name: &'static str,
    /// The crates of the library to build where it is built from source, separated by commas.
    pub(crate) crates: &'static str,
}

/// What builds for a target.
pub(crate) struct Builder {
    way: Way,
    target: Target,
    cargo: PathBuf,
    environment: Vec<(String, OsString)>,
}

impl Builder {
    /// Finds a way to build for `target`, the first that works of [`Way`]'s order, or only the one
    /// that the environment variable [`WAY`] names.
    ///
    /// Fails if none works, with the reason of each.
    pub(crate) fn find(target: Target) -> Result<Self> {
        let mut reasons = Vec::new();
        let forced = forced_way()?;
        for &way in Way::value_variants() {
            if forced.is_some_and(|forced| forced != way) {
                continue;
            }
            let found = match way {
                Way::Rustup => by_rustup(target),
                Way::Source => by_source(target),
                Way::Distribution => by_distribution(target),
            };
            match found {
                Ok(builder) => return Ok(builder),
                Err(error) => {
                    eprintln!("no {} this way ({way:?}): {error:#}", target.name);
                    reasons.push(format!("{way:?}: {error:#}"));
                }
            }
        }
        Err(anyhow!(
            "found no way to build for {}; each one's reason:\n{}",
            target.name,
            reasons.join("\n")
        ))
    }

    /// Which way was found.
    pub(crate) fn way(&self) -> Way {
        self.way
    }

    /// A `cargo subcommand` for the target.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = command(&self.cargo);
        cargo.args([subcommand, "--locked", "--target", self.target.name]);
        // A folder for each way: their libraries differ, and cargo would build all anew each time.
        cargo.arg("--target-dir").arg(self.folder());
        if self.way != Way::Rustup {
            cargo.arg(format!("-Zbuild-std={}", self.target.crates));
            cargo.arg("-Zbuild-std-features=compiler-builtins-mem");
        }
        for (name, value) in &self.environment {
            cargo.env(name, value);
        }
        cargo
    }

    /// Where its products of cargo profile `profile` are.
    pub(crate) fn products(&self, profile: &str) -> PathBuf {
        self.folder().join(self.target.name).join(profile)
    }

    fn folder(&self) -> PathBuf {
        let way = match self.way {
            Way::Rustup => "rustup",
            Way::Source => "source",
            Way::Distribution => "distribution",
        };
        paths::cargo_target().join("cross").join(way)
    }
}

fn forced_way() -> Result<Option<Way>> {
    let Ok(name) = env::var(WAY) else {
        return Ok(None);
    };
    let way = Way::from_str(&name, true);
    way.map(Some).map_err(|reason| anyhow!("{WAY}: {reason}"))
}

fn by_rustup(target: Target) -> Result<Builder> {
    let folder = output(command("rustc").args(["--print=target-libdir", "--target", target.name]))?;
    if !Path::new(folder.trim()).is_dir() {
        // Several stages of the tests ask; one wait for a server that isn't there is enough.
        static IN_VAIN: AtomicBool = AtomicBool::new(false);
        if IN_VAIN.load(Ordering::Relaxed) {
            bail!("rustup could fetch nothing a moment ago");
        }
        eprintln!("fetching the core library for {} by rustup", target.name);
        let mut rustup = command("rustup");
        rustup.args(["target", "add", target.name]);
        let fetched = quietly_within(&mut rustup, RUSTUP_PATIENCE);
        IN_VAIN.store(fetched.is_err(), Ordering::Relaxed);
        fetched?;
    }
    Ok(Builder {
        way: Way::Rustup,
        target,
        cargo: "cargo".into(),
        environment: Vec::new(),
    })
}

fn by_source(target: Target) -> Result<Builder> {
    let sysroot = PathBuf::from(output(command("rustc").arg("--print=sysroot"))?.trim());
    // What lets a stable toolchain build its own library.
    let mut environment = vec![("RUSTC_BOOTSTRAP".to_owned(), "1".into())];
    if !has_library(&sysroot.join("lib/rustlib/src/rust")) {
        let version = toolchain_version()?;
        let source = library_source(&version)?;
        let own = sysroot_with_source(&sysroot, &source)?;
        environment.push(("RUSTC".to_owned(), own.join("rustc").into()));
        // clippy starts no compiler but is one, and asks here.
        environment.push(("SYSROOT".to_owned(), own.into()));
    }
    Ok(Builder {
        way: Way::Source,
        target,
        cargo: "cargo".into(),
        environment,
    })
}

fn by_distribution(target: Target) -> Result<Builder> {
    let root = paths::cache().join("distribution-compiler");
    let cargo = root.join("usr/bin/cargo");
    if !cargo.is_file() {
        fetch_distribution_compiler(&root)?;
    }
    let usr = |part: &str| root.join("usr").join(part);
    // What the machine has installed already was not fetched.
    let linker = [usr("bin"), "/usr/bin".into()]
        .iter()
        .find_map(|folder| linker_in(folder, target))
        .with_context(|| format!("the distribution's lld has no linker for {}", target.name))?;
    let linker_variable = format!(
        "CARGO_TARGET_{}_LINKER",
        target.name.to_uppercase().replace('-', "_")
    );
    // Where cargo looks for clippy and rustdoc: rustup's don't fit this compiler.
    let mut path = usr("bin").into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    Ok(Builder {
        way: Way::Distribution,
        target,
        cargo,
        environment: vec![
            ("RUSTC_BOOTSTRAP".to_owned(), "1".into()),
            ("RUSTC".to_owned(), usr("bin/rustc").into()),
            (
                "LD_LIBRARY_PATH".to_owned(),
                usr("lib/x86_64-linux-gnu").into(),
            ),
            (linker_variable, linker.into()),
            ("PATH".to_owned(), path),
        ],
    })
}

/// The path of Rust's source that has the library of `version`, fetched if it isn't in the cache.
fn library_source(version: &str) -> Result<PathBuf> {
    let folder = paths::cache().join(format!("rust-src-{version}"));
    let unpacked = || -> Option<PathBuf> {
        let versions = fs::read_dir(folder.join("usr/src")).ok()?;
        let mut paths = versions.flatten().map(|entry| entry.path());
        paths.find(|path| has_library(path))
    };
    if let Some(source) = unpacked() {
        return Ok(source);
    }
    eprintln!("fetching the core library's source, version {version}, from the distribution");
    let own = sources::of_this_release()?;
    let mirror = own.first().context("no apt source")?;
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let names = ["rust-src".to_owned(), format!("rust-{minor}-src")];
    for suite in NEWER_SUITES {
        let apt = match PrivateApt::open(suite, &[mirror.with_suite(suite)]) {
            Ok(apt) => apt,
            // A distribution has its own names only.
            Err(_) => continue,
        };
        for name in &names {
            let versions = apt.versions(name)?;
            let Some(wanted) = versions.iter().find(|offered| is_of(offered, version)) else {
                continue;
            };
            let package = apt.download(&format!("{name}={wanted}"), &folder.join("package"))?;
            unpack(&package, &folder)?;
            return unpacked().context("the package has no library");
        }
    }
    bail!(
        "no suite of {} has rust-src {version}",
        NEWER_SUITES.join(", ")
    )
}

/// Makes a system root that has everything of `sysroot` and the library's `source`, by links, with
/// a compiler `rustc` that uses it, and gives its path.
///
/// cargo asks the compiler where the source is, so a script in the compiler's place is enough, and
/// the toolchain stays as rustup knows it.
fn sysroot_with_source(sysroot: &Path, source: &Path) -> Result<PathBuf> {
    let own = paths::cargo_target().join("cross/sysroot");
    let make = || -> std::io::Result<()> {
        if own.exists() {
            fs::remove_dir_all(&own)?;
        }
        fs::create_dir_all(own.join("lib/rustlib/src"))?;
        link_entries(&sysroot.join("lib"), &own.join("lib"))?;
        link_entries(&sysroot.join("lib/rustlib"), &own.join("lib/rustlib"))?;
        symlink(source, own.join("lib/rustlib/src/rust"))?;
        let script = own.join("rustc");
        let text = format!(
            "#!/bin/sh\nexec '{}' --sysroot '{}' \"$@\"\n",
            sysroot.join("bin/rustc").display(),
            own.display()
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
    };
    make().with_context(|| format!("cannot make a system root in {}", own.display()))?;
    Ok(own)
}

/// Links every entry of `from` into `into`, but what is there already.
fn link_entries(from: &Path, into: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        let link = into.join(entry.file_name());
        if !link.exists() {
            symlink(entry.path(), link)?;
        }
    }
    Ok(())
}

fn fetch_distribution_compiler(root: &Path) -> Result<()> {
    eprintln!("fetching the distribution's own compiler");
    let apt = PrivateApt::open("release", &sources::of_this_release()?)?;
    let packages = apt.download_with_needs(DISTRIBUTION_COMPILER)?;
    // Unpacked beside and renamed when it is whole, so that a half one is never used.
    let whole = root.with_extension("new");
    if whole.exists() {
        fs::remove_dir_all(&whole).with_context(|| format!("cannot empty {}", whole.display()))?;
    }
    for package in packages {
        unpack(&package, &whole)?;
    }
    fs::rename(&whole, root).with_context(|| format!("cannot make {}", root.display()))
}

/// The linker of the distribution's lld for `target`, whose name may end in its version.
fn linker_in(folder: &Path, target: Target) -> Option<PathBuf> {
    let kind = if target.name.ends_with("-uefi") {
        "lld-link"
    } else {
        "ld.lld"
    };
    let entries = fs::read_dir(folder).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(kind)) && path.exists()
    })
}

/// The toolchain's version, such as `1.95.0`.
fn toolchain_version() -> Result<String> {
    let text = output(command("rustc").arg("--version"))?;
    let version = text.split_whitespace().nth(1);
    Ok(version
        .context("rustc --version printed no version")?
        .to_owned())
}

fn has_library(source: &Path) -> bool {
    source.join("library/core/Cargo.toml").is_file()
}

/// Whether the package version `offered` is of Rust's `version`.
fn is_of(offered: &str, version: &str) -> bool {
    offered
        .strip_prefix(version)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit() || next == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_version_is_matched_whole() {
        assert!(is_of("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_of("1.95.0-1ubuntu1", "1.95.0"));
        assert!(!is_of("1.95.01-1", "1.95.0"));
        assert!(!is_of("1.96.1+dfsg1-2", "1.95.0"));
    }

    #[test]
    fn a_system_root_links_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (from, into) = (folder.path().join("from"), folder.path().join("into"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(into.join("src")).unwrap();
        fs::write(from.join("a.so"), "a").unwrap();
        link_entries(&from, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a.so")).unwrap(), "a");
        assert!(!into.join("src").is_symlink());
    }
}
