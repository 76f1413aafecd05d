//! Picks kernel modules with everything that they depend on.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

use super::packages::Packages;
use crate::run::{command, quietly};

/// The distribution's kernel and its modules.
pub(crate) struct Kernel {
    /// The packages that it is from.
    pub(crate) packages: Packages,
    /// The kernel's version, as its modules' folder is named.
    version: String,
    folder: PathBuf,
    /// Module files by the modules' names, each below `folder`.
    files: HashMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Kernel {
    /// Looks for the modules of the kernel in `packages`.
    pub(crate) fn new(packages: Packages) -> Result<Self> {
        let folder = packages.modules()?;
        let version = folder.file_name().and_then(|name| name.to_str());
        let version = version
            .context("the modules' folder has no name")?
            .to_owned();
        let list = folder.join("modules.builtin");
        let builtin = fs::read_to_string(&list)
            .with_context(|| format!("cannot read {}", list.display()))?
            .lines()
            .map(name_of)
            .collect();
        let mut files = HashMap::new();
        collect_files(&folder, &folder, &mut files)?;
        Ok(Self {
            packages,
            version,
            folder,
            files,
            builtin,
        })
    }

    /// Those of the modules `names` that this kernel has: some come and go with its versions.
    pub(crate) fn offered<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        let has = |name: &&&str| {
            let name = name_of(name);
            self.files.contains_key(&name) || self.builtin.contains(&name)
        };
        names.iter().filter(has).copied().collect()
    }

    /// Installs the modules `names` and what they depend on, uncompressed, below `root`, with the
    /// index that `modprobe` reads.
    ///
    /// Fails if there is no such module.
    pub(crate) fn install(&self, names: &[&str], root: &Path) -> Result<()> {
        let folder = root.join("lib/modules").join(&self.version);
        let mut done = BTreeSet::new();
        let mut wanted: Vec<String> = names.iter().map(|name| name_of(name)).collect();
        while let Some(name) = wanted.pop() {
            if self.builtin.contains(&name) || !done.insert(name.clone()) {
                continue;
            }
            let Some(file) = self.files.get(&name) else {
                bail!("the kernel {} has no module {name}", self.version);
            };
            let installed = install_file(&self.folder.join(file), &folder.join(file))?;
            wanted.extend(needs(&installed)?);
        }
        for list in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            fs::copy(self.folder.join(list), folder.join(list))
                .with_context(|| format!("cannot copy {list}"))?;
        }
        let mut depmod = command(self.packages.busybox()?);
        quietly(depmod.arg("depmod").arg("-b").arg(root).arg(&self.version))
    }
}

fn collect_files(top: &Path, folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect_files(top, &path, files)?;
            continue;
        }
        let name = path.to_string_lossy();
        if [".ko", ".ko.xz", ".ko.zst"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let below = path.strip_prefix(top).unwrap_or(&path).to_path_buf();
            files.insert(name_of(&name), below);
        }
    }
    Ok(())
}

/// Copies a module file, uncompressed, and gives the path that it has then.
fn install_file(from: &Path, to: &Path) -> Result<PathBuf> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    let unpacker = match to.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(to.to_path_buf()),
    };
    let mut unpack: Command = command(unpacker);
    // zstd keeps the compressed file unless told not to, xz does not.
    let extra: &[&str] = if unpacker == "zstd" { &["--rm"] } else { &[] };
    quietly(unpack.args(["-d", "-q"]).args(extra).arg(to))?;
    Ok(to.with_extension(""))
}

/// The names of the modules that a module needs, which it says in its section `.modinfo`.
fn needs(module: &Path) -> Result<Vec<String>> {
    let what = || format!("cannot read the module {}", module.display());
    let bytes = fs::read(module).with_context(what)?;
    let file = object::File::parse(bytes.as_slice()).with_context(what)?;
    let section = file.section_by_name(".modinfo").with_context(what)?;
    let facts = section.data().with_context(what)?;
    Ok(needs_in(facts))
}

fn needs_in(facts: &[u8]) -> Vec<String> {
    facts
        .split(|&byte| byte == 0)
        .filter_map(|fact| fact.strip_prefix(b"depends="))
        .flat_map(|names| names.split(|&byte| byte == b','))
        .filter(|name| !name.is_empty())
        .map(|name| name_of(&String::from_utf8_lossy(name)))
        .collect()
}

/// A module's name by its file's path: without `.ko` and compression, and with `_` for `-`, which
/// are the same to the kernel.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_name_has_no_folder_ending_or_dash() {
        assert_eq!(
            name_of("kernel/drivers/usb/host/xhci-pci.ko.zst"),
            "xhci_pci"
        );
        assert_eq!(name_of("virtio_blk"), "virtio_blk");
    }

    #[test]
    fn needs_are_read_from_the_facts() {
        let facts = b"license=GPL\0depends=libata,libahci,scsi-mod\0name=ahci\0";
        assert_eq!(needs_in(facts), ["libata", "libahci", "scsi_mod"]);
        assert!(needs_in(b"depends=\0").is_empty());
    }
}
