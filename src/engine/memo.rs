//! Answers to tests that many flags of a project share.
//!
//! Flags are written by people who target the same few things: staff by their
//! address, a plan, a country. Of two tests with one [`Mark`] the second is not
//! made when all flags are asked about one subject.

use std::cell::Cell;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a test asks: its property, operator and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u128);

impl Mark {
    /// Equal for equal questions only: it is half of a SHA-256.
    pub(super) fn of(property: &str, operator: &str, value: &Value) -> Self {
        let question = [property, operator, &value.to_string()];
        let hasher = question.iter().fold(Sha256::new(), |hasher, part| {
            hasher.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
        });
        let digest = hasher.finalize();
        Self(digest[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }
}

/// The latest answers about one subject.
#[derive(Debug)]
pub(super) struct Memo([Cell<Option<(Mark, bool)>>; PLACES]);

/// More than the tests that most projects tell apart. Two that share a place take turns in it.
const PLACES: usize = 64;

impl Default for Memo {
    fn default() -> Self {
        Self([const { Cell::new(None) }; PLACES])
    }
}

impl Memo {
    /// The answer that is known, or the one that `test` gives.
    pub(super) fn answer(&self, mark: Mark, test: impl FnOnce() -> bool) -> bool {
        let place = &self.0[mark.0 as usize % PLACES];
        match place.get() {
            Some((known, answer)) if known == mark => answer,
            _ => {
                let answer = test();
                place.set(Some((mark, answer)));
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_is_made_once_and_another_one_is_made() {
        let (memo, made) = (Memo::default(), Cell::new(0));
        let ask = |property: &str, operator: &str, value: Value, answer: bool| {
            let test = || {
                made.set(made.get() + 1);
                answer
            };
            memo.answer(Mark::of(property, operator, &value), test)
        };
        assert!(ask("plan", "exact", json!("pro"), true));
        assert!(ask("plan", "exact", json!("pro"), false), "what was found first");
        assert_eq!(made.get(), 1);
        for (property, operator, value) in [
            ("plan", "is_not", json!("pro")),
            ("plan", "exact", json!(["pro"])),
            ("planexact", "", json!("pro")),
            ("country", "exact", json!("pro")),
        ] {
            assert!(!ask(property, operator, value, false));
        }
        assert_eq!(made.get(), 5);
    }

    #[test]
    fn more_tests_than_places_are_all_answered() {
        let memo = Memo::default();
        for round in 0..3 {
            for number in 0..PLACES * 4 {
                let mark = Mark::of("age", "gt", &json!(number));
                assert_eq!(memo.answer(mark, || number % 3 == 0), number % 3 == 0, "{round}");
            }
        }
    }
}
