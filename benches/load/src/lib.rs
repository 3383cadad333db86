//! What is asked of the service when it is measured.

#![expect(clippy::expect_used, reason = "a bench stops when it cannot go on")]

pub mod ask;
pub mod flags;
