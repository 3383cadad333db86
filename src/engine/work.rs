//! What answering one question may cost.
//!
//! The definitions are the project's and the properties are the caller's, and
//! neither alone bounds what a search of one in the other takes. So every
//! costly test is paid for beforehand, out of one purse for the whole question,
//! by sizes alone: no clock decides. A test that cannot be paid for does not
//! match, in either form of its operator, as one that runs out of backtracking
//! steps does not. Ordinary flags and people never come near the bound.

use std::cell::Cell;

/// What one question may spend. A unit is about the work of 64 bytes through
/// one state of a pattern: a tenth of a microsecond, or less.
const PURSE: u64 = 8_000_000;

/// Bytes read for one unit.
pub(super) const BYTES: u64 = 64;

/// What is left to spend on one question.
#[derive(Debug)]
pub(super) struct Work(Cell<u64>);

impl Default for Work {
    fn default() -> Self {
        Self(Cell::new(PURSE))
    }
}

impl Work {
    /// Pays, if there is enough left; else nothing is paid, so that one test
    /// too large leaves the others their share.
    pub(super) fn pay(&self, units: u64) -> bool {
        let left = self.0.get().checked_sub(units);
        left.inspect(|left| self.0.set(*left)).is_some()
    }

    /// Takes for what was done already, down to nothing.
    pub(super) fn charge(&self, units: u64) {
        self.0.set(self.left().saturating_sub(units));
    }

    /// Units left.
    pub(super) fn left(&self) -> u64 {
        self.0.get()
    }
}
