//! Reads JSON text into values, within limits that are checked while decoding.
//!
//! `serde_json` hands a number over as a map with one private key
//! (`arbitrary_precision`), and its own `Value` takes every map that begins with that
//! key, or with the one of `RawValue`, for the thing itself: `{"$serde_json::private::Number":
//! "x"}` in a text would become a number, or an error. Here a key is asked for as bytes: the
//! parser answers with bytes for a key of the text, and with a string for its own marker, so the
//! two are told apart by their types and never by what they spell.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

use super::{
    MAX_DEPTH, Object,
    surrogates::{mark_lone_surrogates, replace_lone_surrogates},
};

/// The deepest nesting that the parser itself follows.
pub const MAX_PARSER_DEPTH: usize = 127;

/// The most values that a request's text may hold, counting each item and each field.
pub const MAX_ELEMENTS: usize = 250_000;

/// Bounds for one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of objects and lists, at most 127.
    pub depth: usize,
    /// Items of lists and fields of objects, together.
    pub elements: usize,
    /// Bytes of text.
    pub bytes: usize,
    /// Whether strict JSON that nests deeper is read, with null in place of what is too deep,
    /// instead of being refused. For texts of which each part is judged by itself.
    pub truncates: bool,
}

impl Limits {
    /// For what a caller sends: [`MAX_DEPTH`] levels and [`MAX_ELEMENTS`] values.
    pub const REQUEST: Self =
        Self { depth: MAX_DEPTH, elements: MAX_ELEMENTS, bytes: usize::MAX, truncates: false };

    /// For what the service stored or wrote itself, which was bounded when it came.
    pub const STORED: Self =
        Self { depth: MAX_PARSER_DEPTH, elements: usize::MAX, bytes: usize::MAX, truncates: false };

    /// The same, with another depth.
    #[must_use]
    pub const fn with_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// The same, with null for what nests too deeply. The parser itself follows one level more than
    /// the depth.
    #[must_use]
    pub const fn truncating(self) -> Self {
        Self { truncates: true, ..self }
    }

    /// The same, with another number of values.
    #[must_use]
    pub const fn with_elements(self, elements: usize) -> Self {
        Self { elements, ..self }
    }

    /// The same, with another size.
    #[must_use]
    pub const fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

/// Why a text could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It is not JSON; the parser's description, with line and column.
    Syntax(String),
    /// It nests deeper than this many levels.
    TooDeep(usize),
    /// It holds more than this many values.
    TooManyElements(usize),
    /// It is longer than this many bytes.
    TooLong(usize),
}

impl ReadError {
    /// Whether the text was given up because of a limit, so that reading it in another way would
    /// be of no use.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        !matches!(self, Self::Syntax(_))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(problem) => f.write_str(problem),
            Self::TooDeep(levels) => write!(f, "nested deeper than {levels} levels"),
            Self::TooManyElements(count) => write!(f, "more than {count} values"),
            Self::TooLong(bytes) => write!(f, "longer than {bytes} bytes"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Parses strict JSON (RFC 8259); of fields with one name the last counts.
///
/// # Errors
///
/// [`ReadError`] for anything else and beyond the limits.
pub fn parse(text: &str, limits: Limits) -> Result<Value, ReadError> {
    read(serde_json::Deserializer::from_str(text), text.as_bytes(), limits)
}

/// Parses strict JSON in UTF-8.
///
/// # Errors
///
/// As [`parse`], and for other encodings.
pub fn parse_bytes(text: &[u8], limits: Limits) -> Result<Value, ReadError> {
    read(serde_json::Deserializer::from_slice(text), text, limits)
}

/// Parses what the service stored, within [`Limits::STORED`].
///
/// # Errors
///
/// As [`parse`].
pub fn parse_stored(text: &str) -> Result<Value, ReadError> {
    parse(text, Limits::STORED)
}

/// Parses JSON in which half of a surrogate pair may stand alone (`\ud83e`), as texts have it that
/// were cut in the middle of a character; it becomes U+FFFD.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_lenient(text: &str, limits: Limits) -> Result<Value, ReadError> {
    match parse(text, limits) {
        Err(ReadError::Syntax(problem)) => match replace_lone_surrogates(text) {
            Cow::Owned(text) => parse(&text, limits),
            Cow::Borrowed(_) => Err(ReadError::Syntax(problem)),
        },
        read => read,
    }
}

/// Parses JSON as [`parse_lenient`] does, or else JSON5: comments, single quotes, trailing commas, bare
/// keys, and `NaN` or `Infinity`, which become null (evaluation 14.2).
///
/// # Errors
///
/// As [`parse`].
pub fn parse_json5(text: &str, limits: Limits) -> Result<Value, ReadError> {
    match parse(text, limits) {
        Err(ReadError::Syntax(_)) => parse_repaired(replace_lone_surrogates(text), limits),
        read => read,
    }
}

/// Parses what [`parse_json5`] does, and marks halves of surrogate pairs that stand alone: the
/// returned character stands in their place, and nowhere else in the value. `None` if there are none.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_marked(text: &str, limits: Limits) -> Result<(Value, Option<char>), ReadError> {
    match parse(text, limits) {
        Err(ReadError::Syntax(_)) => {}
        read => return Ok((read?, None)),
    }
    let (text, marker) = match mark_lone_surrogates(text) {
        Some((text, marker)) => (Cow::Owned(text), Some(marker)),
        None => (replace_lone_surrogates(text), None),
    };
    Ok((parse_repaired(text, limits)?, marker))
}

/// Parses a text that was no strict JSON before its halves of surrogate pairs were replaced. One in
/// which there were none is not read as strict JSON again.
fn parse_repaired(text: Cow<'_, str>, limits: Limits) -> Result<Value, ReadError> {
    if let Cow::Owned(text) = &text {
        match parse(text, limits) {
            Err(ReadError::Syntax(_)) => {}
            read => return read,
        }
    }
    read_json5(&text, limits)
}

/// Parses JSON5. Its parser follows nesting by recursion, so that what is too deep is always refused.
fn read_json5(text: &str, limits: Limits) -> Result<Value, ReadError> {
    let limits = Limits { truncates: false, ..limits };
    let budget = Budget::new(limits);
    let seed = Seed { budget: &budget, levels_left: limits.depth, keys: Keys::Text };
    let mut parser = json5::Deserializer::from_str(text);
    match seed.deserialize(&mut parser) {
        Ok(value) if is_at_end(parser) => Ok(value),
        Ok(_) => Err(ReadError::Syntax("trailing characters".into())),
        Err(error) => Err(budget.error(error)),
    }
}

/// Whether nothing but space and comments is left.
fn is_at_end(mut parser: json5::Deserializer<'_>) -> bool {
    let budget = Budget::new(Limits::STORED);
    let scalar = Seed { budget: &budget, levels_left: 0, keys: Keys::Text };
    let end = scalar.deserialize(&mut parser).map_err(|error| error.code());
    end == Err(Some(json5::ErrorCode::EofParsingValue))
}

fn read<'de, R: serde_json::de::Read<'de>>(
    mut parser: serde_json::Deserializer<R>,
    text: &[u8],
    limits: Limits,
) -> Result<Value, ReadError> {
    if text.len() > limits.bytes {
        return Err(ReadError::TooLong(limits.bytes));
    }
    let budget = Budget::new(limits);
    let seed = Seed { budget: &budget, levels_left: limits.depth, keys: Keys::Bytes };
    let read = seed.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    let read = match budget.control_in_key.get() {
        // Whether it was escaped does not show in the key.
        true => read.and_then(|value| serde_json::from_slice::<IgnoredAny>(text).map(|_| value)),
        false => read,
    };
    read.map_err(|error| budget.error(error))
}

/// Parses strict JSON into a type of its own, within the parser's depth. A member of the type
/// `serde_json::Value` needs [`deserialize_value`].
///
/// # Errors
///
/// As [`parse`], and for JSON of another shape.
pub fn parse_typed<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|error| ReadError::Syntax(error.to_string()))
}

/// Deserializes a `Value` member of a type that [`parse_typed`] reads: for
/// `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// The parser's.
pub fn deserialize_value<'de, D: Deserializer<'de>>(parser: D) -> Result<Value, D::Error> {
    let limits = Limits::STORED;
    let budget = Budget::new(limits);
    Seed { budget: &budget, levels_left: limits.depth, keys: Keys::Bytes }.deserialize(parser)
}

/// What is left of the limits of one text.
struct Budget {
    limits: Limits,
    elements_left: Cell<usize>,
    exceeded: Cell<Option<Exceeded>>,
    /// Whether the first key of some map holds a control character, which the parser does not check in
    /// keys that are asked for as bytes.
    control_in_key: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Exceeded {
    Depth,
    Elements,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        let elements_left = Cell::new(limits.elements);
        let (exceeded, control_in_key) = (Cell::new(None), Cell::new(false));
        Self { limits, elements_left, exceeded, control_in_key }
    }

    /// The limit that ended the parsing, or else what the parser says.
    fn error(&self, problem: impl fmt::Display) -> ReadError {
        match self.exceeded.get() {
            Some(Exceeded::Depth) => ReadError::TooDeep(self.limits.depth),
            Some(Exceeded::Elements) => ReadError::TooManyElements(self.limits.elements),
            None => ReadError::Syntax(problem.to_string()),
        }
    }

    #[cold]
    fn exceed<E: serde::de::Error>(&self, what: Exceeded) -> E {
        self.exceeded.set(Some(what));
        E::custom("beyond a limit")
    }
}

/// How keys are asked for.
#[derive(Clone, Copy)]
enum Keys {
    /// As bytes, by which `serde_json` tells those of the text from its own marker.
    Bytes,
    /// As text, from parsers without such a marker.
    Text,
}

/// Reads any one value, at a level that `levels_left` more may follow.
#[derive(Clone, Copy)]
struct Seed<'a> {
    budget: &'a Budget,
    levels_left: usize,
    keys: Keys,
}

impl Seed<'_> {
    /// The level below; `None` if that is too deep, and to be left out.
    #[inline]
    fn inner<E: serde::de::Error>(self) -> Result<Option<Self>, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Some(Self { levels_left, ..self })),
            None if self.budget.limits.truncates => Ok(None),
            None => Err(self.budget.exceed(Exceeded::Depth)),
        }
    }

    /// Counts one item or field.
    #[inline]
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        match self.budget.elements_left.get().checked_sub(1) {
            Some(left) => {
                self.budget.elements_left.set(left);
                Ok(())
            }
            None => Err(self.budget.exceed(Exceeded::Elements)),
        }
    }

    /// Reads the fields after the first key.
    fn object<'de, A: MapAccess<'de>>(
        self,
        first: String,
        mut fields: A,
    ) -> Result<Value, A::Error> {
        let mut object = Object::new();
        let mut next = Some(first);
        while let Some(key) = next {
            self.count()?;
            object.insert(key, fields.next_value_seed(self)?);
            next = fields.next_key()?;
        }
        Ok(Value::Object(object))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    #[inline]
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    #[inline]
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[inline]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[inline]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[inline]
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    #[inline]
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    #[inline]
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Some(inner) = self.inner()? else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            self.count()?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        match fields.next_key_seed(FirstKey(self))? {
            None => self.inner().map(|_| Value::Object(Object::new())),
            Some(Key::Text(first)) => match self.inner()? {
                Some(inner) => inner.object(first, fields),
                None => {
                    fields.next_value::<IgnoredAny>()?;
                    while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    Ok(Value::Null)
                }
            },
            Some(Key::Number) => {
                let text: String = fields.next_value()?;
                text.parse().map(Value::Number).map_err(A::Error::custom)
            }
        }
    }
}

/// The first key of a map: one of the text, or the parser's own word for a number.
enum Key {
    Text(String),
    Number,
}

struct FirstKey<'a>(Seed<'a>);

impl<'de> DeserializeSeed<'de> for FirstKey<'_> {
    type Value = Key;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Key, D::Error> {
        match self.0.keys {
            Keys::Bytes => parser.deserialize_bytes(self),
            Keys::Text => String::deserialize(parser).map(Key::Text),
        }
    }
}

impl Visitor<'_> for FirstKey<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<Key, E> {
        // Half of a surrogate pair comes as bytes that are no UTF-8.
        match str::from_utf8(key) {
            Ok(key) => {
                if key.bytes().any(|byte| byte < b' ') {
                    self.0.budget.control_in_key.set(true);
                }
                Ok(Key::Text(key.to_owned()))
            }
            Err(_) => Err(E::custom("invalid unicode code point")),
        }
    }

    #[inline]
    fn visit_str<E>(self, _: &str) -> Result<Key, E> {
        Ok(Key::Number)
    }
}

#[cfg(test)]
mod tests;
