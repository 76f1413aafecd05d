//! Pages of screens of several sizes, as a person sees them.

extern crate std;

use std::string::ToString;
use std::time::Duration;
use std::vec::Vec;

use super::*;

fn page() -> Page {
    let mut log = Log::default();
    log.add("looking for a sender at 10.77.0.255, own port 9000", false);
    log.add("group 239.77.0.1 can't be joined: no room", true);
    log.add("transfer started", false);
    Page {
        program: "ironcast 0.1.0".into(),
        machine: "Dell Inc. OptiPlex 7090, serial 4XJ2M93".into(),
        network: "10.77.0.50/24, by DHCP; card 52:54:00:00:00:01".into(),
        sender: "10.77.0.1".into(),
        disk: "nvme0: 512 GB, Samsung SSD 980 PRO, serial S5GXNX0R123456".into(),
        log,
        ..Page::default()
    }
}

fn figures() -> Figures {
    Figures {
        received: 30_000_000,
        written: 25_000_000,
        image_len: Some(100_000_000),
        verify: true,
        elapsed: Duration::from_secs(3),
        receiving: Duration::from_secs(3),
        memory: 128 << 20,
        ..Figures::default()
    }
}

fn banner(kind: Kind, text: &str) -> Option<Banner> {
    Some(Banner {
        kind,
        text: alloc::vec![text.to_string()],
    })
}

fn draw(page: &Page, columns: usize, rows: usize) -> Grid {
    let mut grid = Grid::new(columns, rows);
    page.draw(&mut grid);
    grid
}

fn lines(grid: &Grid) -> Vec<String> {
    (0..grid.rows()).map(|row| grid.text(row)).collect()
}

/// Rows that have this style from their first cell on.
fn rows_of(grid: &Grid, style: Style) -> Vec<usize> {
    let rows = 0..grid.rows();
    rows.filter(|&row| grid.style(row, 0) == style).collect()
}

#[test]
fn a_transfer_on_the_usual_screen() {
    let page = Page {
        figures: Some(figures()),
        ..page()
    };
    let bar = std::format!(" {}{}  25 %", "█".repeat(18), "─".repeat(54));
    let rule = "─".repeat(80);
    let expected = [
        " ironcast 0.1.0",
        "",
        " Machine     Dell Inc. OptiPlex 7090, serial 4XJ2M93",
        " Network     10.77.0.50/24, by DHCP; card 52:54:00:00:00:01",
        " Sender      10.77.0.1",
        " Disk        nvme0: 512 GB, Samsung SSD 980 PRO, serial S5GXNX0R123456",
        "",
        " Receiving",
        &bar,
        "",
        " Received    30.0 MB, 0.0 MB/s now, 10.0 MB/s on average",
        " Time        0:03 passed, about 0:10 left, then reading back",
        " Losses      none",
        " Written     25.0 MB of 100.0 MB, 0.0 MB/s now",
        " Read back   when all is written",
        " Memory      0 % of 128 MiB waits for the disk",
        "",
        &rule,
        " looking for a sender at 10.77.0.255, own port 9000",
        " group 239.77.0.1 can't be joined: no room",
        " transfer started",
        "",
        "",
        "",
        "",
    ];
    let grid = draw(&page, 80, 25);
    assert_eq!(lines(&grid), expected);
    assert_eq!(grid.style(19, 1), Style::Warning);
}

#[test]
fn a_transfer_on_a_small_screen_keeps_what_matters() {
    let page = Page {
        figures: Some(figures()),
        ..page()
    };
    let expected = [
        " ironcast 0.1.0",
        " Sender      10.77.0.1",
        " Disk        nvme0: 512 GB, Samsung...",
        " Receiving",
        " ████████────────────────────────  25 %",
        " Received    30.0 MB, 0.0 MB/s now,...",
        " Time        0:03 passed, about 0:10...",
        " Losses      none",
        " Written     25.0 MB of 100.0 MB, 0....",
        "────────────────────────────────────────",
        " group 239.77.0.1 can't be joined: no",
        " transfer started",
    ];
    assert_eq!(lines(&draw(&page, 40, 12)), expected);
}

#[test]
fn the_result_is_a_band_of_a_good_part_of_the_screen() {
    for (kind, style) in [
        (Kind::Done, Style::Good),
        (Kind::Failed, Style::Bad),
        (Kind::DryRun, Style::Notice),
    ] {
        let page = Page {
            figures: Some(figures()),
            banner: banner(kind, "nvme0 has the image"),
            ..page()
        };
        for (columns, rows, height) in [(80, 25, 9), (100, 31, 9), (240, 67, 9), (40, 12, 2)] {
            let grid = draw(&page, columns, rows);
            let band: Vec<usize> = (1..=height).collect();
            assert_eq!(rows_of(&grid, style), band, "{columns} x {rows}");
            let text = lines(&grid).join("\n");
            for line in ["nvme0 has the image", "transfer started", "Sender"] {
                assert!(text.contains(line), "{text}");
            }
            assert!(!text.contains("left"), "it is over: {text}");
        }
    }
}

#[test]
fn a_long_failure_is_told_to_its_end_on_every_screen() {
    let text = "nvme0: bytes 8388608..8650752, read back, are not what was written; its old \
                contents are lost, and its first and last MiB were cleared, so that it does not \
                start; the disk may be failing: check it, or choose another";
    let page = Page {
        banner: banner(Kind::Failed, text),
        figures: Some(figures()),
        ..page()
    };
    for (columns, rows) in [(80, 25), (100, 31), (40, 12)] {
        let grid = draw(&page, columns, rows);
        let band = rows_of(&grid, Style::Bad);
        let told: Vec<String> = band
            .iter()
            .map(|&row| grid.text(row).trim().into())
            .collect();
        assert!(told.join(" ").contains(text), "{told:?}");
        assert_eq!(grid.text(grid.rows() - 1).is_empty(), rows > 12);
        assert!(lines(&grid).join("\n").contains("transfer started"));
    }
    let endless = Page {
        banner: banner(Kind::Failed, &text.repeat(20)),
        ..page.clone()
    };
    let grid = draw(&endless, 80, 25);
    assert_eq!(rows_of(&grid, Style::Bad), (1..20).collect::<Vec<_>>());
    assert!(lines(&grid).join("\n").contains("transfer started"));
}

#[test]
fn the_question_stands_above_the_disks() {
    let disk = |number: usize| DiskLine {
        name: std::format!("nvme{number}"),
        size: "512 GB".into(),
        about: "Samsung SSD 980 PRO, serial S5GXNX0R123456".into(),
        place: "PciRoot(0x0)/Pci(0x4,0x0)".into(),
        is_chosen: number == 1,
    };
    for (columns, rows, count) in [(80, 25, 2), (80, 25, 20), (100, 31, 12), (40, 12, 4)] {
        let page = Page {
            banner: banner(Kind::MayErase, "y to go on; 50 s left"),
            disks: (0..count).map(disk).collect(),
            ..page()
        };
        let grid = draw(&page, columns, rows);
        let text = lines(&grid).join("\n");
        assert!(rows_of(&grid, Style::Ask).len() > 1, "{text}");
        assert!(text.contains("y to go on; 50 s left"), "{text}");
        assert!(text.contains(">nvme1"), "{text}");
        for number in 0..count {
            assert!(text.contains(&std::format!("nvme{number} ")), "{text}");
        }
        assert!(text.contains("transfer started"), "{text}");
    }
}

#[test]
fn the_disks_give_way_to_the_transfer() {
    let page = Page {
        status: "waiting for a sender".into(),
        disks: alloc::vec![DiskLine {
            name: "sata7".into(),
            ..DiskLine::default()
        }],
        ..page()
    };
    let before = lines(&draw(&page, 80, 25)).join("\n");
    assert!(before.contains("sata7") && before.contains("waiting for a sender"));
    let page = Page {
        figures: Some(figures()),
        ..page
    };
    let text = lines(&draw(&page, 80, 25)).join("\n");
    assert!(
        !text.contains("sata7") && !text.contains("waiting"),
        "{text}"
    );
}

#[test]
fn no_size_and_no_text_panics_or_writes_the_last_cell() {
    let long = "a text without an end ".repeat(40);
    let page = Page {
        figures: Some(figures()),
        banner: banner(Kind::MayDryRun, &long),
        machine: long.clone(),
        program: long.clone(),
        disks: alloc::vec![DiskLine { about: long.clone(), place: long, ..DiskLine::default() }; 9],
        ..page()
    };
    let without = Page {
        figures: None,
        banner: None,
        ..page.clone()
    };
    for columns in 0..90 {
        for rows in 0..30 {
            for page in [&page, &without] {
                let grid = draw(page, columns, rows);
                if let (Some(column), Some(row)) = (columns.checked_sub(1), rows.checked_sub(1)) {
                    assert!(grid.text(row).chars().count() < columns);
                    assert_eq!(grid.style(row, column), Style::Plain);
                }
            }
        }
    }
}
