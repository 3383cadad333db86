//! Keeps what was written of a flag's outcomes, for all who are told the same.
//!
//! A flag comes out in a few ways, however many people are asked about, and
//! what an edge writes of each is always the same text. The first time it is
//! written, afterwards copied. The engine does not know what it says: it only
//! knows which outcomes are one. What is kept goes with the compiled flag.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::outcome::{Outcome, VariantAt};
use super::reason::Reason;

/// The ways in which outcomes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A record of JSON.
    Record,
    /// A record of JSON with its typed value.
    TypedRecord,
    /// The message of one flag.
    Message,
    /// An entry in a message of many flags.
    Entry,
}

const FORMS: usize = 4;
/// How many outcomes of a flag are kept in each form. Few flags have as many.
const MOST_OUTCOMES: usize = 16;
/// The most bytes of one: large payloads would be kept once for each condition that leads to them.
const MOST_BYTES: usize = 1024;

/// What was written of one flag.
#[derive(Debug, Default)]
pub(super) struct Rendered([Place; FORMS]);

/// The first of a chain of outcomes.
type Place = OnceLock<Box<Page>>;

#[derive(Debug)]
struct Page {
    outcome: Mark,
    bytes: Box<[u8]>,
    next: Place,
}

/// What tells the outcomes of one flag apart; payload and failure follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    reason: Reason,
    enabled: bool,
    condition_index: Option<u32>,
    variant: VariantAt,
}

impl<'f> Outcome<'f> {
    /// What `write` makes of this outcome in a form: for the same outcome of the same flag always
    /// the same, so that it need not be asked each time.
    pub fn rendered(&self, form: Form, write: impl Fn(&Self) -> Vec<u8>) -> Cow<'f, [u8]> {
        let (outcome, mut place) = (self.mark(), &self.flag.rendered().0[form as usize]);
        for _ in 0..MOST_OUTCOMES {
            if place.get().is_none() {
                let bytes = write(self);
                if bytes.len() > MOST_BYTES {
                    return Cow::Owned(bytes);
                }
                let page = Page { outcome, bytes: bytes.into(), next: Place::new() };
                // Somebody may have been quicker, with this outcome or with another one.
                let _ = place.set(Box::new(page));
            }
            let Some(page) = place.get() else { break };
            if page.outcome == outcome {
                return Cow::Borrowed(&page.bytes);
            }
            place = &page.next;
        }
        Cow::Owned(write(self))
    }

    fn mark(&self) -> Mark {
        Mark {
            reason: self.reason,
            enabled: self.enabled,
            condition_index: self.condition_index,
            variant: self.variant_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::{Value, json};

    use super::*;
    use crate::engine::definition::{Flag, FlagSource};

    fn flag(filters: &Value) -> Flag {
        Flag::compile(&FlagSource::new(1, "flag", filters))
    }

    fn matched(flag: &Flag, index: u32) -> Outcome<'_> {
        Outcome { enabled: true, ..Outcome::off(flag, Reason::ConditionMatch, Some(index)) }
    }

    #[test]
    fn an_outcome_is_written_once_in_each_form() {
        let flag = flag(&json!({}));
        let made = Cell::new(0_u8);
        let render = |outcome: Outcome<'_>, form| {
            let write = |_: &Outcome<'_>| {
                made.set(made.get() + 1);
                vec![made.get()]
            };
            outcome.rendered(form, write).into_owned()
        };
        let off = || Outcome::off(&flag, Reason::OutOfRolloutBound, Some(0));
        let first =
            [matched(&flag, 0), matched(&flag, 1), off()].map(|it| render(it, Form::Record));
        assert_eq!(first, [[1], [2], [3]]);
        assert_eq!(render(matched(&flag, 1), Form::Entry), [4], "another form");
        let again =
            [off(), matched(&flag, 0), matched(&flag, 1)].map(|it| render(it, Form::Record));
        assert_eq!(again, [[3], [1], [2]]);
        assert_eq!(render(matched(&flag, 1), Form::Entry), [4]);
    }

    #[test]
    fn variants_are_told_apart_by_where_they_stand() {
        let flag = flag(&json!({"multivariate": {"variants":
            [{"key": "a", "rollout_percentage": 50}, {"key": "a", "rollout_percentage": 50}]}}));
        let variants = &flag.rules().unwrap().variants;
        let at = |index: usize| matched(&flag, 0).with_variant(variants, index);
        assert_eq!(*at(0).rendered(Form::Record, |_| vec![0]), [0]);
        assert_eq!(*at(1).rendered(Form::Record, |_| vec![1]), [1]);
        assert_eq!(*at(0).rendered(Form::Record, |_| vec![2]), [0]);
    }

    #[test]
    fn many_and_large_ones_are_written_each_time() {
        let flag = flag(&json!({}));
        let many = u32::try_from(MOST_OUTCOMES).unwrap();
        for index in 0..many * 2 {
            let bytes = index.to_be_bytes();
            assert_eq!(*matched(&flag, index).rendered(Form::Message, |_| bytes.into()), bytes);
        }
        let kept = |index| match matched(&flag, index).rendered(Form::Message, |_| vec![]) {
            Cow::Borrowed(bytes) => bytes.len(),
            Cow::Owned(_) => 0,
        };
        assert_eq!([kept(0), kept(many - 1), kept(many)], [4, 4, 0]);
        for _ in 0..2 {
            let large = matched(&flag, 0).rendered(Form::Record, |_| vec![0; MOST_BYTES + 1]);
            assert!(matches!(large, Cow::Owned(_)));
        }
    }

    #[test]
    fn those_who_write_at_once_are_given_the_same() {
        let flag = flag(&json!({}));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for index in (0_u32..16).cycle().take(1_000) {
                        let bytes = index.to_be_bytes();
                        let rendered =
                            matched(&flag, index).rendered(Form::Entry, |_| bytes.into());
                        assert_eq!(*rendered, bytes);
                    }
                });
            }
        });
    }
}
