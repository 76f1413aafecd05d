//! A partition table in words, for who looks into a cast file.

use ironcast_proto::cast::MAX_PARTITIONS_LEN;

use super::{Layout, Partition};

/// Bytes that are kept for saying that there are more.
const ROOM: usize = 32;

/// A line for each partition; `None` if there is neither a table nor a file system.
pub(super) fn of(layout: &Layout) -> Option<String> {
    if let Some(bare) = layout.bare {
        return Some(format!("no table: {bare}"));
    }
    let lines: Vec<String> = layout.partitions.iter().map(line).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let left = lines.len() - number;
        let is_last = left == 1;
        let limit = MAX_PARTITIONS_LEN - if is_last { 0 } else { ROOM };
        if text.len() + 1 + line.len() > limit {
            text.push_str(&format!("\nand {left} more"));
            break;
        }
        if number > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    (!text.is_empty()).then_some(text)
}

fn line(partition: &Partition) -> String {
    let Partition {
        number,
        range,
        kind,
        name,
        contents,
        ..
    } = partition;
    let (start, len) = (
        size(range.start),
        size(range.end.saturating_sub(range.start)),
    );
    let mut line = format!("{number} at {start}, {len}: {kind}");
    if !name.is_empty() {
        line.push_str(&format!(", \"{name}\""));
    }
    if let Some(contents) = contents {
        line.push_str(&format!(", {contents}"));
    }
    line
}

/// Bytes in the largest unit of which they are one or more, with a tenth if they are no whole one.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let one = 1_u64 << (10 * unit);
    let (whole, rest) = (bytes / one, bytes % one);
    // Less than ten times 2^40.
    let tenth = rest * 10 / one;
    match rest {
        0 => format!("{whole} {}", UNITS[unit]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileSystem, Table};
    use super::*;

    fn layout(count: u32, name: &str) -> Layout {
        let partition = |number| Partition {
            number,
            range: u64::from(number) << 20..u64::from(number + 1) << 20,
            kind: "Linux".to_owned(),
            name: name.to_owned(),
            contents: (number == 1).then_some(FileSystem::Ext4),
            is_extended: false,
        };
        Layout {
            sector_size: 512,
            table: Table::Mbr,
            partitions: (1..=count).map(partition).collect(),
            bare: None,
        }
    }

    #[test]
    fn sizes_are_whole_or_have_a_tenth() {
        for (bytes, words) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (17_408, "17 KiB"),
            (1 << 20, "1 MiB"),
            (1_610_612_736, "1.5 GiB"),
            ((2 << 40) - 1, "1.9 TiB"),
            (1 << 56, "65536 TiB"),
        ] {
            assert_eq!(size(bytes), words);
        }
        assert_eq!(size((2 << 30) - 512), "1.9 GiB");
    }

    #[test]
    fn each_partition_has_a_line() {
        assert_eq!(of(&layout(0, "")), None);
        let words = "1 at 1 MiB, 1 MiB: Linux, \"boot\", ext4\n2 at 2 MiB, 1 MiB: Linux, \"boot\"";
        assert_eq!(of(&layout(2, "boot")).as_deref(), Some(words));
        let mut bare = layout(0, "");
        bare.bare = Some(FileSystem::Fat32);
        assert_eq!(of(&bare).as_deref(), Some("no table: FAT32"));
    }

    #[test]
    fn what_gets_too_long_is_cut_at_a_line_and_says_so() {
        for (count, len) in [
            (128, 1),
            (128, 36),
            (40, 108),
            (2048, 36),
            (37, 80),
            (36, 80),
        ] {
            let words = of(&layout(count, &"n".repeat(len))).unwrap();
            assert!(words.len() <= MAX_PARTITIONS_LEN, "{}", words.len());
            let lines: Vec<&str> = words.lines().collect();
            let last = lines[lines.len() - 1];
            let more = last
                .strip_prefix("and ")
                .and_then(|rest| rest.strip_suffix(" more"));
            let (told, more) = match more {
                Some(more) => (lines.len() - 1, more.parse().unwrap()),
                None => (lines.len(), 0),
            };
            assert_eq!(told + more, count as usize);
        }
        let many = of(&layout(2048, "")).unwrap();
        assert!(many.ends_with(" more") && many.len() > MAX_PARTITIONS_LEN - 80);
    }
}
