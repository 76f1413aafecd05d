//! What a party says it can do.

use core::fmt;
use core::ops::{BitAnd, BitOr};

/// A set of abilities (docs/protocol.md, "Capabilities"). Bits without a name are kept as they
/// came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// Speaks this protocol and not its predecessor; always set.
    pub const NEW_GENERATION: Self = Self(0x01);
    /// Writes numbers big-endian; always set.
    pub const BIG_ENDIAN: Self = Self(0x08);
    /// Transfers without a return channel: no receiver is to answer.
    pub const ASYNC: Self = Self(0x20);
    /// Takes or gives [reports](super::Report). Ours, not UDPcast's.
    pub const REPORTS: Self = Self(0x0100);
    /// What stock programs say unless they transfer asynchronously.
    pub const STOCK: Self = Self::NEW_GENERATION.union(Self::BIG_ENDIAN);

    /// Whether all of `other` are here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The abilities of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The abilities that both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitAnd for Capabilities {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn they_are_a_set() {
        let asynchronous = Capabilities::STOCK | Capabilities::ASYNC;
        assert_eq!(asynchronous, Capabilities(0x29));
        assert!(asynchronous.contains(Capabilities::STOCK));
        assert!(!Capabilities::STOCK.contains(asynchronous));
        assert_eq!(asynchronous & Capabilities(0x28), Capabilities(0x28));
        assert_eq!(Capabilities::STOCK.to_string(), "0x09");
    }
}
