//! What a flag came out as.

use std::borrow::Cow;

use super::definition::Flag;
use super::reason::{Failure, Reason};

/// A flag's result for one subject. Texts are borrowed from the flag.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'f> {
    /// The flag that was asked.
    pub flag: &'f Flag,
    /// True if the flag is on, with a variant or without.
    pub enabled: bool,
    /// The variant, if the flag has one for the subject.
    pub variant: Option<&'f str>,
    /// Why.
    pub reason: Reason,
    /// The position of the condition that the reason speaks of.
    pub condition_index: Option<u32>,
    /// The payload of the result, exactly as stored.
    pub payload: Option<&'f str>,
    /// True if the flag could not be evaluated; it then counts as off.
    pub failed: bool,
}

impl<'f> Outcome<'f> {
    /// A flag that is off for a reason.
    pub(super) fn off(flag: &'f Flag, reason: Reason, condition_index: Option<u32>) -> Self {
        Self {
            flag,
            enabled: false,
            variant: None,
            reason,
            condition_index,
            payload: None,
            failed: false,
        }
    }

    /// A flag that could not be evaluated.
    pub(super) fn failed(flag: &'f Flag, failure: Failure) -> Self {
        Self { failed: true, ..Self::off(flag, Reason::Failed(failure), None) }
    }

    /// The reason's sentence for people.
    pub fn description(&self) -> Cow<'static, str> {
        self.reason.description(self.condition_index)
    }
}
