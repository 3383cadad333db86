//! Unpacks the bodies that SDKs send: gzip, deflate or zstd, base64, a form's
//! field, or plain JSON, whichever it turns out to be (evaluation 14).

use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{
    HeaderMap, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::Value;

use crate::model::{
    error::{BodyKind, Error, Result},
    json,
};

/// The query parameters, an empty one counting as absent.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let sent = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        sent.filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }
}

/// A refusal in plain text, as clients of these wires expect it.
pub(super) fn refuse(detail: impl Into<String>) -> Error {
    Error::rule(detail).with_body(BodyKind::Text)
}

/// A body, unpacked, and how many bytes it is then.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) value: Value,
    pub(super) bytes: usize,
}

/// The one value that a body holds, nested no deeper than a request may be.
///
/// # Errors
///
/// A refusal in plain text; 413 for one that unpacks to more than `limit` bytes.
pub(super) fn decode(
    headers: &HeaderMap,
    query: &Query,
    bytes: &[u8],
    limit: usize,
) -> Result<Value> {
    let decoded = decode_deep(headers, query, bytes, limit)?;
    match json::too_deep(&decoded.value) {
        false => Ok(decoded.value),
        true => Err(refuse("The body is nested too deeply.")),
    }
}

/// As [`decode`], for bodies whose parts are judged one by one: nesting is bounded by the JSON
/// parser alone.
pub(super) fn decode_deep(
    headers: &HeaderMap,
    query: &Query,
    bytes: &[u8],
    limit: usize,
) -> Result<Decoded> {
    let bytes = unpacked(headers, query, bytes, limit)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let value = match kind.starts_with("application/x-www-form-urlencoded") {
        true => parse(&bytes).or_else(|| form(&bytes)),
        false => parse(&bytes).or_else(|| parse(&unbase64(&bytes)?)).or_else(|| form(&bytes)),
    };
    let value = value.ok_or_else(|| refuse("The body is not JSON."))?;
    Ok(Decoded { value, bytes: bytes.len() })
}

/// The value in the `data` parameter of a GET.
pub(super) fn decode_data(data: &str) -> Result<Decoded> {
    let value = parse(data.as_bytes()).or_else(|| parse(&unbase64(data.as_bytes())?));
    let value = value.ok_or_else(|| refuse("`data` is not JSON."))?;
    Ok(Decoded { value, bytes: data.len() })
}

fn unpacked(headers: &HeaderMap, query: &Query, bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let declared = headers.get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let gzip = declared == Some("gzip")
        || query.get("compression").is_some_and(|kind| kind.starts_with("gzip"))
        || bytes.starts_with(&[0x1f, 0x8b]);
    let (plain, name): (Box<dyn Read + '_>, _) = match declared {
        _ if gzip => (Box::new(MultiGzDecoder::new(bytes)), "gzip"),
        Some("deflate") => (Box::new(ZlibDecoder::new(bytes)), "deflate"),
        Some("zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
            (Box::new(decoder.map_err(|_| refuse("The body is not zstd."))?), "zstd")
        }
        _ => return Ok(bytes.to_vec()),
    };
    bounded(plain, limit)?.ok_or_else(|| refuse(format!("The body is not {name}.")))
}

/// All that can be read; `None` where it cannot be read at all.
fn bounded(packed: impl Read, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match packed.take(bound).read_to_end(&mut plain) {
        Ok(length) if length > limit => Err(Error::too_large(limit)),
        Ok(_) => Ok(Some(plain)),
        Err(_) => Ok(None),
    }
}

fn form(bytes: &[u8]) -> Option<Value> {
    let (_, data) = form_urlencoded::parse(bytes).find(|(name, _)| name == "data")?;
    parse(data.as_bytes()).or_else(|| parse(&unbase64(data.as_bytes())?))
}

/// Base64 that went through URLs: spaces stand for plus signs, padding may be missing.
fn unbase64(bytes: &[u8]) -> Option<Vec<u8>> {
    let text: String = std::str::from_utf8(bytes).ok()?.trim().replace(' ', "+");
    let padded = text.trim_end_matches('=').to_owned()
        + &"=".repeat((4 - text.trim_end_matches('=').len() % 4) % 4);
    BASE64_STANDARD.decode(padded).ok()
}

fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
