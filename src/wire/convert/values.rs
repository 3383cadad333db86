//! Arbitrary JSON and instants on the wire.
//!
//! `google.protobuf.Value` knows only doubles, so a whole number is written
//! back as a JSON integer; where exact text matters, a message carries it
//! beside the value.

use chrono::{DateTime, Utc};
use prost_types::{ListValue, Struct, Timestamp, Value as Wire, value::Kind};
use serde_json::{Number, Value, json};

use crate::model::{
    error::{Error, Result},
    json::{MAX_DEPTH, Object},
};

/// Doubles are exact for whole numbers up to here.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// JSON as a message value.
#[must_use]
pub fn to_wire(value: &Value) -> Wire {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::MAX)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(to_wire).collect() })
        }
        Value::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    Wire { kind: Some(kind) }
}

/// A JSON object as a message.
pub(super) fn to_struct(fields: &Object) -> Struct {
    Struct { fields: fields.iter().map(|(key, value)| (key.clone(), to_wire(value))).collect() }
}

/// A message value as JSON.
///
/// # Errors
///
/// `Invalid` on `attr` for NaN, infinities, a value without a kind, and nesting beyond the limit.
pub(super) fn from_wire(value: Wire, attr: &str) -> Result<Value> {
    read(value, attr, MAX_DEPTH)
}

/// A message as a JSON object.
///
/// # Errors
///
/// As for its values: `Invalid` on `attr`.
pub fn object_from_struct(fields: Struct, attr: &str) -> Result<Object> {
    read_struct(fields, attr, MAX_DEPTH)
}

fn read(value: Wire, attr: &str, depth: usize) -> Result<Value> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(number)) => Value::Number(read_number(number, attr)?),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => {
            let depth = deeper(depth, attr)?;
            let items = list.values.into_iter().map(|item| read(item, attr, depth));
            Value::Array(items.collect::<Result<_>>()?)
        }
        Some(Kind::StructValue(fields)) => Value::Object(read_struct(fields, attr, depth)?),
    })
}

fn read_struct(fields: Struct, attr: &str, depth: usize) -> Result<Object> {
    let depth = deeper(depth, attr)?;
    fields.fields.into_iter().map(|(key, value)| Ok((key, read(value, attr, depth)?))).collect()
}

fn deeper(depth: usize, attr: &str) -> Result<usize> {
    depth.checked_sub(1).ok_or_else(|| {
        let detail = format!("Nesting is deeper than {MAX_DEPTH} levels.");
        Error::field(attr, "invalid_input", detail)
    })
}

fn read_number(number: f64, attr: &str) -> Result<Number> {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number)
        .ok_or_else(|| Error::field(attr, "invalid_input", "Numbers must be finite."))
}

/// An instant as a message.
#[must_use]
pub fn timestamp(instant: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: instant.timestamp(),
        nanos: i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

/// A message's instant.
///
/// # Errors
///
/// `Invalid` on `attr` for one that no calendar has.
pub fn instant(timestamp: Timestamp, attr: &'static str) -> Result<DateTime<Utc>> {
    let refuse = || Error::field(attr, "invalid_input", "Not a valid timestamp.");
    read_instant(timestamp).ok_or_else(refuse)
}

fn read_instant(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(timestamp.nanos).ok()?;
    DateTime::from_timestamp(timestamp.seconds, nanos)
}

/// A message's instant, spelled as a request body spells it; one out of range is left as
/// text that no field takes, so that it is refused as any other bad instant is.
pub(super) fn instant_text(timestamp: Timestamp) -> Value {
    read_instant(timestamp)
        .map_or_else(|| json!("out of range"), |instant| json!(instant.to_rfc3339()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_wire_and_whole_numbers_stay_whole() {
        let sent = json!({"a": [65, -0.5, "x", null, true, {"b": {}}], "n": 9007199254740992_i64});
        assert_eq!(from_wire(to_wire(&sent), "x").unwrap(), sent);
        assert_eq!(from_wire(to_wire(&json!(65)), "x").unwrap().to_string(), "65");
    }

    #[test]
    fn what_json_cannot_say_is_refused_on_its_field() {
        for number in [f64::NAN, f64::INFINITY] {
            let value = Wire { kind: Some(Kind::NumberValue(number)) };
            assert_eq!(from_wire(value, "filters").unwrap_err().attr.as_deref(), Some("filters"));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(from_wire(to_wire(&nested(MAX_DEPTH)), "x").is_ok());
        assert!(from_wire(to_wire(&nested(MAX_DEPTH + 1)), "x").is_err());
    }
}
