//! Parts of an image, and what of a chunk is among them.

use std::ops::Range;

/// Ranges of bytes, in order and none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds ranges, wherever they are.
    pub(super) fn add(&mut self, ranges: Vec<Range<u64>>) {
        self.0
            .extend(ranges.into_iter().filter(|range| !range.is_empty()));
        self.0.sort_by_key(|range| range.start);
        self.0.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
    }

    /// The parts of `range` that are among them, in order.
    pub(crate) fn within(&self, range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let Range { start, end } = *range;
        let first = self.0.partition_point(|one| one.end <= start);
        let rest = self.0.get(first..).unwrap_or_default().iter();
        rest.take_while(move |one| one.start < end)
            .map(move |one| one.start.max(start)..one.end.min(end))
    }

    /// Whether all of `range` is among them.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        self.within(range).next().is_some_and(|part| part == *range)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Bytes of them all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges = Ranges::default();
        ranges.add(vec![20..30, 5..5]);
        ranges.add(vec![0..4, 30..40, 25..28, 50..60, 4..6]);
        assert_eq!(ranges.0, [0..6, 20..40, 50..60]);
        assert_eq!(ranges.bytes(), 36);
    }

    #[test]
    fn parts_of_a_chunk_are_found() {
        let mut ranges = Ranges::default();
        ranges.add(vec![10..20, 30..40, 50..60]);
        let within = |range| {
            let parts = ranges.within(&range).map(|part| (part.start, part.end));
            parts.collect::<Vec<_>>()
        };
        assert_eq!(within(0..10), []);
        assert_eq!(within(0..11), [(10, 11)]);
        assert_eq!(within(15..55), [(15, 20), (30, 40), (50, 55)]);
        assert_eq!(within(20..30), []);
        assert_eq!(within(59..99), [(59, 60)]);
        assert_eq!(within(60..99), []);
        assert!(ranges.covers(&(30..40)) && ranges.covers(&(31..32)));
        assert!(!ranges.covers(&(29..40)) && !ranges.covers(&(30..41)));
        assert!(!ranges.covers(&(10..40)) && !ranges.covers(&(25..26)));
    }
}
