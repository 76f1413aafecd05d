//! The code as its definition says it, byte by byte: slow, and what the fast one is held against.

use super::field::{coefficient, invert, multiply};

/// Byte `at` of FEC row `row` (below 128) over `columns`; blocks that are shorter count as filled
/// up with zeroes.
#[must_use]
pub fn encode_byte(row: u8, columns: &[&[u8]], at: usize) -> u8 {
    columns
        .iter()
        .zip(0..)
        .map(|(block, column)| {
            let byte = block.get(at).copied().unwrap_or(0);
            multiply(coefficient(row, column), byte)
        })
        .fold(0, |sum, product| sum ^ product)
}

/// Solves for the bytes of missing columns, by Gaussian elimination: `sums[i]` is what the missing
/// columns add up to in row `rows[i]`, and becomes the byte of column `missing[i]`. All three have
/// the same length; rows and columns are different among themselves, and below 128.
pub fn solve(rows: &[u8], missing: &[u8], sums: &mut [u8]) {
    let n = rows.len().min(missing.len()).min(sums.len());
    let mut matrix = [[0; 128]; 128];
    for (line, &row) in matrix.iter_mut().zip(rows) {
        for (entry, &column) in line.iter_mut().zip(missing) {
            *entry = coefficient(row, column);
        }
    }
    for pivot in 0..n.min(128) {
        // Every minor of a Cauchy matrix is regular, so no exchange of lines is ever needed.
        let inverse = invert(matrix[pivot][pivot]);
        for entry in &mut matrix[pivot][..n] {
            *entry = multiply(*entry, inverse);
        }
        sums[pivot] = multiply(sums[pivot], inverse);
        let (line, sum) = (matrix[pivot], sums[pivot]);
        for other in (0..n.min(128)).filter(|&other| other != pivot) {
            let factor = matrix[other][pivot];
            for (entry, &above) in matrix[other][..n].iter_mut().zip(&line) {
                *entry ^= multiply(factor, above);
            }
            sums[other] ^= multiply(factor, sum);
        }
    }
}
