//! Unpacks what SDKs send: gzip, base64 and forms around JSON that may be
//! lenient (evaluation 14.2).

use std::{borrow::Cow, io::Read};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use percent_encoding::percent_decode;
use serde_json::Value;

use crate::model::{
    error::{BodyKind, Error, Result},
    json::{self, Limits, MAX_PARSER_DEPTH, Object, ReadError},
};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const FORM: &str = "application/x-www-form-urlencoded";
/// The content types of bodies that are read; nothing said is JSON.
const READ: [&str; 4] = ["application/json", "text/plain", FORM, ""];
/// Bounds for a body of events, whose depth is judged event by event.
const EVENT_LIMITS: Limits =
    Limits::REQUEST.with_depth(MAX_PARSER_DEPTH).with_elements(MAX_EVENT_ELEMENTS);
/// The most values in a body of events: ten bytes each in the largest body.
const MAX_EVENT_ELEMENTS: usize = 2_000_000;

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

/// A body, unpacked, and how many bytes it is then.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) value: Value,
    pub(crate) bytes: usize,
}

/// The object that a body of at most `limit` bytes, packed and unpacked, holds.
///
/// # Errors
///
/// 400 as text for what cannot be read, is no object, or is nested too deeply; 413 beyond the
/// limit.
pub(crate) fn object(packing: Packing<'_>, bytes: &[u8], limit: usize) -> Result<Object> {
    packing.check_type()?;
    match unpacked(packing, bytes, limit, Limits::REQUEST)?.value {
        Value::Object(fields) => Ok(fields),
        _ => Err(refuse("The body is not a JSON object.")),
    }
}

/// The one value that a body of at most `limit` bytes holds, whatever type it says it has.
/// Nesting is bounded by the parser alone, for bodies whose parts are judged one by one.
///
/// # Errors
///
/// 400 as text for what cannot be read; 413 beyond the limit.
pub(crate) fn value(packing: Packing<'_>, bytes: &[u8], limit: usize) -> Result<Unpacked> {
    unpacked(packing, bytes, limit, EVENT_LIMITS)
}

fn unpacked(packing: Packing<'_>, bytes: &[u8], limit: usize, limits: Limits) -> Result<Unpacked> {
    let plain = plain(packing, bytes, limit)?;
    let reader = Reader { limit, limits };
    let bytes = plain.as_deref().unwrap_or(bytes);
    let mut value = reader.json(bytes)?;
    // `curl -d` says form whatever it sends.
    if value.is_none() && !packing.is_form() {
        value = reader.base64(bytes)?;
    }
    if value.is_none() {
        value = reader.form(bytes)?;
    }
    let value = value.ok_or_else(|| refuse("The body is not JSON."))?;
    Ok(Unpacked { value, bytes: bytes.len() })
}

/// The value in the `data` parameter of a GET.
///
/// # Errors
///
/// As [`value`].
pub(crate) fn of_query(data: &str, limit: usize) -> Result<Unpacked> {
    let value = Reader { limit, limits: EVENT_LIMITS }.text(data.as_bytes())?;
    let value = value.ok_or_else(|| refuse("`data` is not JSON."))?;
    Ok(Unpacked { value, bytes: data.len() })
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

    fn check_type(&self) -> Result<()> {
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
}

/// The bytes behind gzip, deflate or zstd; `None` where they are plain.
fn plain(packing: Packing<'_>, bytes: &[u8], limit: usize) -> Result<Option<Vec<u8>>> {
    let (packed, name): (Box<dyn Read + '_>, _) = match () {
        () if packing.says_gzip() || bytes.starts_with(&GZIP) => {
            (Box::new(MultiGzDecoder::new(bytes)), "gzip")
        }
        () if packing.encodes("deflate") => (Box::new(ZlibDecoder::new(bytes)), "deflate"),
        () if packing.encodes("zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
            (Box::new(decoder.map_err(|_| refuse("The body is not zstd."))?), "zstd")
        }
        () => return Ok(None),
    };
    let mut plain = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match packed.take(bound).read_to_end(&mut plain) {
        Ok(length) if length > limit => Err(Error::too_large(limit)),
        Ok(_) => Ok(Some(plain)),
        Err(_) => Err(refuse(format!("The body is not {name}."))),
    }
}

/// Reads text within limits; `Ok(None)` is for what is not of the kind that is asked for.
#[derive(Clone, Copy)]
struct Reader {
    /// Bytes, unpacked.
    limit: usize,
    limits: Limits,
}

impl Reader {
    /// JSON as clients write it; invalid UTF-8 is replaced.
    fn json(self, bytes: &[u8]) -> Result<Option<Value>> {
        // Nearly everybody sends UTF-8, which is found out quicker than what would have to be
        // replaced.
        let text =
            str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        match json::parse_json5(&text, self.limits) {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::Syntax(_)) => Ok(None),
            Err(ReadError::TooDeep(_)) => Err(refuse("The body is nested too deeply.")),
            Err(error @ ReadError::TooManyElements(_)) => {
                Err(refuse(format!("The body holds {error}.")))
            }
            Err(ReadError::TooLong(bytes)) => Err(Error::too_large(bytes)),
        }
    }

    /// JSON, plain or in base64.
    fn text(self, bytes: &[u8]) -> Result<Option<Value>> {
        match self.json(bytes)? {
            None => self.base64(bytes),
            read => Ok(read),
        }
    }

    /// The parameter `data` of a form.
    fn form(self, bytes: &[u8]) -> Result<Option<Value>> {
        let data = form_urlencoded::parse(bytes).find(|(name, _)| name == "data");
        data.map_or(Ok(None), |(_, data)| self.text(data.as_bytes()))
    }

    /// Base64 that went through URLs: percent signs or spaces instead of plus signs, either
    /// alphabet, padding or none; with gzip inside or not.
    fn base64(self, bytes: &[u8]) -> Result<Option<Value>> {
        let Some(decoded) = decoded(bytes) else { return Ok(None) };
        match plain(Packing::default(), &decoded, self.limit) {
            Ok(plain) => self.json(plain.as_deref().unwrap_or(&decoded)),
            Err(_) => Ok(None),
        }
    }
}

fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = percent_decode(bytes).decode_utf8().ok()?;
    let standard = text.trim().trim_end_matches('=').replace([' ', '-'], "+").replace('_', "/");
    BASE64_STANDARD_NO_PAD.decode(standard).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::prelude::BASE64_STANDARD;
    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

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
