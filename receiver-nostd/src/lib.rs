//! Being laid.
#![no_std]
#![forbid(unsafe_code)]
