//! Says what a cast file is, in words for people and as JSON for programs.

use std::fmt::Write as _;

use ironcast_proto::cast::{Manifest, Signed};
use serde_json::{Value, json};

/// The manifest in words, a line for each thing.
#[must_use]
pub fn words(manifest: &Manifest<'_>, signed: Signed) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Memory takes it.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("name", manifest.name.to_owned());
    line("version", manifest.version.to_string());
    line("uuid", uuid(&manifest.uuid));
    line("created", time(manifest.created));
    if let Some(expires) = manifest.expires {
        line("expires", time(expires));
    }
    line("size", format!("{} bytes", manifest.size));
    line("stored", format!("{} bytes", manifest.stored));
    line("sectors", format!("{} bytes", manifest.sector_size));
    line("fits on", format!("disks of {} bytes", manifest.least_disk));
    let chunks = manifest.chunks();
    line(
        "chunks",
        format!("{} of {} bytes", chunks.count(), chunks.size()),
    );
    let names: Vec<&str> = manifest.features.names().collect();
    line("needs", names.join(", "));
    line("root", hex(&manifest.root));
    line("signed", signature(signed));
    for partition in manifest.partitions.unwrap_or_default().lines() {
        line("partition", partition.escape_debug().to_string());
    }
    text
}

/// The manifest as JSON.
#[must_use]
pub fn json(manifest: &Manifest<'_>, signed: Signed) -> Value {
    let signed = match signed {
        Signed::By(key) => json!(key.to_string()),
        Signed::Unchecked { .. } => Value::Null,
    };
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "uuid": uuid(&manifest.uuid),
        "created": manifest.created,
        "expires": manifest.expires,
        "size": manifest.size,
        "stored": manifest.stored,
        "sector_size": manifest.sector_size,
        "least_disk": manifest.least_disk,
        "chunk_size": manifest.chunk_size,
        "chunks": manifest.chunks().count(),
        "features": manifest.features.names().collect::<Vec<_>>(),
        "root": hex(&manifest.root),
        "signed_by": signed,
        "partitions": manifest.partitions.map(|text| text.lines().collect::<Vec<_>>()),
    })
}

/// Who has signed, in words.
#[must_use]
pub fn signature(signed: Signed) -> String {
    match signed {
        Signed::By(key) => format!("by the trusted key {key}"),
        Signed::Unchecked { signatures: 0 } => "no".to_owned(),
        Signed::Unchecked { signatures } => {
            format!("{signatures} times, not checked; --trust KEY.pub checks")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Memory takes it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As RFC 9562 writes it.
fn uuid(bytes: &[u8; 16]) -> String {
    let text = hex(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| text[part].to_owned()).join("-")
}

/// Seconds since 1970 as a date and time of day, UTC.
fn time(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds));
    match time {
        Some(time) if seconds < LAST => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{seconds} s after 1970"),
    }
}

/// The first second of the year 10000, which has no name in RFC 3339.
const LAST: u64 = 253_402_300_800;
