//! Reads request bodies: bounded in size and depth, JSON or a form
//! (management-api 1.4).

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use memchr::memchr3_iter;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    limits::{BodyLimits, MAX_INLINE_BYTES, Reservation},
    model::{
        error::{Error, Result},
        json::{self, Limits, MAX_DEPTH, Object},
    },
};

/// Bodies up to this size are not charged: there is one for each request that is answered.
const MAX_UNCHARGED_BYTES: usize = 4 * 1024;
/// What a value takes in memory once parsed, beside its text.
const VALUE_BYTES: usize = 96;

/// Reads all bytes of a body, at most `limit`, and charges `memory` while they arrive.
///
/// # Errors
///
/// 413 beyond the limit; 400 when the sender broke off or took too long; 503 when bodies in
/// flight take all the memory that they may.
pub(super) async fn read(
    body: Body,
    limit: usize,
    limits: &BodyLimits,
    memory: &mut Reservation,
) -> Result<Bytes> {
    let read = timeout(limits.timeout, collect(body, limit, memory));
    read.await.map_err(|_| Error::parse("the body did not arrive in time"))?
}

async fn collect(mut body: Body, limit: usize, memory: &mut Reservation) -> Result<Bytes> {
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::parse("the body could not be read to its end"))?;
        let Ok(data) = frame.into_data() else { continue };
        let total = first.len() + more.len() + data.len();
        if total > limit {
            return Err(Error::too_large(limit));
        }
        if total > MAX_UNCHARGED_BYTES {
            memory.charge(data.len())?;
        }
        // Most bodies arrive in one piece, which need not be copied.
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// Returns the value a body holds, by its content type; no body is the empty object. A large one
/// is parsed outside of the asynchronous workers.
///
/// # Errors
///
/// `parse_error` for broken JSON or forms and for nesting beyond the limit; 415 for other types;
/// 503 when there is no memory or time for it.
pub(super) async fn value(
    headers: &HeaderMap,
    bytes: Bytes,
    limits: &BodyLimits,
    memory: &mut Reservation,
) -> Result<Value> {
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if bytes.len() <= MAX_INLINE_BYTES {
        return value_of(content_type, &bytes);
    }
    let values = memchr3_iter(b',', b'[', b'{', &bytes).count();
    memory.charge(bytes.len() + values * VALUE_BYTES)?;
    let content_type = content_type.to_owned();
    limits.decode_pool.run(move || value_of(&content_type, &bytes)).await?
}

fn value_of(content_type: &str, bytes: &Bytes) -> Result<Value> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bytes.is_empty() {
        return Ok(Value::Object(Object::new()));
    }
    let value = match media_type.as_str() {
        "" | "application/json" => parse(bytes)?,
        // `curl -d` says form whatever it sends.
        "application/x-www-form-urlencoded" if is_json(bytes) => parse(bytes)?,
        "application/x-www-form-urlencoded" => form(bytes)?,
        "multipart/form-data" => multipart(content_type, bytes.clone())
            .now_or_never()
            .ok_or_else(|| Error::internal("a body that is there was waited for"))??,
        other if other.ends_with("+json") => parse(bytes)?,
        other => return Err(Error::unsupported_media_type(other)),
    };
    match json::too_deep(&value) {
        true => Err(Error::parse(format!("nested deeper than {MAX_DEPTH} levels"))),
        false => Ok(value),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

fn parse(bytes: &[u8]) -> Result<Value> {
    json::parse_bytes(bytes, Limits::REQUEST).map_err(Error::parse)
}

/// Each field of a form is text; the last of one name counts.
fn form(bytes: &[u8]) -> Result<Value> {
    let fields = form_urlencoded::parse(bytes).into_owned();
    let fields = fields.map(|(name, value)| Ok((name, field(value)?)));
    fields.collect::<Result<_>>().map(Value::Object)
}

/// A form has no types, so a field that holds a JSON object or list is read as one.
fn field(text: String) -> Result<Value> {
    let structured = text.trim_start().starts_with(['{', '[']);
    match structured.then(|| json::parse(&text, Limits::REQUEST)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_limit() => Err(Error::parse(error)),
        _ => Ok(Value::String(text)),
    }
}

async fn multipart(content_type: &str, bytes: Bytes) -> Result<Value> {
    let boundary = multer::parse_boundary(content_type).map_err(Error::parse)?;
    let stream = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let mut form = multer::Multipart::new(stream, boundary);
    let mut fields = Object::new();
    while let Some(part) = form.next_field().await.map_err(Error::parse)? {
        let name = part.name().unwrap_or_default().to_owned();
        fields.insert(name, field(part.text().await.map_err(Error::parse)?)?);
    }
    Ok(Value::Object(fields))
}

/// The refusal of JSON that is no object.
pub(super) fn not_an_object(value: &Value) -> Error {
    let found = json::type_name(value);
    Error::field(
        "non_field_errors",
        "invalid_input",
        format!("Invalid data. Expected a dictionary, but got {found}."),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn limits(memory_bytes: usize) -> BodyLimits {
        BodyLimits::new(memory_bytes, Duration::from_secs(30))
    }

    async fn read_as(kind: &str, text: &str) -> Result<Value> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        let (bytes, limits) = (Bytes::copy_from_slice(text.as_bytes()), limits(16 * 1024 * 1024));
        value(&headers, bytes, &limits, &mut limits.memory.reservation()).await
    }

    /// A body that arrives in pieces.
    fn pieces(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(futures::stream::iter(
            pieces.into_iter().map(Ok::<_, std::convert::Infallible>),
        ))
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_charged_while_it_arrives() {
        let limits = limits(1024 * 1024);
        let read = async |body, limit| {
            let mut memory = limits.memory.reservation();
            read(body, limit, &limits, &mut memory).await.map(|bytes| (bytes, memory))
        };
        let (bytes, _) =
            read(pieces(vec![b"ab".to_vec(), vec![], b"c".to_vec()]), 3).await.unwrap();
        assert_eq!(bytes, "abc");
        fn status<T: std::fmt::Debug>(outcome: Result<T>) -> u16 {
            outcome.unwrap_err().code.http_status()
        }
        assert_eq!(status(read(pieces(vec![b"ab".to_vec(); 2]), 3).await), 413);
        let large = || pieces(vec![vec![0; 100_000]; 5]);
        let (_, held) = read(large(), 500_000).await.unwrap();
        let (_, also_held) = read(large(), 500_000).await.unwrap();
        assert_eq!(status(read(large(), 500_000).await), 503);
        drop((held, also_held));
        assert!(read(large(), 500_000).await.is_ok());
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes>>());
        let impatient = BodyLimits { timeout: Duration::from_millis(1), ..limits.clone() };
        let mut memory = impatient.memory.reservation();
        assert_eq!(status(super::read(never, 3, &impatient, &mut memory).await.map(|_| ())), 400);
    }

    #[tokio::test]
    async fn json_and_forms_are_read_and_other_types_refused() {
        let json = read_as("application/json; charset=utf-8", r#"{"a": 65}"#).await.unwrap();
        assert_eq!(json.to_string(), r#"{"a":65}"#);
        let form = read_as(
            "application/x-www-form-urlencoded",
            "key=a&filters=%7B%22groups%22%3A%5B%5D%7D",
        );
        assert_eq!(form.await.unwrap(), json!({"key": "a", "filters": {"groups": []}}));
        let undeclared = read_as("application/x-www-form-urlencoded", r#" {"key": "a"}"#);
        assert_eq!(undeclared.await.unwrap(), json!({"key": "a"}));
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--x--\r\n";
        let multipart = read_as("multipart/form-data; boundary=x", multipart).await.unwrap();
        assert_eq!(multipart, json!({"key": "a"}));
        let error = read_as("text/css", "a{}").await.unwrap_err();
        assert_eq!(error.code.http_status(), 415);
    }

    #[tokio::test]
    async fn broken_json_says_where_and_nothing_is_the_empty_object() {
        for broken in ["{", "{\"a\": NaN}", "[1,]", "{\"a\": Infinity}"] {
            let error = read_as("application/json", broken).await.unwrap_err();
            assert_eq!(error.reason, "parse_error", "{broken}");
            assert!(error.detail.starts_with("JSON parse error - "), "{broken}");
        }
        assert_eq!(read_as("application/json", "").await.unwrap(), json!({}));
    }

    #[tokio::test]
    async fn deep_nesting_is_refused_before_anybody_recurses_into_it() {
        let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
        assert_eq!(read_as("application/json", &deep).await.unwrap_err().reason, "parse_error");
        let form = format!("a={deep}");
        let form = read_as("application/x-www-form-urlencoded", &form).await;
        assert_eq!(form.unwrap_err().reason, "parse_error");
        let deeper = "[".repeat(10_000);
        assert_eq!(read_as("application/json", &deeper).await.unwrap_err().reason, "parse_error");
        let too_much = "[".repeat(100_000);
        let refused = read_as("application/json", &too_much).await.unwrap_err();
        assert_eq!(refused.reason, "request_too_large", "before it is parsed at all");
    }
}
