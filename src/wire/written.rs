//! Answers of evaluation, written to the wire straight from what the engine found.
//!
//! The generated messages own their texts, so each answer would copy every
//! key, reason and payload once before it is written. Here they are written
//! where they lie. The bytes are those of the generated messages but for the
//! order of flags, which is the engine's: a map has none on the wire.

use bytes::{Buf, BufMut};
use chrono::{DateTime, Utc};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_varint, encoded_len_varint},
};
use uuid::{Uuid, fmt::Hyphenated};

use crate::engine::{Evaluation, Outcome};

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
    flag_record(outcome).write(1, &mut bytes);
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

/// An `EvaluatedFlag`, with the lengths that stand before its parts.
struct Flag<'a, 'f> {
    outcome: &'a Outcome<'f>,
    condition_index: Option<u64>,
    description: std::borrow::Cow<'static, str>,
    version: u64,
    reason_length: usize,
    metadata_length: usize,
    length: usize,
}

/// Numbers are written as two's complement, so negative ones take ten bytes.
#[expect(clippy::cast_sign_loss, reason = "as the protocol has it")]
fn flag_record<'a, 'f>(outcome: &'a Outcome<'f>) -> Flag<'a, 'f> {
    let flag = outcome.flag;
    let condition_index = outcome.condition_index.filter(|index| i32::try_from(*index).is_ok());
    let condition_index = condition_index.map(u64::from);
    let (description, version) = (outcome.description(), flag.version().unwrap_or_default() as u64);
    let reason_length = text_length(outcome.reason.code())
        + condition_index.map_or(0, |index| 1 + encoded_len_varint(index))
        + text_length(&description);
    let metadata_length = number_length(flag.id() as u64)
        + number_length(version)
        + outcome.payload.map_or(0, delimited)
        + bool_length(flag.has_experiment());
    let length = text_length(flag.key())
        + bool_length(outcome.enabled)
        + outcome.variant.map_or(0, delimited)
        + message_length(reason_length)
        + message_length(metadata_length)
        + bool_length(outcome.failed);
    Flag { outcome, condition_index, description, version, reason_length, metadata_length, length }
}

impl Flag<'_, '_> {
    fn write(&self, field: u32, bytes: &mut Vec<u8>) {
        let Self { outcome, .. } = self;
        put_head(field, self.length, bytes);
        put_text(1, outcome.flag.key(), bytes);
        put_bool(2, outcome.enabled, bytes);
        put_some(3, outcome.variant, bytes);
        put_head(4, self.reason_length, bytes);
        put_text(1, outcome.reason.code(), bytes);
        if let Some(index) = self.condition_index {
            put_tag(2, WireType::Varint, bytes);
            encode_varint(index, bytes);
        }
        put_text(3, &self.description, bytes);
        put_head(5, self.metadata_length, bytes);
        #[expect(clippy::cast_sign_loss, reason = "as the protocol has it")]
        put_number(1, outcome.flag.id() as u64, bytes);
        put_number(2, self.version, bytes);
        put_some(4, outcome.payload, bytes);
        put_bool(5, outcome.flag.has_experiment(), bytes);
        put_bool(6, outcome.failed, bytes);
    }
}

/// The map from keys to flags: entries of two fields.
fn put_flags(field: u32, evaluation: &Evaluation<'_>, bytes: &mut Vec<u8>) {
    for outcome in &evaluation.outcomes {
        let flag = flag_record(outcome);
        let key = outcome.flag.key();
        put_head(field, text_length(key) + message_length(flag.length), bytes);
        put_text(1, key, bytes);
        flag.write(2, bytes);
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

fn delimited(text: &str) -> usize {
    message_length(text.len())
}

fn text_length(text: &str) -> usize {
    if text.is_empty() { 0 } else { delimited(text) }
}

fn number_length(number: u64) -> usize {
    if number == 0 { 0 } else { 1 + encoded_len_varint(number) }
}

fn bool_length(value: bool) -> usize {
    number_length(value.into())
}

fn message_length(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
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
