//! Counts the blocks that did not come when it was their turn.
//!
//! What a receiver asks for again tells less: senders ask often, and until a block has come anew it
//! is missing in every answer.

/// The two slices that can be in flight, each in the place that is left of it by 2.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps([Reach; 2]);

/// How far a slice has been sent.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    slice: u32,
    /// Blocks from its first on.
    blocks: u32,
}

impl Gaps {
    /// Notes a new data block: how many before it are missing that were not counted yet.
    pub(super) fn arrived(&mut self, slice: u32, block: u16) -> u64 {
        let missing = self.sent(slice, block.into());
        self.sent(slice, u32::from(block) + 1);
        missing
    }

    /// Notes that the first `blocks` of `slice` have been sent: how many of them were not noted
    /// before.
    pub(super) fn sent(&mut self, slice: u32, blocks: u32) -> u64 {
        let [even, odd] = &mut self.0;
        let reach = if slice.is_multiple_of(2) { even } else { odd };
        if slice > reach.slice {
            *reach = Reach { slice, blocks: 0 };
        }
        if slice < reach.slice {
            return 0;
        }
        let more = blocks.saturating_sub(reach.blocks);
        reach.blocks += more;
        more.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_once_however_often_it_is_lost() {
        let mut gaps = Gaps::default();
        let mut missing = 0;
        // Of six blocks the first, the third and the last are lost; then the third once more.
        for block in [1, 3, 4] {
            missing += gaps.arrived(7, block);
        }
        assert_eq!(missing, 2);
        missing += gaps.sent(7, 6);
        assert_eq!(missing, 3);
        missing += gaps.arrived(7, 0) + gaps.arrived(7, 5) + gaps.sent(7, 6);
        missing += gaps.arrived(7, 2);
        assert_eq!(missing, 3);
    }

    #[test]
    fn two_slices_are_in_flight_and_older_ones_are_over() {
        let mut gaps = Gaps::default();
        assert_eq!(
            gaps.arrived(0, 0) + gaps.arrived(1, 0) + gaps.arrived(0, 1),
            0
        );
        assert_eq!(gaps.arrived(2, 3), 3, "the first blocks of another slice");
        assert_eq!(gaps.sent(0, 9), 0);
        assert_eq!(gaps.sent(1, 2), 1);
    }
}
