//! JSON as lenient clients write it: comments, single quotes, trailing commas,
//! bare keys, and `NaN` or `Infinity`, which become null (evaluation 14.2).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

use crate::model::json::{MAX_DEPTH, Object};

/// The value that a text in JSON5 holds; `None` for anything else, and for nesting beyond
/// [`MAX_DEPTH`].
pub(super) fn parse(text: &str) -> Option<Value> {
    json5::from_str(text).ok().map(|Lenient(value)| value)
}

struct Lenient(Value);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Bounded { levels_left: MAX_DEPTH }.deserialize(reader).map(Self)
    }
}

/// Reads any value, and gives up on nesting before the stack does.
#[derive(Clone, Copy)]
struct Bounded {
    levels_left: usize,
}

impl Bounded {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        levels_left.map(|levels_left| Self { levels_left }).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Object::new();
        while let Some(key) = fields.next_key()? {
            object.insert(key, fields.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_lenient_clients_write_is_read() {
        let text =
            "{// who\n'a': NaN, b: [Infinity, -Infinity, 1,], \"c\": 1.5, d: null, e: true,}";
        let expected = json!({"a": null, "b": [null, null, 1], "c": 1.5, "d": null, "e": true});
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn what_is_no_json_at_all_is_refused() {
        for text in ["", "{", "hello", "eyJhIjoxfQ==", "{a 1}", "[1] [2]"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        assert_eq!(parse(&"[".repeat(1_000_000)), None);
        assert_eq!(parse(&"{a:".repeat(1_000_000)), None);
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(MAX_DEPTH)).is_some());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_none());
    }
}
