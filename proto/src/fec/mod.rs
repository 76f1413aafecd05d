//! Forward error correction: blocks of redundancy, from which receivers rebuild what was lost.
//!
//! A loss then costs no question and no answer; without a way back it is the only help there is.
//! The code is a systematic Cauchy code over GF(2^8): of a stripe with k data blocks, any k blocks,
//! data or FEC, give back all (docs/protocol.md, "FEC code").

mod code;
mod field;
mod layout;
pub mod reference;

pub use code::{Column, RebuildError, encode, encode_rows, rebuild};
pub use layout::{Layout, LayoutError, MAX_STRIPE};
