//! Unpacks what SDKs send: gzip, base64 and forms around JSON that may be
//! lenient (evaluation 14.2).
//!
//! Unpacking and parsing are two steps, so that the token can be looked for in between
//! ([`tokens`]): what a large body takes once parsed is spent on callers with a token alone.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use memchr::{memchr3_iter, memmem};
use percent_encoding::percent_decode;
use serde_json::Value;

use crate::{
    limits::{Compression, InflateError, Reservation, inflate},
    model::{
        error::{BodyKind, Code, Error, Result},
        json::{self, Limits, MAX_PARSER_DEPTH, Object, ReadError},
    },
};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const FORM: &str = "application/x-www-form-urlencoded";
/// The content types of bodies that are read; nothing said is JSON.
const READ: [&str; 4] = ["application/json", "text/plain", FORM, ""];
/// Bounds for a body of events, whose depth is judged event by event.
const EVENT_LIMITS: Limits =
    Limits::REQUEST.with_depth(MAX_EVENT_DEPTH).with_elements(MAX_EVENT_ELEMENTS).truncating();
/// The deepest nesting that is followed in a body of events. More than an event may have, which is
/// then refused alone.
const MAX_EVENT_DEPTH: usize = MAX_PARSER_DEPTH - 1;
/// The most values in a body of events: ten bytes each in the largest body.
const MAX_EVENT_ELEMENTS: usize = 2_000_000;
/// What a value takes in memory once parsed, beside its text.
const VALUE_BYTES: usize = 96;
/// Texts up to this size are parsed without a charge: there is one for each request that is
/// answered at the time, and what they take is small.
const MAX_UNCHARGED_BYTES: usize = 4 * 1024;
/// How public tokens begin.
const TOKEN_PREFIX: &str = "phc_";
/// The most tokens of one body that are worth a look.
const MAX_TOKENS: usize = 8;
/// Longer than any token.
const MAX_TOKEN_BYTES: usize = 250;

/// What a request says of how its body is packed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packing<'a> {
    /// The header `Content-Type`.
    pub(crate) content_type: Option<&'a str>,
    /// The header `Content-Encoding`.
    pub(crate) content_encoding: Option<&'a str>,
    /// The query parameter `compression`.
    pub(crate) compression: Option<&'a str>,
}

/// Returns the object that a body of at most `limit` bytes, packed and unpacked, holds.
///
/// # Errors
///
/// As [`text`] and [`object_of`].
pub(crate) fn object(
    packing: Packing<'_>,
    bytes: &[u8],
    limit: usize,
    memory: &mut Reservation,
) -> Result<Object> {
    packing.check_type()?;
    object_of(&text(packing, bytes, limit, memory)?, memory)
}

/// Parses a text as an object.
///
/// # Errors
///
/// 400 as text for what cannot be read, is no object, or is nested too deeply; as
/// [`Reservation::charge`].
pub(crate) fn object_of(text: &[u8], memory: &mut Reservation) -> Result<Object> {
    charge(text, memory)?;
    let text = utf8(text);
    match json::parse_json5(&text, Limits::REQUEST).map_err(refusal)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(refuse("The body is not a JSON object.")),
    }
}

/// Parses a body of events, whose depth is judged event by event. What it takes is charged before
/// it is made. With it comes the character that stands for halves of surrogate pairs, if it holds any.
///
/// # Errors
///
/// 400 as text for what cannot be read; as [`Reservation::charge`].
pub(crate) fn parse_events(text: &[u8], memory: &mut Reservation) -> Result<(Value, Option<char>)> {
    charge(text, memory)?;
    json::parse_marked(&utf8(text), EVENT_LIMITS).map_err(refusal)
}

/// Reserves what a text takes in memory once parsed.
fn charge(text: &[u8], memory: &mut Reservation) -> Result<()> {
    if text.len() > MAX_UNCHARGED_BYTES {
        let values = memchr3_iter(b',', b'[', b'{', text).count();
        memory.charge(text.len() + values * VALUE_BYTES)?;
    }
    Ok(())
}

/// Returns the JSON text in a body of at most `limit` bytes, out of compression, base64 and form.
/// What is none of these is returned as it is.
///
/// # Errors
///
/// 400 as text for broken compression; 413 beyond the limit; as [`Reservation::charge`].
pub(crate) fn text<'a>(
    packing: Packing<'_>,
    bytes: &'a [u8],
    limit: usize,
    memory: &mut Reservation,
) -> Result<Cow<'a, [u8]>> {
    let content = plain(packing, bytes, limit, memory)?;
    if begins_json(&content) {
        return Ok(content);
    }
    let of_base64 = match packing.is_form() {
        true => None,
        false => from_base64(&content, limit, memory)?,
    };
    let found = match of_base64 {
        Some(text) => Some(text),
        None => from_form(&content, limit, memory)?,
    };
    Ok(found.map_or(content, Cow::Owned))
}

/// Returns what looks like public tokens in a text, each once, without parsing it.
pub(crate) fn tokens(text: &[u8]) -> Vec<String> {
    let mut tokens = Vec::new();
    for start in memmem::find_iter(text, TOKEN_PREFIX) {
        let found = &text[start..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = found.iter().position(|byte| !is_part(byte)).unwrap_or(found.len());
        let token = String::from_utf8_lossy(&found[..length.min(MAX_TOKEN_BYTES)]).into_owned();
        if !tokens.contains(&token) {
            tokens.push(token);
        }
        if tokens.len() == MAX_TOKENS {
            break;
        }
    }
    tokens
}

/// A refusal in plain text, as clients of these wires expect it.
pub(crate) fn refuse(detail: impl Into<String>) -> Error {
    Error::rule(detail).with_body(BodyKind::Text)
}

impl Packing<'_> {
    fn media_type(&self) -> &str {
        self.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    /// Whether the body is a form rather than JSON.
    fn is_form(&self) -> bool {
        self.media_type().eq_ignore_ascii_case(FORM)
    }

    /// Checks the content type.
    ///
    /// # Errors
    ///
    /// 400 as text for a type that is not read.
    pub(crate) fn check_type(&self) -> Result<()> {
        let own = self.media_type();
        match READ.iter().any(|kind| own.eq_ignore_ascii_case(kind)) {
            true => Ok(()),
            false => {
                let own = own.to_ascii_lowercase();
                Err(refuse(format!("The content type \"{own}\" is not supported.")))
            }
        }
    }

    fn encodes(&self, encoding: &str) -> bool {
        self.content_encoding.is_some_and(|name| name.eq_ignore_ascii_case(encoding))
    }

    fn says_gzip(&self) -> bool {
        let said = self.compression.is_some_and(|kind| matches!(kind, "gzip" | "gzip-js"));
        said || self.encodes("gzip")
    }

    /// How these bytes are compressed; `None` where they are plain.
    fn compression_of(&self, bytes: &[u8]) -> Option<Compression> {
        match () {
            () if self.says_gzip() || bytes.starts_with(&GZIP) => Some(Compression::Gzip),
            () if self.encodes("deflate") => Some(Compression::Deflate),
            () if self.encodes("zstd") => Some(Compression::Zstd),
            () => None,
        }
    }
}

/// The bytes behind gzip, deflate or zstd.
fn plain<'a>(
    packing: Packing<'_>,
    bytes: &'a [u8],
    limit: usize,
    memory: &mut Reservation,
) -> Result<Cow<'a, [u8]>> {
    let Some(compression) = packing.compression_of(bytes) else { return Ok(bytes.into()) };
    match inflate(compression, bytes, limit, memory) {
        Ok(plain) => Ok(plain.into()),
        Err(InflateError::TooLarge) => Err(Error::too_large(limit)),
        Err(InflateError::Refused(error)) => Err(error),
        Err(InflateError::Malformed) => {
            Err(refuse(format!("The body is not {}.", compression.name())))
        }
    }
}

/// Text with invalid UTF-8 replaced.
fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly everybody sends UTF-8, which is found out quicker than what would have to be replaced.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The refusal of a text that cannot be read.
fn refusal(error: ReadError) -> Error {
    match error {
        ReadError::Syntax(_) => refuse("The body is not JSON."),
        ReadError::TooDeep(_) => refuse("The body is nested too deeply."),
        ReadError::TooManyElements(_) => refuse(format!("The body holds {error}.")),
        ReadError::TooLong(bytes) => Error::too_large(bytes),
    }
}

/// Whether a text begins as an object or a list does, or with a comment before one. Neither base64
/// of these nor a form does.
fn begins_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'/'))
}

/// What the field `data` of a form holds.
fn from_form(bytes: &[u8], limit: usize, memory: &mut Reservation) -> Result<Option<Vec<u8>>> {
    if memmem::find(bytes, b"data=").is_none() {
        return Ok(None);
    }
    memory.charge(bytes.len())?;
    let data = form_urlencoded::parse(bytes).find(|(name, _)| name == "data");
    let Some((_, data)) = data else { return Ok(None) };
    let data = data.into_owned().into_bytes();
    match begins_json(&data) {
        true => Ok(Some(data)),
        false => Ok(Some(from_base64(&data, limit, memory)?.unwrap_or(data))),
    }
}

/// Base64 that went through URLs: percent signs or spaces instead of plus signs, either
/// alphabet, padding or none; with gzip inside or not. `None` for what holds no JSON.
fn from_base64(bytes: &[u8], limit: usize, memory: &mut Reservation) -> Result<Option<Vec<u8>>> {
    memory.charge(if bytes.len() > MAX_UNCHARGED_BYTES { 2 * bytes.len() } else { 0 })?;
    let text: Cow<'_, [u8]> = percent_decode(bytes).into();
    let Some(standard) = standard_alphabet(text.trim_ascii()) else { return Ok(None) };
    let Ok(decoded) = BASE64_STANDARD_NO_PAD.decode(standard) else { return Ok(None) };
    let content = match plain(Packing::default(), &decoded, limit, memory) {
        Ok(Cow::Owned(content)) => content,
        Ok(Cow::Borrowed(_)) => decoded,
        // What only looked like base64, or like gzip in it.
        Err(error) if error.code == Code::Invalid => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(begins_json(&content).then_some(content))
}

/// The same in the standard alphabet, without padding; `None` where a character is in neither
/// alphabet.
fn standard_alphabet(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let standard = |byte: &u8| match *byte {
        b' ' | b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        byte if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => Some(byte),
        _ => None,
    };
    text[..text.len() - padding].iter().map(standard).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::prelude::BASE64_STANDARD;
    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;
    use crate::limits::MemoryBudget;

    const LIMIT: usize = 10_000;
    const BODY: &[u8] = br#"{"token": "phc_1", "name": "a>b?c~"}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn form(data: &str) -> Vec<u8> {
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("data", data).finish();
        form.into_bytes()
    }

    fn packing<'a>(kind: &'a str, encoding: &'a str, compression: &'a str) -> Packing<'a> {
        let said = |text: &'a str| (!text.is_empty()).then_some(text);
        Packing {
            content_type: said(kind),
            content_encoding: said(encoding),
            compression: said(compression),
        }
    }

    /// Reads an object, with memory enough.
    fn object(packing: Packing<'_>, bytes: &[u8], limit: usize) -> Result<Object> {
        super::object(packing, bytes, limit, &mut MemoryBudget::new(1024 * 1024).reservation())
    }

    #[test]
    fn every_packing_that_clients_use_is_read() {
        let base64 = BASE64_STANDARD.encode(BODY);
        let unpadded = base64.trim_end_matches('=').replace('+', "%2B").replace('/', "%2F");
        let url_safe = base64.replace('+', "-").replace('/', "_");
        let zipped = BASE64_STANDARD.encode(gzip(BODY));
        let cases = [
            ("JSON", packing("application/json; charset=utf-8", "", ""), BODY.to_vec()),
            ("nothing said", packing("", "", ""), BODY.to_vec()),
            ("text", packing("Text/Plain", "", ""), BODY.to_vec()),
            ("gzip by its header", packing("application/json", "GZIP", ""), gzip(BODY)),
            ("gzip by the query", packing("text/plain", "", "gzip-js"), gzip(BODY)),
            ("gzip by its look", packing("text/plain", "", ""), gzip(BODY)),
            ("base64 by the query", packing("text/plain", "", "base64"), base64.clone().into()),
            ("base64 by its look", packing("", "", ""), base64.clone().into()),
            ("base64 in percents, unpadded", packing("", "", ""), unpadded.into()),
            ("base64 for URLs", packing("", "", ""), url_safe.into()),
            ("a form", packing(FORM, "", ""), form(&base64)),
            ("a form with JSON", packing(FORM, "", ""), form(std::str::from_utf8(BODY).unwrap())),
            ("a form with gzip", packing(FORM, "", "base64"), form(&zipped)),
            ("JSON that is called a form", packing(FORM, "", ""), BODY.to_vec()),
        ];
        let expected = json!({"token": "phc_1", "name": "a>b?c~"});
        for (name, packing, bytes) in cases {
            let read = object(packing, &bytes, LIMIT).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(Value::Object(read), expected, "{name}");
        }
    }

    #[test]
    fn what_strict_parsers_refuse_is_mended() {
        let cases = [
            (&b"{'a': NaN, b: [Infinity,]}"[..], json!({"a": null, "b": [null]})),
            (b"{\"a\": \"x\xff\"}", json!({"a": "x\u{fffd}"})),
            (br#"{"a": "cut \ud83e"}"#, json!({"a": "cut \u{fffd}"})),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Value::Object(object(Packing::default(), bytes, LIMIT).unwrap()), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_plain_text() {
        let cases = [
            ("half an object", packing("", "", ""), &b"{"[..]),
            ("no object", packing("", "", ""), b"[]"),
            ("nothing", packing("", "", ""), b""),
            ("no text", packing("", "", ""), b"\xff\xfe"),
            ("a form without data", packing(FORM, "", ""), b"a=1"),
            ("no gzip", packing("", "gzip", ""), BODY),
            ("broken gzip", packing("", "", ""), b"\x1f\x8b\x08"),
            ("another type", packing("text/css", "", ""), BODY),
            ("many parts", packing("multipart/form-data; boundary=x", "", ""), BODY),
        ];
        for (name, packing, bytes) in cases {
            let error = object(packing, bytes, LIMIT).unwrap_err();
            assert_eq!((error.code.http_status(), error.body), (400, BodyKind::Text), "{name}");
        }
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        assert!(object(Packing::default(), deep.as_bytes(), LIMIT).is_err());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; LIMIT * 100]);
        let error = object(Packing::default(), &bomb, LIMIT).unwrap_err();
        assert_eq!(error.code.http_status(), 413);
    }
}
