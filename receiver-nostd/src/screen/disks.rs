//! The machine's disks, however many there are.
//!
//! A few have room for all that is known of them. The more there are, the less is shown of each,
//! but its name and size always are.

use alloc::format;
use alloc::string::String;

use super::grid::{Grid, Style};
use super::words;

/// What is shown of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskLine {
    /// What it is called.
    pub name: String,
    /// How large it is.
    pub size: String,
    /// What it says of itself, and what is on it.
    pub about: String,
    /// Where it is.
    pub place: String,
    /// Whether it is the one for the image.
    pub is_chosen: bool,
}

/// Columns of a name and of a size, where each disk has lines of its own.
const NAME: usize = 10;
const SIZE: usize = 9;

/// Least columns of a disk, where several share a line.
const NARROWEST: usize = 24;

impl DiskLine {
    fn style(&self) -> Style {
        match self.is_chosen {
            true => Style::Strong,
            false => Style::Plain,
        }
    }

    /// A mark that is seen without colours too.
    fn mark(&self) -> &'static str {
        if self.is_chosen { ">" } else { " " }
    }
}

/// Draws the disks from the row `top` on in `rows` rows at most, and gives the row behind them.
pub(super) fn draw(disks: &[DiskLine], grid: &mut Grid, top: usize, rows: usize) -> usize {
    if disks.is_empty() || rows == 0 {
        return top;
    }
    let room = grid.columns().saturating_sub(NAME + SIZE + 2);
    for is_all in [true, false] {
        let height = |disk: &DiskLine| match is_all {
            true => words::height(&disk.about, room).max(1) + words::height(&disk.place, room),
            false => 1,
        };
        if room >= NARROWEST && disks.iter().map(height).sum::<usize>() <= rows {
            return draw_lines(disks, grid, top, is_all);
        }
    }
    draw_table(disks, grid, top, rows)
}

/// Each disk on lines of its own: on as many as it needs, or on one.
fn draw_lines(disks: &[DiskLine], grid: &mut Grid, top: usize, is_all: bool) -> usize {
    let column = NAME + SIZE + 1;
    let room = grid.columns().saturating_sub(column + 1);
    let mut row = top;
    for disk in disks {
        let style = disk.style();
        grid.put(row, 0, disk.mark(), style);
        grid.put(row, 1, &words::cut(&disk.name, NAME - 2), style);
        grid.put(row, NAME, &format!("{:>8}", disk.size), style);
        if !is_all {
            grid.put(row, column, &words::cut(&disk.about, room), style);
            row += 1;
            continue;
        }
        let about = words::wrap(&disk.about, room).map(|line| (line, style));
        let place = words::wrap(&disk.place, room).map(|line| (line, Style::Label));
        let start = row;
        for (line, style) in about.chain(place) {
            grid.put(row, column, line, style);
            row += 1;
        }
        row = row.max(start + 1);
    }
    row
}

/// Several disks on a line, in columns from top to bottom.
fn draw_table(disks: &[DiskLine], grid: &mut Grid, top: usize, rows: usize) -> usize {
    let across = (grid.columns() / NARROWEST).max(1);
    let is_too_many = disks.len() > across * rows;
    let height = match is_too_many {
        true => rows - 1,
        false => disks.len().div_ceil(across),
    };
    let shown = disks.len().min(across * height);
    // Of too many the chosen one must not be among those that are left out.
    let (first, rest) = disks.split_at(shown.saturating_sub(1));
    let last = rest.iter().find(|disk| disk.is_chosen).or(rest.first());
    let width = grid.columns() / across;
    for (at, disk) in first.iter().chain(last).take(shown).enumerate() {
        let (row, column) = (top + at % height, at / height * width);
        let (name, size, about) = (&disk.name, &disk.size, &disk.about);
        let text = format!("{}{name} {size} {about}", disk.mark());
        let room = width.saturating_sub(1);
        grid.put(row, column, &words::cut(&text, room), disk.style());
    }
    if is_too_many {
        let left_out = disks.len() - shown;
        let text = format!(" and {left_out} more disks: the serial port has all of them");
        grid.put(top + height, 0, &text, Style::Warning);
    }
    top + height + usize::from(is_too_many)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn disks(count: usize) -> Vec<DiskLine> {
        let disk = |number| DiskLine {
            name: format!("nvme{number}"),
            size: "512 GB".into(),
            about: "Samsung SSD 980 PRO, serial S5GXNX0R123456, GPT with 3 partitions: FAT \
                    \"EFI\", NTFS \"Windows\""
                .into(),
            place: "PciRoot(0x0)/Pci(0x4,0x0)/NVMe(0x1,00-25-38-00-00-00-00-00)".into(),
            is_chosen: number + 1 == count,
        };
        (0..count).map(disk).collect()
    }

    fn drawn(count: usize, columns: usize, rows: usize) -> (usize, Vec<String>) {
        let mut grid = Grid::new(columns, rows + 2);
        let end = draw(&disks(count), &mut grid, 1, rows);
        (end, (1..end).map(|row| grid.text(row)).collect())
    }

    #[test]
    fn few_disks_tell_everything() {
        let (end, lines) = drawn(2, 80, 12);
        assert_eq!(end, 7);
        assert!(
            lines[0].starts_with(" nvme0      512 GB  Samsung SSD 980 PRO, serial"),
            "{lines:?}"
        );
        assert!(
            lines[2].contains("PciRoot(0x0)/Pci(0x4,0x0)/NVMe"),
            "{lines:?}"
        );
        assert!(lines[3].starts_with(">nvme1"), "{lines:?}");
    }

    #[test]
    fn more_disks_have_a_line_each_and_many_share_one() {
        let (end, lines) = drawn(12, 80, 12);
        assert_eq!(end, 13);
        assert!(lines.iter().all(|line| line.ends_with("...")), "{lines:?}");
        let (end, lines) = drawn(34, 80, 12);
        assert_eq!(end, 13);
        assert_eq!(
            lines[0],
            " nvme0 512 GB Samsung...   nvme12 512 GB Samsung...  nvme24 512 GB Samsung..."
        );
        let all = lines.join("\n");
        for number in 0..34 {
            assert!(all.contains(&format!("nvme{number} 512 GB")), "{all}");
        }
        assert!(all.contains(">nvme33 512 GB"), "{all}");
    }

    #[test]
    fn of_too_many_disks_the_chosen_one_is_shown() {
        for (count, columns, rows) in [(99, 80, 5), (9, 40, 3), (50, 30, 8)] {
            let (end, lines) = drawn(count, columns, rows);
            assert_eq!(end, rows + 1);
            let all = lines.join("\n");
            assert!(all.contains(&format!(">nvme{} 512 GB", count - 1)), "{all}");
            assert!(all.contains(" more disks"), "{all}");
        }
    }

    #[test]
    fn no_size_panics() {
        for columns in 0..90 {
            for rows in 0..9 {
                let mut grid = Grid::new(columns, rows);
                let end = draw(&disks(20), &mut grid, 0, rows);
                assert!(end <= rows, "{columns} x {rows}");
            }
        }
    }
}
