//! Being laid: see the package's description in its `Cargo.toml`.
