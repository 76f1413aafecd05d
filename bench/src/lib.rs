//! The hot pieces of work, for what measures them: criterion's benches time them, and callgrind
//! counts their instructions, which noise can't touch.
//!
//! One list serves both, so that a piece is added in one place.

#![forbid(unsafe_code)]

pub mod work;
