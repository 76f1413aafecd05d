//! The arithmetic of GF(2^8), on single bytes by tables, and on runs of bytes eight at a time.
//!
//! The polynomial is x^8 + x^4 + x^3 + x^2 + 1 (docs/protocol.md, "FEC code"). Addition is XOR.

/// The polynomial without its highest term.
const POLYNOMIAL: u8 = 0x1d;

/// Powers of x, twice over so that a sum of two logarithms needs no reduction.
const EXPONENTIALS: [u8; 510] = {
    let mut table = [0; 510];
    let (mut power, mut exponent) = (1u8, 0);
    while exponent < 255 {
        table[exponent] = power;
        table[exponent + 255] = power;
        power = times_x(power);
        exponent += 1;
    }
    table
};

/// Which power of x a byte is; that of 0 means nothing.
const LOGARITHMS: [u8; 256] = {
    let mut table = [0; 256];
    let mut exponent = 0;
    while exponent < 255 {
        table[EXPONENTIALS[exponent] as usize] = exponent as u8;
        exponent += 1;
    }
    table
};

const fn times_x(a: u8) -> u8 {
    // All ones if the highest bit goes: vectors of bytes have no product.
    let reduced = (a.cast_signed() >> 7).cast_unsigned();
    (a << 1) ^ (reduced & POLYNOMIAL)
}

/// The product.
pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXPONENTIALS[LOGARITHMS[a as usize] as usize + LOGARITHMS[b as usize] as usize]
}

/// The multiplicative inverse; of 0, which has none, it is 0.
pub(super) const fn invert(a: u8) -> u8 {
    if a == 0 {
        return 0;
    }
    EXPONENTIALS[255 - LOGARITHMS[a as usize] as usize]
}

/// What column `column` counts in row `row`: the inverse of `(128 + row) XOR column`, which is not
/// 0 as long as both are below 128.
pub(super) const fn coefficient(row: u8, column: u8) -> u8 {
    invert((128 + row % 128) ^ (column % 128))
}

/// Adds `factor` times `source` to `target`, byte by byte, as far as both go.
///
/// Eight bytes at a time: the sum over the factor's bits of `source` times powers of x. Nothing in
/// it depends on the data, so that compilers make vector code of it where the target has any.
pub(super) fn add_multiple(factor: u8, source: &[u8], target: &mut [u8]) {
    let len = source.len().min(target.len());
    let (source, target) = (&source[..len], &mut target[..len]);
    let mut sources = source.chunks_exact(8);
    let mut targets = target.chunks_exact_mut(8);
    for (target, source) in targets.by_ref().zip(sources.by_ref()) {
        let product = multiply_word(factor, word(source)) ^ word(target);
        target.copy_from_slice(&product.to_ne_bytes());
    }
    for (target, &source) in targets.into_remainder().iter_mut().zip(sources.remainder()) {
        *target ^= multiply(factor, source);
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}

/// Bytes that [`Multiples`] take at a time: compilers make vectors of them, and memory stays near.
const LANE: usize = 64;

/// All multiples of a run of bytes, as sums of four: one for each two bits of a factor. Worth their
/// making where the same bytes are multiplied by several factors.
struct Multiples([[[u8; LANE]; 4]; 4]);

impl Multiples {
    const ZERO: Self = Self([[[0; LANE]; 4]; 4]);

    /// Makes those of `source`.
    fn fill(&mut self, source: &[u8; LANE]) {
        let mut power = *source;
        for [_, first, second, sum] in &mut self.0 {
            for ((first, second), (sum, power)) in first
                .iter_mut()
                .zip(second)
                .zip(sum.iter_mut().zip(&mut power))
            {
                *first = *power;
                *second = times_x(*power);
                *sum = *first ^ *second;
                *power = times_x(*second);
            }
        }
    }

    /// Adds the multiple by `factor` to `target`.
    fn add_to(&self, factor: u8, target: &mut [u8; LANE]) {
        let [a, b, c, d] = &self.0;
        let part = |shift: u8| usize::from(factor >> shift & 3);
        let parts = (&a[part(0)], &b[part(2)], &c[part(4)], &d[part(6)]);
        for (at, byte) in target.iter_mut().enumerate() {
            *byte ^= parts.0[at] ^ parts.1[at] ^ parts.2[at] ^ parts.3[at];
        }
    }
}

/// Adds `source` times the factor of each target to that target, byte by byte, as far as both go.
pub(super) fn add_multiples(
    source: &[u8],
    factors: impl Fn(usize) -> u8,
    targets: &mut [&mut [u8]],
) {
    let mut multiples = Multiples::ZERO;
    let (chunks, remainder) = source.as_chunks::<LANE>();
    let mut at = 0;
    for chunk in chunks {
        multiples.fill(chunk);
        for (index, target) in targets.iter_mut().enumerate() {
            let rest = target.get_mut(at..).unwrap_or_default();
            match rest.first_chunk_mut() {
                Some(target) => multiples.add_to(factors(index), target),
                None => add_multiple(factors(index), chunk, rest),
            }
        }
        at += LANE;
    }
    for (index, target) in targets.iter_mut().enumerate() {
        let rest = target.get_mut(at..).unwrap_or_default();
        add_multiple(factors(index), remainder, rest);
    }
}

/// Each of the eight bytes of `word` times `factor`.
#[inline(always)]
fn multiply_word(factor: u8, word: u64) -> u64 {
    const LOW_BITS: u64 = 0x0101_0101_0101_0101;
    const POLYNOMIALS: u64 = LOW_BITS * POLYNOMIAL as u64;
    let (mut power, mut product) = (word, 0);
    for bit in 0..8 {
        // All ones if the factor has this power of x.
        let mask = u64::from(factor >> bit & 1).wrapping_neg();
        product ^= power & mask;
        let high = power >> 7 & LOW_BITS;
        // All ones in the bytes whose highest bit goes; vectors have no product of words.
        let reduced = (high << 8).wrapping_sub(high);
        power = ((power & !(LOW_BITS << 7)) << 1) ^ (reduced & POLYNOMIALS);
    }
    product
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn it_is_a_field() {
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
            for b in 1..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
                assert_ne!(multiply(a, b), 0);
                assert_eq!(multiply(a, b ^ 7), multiply(a, b) ^ multiply(a, 7));
            }
        }
        assert_eq!(multiply(0x80, 2), POLYNOMIAL);
    }

    #[test]
    fn several_multiples_at_once_are_those_made_one_by_one() {
        let source: Vec<u8> = (0..=255).rev().collect();
        let lens = [0, 1, 63, 64, 65, 127, 128, 200, 256];
        for (first, len) in (0..=247).flat_map(|first| lens.map(|len| (first, len))) {
            let factor = |index: usize| first + index as u8;
            // The last target is shorter than the source.
            let end = |index: usize| if index == 7 { 100 } else { 256 };
            let mut targets = [[0x5a_u8; 256]; 8];
            let mut expected = targets;
            let mut places: Vec<&mut [u8]> = (0..)
                .zip(&mut targets)
                .map(|(index, target)| &mut target[..end(index)])
                .collect();
            add_multiples(&source[..len], factor, &mut places);
            for (index, target) in expected.iter_mut().enumerate() {
                add_multiple(factor(index), &source[..len], &mut target[..end(index)]);
            }
            assert_eq!(targets, expected, "{len} bytes, from {first} on");
        }
    }

    #[test]
    fn words_multiply_as_bytes_do() {
        let source: Vec<u8> = (0..=255).collect();
        let lens = [0, 1, 7, 8, 9, 255, 256];
        for (factor, len) in (0..=255).flat_map(|factor| lens.map(|len| (factor, len))) {
            let mut target = [0xa5; 256];
            add_multiple(factor, &source[..len], &mut target);
            let product = |at: usize| source[..len].get(at).map_or(0, |&b| multiply(factor, b));
            let expected: Vec<u8> = (0..256).map(|at| 0xa5 ^ product(at)).collect();
            assert_eq!(target[..], expected, "{factor} x {len} bytes");
        }
    }
}
