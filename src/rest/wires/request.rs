//! Reads a `POST /flags` request: encodings, aliases, and who asks
//! (evaluation 11 and 14).

use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use http::{
    HeaderMap, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, REFERER, USER_AGENT},
};
use serde_json::Value;

use crate::{
    engine::{Properties, RequestRuntime},
    model::{
        error::{BodyKind, Error, Result},
        json,
    },
    service::evaluation::{Asked, Scene},
};

/// The query parameters, an empty one counting as absent.
#[derive(Debug)]
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

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }
}

/// A decoded request.
#[derive(Debug, Default)]
pub(super) struct FlagsRequest {
    pub(super) token: Option<String>,
    pub(super) disable_flags: bool,
    distinct_id: Option<String>,
    anon_distinct_id: Option<String>,
    device_id: Option<String>,
    person_properties: Properties,
    groups: Properties,
    group_properties: Properties,
    flag_keys: Option<Vec<String>>,
    evaluation_contexts: Vec<String>,
    evaluation_runtime: Option<String>,
}

impl FlagsRequest {
    pub(super) fn read(
        headers: &HeaderMap,
        query: &Query,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Self> {
        let mut body = Body(decode(headers, query, bytes, limit)?);
        Ok(Self {
            token: body.text(&["token", "api_key", "$token"]),
            disable_flags: body.take(&["disable_flags"]).is_some_and(|value| value == true),
            distinct_id: body.identifier(&["distinct_id", "$distinct_id"]),
            anon_distinct_id: body.text(&["anon_distinct_id", "$anon_distinct_id"]),
            device_id: body.text(&["device_id", "$device_id"]),
            person_properties: body.object(&["person_properties", "$properties"]),
            groups: body.object(&["groups", "$groups"]),
            group_properties: body.object(&["group_properties", "$group_properties"]),
            flag_keys: body.texts(&["flag_keys", "flag_keys_to_evaluate"]),
            evaluation_contexts: body
                .texts(&["evaluation_contexts", "evaluation_environments"])
                .unwrap_or_default(),
            evaluation_runtime: body.text(&["evaluation_runtime"]),
        })
    }

    /// Who is asked about.
    ///
    /// # Errors
    ///
    /// `Invalid` as text, when no distinct id was sent; an empty one is fine.
    pub(super) fn subject(&self) -> Result<Asked> {
        let distinct_id =
            self.distinct_id.clone().ok_or_else(|| refuse("distinct_id is missing"))?;
        Ok(Asked {
            distinct_id,
            anon_distinct_id: self.anon_distinct_id.clone(),
            device_id: self.device_id.clone(),
            person_properties: self.person_properties.clone(),
            groups: self.groups.clone(),
            group_properties: self.group_properties.clone(),
        })
    }

    /// Which flags are asked for, and by what kind of program.
    pub(super) fn scene(&self, headers: &HeaderMap, query: &Query) -> Scene {
        let runtime = match &self.evaluation_runtime {
            Some(stated) => RequestRuntime::stated(stated),
            None => detected(headers),
        };
        Scene {
            flag_keys: self.flag_keys.clone(),
            evaluation_contexts: self.evaluation_contexts.clone(),
            runtime,
            survey_only: query.is_true("only_evaluate_survey_feature_flags"),
            only_sent_properties: query.is_true("only_use_override_person_properties"),
        }
    }
}

fn detected(headers: &HeaderMap) -> RequestRuntime {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let from_browser = headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers.contains_key("sec-fetch-mode")
        || headers.contains_key("sec-fetch-site");
    RequestRuntime::detected(agent, from_browser)
}

/// The fields of a body, each under any of its names; a null counts as absent.
struct Body(json::Object);

impl Body {
    fn take(&mut self, names: &[&str]) -> Option<Value> {
        names.iter().find_map(|name| self.0.remove(*name).filter(|value| !value.is_null()))
    }

    fn text(&mut self, names: &[&str]) -> Option<String> {
        match self.take(names)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn identifier(&mut self, names: &[&str]) -> Option<String> {
        match self.take(names)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn object(&mut self, names: &[&str]) -> Properties {
        match self.take(names) {
            Some(Value::Object(fields)) => fields,
            _ => Properties::new(),
        }
    }

    fn texts(&mut self, names: &[&str]) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(names)? else { return None };
        Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
    }
}

/// A refusal in plain text, as clients of this wire expect it.
fn refuse(detail: impl Into<String>) -> Error {
    Error::rule(detail).with_body(BodyKind::Text)
}

fn decode(headers: &HeaderMap, query: &Query, bytes: &[u8], limit: usize) -> Result<json::Object> {
    let bytes = unzipped(headers, query, bytes, limit)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let value = match kind.starts_with("application/x-www-form-urlencoded") {
        true => parse(&bytes).or_else(|| form(&bytes)),
        false => parse(&bytes).or_else(|| parse(&unbase64(&bytes)?)),
    };
    match value {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Err(refuse("The body is not a JSON object.")),
    }
}

fn unzipped(headers: &HeaderMap, query: &Query, bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let declared = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip")
        || query.get("compression").is_some_and(|kind| kind.starts_with("gzip"));
    let magic = bytes.starts_with(&[0x1f, 0x8b]);
    if !declared && !magic {
        return Ok(bytes.to_vec());
    }
    let mut plain = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(bytes).take(bound).read_to_end(&mut plain);
    match read {
        Ok(length) if length > limit => Err(Error::too_large(limit)),
        Ok(_) => Ok(plain),
        Err(_) => Err(refuse("The body is not gzip.")),
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
    let value: Value = serde_json::from_slice(bytes).ok()?;
    (!json::too_deep(&value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Names and values.
    type Headers<'a> = &'a [(&'a str, &'a str)];

    const LIMIT: usize = 10_000;
    const BODY: &[u8] = br#"{"token": "phc_1", "$distinct_id": 8675309, "groups": null, "flag_keys_to_evaluate": ["a"]}"#;

    fn read(headers: &[(&str, &str)], query: &str, bytes: &[u8]) -> Result<FlagsRequest> {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
        });
        let uri: Uri = format!("/flags?{query}").parse().unwrap();
        FlagsRequest::read(&headers.collect(), &Query::of(&uri), bytes, LIMIT)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_encoding_that_clients_use_is_read() {
        let base64 = BASE64_STANDARD.encode(BODY);
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("data", &base64).finish();
        let cases: [(Headers<'_>, &str, Vec<u8>); 6] = [
            (&[("content-type", "application/json")], "v=2", BODY.to_vec()),
            (&[], "v=2", BODY.to_vec()),
            (&[("content-encoding", "gzip")], "v=2", gzip(BODY)),
            (&[("content-type", "text/plain")], "compression=gzip-js", gzip(BODY)),
            (&[("content-type", "text/plain")], "compression=base64", base64.into_bytes()),
            (&[("content-type", "application/x-www-form-urlencoded")], "", form.into_bytes()),
        ];
        for (headers, query, bytes) in cases {
            let request = read(headers, query, &bytes).unwrap();
            assert_eq!(request.token.as_deref(), Some("phc_1"), "{headers:?} {query}");
            assert_eq!(request.distinct_id.as_deref(), Some("8675309"));
            assert_eq!(request.flag_keys.as_deref(), Some(&["a".to_owned()][..]));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_plain_text() {
        for bytes in [&b"{"[..], b"[]", b"", b"\xff\xfe"] {
            let error = read(&[], "", bytes).unwrap_err();
            assert_eq!((error.code.http_status(), error.body), (400, BodyKind::Text));
        }
        assert!(read(&[], "", b"{}").unwrap().subject().is_err());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; LIMIT * 100]);
        assert_eq!(read(&[], "", &bomb).unwrap_err().code.http_status(), 413);
    }
}
