//! Being laid.
#![no_std]
#![no_main]
