//! What a machine netboots to be imaged in the usual way, to be compared with: the distribution's
//! kernel, and an initramfs that does nothing but run the stock `udp-receiver` into the disk.
//!
//! It is as small and quick as its parts allow: only the drivers that the virtual machine needs,
//! nothing printed by the kernel, no waiting for what isn't coming. Besides the usual way, kernel
//! and initramfs by a boot loader, it is made as one EFI file, which firmware loads faster, and
//! whose receiver has what a careful administrator would give it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use ironcast_tests::find_tool;

use crate::image::initramfs::{Compressor, pack};
use crate::image::modules::Kernel;
use crate::image::packages;
use crate::paths;
use crate::run::{command, output, quietly};

/// Drivers of the virtual machine's network card and disks.
const MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_blk", "nvme"];

/// What the script uses of BusyBox.
const APPLETS: &[&str] = &[
    "cat", "grep", "ip", "modprobe", "mount", "poweroff", "sh", "sync", "tr", "udhcpc", "usleep",
];

/// The kernel's command line. It never waits for a key, and a machine that fails ends.
const COMMAND_LINE: &str = "console=ttyS0,115200 quiet panic=-1";

/// What is added to it for a receiver with larger buffers that writes through the kernel's cache.
/// The first program finds it in its environment.
const TUNED: &str = "tuned=yes";

/// What the addresses of an EFI file's sections are multiples of.
const SECTION_ALIGNMENT: u64 = 0x10000;

/// The first program. It takes the only disk that there is.
const INIT: &str = "#!/bin/sh
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
modprobe -a MODULES
ip link set eth0 up
udhcpc -q -n -i eth0 -t 20 -T 1 -s /etc/udhcpc.script >/tmp/log 2>&1 || cat /tmp/log
waited=0
disk=
until [ -n \"$disk\" ] || [ $waited -ge 500 ]; do
    for name in /dev/vda /dev/nvme0n1; do
        [ ! -b $name ] || disk=$name
    done
    [ -n \"$disk\" ] || usleep 10000
    waited=$((waited + 1))
done
options=
if [ \"$tuned\" = yes ]; then
    echo 8388608 >/proc/sys/net/core/rmem_max
    options='--rcvbuf 8m --nosync'
fi
echo 'linux: receiver starts'
udp-receiver --nokbd $options --file \"$disk\" 2>/tmp/log
code=$?
sync
echo \"linux: receiver ended with $code, disk flushed\"
tr '\\r' '\\n' </tmp/log
grep Udp: /proc/net/snmp
poweroff -f
";

/// What it does with the address that it gets.
const DHCP_SCRIPT: &str = "#!/bin/sh
[ \"$1\" = bound ] || exit 0
ip addr add \"$ip/$mask\" broadcast + dev \"$interface\"
[ -z \"$router\" ] || ip route add default via \"${router%% *}\"
";

/// Makes `vmlinuz`, `initramfs.img` and `grub.cfg` for the usual way, and `linux.efi` for the quick
/// one, in `target/bench/linux`. Anew each time: it takes seconds.
///
/// Fails if the packages can't be had, or `udp-receiver` is not installed.
pub(crate) fn provide() -> Result<()> {
    let kernel = Kernel::new(packages::provide()?)?;
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let root = work.path().join("root");
    fill(&kernel, &root).context("cannot make the Linux receiver's first file system")?;
    let folder = paths::linux_receiver();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (vmlinuz, initramfs) = (folder.join("vmlinuz"), folder.join("initramfs.img"));
    fs::copy(kernel.packages.kernel()?, &vmlinuz).context("cannot copy the kernel")?;
    pack(&kernel, &root, &initramfs, &Compressor::Zstd)?;
    let menu = format!("linux /vmlinuz {COMMAND_LINE}\ninitrd /initramfs.img\nboot\n");
    fs::write(folder.join("grub.cfg"), menu).context("cannot write grub.cfg")?;
    let words = work.path().join("words");
    fs::write(&words, format!("{COMMAND_LINE} {TUNED}")).context("cannot write the words")?;
    // The kernel last, since it may unpack itself to where it lies.
    let parts = [
        (".cmdline", words.as_path()),
        (".initrd", &initramfs),
        (".linux", &vmlinuz),
    ];
    unify(&kernel.packages.stub()?, parts, &folder.join("linux.efi"))
}

/// Puts the parts behind systemd's stub into one EFI file.
fn unify(stub: &Path, parts: [(&str, &Path); 3], efi: &Path) -> Result<()> {
    let mut address = end_of_sections(&output(command("objdump").arg("-h").arg(stub))?)
        .context("objdump shows no sections of systemd's stub")?;
    let mut objcopy = command("objcopy");
    for (name, part) in parts {
        address = address.next_multiple_of(SECTION_ALIGNMENT);
        objcopy.arg("--add-section");
        objcopy.arg(format!("{name}={}", part.display()));
        objcopy.arg("--change-section-vma");
        objcopy.arg(format!("{name}={address:#x}"));
        let metadata = part.metadata();
        address += metadata
            .context("cannot look at a part of linux.efi")?
            .len();
    }
    quietly(objcopy.arg(stub).arg(efi)).context("cannot make linux.efi")
}

/// Where the last section ends in memory, by what `objdump -h` prints: number, name, size, address
/// and more, the numbers in hexadecimal.
fn end_of_sections(table: &str) -> Option<u64> {
    let ends = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<u32>().ok()?;
        let mut words = words.skip(1);
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        Some(number()? + number()?)
    });
    ends.max()
}

fn fill(kernel: &Kernel, root: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    symlink("bin", root.join("sbin"))?;
    fs::copy(kernel.packages.busybox()?, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    install_with_libraries(&find_tool("udp-receiver")?, root)?;
    write_script(
        &root.join("init"),
        &INIT.replace("MODULES", &MODULES.join(" ")),
    )?;
    write_script(&root.join("etc/udhcpc.script"), DHCP_SCRIPT)?;
    kernel.install(MODULES, root)
}

fn write_script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies a program into `bin`, and the libraries that it is linked with to where it looks for
/// them.
fn install_with_libraries(program: &Path, root: &Path) -> Result<()> {
    let name = program.file_name().context("the program has no name")?;
    fs::copy(program, root.join("bin").join(name))?;
    for library in libraries_in(&output(command("ldd").arg(program))?) {
        let place = root.join(library.trim_start_matches('/'));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(library, &place).with_context(|| format!("cannot copy {library}"))?;
    }
    Ok(())
}

/// The paths in what `ldd` prints: after the arrow, or alone for the loader.
fn libraries_in(table: &str) -> Vec<&str> {
    let words = table.lines().flat_map(str::split_whitespace);
    words.filter(|word| word.starts_with('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_sections_is_that_of_the_last_in_memory() {
        let table = "stub:     file format pei-x86-64\n\nSections:\n\
             Idx Name          Size      VMA               LMA               File off  Algn\n\
             \u{20} 0 .text         00000200  0000000000005000  0000000000005000  00000400  2**4\n\
             \u{20}                 CONTENTS, ALLOC, LOAD, READONLY, CODE\n\
             \u{20} 1 .reloc        0000000c  0000000000004000  0000000000004000  00009400  2**2\n";
        assert_eq!(end_of_sections(table), Some(0x5200));
        assert_eq!(end_of_sections("none"), None);
    }

    #[test]
    fn libraries_are_found_behind_arrows_and_alone() {
        let table = "\tlinux-vdso.so.1 (0x00007f7daa78e000)\n\
             \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f7daa56f000)\n\
             \t/lib64/ld-linux-x86-64.so.2 (0x00007f7daa790000)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries_in(table), expected);
    }
}
