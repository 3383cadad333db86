//! Reads a `POST /flags` request: aliases, and who asks
//! (evaluation 11 and 14).

use http::{
    HeaderMap,
    header::{ORIGIN, REFERER, USER_AGENT},
};
use serde_json::Value;

use super::decode::{Query, decode, refuse};

use crate::{
    engine::{Properties, RequestRuntime},
    model::{error::Result, json},
    service::evaluation::{Asked, Scene},
};

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
        let body = match decode(headers, query, bytes, limit)? {
            Value::Object(fields) => fields,
            _ => return Err(refuse("The body is not a JSON object.")),
        };
        let mut body = Body(body);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::{Engine, prelude::BASE64_STANDARD};
    use flate2::{Compression, write::GzEncoder};
    use http::Uri;

    use super::*;
    use crate::model::error::BodyKind;

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
