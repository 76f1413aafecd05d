//! The wire's set of 1024 bits: blocks of a slice, or receivers.
//!
//! RETRANSMIT's map and REQACK's ready set have the same 128-byte form (docs/protocol.md, "Bit
//! sets"), and the machines keep their own books in it too, so one type serves all.

/// How many members a set can have: blocks in a slice, and receivers at one sender.
pub const CAPACITY: usize = 1024;

/// Bytes of a set on the wire.
pub const WIRE_LEN: usize = CAPACITY / 8;

/// A set of numbers below [`CAPACITY`]. Number i is bit i % 8 of byte i / 8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BitSet([u8; WIRE_LEN]);

impl BitSet {
    /// The set without members.
    pub const EMPTY: Self = Self([0; WIRE_LEN]);

    /// The set with the wire's bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; WIRE_LEN]) -> Self {
        Self(bytes)
    }

    /// The wire's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; WIRE_LEN] {
        &self.0
    }

    /// The set of all numbers below `end`; of all that there are if `end` exceeds [`CAPACITY`].
    #[must_use]
    pub fn below(end: usize) -> Self {
        let mut set = Self::EMPTY;
        let end = end.min(CAPACITY);
        set.0[..end / 8].fill(0xff);
        if let Some(byte) = set.0.get_mut(end / 8) {
            *byte = (1 << (end % 8)) - 1;
        }
        set
    }

    /// Whether `member` is in the set; false for numbers that no set can hold.
    #[must_use]
    pub fn contains(&self, member: usize) -> bool {
        self.0
            .get(member / 8)
            .is_some_and(|byte| byte & (1 << (member % 8)) != 0)
    }

    /// Puts `member` in, and tells whether it is new. A number that no set can hold is never new.
    pub fn insert(&mut self, member: usize) -> bool {
        let Some(byte) = self.0.get_mut(member / 8) else {
            return false;
        };
        let mask = 1 << (member % 8);
        let new = *byte & mask == 0;
        *byte |= mask;
        new
    }

    /// Takes `member` out, and tells whether it was in.
    pub fn remove(&mut self, member: usize) -> bool {
        let Some(byte) = self.0.get_mut(member / 8) else {
            return false;
        };
        let mask = 1 << (member % 8);
        let was_in = *byte & mask != 0;
        *byte &= !mask;
        was_in
    }

    /// How many members the set has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether the set has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// The least member that is `from` or more.
    #[must_use]
    pub fn first_from(&self, from: usize) -> Option<usize> {
        let partial = self.0.get(from / 8)? & (0xff << (from % 8));
        if partial != 0 {
            return Some(from / 8 * 8 + partial.trailing_zeros() as usize);
        }
        let rest = from / 8 + 1;
        let skipped = self.0[rest..].iter().position(|&byte| byte != 0)?;
        let byte = rest + skipped;
        Some(byte * 8 + self.0[byte].trailing_zeros() as usize)
    }

    /// The members, least first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        core::iter::from_fn(move || {
            let member = self.first_from(next)?;
            next = member + 1;
            Some(member)
        })
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Whether every member is in `other` too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    fn zip(&self, other: &Self, join: impl Fn(u8, u8) -> u8) -> Self {
        Self(core::array::from_fn(|index| {
            join(self.0[index], other.0[index])
        }))
    }
}

impl Default for BitSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl core::fmt::Debug for BitSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_i_is_mask_i_mod_8_of_byte_i_div_8() {
        let mut set = BitSet::EMPTY;
        assert!(set.insert(13));
        assert!(!set.insert(13));
        assert_eq!(set.as_bytes()[1], 1 << 5);
        assert!(set.contains(13) && !set.contains(12));
        assert!(set.remove(13) && !set.remove(13));
        assert!(set.is_empty());
    }

    #[test]
    fn numbers_out_of_range_are_never_members() {
        let mut set = BitSet::below(usize::MAX);
        assert_eq!(set.len(), CAPACITY);
        assert!(!set.contains(CAPACITY) && !set.insert(CAPACITY) && !set.remove(usize::MAX));
        assert_eq!(set.first_from(CAPACITY), None);
    }

    #[test]
    fn members_come_in_order_from_any_start() {
        let mut set = BitSet::EMPTY;
        for member in [0, 7, 8, 511, 1023] {
            set.insert(member);
        }
        assert!(set.iter().eq([0, 7, 8, 511, 1023]));
        assert_eq!(set.first_from(1), Some(7));
        assert_eq!(set.first_from(9), Some(511));
        assert_eq!(set.first_from(1023), Some(1023));
    }

    #[test]
    fn below_and_the_set_operations_agree_with_the_plain_definition() {
        for end in [0, 1, 7, 8, 9, 112, 1023, 1024] {
            assert!(BitSet::below(end).iter().eq(0..end), "below({end})");
        }
        let (few, many) = (BitSet::below(5), BitSet::below(12));
        assert!(many.difference(&few).iter().eq(5..12));
        assert_eq!(few.union(&many), many);
        assert!(few.is_subset(&many) && !many.is_subset(&few));
    }
}
