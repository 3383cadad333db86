//! Answers of evaluation, written to the wire without being built.
//!
//! What is told of a flag's outcome is a generated message, encoded once and
//! kept with the flag. Answers are those bytes, one after the other: they are
//! what the generated message would be but for the order of flags, which is the
//! engine's: a map has none on the wire.

use bytes::{Buf, BufMut};
use chrono::{DateTime, Utc};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_varint},
};
use uuid::{Uuid, fmt::Hyphenated};

use super::v1::{
    EvaluateFlagResponse, EvaluateFlagsResponse, EvaluatedFlag, EvaluationReason, FlagMetadata,
};
use crate::engine::{Evaluation, Form, Outcome};

/// A message that is written already. It is only ever sent: nothing reads one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written(Vec<u8>);

/// About what a flag takes, with a short key.
const A_FLAG: usize = 112;
const THE_REST: usize = 96;

/// What tells one answer from another.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The request's.
    pub request_id: Uuid,
    /// When it was evaluated.
    pub evaluated_at: DateTime<Utc>,
}

/// An `EvaluateFlagResponse`.
#[must_use]
pub fn flag(outcome: &Outcome<'_>, stamp: Stamp) -> Written {
    let mut bytes = Vec::with_capacity(A_FLAG + THE_REST);
    bytes.extend_from_slice(&outcome.rendered(Form::Message, alone));
    put_text(2, stamp.id(&mut [0; Hyphenated::LENGTH]), &mut bytes);
    put_time(3, stamp.evaluated_at, &mut bytes);
    Written(bytes)
}

/// An `EvaluateFlagsResponse`.
#[must_use]
pub fn flags(evaluation: &Evaluation<'_>, stamp: Stamp) -> Written {
    let mut bytes = Vec::with_capacity(A_FLAG * evaluation.outcomes.len() + THE_REST);
    put_flags(1, evaluation, &mut bytes);
    put_bool(2, evaluation.errors_while_computing, &mut bytes);
    put_text(3, stamp.id(&mut [0; Hyphenated::LENGTH]), &mut bytes);
    put_time(4, stamp.evaluated_at, &mut bytes);
    Written(bytes)
}

/// A `BatchEvaluateFlagsResponse`: the answer about the subject at a position.
#[must_use]
pub fn of_batch(
    index: usize,
    distinct_id: &str,
    evaluation: &Evaluation<'_>,
    stamp: Stamp,
) -> Written {
    let texts = distinct_id.len() + THE_REST;
    let mut bytes = Vec::with_capacity(A_FLAG * evaluation.outcomes.len() + texts);
    put_number(1, index as u64, &mut bytes);
    put_text(2, distinct_id, &mut bytes);
    put_flags(3, evaluation, &mut bytes);
    put_bool(4, evaluation.errors_while_computing, &mut bytes);
    put_text(5, stamp.id(&mut [0; Hyphenated::LENGTH]), &mut bytes);
    put_time(6, stamp.evaluated_at, &mut bytes);
    Written(bytes)
}

impl Stamp {
    fn id(self, room: &mut [u8; Hyphenated::LENGTH]) -> &str {
        self.request_id.hyphenated().encode_lower(room)
    }
}

/// The map from keys to flags.
fn put_flags(field: u32, evaluation: &Evaluation<'_>, bytes: &mut Vec<u8>) {
    for outcome in &evaluation.outcomes {
        put_tag(field, WireType::LengthDelimited, bytes);
        bytes.extend_from_slice(&outcome.rendered(Form::Entry, entry));
    }
}

/// One flag as the first field of an answer about it alone.
fn alone(outcome: &Outcome<'_>) -> Vec<u8> {
    let answer = EvaluateFlagResponse { flag: Some(told(outcome)), ..Default::default() };
    answer.encode_to_vec()
}

/// One flag as an entry of a map, with its length; the field's tag goes before.
fn entry(outcome: &Outcome<'_>) -> Vec<u8> {
    let flags = [(outcome.flag.key().to_owned(), told(outcome))].into();
    let mut bytes = EvaluateFlagsResponse { flags, ..Default::default() }.encode_to_vec();
    bytes.remove(0);
    bytes
}

fn told(outcome: &Outcome<'_>) -> EvaluatedFlag {
    let flag = outcome.flag;
    EvaluatedFlag {
        key: flag.key().to_owned(),
        enabled: outcome.enabled,
        variant: outcome.variant.map(str::to_owned),
        reason: Some(EvaluationReason {
            code: outcome.reason.code().to_owned(),
            condition_index: outcome.condition_index.and_then(|index| i32::try_from(index).ok()),
            description: outcome.description().into_owned(),
        }),
        metadata: Some(FlagMetadata {
            id: flag.id(),
            version: flag.version().unwrap_or_default(),
            description: None,
            payload: outcome.payload.map(str::to_owned),
            has_experiment: flag.has_experiment(),
        }),
        failed: outcome.failed,
    }
}

// --- fields, of which those that hold their default are left out ---

fn put_tag(field: u32, kind: WireType, bytes: &mut Vec<u8>) {
    // All fields here are below 16, so a tag is one byte.
    bytes.push((field << 3) as u8 | kind as u8);
}

fn put_head(field: u32, length: usize, bytes: &mut Vec<u8>) {
    put_tag(field, WireType::LengthDelimited, bytes);
    encode_varint(length as u64, bytes);
}

fn put_some(field: u32, text: Option<&str>, bytes: &mut Vec<u8>) {
    if let Some(text) = text {
        put_head(field, text.len(), bytes);
        bytes.extend_from_slice(text.as_bytes());
    }
}

fn put_text(field: u32, text: &str, bytes: &mut Vec<u8>) {
    put_some(field, Some(text).filter(|text| !text.is_empty()), bytes);
}

fn put_number(field: u32, number: u64, bytes: &mut Vec<u8>) {
    if number != 0 {
        put_tag(field, WireType::Varint, bytes);
        encode_varint(number, bytes);
    }
}

fn put_bool(field: u32, value: bool, bytes: &mut Vec<u8>) {
    put_number(field, value.into(), bytes);
}

fn put_time(field: u32, time: DateTime<Utc>, bytes: &mut Vec<u8>) {
    let time = super::convert::timestamp(time);
    put_head(field, time.encoded_len(), bytes);
    time.encode_raw(bytes);
}

impl Message for Written {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn merge_field(
        &mut self,
        tag: u32,
        kind: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(kind, tag, buffer, context)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests;
