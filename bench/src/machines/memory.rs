//! The least memory with which a machine gets a small image.

use std::path::Path;
use std::time::Duration;

use ironcast_tests::DiskKind;

use super::measure::{Subject, measure};
use super::way::Way;

/// What is tried, in MiB. With less than the first the firmware itself does not start.
const SIZES: &[u32] = &[
    64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320, 384, 448, 512,
];

/// How long an attempt may take: many times what it takes, or a busy computer would count as too
/// little memory.
const LIMIT: Duration = Duration::from_secs(180);

/// The least of [`SIZES`] with which a machine gets `image`; `None` if even the largest is too
/// little. It is taken for granted that what is enough for one is so for all above.
pub fn least(way: Way, image: &Path) -> Option<u32> {
    least_of(SIZES, |memory| {
        let subject = Subject {
            way,
            disk: DiskKind::VirtioBlk,
            image,
            memory,
            limit: LIMIT,
        };
        let result = measure(&subject);
        let word = match &result {
            Ok(_) => "enough".to_owned(),
            // The first line is the reason; the logs follow.
            Err(error) => {
                let text = error.to_string();
                format!("too little: {}", text.lines().next().unwrap_or_default())
            }
        };
        eprintln!("{}: {memory} MiB of memory are {word}", way.name());
        result.is_ok()
    })
}

fn least_of(mut sizes: &[u32], mut is_enough: impl FnMut(u32) -> bool) -> Option<u32> {
    let mut found = None;
    while !sizes.is_empty() {
        let middle = sizes.len() / 2;
        if is_enough(sizes[middle]) {
            found = Some(sizes[middle]);
            sizes = &sizes[..middle];
        } else {
            sizes = &sizes[middle + 1..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_found_wherever_it_is() {
        for need in [1, 64, 65, 200, 512] {
            let expected = SIZES.iter().copied().find(|&size| size >= need);
            assert_eq!(least_of(SIZES, |size| size >= need), expected);
        }
        assert_eq!(least_of(SIZES, |_| false), None);
    }
}
