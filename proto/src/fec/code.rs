//! The code over one stripe: making FEC blocks, and rebuilding data blocks where they belong.
//!
//! Rebuilding goes in place. First what is there of a stripe is taken out of its FEC blocks, each
//! of which is then a sum of the missing blocks alone; then that system is solved. A Cauchy matrix
//! has an inverse in closed form, so nothing is eliminated and no matrix is kept (docs/protocol.md,
//! "FEC code").

use core::fmt;

use heapless::Vec;

use super::MAX_STRIPE;
use super::field::{add_multiple, add_multiples, coefficient, invert, multiply};

/// [`MAX_STRIPE`] as a length.
const MAX: usize = MAX_STRIPE as usize;

/// Bytes of each missing block that are solved for at a time; so the working memory is 4 KiB.
const CHUNK: usize = 32;

/// What is in the place of a stripe's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Its data block.
    Data {
        /// Where in the memory.
        at: usize,
    },
    /// An FEC block of the stripe; the data block is missing.
    Fec {
        /// Where in the memory.
        at: usize,
        /// The FEC block's row, below 128.
        row: u16,
    },
    /// It has no place: all its bytes are zero.
    Zero,
}

/// Why a stripe can't be rebuilt. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildError {
    /// There are more than 128 columns.
    TooManyColumns,
    /// A row is 128 or more.
    Row(
        /// The row.
        u16,
    ),
    /// Two FEC blocks are of the same row.
    Repeated(
        /// The row.
        u16,
    ),
    /// A place is not all inside the memory.
    Outside {
        /// Where it starts.
        at: usize,
    },
    /// Two places overlap.
    Overlap {
        /// Where the second of them starts.
        at: usize,
    },
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyColumns => write!(f, "a stripe has more than {MAX} columns"),
            Self::Row(row) => write!(f, "FEC row {row} is not below {MAX}"),
            Self::Repeated(row) => write!(f, "FEC row {row} comes twice"),
            Self::Outside { at } => write!(f, "a block at {at} is not inside the memory"),
            Self::Overlap { at } => write!(f, "the block at {at} overlaps another"),
        }
    }
}

impl core::error::Error for RebuildError {}

/// Makes the FEC block of row `row` over the data blocks of a stripe, in the order of its columns:
/// `parity` is overwritten. Data blocks that are shorter count as filled up with zeroes, of longer
/// ones the rest is left out, and so are columns from the 129th on. The row is taken modulo 128.
pub fn encode<'d>(row: u16, columns: impl IntoIterator<Item = &'d [u8]>, parity: &mut [u8]) {
    parity.fill(0);
    for (column, block) in (0..MAX_STRIPE as u8).zip(columns) {
        add_multiple(coefficient(row as u8, column), block, parity);
    }
}

/// Makes the FEC blocks of the rows from 0 on over the data blocks of a stripe, as [`encode`] does,
/// and faster than that one by one: `parities` are overwritten. Of more than 128 of them, the rest
/// repeats the first ones.
pub fn encode_rows<'d>(columns: impl IntoIterator<Item = &'d [u8]>, parities: &mut [&mut [u8]]) {
    parities.iter_mut().for_each(|parity| parity.fill(0));
    for (column, block) in (0..MAX_STRIPE as u8).zip(columns) {
        add_multiples(block, |row| coefficient(row as u8, column), parities);
    }
}

/// Rebuilds the data blocks that are missing of a stripe. The column with index c of `columns` is
/// the `len` bytes of `memory` from where it says on; those of [`Column::Fec`] then hold the data.
///
/// # Errors
/// [`RebuildError`], and nothing is changed.
pub fn rebuild(memory: &mut [u8], len: usize, columns: &[Column]) -> Result<(), RebuildError> {
    let missing = check(memory.len(), len, columns)?;
    for column in &missing {
        remove_known(memory, len, columns, column);
    }
    let system = System::new(&missing);
    let mut from = 0;
    while from < len {
        let to = (from + CHUNK).min(len);
        system.solve(memory, from, to);
        from = to;
    }
    Ok(())
}

/// A column whose data block is missing.
#[derive(Clone, Copy, Debug)]
struct Missing {
    column: u8,
    row: u8,
    at: usize,
}

/// The columns whose data blocks are missing, if all is as it should be.
fn check(
    memory_len: usize,
    len: usize,
    columns: &[Column],
) -> Result<Vec<Missing, MAX>, RebuildError> {
    let mut places: Vec<usize, MAX> = Vec::new();
    let mut missing: Vec<Missing, MAX> = Vec::new();
    if columns.len() > MAX {
        return Err(RebuildError::TooManyColumns);
    }
    for (column, index) in columns.iter().zip(0..) {
        let at = match *column {
            Column::Zero => continue,
            Column::Data { at } => at,
            Column::Fec { at, row } => {
                let row8 = u8::try_from(row).ok().filter(|&row| usize::from(row) < MAX);
                let row8 = row8.ok_or(RebuildError::Row(row))?;
                if missing.iter().any(|other| other.row == row8) {
                    return Err(RebuildError::Repeated(row));
                }
                let _ = missing.push(Missing {
                    column: index,
                    row: row8,
                    at,
                });
                at
            }
        };
        if at.checked_add(len).is_none_or(|end| end > memory_len) {
            return Err(RebuildError::Outside { at });
        }
        let _ = places.push(at);
    }
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[1] - pair[0] < len) {
        Some(pair) => Err(RebuildError::Overlap { at: pair[1] }),
        None => Ok(missing),
    }
}

/// Takes the data blocks that are there out of an FEC block.
fn remove_known(memory: &mut [u8], len: usize, columns: &[Column], fec: &Missing) {
    for (column, index) in columns.iter().zip(0..) {
        if let Column::Data { at } = *column {
            let (source, target) = two_of(memory, at, fec.at, len);
            add_multiple(coefficient(fec.row, index), source, target);
        }
    }
}

/// Two blocks of `len` bytes that don't overlap, the second to be changed.
fn two_of(memory: &mut [u8], source: usize, target: usize, len: usize) -> (&[u8], &mut [u8]) {
    if source < target {
        let (low, high) = memory.split_at_mut(target);
        (&low[source..source + len], &mut high[..len])
    } else {
        let (low, high) = memory.split_at_mut(source);
        (&high[..len], &mut low[target..target + len])
    }
}

/// The equations for the missing blocks, with the parts of the inverse matrix that depend on a row
/// or a column alone.
///
/// With row values x and column values y, the inverse's entry for column j and row i is
/// P(i, j) / (x_i + y_j), where P is the product over all k of (x_k + y_j) (x_i + y_k), divided by
/// those of (x_i + x_k) and of (y_j + y_k) for other k.
struct System<'m> {
    missing: &'m [Missing],
    of_row: Vec<u8, MAX>,
    of_column: Vec<u8, MAX>,
}

impl<'m> System<'m> {
    fn new(missing: &'m [Missing]) -> Self {
        let x = |of: &Missing| 128 + of.row;
        let y = |of: &Missing| of.column;
        let of_row = missing.iter().map(|row| {
            missing.iter().fold(1, |product, other| {
                let numerator = multiply(product, x(row) ^ y(other));
                match x(row) ^ x(other) {
                    0 => numerator,
                    difference => multiply(numerator, invert(difference)),
                }
            })
        });
        let of_column = missing.iter().map(|column| {
            missing.iter().fold(1, |product, other| {
                let numerator = multiply(product, x(other) ^ y(column));
                match y(column) ^ y(other) {
                    0 => numerator,
                    difference => multiply(numerator, invert(difference)),
                }
            })
        });
        Self {
            missing,
            of_row: of_row.collect(),
            of_column: of_column.collect(),
        }
    }

    /// Solves for bytes `from..to`, at most [`CHUNK`], of all missing blocks.
    fn solve(&self, memory: &mut [u8], from: usize, to: usize) {
        let mut sums = [[0; CHUNK]; MAX];
        let len = to - from;
        for (sum, block) in sums.iter_mut().zip(self.missing) {
            sum[..len].copy_from_slice(&memory[block.at + from..block.at + to]);
        }
        for (block, of_column) in self.missing.iter().zip(&self.of_column) {
            let target = &mut memory[block.at + from..block.at + to];
            target.fill(0);
            for ((sum, equation), of_row) in sums.iter().zip(self.missing).zip(&self.of_row) {
                let scale = multiply(*of_row, *of_column);
                let entry = multiply(scale, coefficient(equation.row, block.column));
                add_multiple(entry, &sum[..len], target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::fec::reference;

    /// Bytes that look random, each from a state of its own.
    fn noise(seed: u64) -> impl FnMut() -> u8 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        }
    }

    fn blocks(seed: u64, count: usize, len: usize) -> Vec<Vec<u8>> {
        let mut noise = noise(seed);
        (0..count)
            .map(|_| (0..len).map(|_| noise()).collect())
            .collect()
    }

    fn parity(row: u16, blocks: &[Vec<u8>], len: usize) -> Vec<u8> {
        let mut parity = vec![0xee; len];
        encode(row, blocks.iter().map(Vec::as_slice), &mut parity);
        parity
    }

    #[test]
    fn the_fast_encoder_does_what_the_reference_does() {
        for (seed, (count, len)) in [(1, 1), (2, 7), (3, 8), (8, 65), (128, 1456), (5, 0)]
            .into_iter()
            .enumerate()
        {
            let mut blocks = blocks(seed as u64, count, len);
            if let Some(last) = blocks.last_mut() {
                last.truncate(len / 2);
            }
            let columns: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            for row in [0, 1, 64, 127] {
                let fast = parity(row, &blocks, len);
                let slow: Vec<u8> = (0..len)
                    .map(|at| reference::encode_byte(row as u8, &columns, at))
                    .collect();
                assert_eq!(fast, slow, "{count} blocks of {len}, row {row}");
            }
        }
    }

    /// Loses the columns of `lost`, puts FEC blocks of `rows` there, and rebuilds.
    fn lose_and_rebuild(seed: u64, count: usize, len: usize, lost: &[usize], rows: &[u16]) {
        let blocks = blocks(seed, count, len);
        // In reverse and with gaps, so that places and columns are not in the same order.
        let place = |column: usize| (count - 1 - column) * (len + 3) + 1;
        let mut memory = vec![0x55; count * (len + 3) + 1];
        let mut columns = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let at = place(index);
            let fec = lost.iter().position(|&lost| lost == index);
            columns.push(match fec {
                Some(nth) => Column::Fec { at, row: rows[nth] },
                None => Column::Data { at },
            });
            let content = fec.map_or(block.clone(), |nth| parity(rows[nth], &blocks, len));
            memory[at..at + len].copy_from_slice(&content);
        }
        assert_eq!(rebuild(&mut memory, len, &columns), Ok(()));
        for (index, block) in blocks.iter().enumerate() {
            let at = place(index);
            assert!(memory[at..at + len] == block[..], "column {index}");
            assert_eq!(memory[at + len..at + len + 3], [0x55; 3], "outside");
        }
    }

    #[test]
    fn rows_made_together_are_those_made_one_by_one() {
        for (count, rows, len) in [(128, 8, 1456), (128, 128, 64), (3, 1, 100), (0, 2, 70)] {
            let mut blocks = blocks(count as u64, count, len);
            if let Some(last) = blocks.last_mut() {
                last.truncate(len / 2);
            }
            let mut made = vec![vec![0xee; len]; rows];
            let mut parities: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
            encode_rows(blocks.iter().map(Vec::as_slice), &mut parities);
            for (row, made) in (0..).zip(&made) {
                assert!(*made == parity(row, &blocks, len), "row {row} of {rows}");
            }
        }
    }

    #[test]
    fn any_k_of_a_small_stripe_rebuild_it() {
        let members = |set: usize| (0..5).filter(move |at| set >> at & 1 == 1);
        for (count, rows) in (1..=4).flat_map(|count| (0..1 << 5).map(move |rows| (count, rows))) {
            for lost in 0..1 << count {
                let (lost, rows): (Vec<usize>, Vec<usize>) =
                    (members(lost).collect(), members(rows).collect());
                let rows: Vec<u16> = rows.iter().map(|&row| row as u16).collect();
                if rows.len() == lost.len() {
                    lose_and_rebuild(count as u64, count, 5, &lost, &rows);
                }
            }
        }
    }

    #[test]
    fn large_stripes_with_any_loss_are_rebuilt() {
        for (seed, (count, lost)) in [(128, 128), (128, 1), (64, 8), (100, 99), (2, 2)]
            .into_iter()
            .enumerate()
        {
            for len in [0, 1, 7, 8, 31, 32, 33, 1456] {
                let stride = 37;
                let columns: Vec<usize> = (0..lost).map(|nth| nth * stride % count).collect();
                let distinct = columns
                    .iter()
                    .all(|a| columns.iter().filter(|&b| a == b).count() == 1);
                let columns = if distinct {
                    columns
                } else {
                    (0..lost).collect()
                };
                let rows: Vec<u16> = (0..lost as u16).map(|nth| 127 - nth).collect();
                lose_and_rebuild(seed as u64, count, len, &columns, &rows);
            }
        }
    }

    #[test]
    fn the_closed_form_solves_as_elimination_does() {
        let blocks = blocks(7, 9, 1);
        let (missing, rows) = ([1_u8, 4, 8], [5_u8, 0, 77]);
        let columns: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let mut sums: Vec<u8> = rows
            .iter()
            .map(|&row| {
                (0..9_u8).filter(|column| !missing.contains(column)).fold(
                    reference::encode_byte(row, &columns, 0),
                    |sum, column| {
                        sum ^ multiply(coefficient(row, column), columns[usize::from(column)][0])
                    },
                )
            })
            .collect();
        reference::solve(&rows, &missing, &mut sums);
        let expected: Vec<u8> = missing
            .iter()
            .map(|&c| columns[usize::from(c)][0])
            .collect();
        assert_eq!(sums, expected);
        let lost = [1, 4, 8];
        lose_and_rebuild(7, 9, 1, &lost, &[5, 0, 77]);
    }

    #[test]
    fn columns_known_to_be_zero_need_no_place() {
        let data = blocks(3, 2, 16);
        let all = vec![data[0].clone(), Vec::new(), data[1].clone()];
        let mut memory = parity(9, &all, 16);
        memory.extend_from_slice(&data[1]);
        let columns = [
            Column::Fec { at: 0, row: 9 },
            Column::Zero,
            Column::Data { at: 16 },
        ];
        assert_eq!(rebuild(&mut memory, 16, &columns), Ok(()));
        assert_eq!(memory[..16], data[0][..]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let fec = |at, row| Column::Fec { at, row };
        let far = usize::MAX - 2;
        for (columns, error) in [
            (vec![Column::Zero; 129], RebuildError::TooManyColumns),
            (vec![fec(0, 128)], RebuildError::Row(128)),
            (vec![fec(0, 65_535)], RebuildError::Row(65_535)),
            (vec![fec(0, 3), fec(8, 3)], RebuildError::Repeated(3)),
            (vec![fec(25, 0)], RebuildError::Outside { at: 25 }),
            (vec![fec(far, 0)], RebuildError::Outside { at: far }),
            (
                vec![fec(8, 0), Column::Data { at: 1 }],
                RebuildError::Overlap { at: 8 },
            ),
        ] {
            let mut memory = [7; 32];
            assert_eq!(rebuild(&mut memory, 8, &columns), Err(error));
            assert_eq!(memory, [7; 32]);
        }
    }
}
