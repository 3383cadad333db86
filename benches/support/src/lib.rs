//! What the benches share.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "benches report, and stop when they cannot go on"
)]

pub mod budget;
mod callgrind;
pub mod folder;
