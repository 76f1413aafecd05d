//! The code of any stripe: the fast encoder says what the reference says, and what is lost comes
//! back.
#![no_main]

use ironcast_proto::fec::{self, Column, reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [columns, len, lost_seed, row_seed, data @ ..] = input else {
        return;
    };
    let (columns, len) = (usize::from(columns % 128) + 1, usize::from(len % 80) + 1);
    // Of any length, so that short blocks and such that are not there occur.
    let blocks: Vec<&[u8]> = (0..columns)
        .map(|column| data.get(column * len..).unwrap_or_default())
        .map(|rest| &rest[..len.min(rest.len())])
        .collect();
    let lost = |column: usize| (column + usize::from(*lost_seed)) % 5 < 2;
    let mut memory = vec![0; columns * len];
    let mut places = Vec::new();
    let mut row = usize::from(*row_seed);
    for (column, place) in memory.chunks_mut(len).enumerate() {
        let at = column * len;
        if lost(column) {
            row = (row + 1) % 128;
            let row8 = row as u8;
            fec::encode(u16::from(row8), blocks.iter().copied(), place);
            for (at, &byte) in place.iter().enumerate() {
                assert_eq!(byte, reference::encode_byte(row8, &blocks, at));
            }
            places.push(Column::Fec {
                at,
                row: u16::from(row8),
            });
        } else {
            place[..blocks[column].len()].copy_from_slice(blocks[column]);
            places.push(Column::Data { at });
        }
    }
    fec::rebuild(&mut memory, len, &places).expect("each row once, each place inside");
    for (place, block) in memory.chunks(len).zip(&blocks) {
        let (bytes, filling) = place.split_at(block.len());
        assert!(bytes == *block && filling.iter().all(|&byte| byte == 0));
    }
});
