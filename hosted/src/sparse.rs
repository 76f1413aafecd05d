//! Runs of zeros in what is written to a file: left out, they need neither time nor space.
//!
//! Most of a disk's image is empty. A file that was empty before reads as zeros where nothing was
//! written, so only where the file has ended yet, and only long runs, are left out.

/// Bytes that are looked at together. Chosen: file systems keep holes of a few KiB, and a call for
/// each of them would cost more than it spares.
const UNIT: usize = 64 << 10;

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// So many bytes to be written.
    Data(usize),
    /// So many zeros.
    Zeros(usize),
}

impl Run {
    /// The run that `bytes` begin with; of whole units of zeros, or up to the first such unit.
    pub(crate) fn first(bytes: &[u8]) -> Self {
        let units = bytes.chunks(UNIT);
        let zeros = units.clone().take_while(|unit| is_hole(unit)).count();
        if zeros > 0 {
            return Self::Zeros(zeros * UNIT);
        }
        let data = units.take_while(|unit| !is_hole(unit)).count();
        Self::Data((data * UNIT).min(bytes.len()))
    }
}

/// Whether this is a whole unit, and all zeros.
fn is_hole(unit: &[u8]) -> bool {
    let (words, rest) = unit.as_chunks::<16>();
    unit.len() == UNIT
        && rest.is_empty()
        && words.iter().all(|&word| u128::from_ne_bytes(word) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_units_of_zeros_are_left_out() {
        let mut bytes = vec![0; 4 * UNIT + 7];
        assert_eq!(Run::first(&bytes), Run::Zeros(4 * UNIT));
        assert_eq!(Run::first(&bytes[4 * UNIT..]), Run::Data(7));
        assert_eq!(Run::first(&[]), Run::Data(0));
        bytes[2 * UNIT - 1] = 1;
        assert_eq!(Run::first(&bytes), Run::Zeros(UNIT));
        assert_eq!(Run::first(&bytes[UNIT..]), Run::Data(UNIT));
        bytes[2 * UNIT] = 1;
        assert_eq!(Run::first(&bytes[UNIT..]), Run::Data(2 * UNIT));
        assert_eq!(Run::first(&bytes[3 * UNIT + 7..]), Run::Zeros(UNIT));
        assert_eq!(Run::first(&bytes[3 * UNIT + 8..]), Run::Data(UNIT - 1));
    }
}
