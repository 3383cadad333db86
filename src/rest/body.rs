//! Reads request bodies: bounded in size and depth, JSON or a form
//! (management-api 1.4).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;

use crate::model::{
    error::{Error, Result},
    json::{self, Limits, MAX_DEPTH, Object},
};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// All bytes of a body, at most `limit`.
///
/// # Errors
///
/// 413 beyond the limit; 400 when the sender broke off.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes> {
    let read = Limited::new(body, limit).collect();
    match timeout(PATIENCE, read)
        .await
        .map_err(|_| Error::parse("the body did not arrive in time"))?
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Error::too_large(limit))
        }
        Err(_) => Err(Error::parse("the body could not be read to its end")),
    }
}

/// The value a body holds, by its content type; no body is the empty object.
///
/// # Errors
///
/// `parse_error` for broken JSON or forms and for nesting beyond the limit; 415 for other types.
pub(super) async fn value(headers: &HeaderMap, bytes: &Bytes) -> Result<Value> {
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bytes.is_empty() {
        return Ok(Value::Object(Object::new()));
    }
    let value = match media_type.as_str() {
        "" | "application/json" => parse(bytes)?,
        // `curl -d` says form whatever it sends.
        "application/x-www-form-urlencoded" if is_json(bytes) => parse(bytes)?,
        "application/x-www-form-urlencoded" => form(bytes)?,
        "multipart/form-data" => multipart(content_type, bytes.clone()).await?,
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
    use serde_json::json;

    use super::*;

    async fn read_as(kind: &str, text: &str) -> Result<Value> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        value(&headers, &Bytes::copy_from_slice(text.as_bytes())).await
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
        let deeper = "[".repeat(100_000);
        assert_eq!(read_as("application/json", &deeper).await.unwrap_err().reason, "parse_error");
    }
}
