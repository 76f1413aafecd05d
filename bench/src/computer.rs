//! The machine that the figures are of: a figure without it says nothing.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread;

/// Describes this machine and its programs, as a list in Markdown.
#[must_use]
pub fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let memory = memory().unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    let system = field("/etc/os-release", "PRETTY_NAME").unwrap_or_default();
    let virtual_machine = read("/proc/cpuinfo").contains(" hypervisor ");
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "- {name}: {}", value.trim().trim_matches('"'));
    };
    let kind = if virtual_machine {
        ", in a virtual machine"
    } else {
        ""
    };
    line("date", &output("date", &["-u", "+%Y-%m-%d"]));
    line("CPU", &format!("{cpu}, {cores} cores{kind}"));
    line("memory", &format!("{memory} MiB"));
    // What else ran beside makes the times worse, and their spread wide.
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    line("load in the minute before", load);
    line(
        "system",
        &format!("{}, Linux {}", system.trim_matches('"'), kernel.trim()),
    );
    line("ironcast", env!("CARGO_PKG_VERSION"));
    for package in ["udpcast", "uftp"] {
        line(package, &version(package));
    }
    text
}

/// Bytes of memory that the machine has.
pub fn memory() -> Option<u64> {
    let value = field("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The version of an installed package, if dpkg knows it.
fn version(package: &str) -> String {
    let version = output("dpkg-query", &["-W", "-f", "${Version}", package]);
    if version.is_empty() {
        "not installed".to_owned()
    } else {
        version
    }
}

/// The value of the first line `name : value` or `name=value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(
        rest.trim_start()
            .strip_prefix([':', '='])?
            .trim()
            .to_owned(),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
