//! What a flag came out as.

use std::borrow::Cow;

use super::definition::{Flag, Variant};
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
    /// Where the flag has the variant.
    pub(super) variant_at: VariantAt,
}

/// Where a flag has the variant of an outcome. Two variants may have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VariantAt {
    /// In no list: there is none, or it is the holdout's own.
    Nowhere,
    /// In the flag's list.
    Index(u32),
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
            variant_at: VariantAt::Nowhere,
        }
    }

    /// A flag that is switched off, whoever asks.
    pub(super) fn switched_off(flag: &'f Flag) -> Self {
        Self::off(flag, Reason::FlagDisabled, None)
    }

    /// The same with a variant of the flag's list, and its payload.
    pub(super) fn with_variant(self, variants: &'f [Variant], at: usize) -> Self {
        let variant = &variants[at];
        Self {
            variant: Some(&variant.key),
            payload: variant.payload.as_deref(),
            variant_at: u32::try_from(at).map_or(VariantAt::Nowhere, VariantAt::Index),
            ..self
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
