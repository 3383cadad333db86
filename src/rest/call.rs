//! A management request, read: who calls, what the path and the query say, and
//! the body as one JSON object.

use std::{collections::HashMap, sync::Arc};

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use http::{HeaderMap, Method, StatusCode, Uri, header::ACCEPT};
use maud::Markup;
use serde_json::Value;

use super::{Rest, body, links::Base};
use crate::{
    auth::Identity,
    limits::Reservation,
    model::{
        caller::Caller,
        error::{Error, Result},
        fields,
        json::Object,
        project::ProjectRef,
        unknown_fields::{Strictness, Warning},
    },
};

/// What a handler is given.
#[derive(Debug)]
pub(super) struct Call {
    /// The verb, for operations that have two.
    pub(super) method: Method,
    /// Where absolute links begin.
    pub(super) base: Base,
    /// Whether what is sent back is looked at by a person, as far as `Accept` tells.
    pub(super) wants_page: bool,
    strictness: Result<Strictness>,
    wants_warnings: bool,
    identity: Identity,
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    body: Result<Value>,
    /// What the body takes, until the request is answered.
    _memory: Reservation,
}

/// What a handler answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Content,
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Content {
    /// To a program.
    Json(Value),
    /// To a program, JSON that is written while it is read.
    Stream(Body),
    /// To a person.
    Page(Markup),
    /// No bytes at all.
    Nothing,
}

impl Reply {
    /// 200 with a body.
    pub(super) fn ok(body: Value) -> Result<Self> {
        Ok(Self { status: StatusCode::OK, body: Content::Json(body) })
    }

    /// 201 with a body.
    pub(super) fn created(body: Value) -> Result<Self> {
        Ok(Self { status: StatusCode::CREATED, body: Content::Json(body) })
    }

    /// 200 with a body of JSON that is written while it is read.
    pub(super) fn stream(body: Body) -> Result<Self> {
        Ok(Self { status: StatusCode::OK, body: Content::Stream(body) })
    }

    /// 200 with a page.
    pub(super) fn page(page: Markup) -> Result<Self> {
        Ok(Self { status: StatusCode::OK, body: Content::Page(page) })
    }

    /// 204, without a body.
    pub(super) fn no_content() -> Result<Self> {
        Ok(Self { status: StatusCode::NO_CONTENT, body: Content::Nothing })
    }
}

impl Call {
    /// Reads a request. A body that is no JSON is reported only to a caller who may call, so
    /// it is kept as a failure until it is asked for.
    pub(super) async fn read(rest: &Rest, body_limit: usize, mut request: Request) -> Result<Self> {
        let path =
            request.extract_parts::<RawPathParams>().await.map_err(|_| Error::not_found())?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let identity = request.extensions().get::<Identity>().cloned().unwrap_or_default();
        let (parts, content) = request.into_parts();
        let base = Base::of(&rest.settings, &parts);
        let limits = &rest.settings.bodies;
        let mut memory = limits.memory.reservation();
        let bytes = match identity.caller() {
            // Nobody's body is not worth reading.
            Err(error) => Err(error),
            Ok(_) => body::read(content, body_limit, limits, &mut memory).await,
        };
        let body = match bytes {
            Ok(bytes) => body::value(&parts.headers, bytes, limits, &mut memory).await,
            Err(error) => Err(error),
        };
        let query = query(&parts.uri);
        let wants_page = wants_page(&parts.headers);
        let strictness = strictness(&parts.headers);
        let wants_warnings = wants_warnings(&parts.headers);
        let method = parts.method;
        Ok(Self {
            method,
            base,
            wants_page,
            strictness,
            wants_warnings,
            identity,
            path,
            query,
            body,
            _memory: memory,
        })
    }

    /// Who calls.
    ///
    /// # Errors
    ///
    /// Those of the credential; `null_characters_not_allowed` for a parameter of the query.
    pub(super) fn caller(&self) -> Result<Arc<Caller>> {
        let caller = self.identity.caller()?;
        // Persons are looked up by the id as it is stored, without them.
        let others = self.query.iter().filter(|(name, _)| name != "distinct_id");
        for (name, value) in others {
            fields::storable(name, value)?;
        }
        Ok(caller)
    }

    /// The project in the path.
    pub(super) fn project(&self) -> Result<ProjectRef> {
        ProjectRef::parse(self.part("project_id"), self.param("token").map(str::to_owned))
    }

    /// A number in the path.
    pub(super) fn id(&self, name: &str) -> Result<i64> {
        super::id(self.part(name))
    }

    /// A part of the path as it stands.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A parameter of the query; of several with one name, the last, as the reference reads them.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All parameters by name; of several with one name, the last.
    pub(super) fn params(&self) -> Object {
        self.query.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    }

    /// All parameters, in their order.
    pub(super) fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// What the write does about unknown fields.
    ///
    /// # Errors
    ///
    /// `Invalid` for a header that is neither true nor false.
    pub(super) fn strictness(&self) -> Result<Strictness> {
        self.strictness.clone()
    }

    /// Adds the member `warnings` to an answer, if the request asked for it.
    pub(super) fn with_warnings(&self, mut body: Value, warnings: &[Warning]) -> Value {
        if self.wants_warnings {
            body["warnings"] = warnings.iter().map(Warning::to_json).collect();
        }
        body
    }

    /// The body as an object; none is the empty one.
    ///
    /// # Errors
    ///
    /// `parse_error`, 413, 415, or `invalid_input` for JSON of another shape.
    pub(super) fn object(&self) -> Result<Object> {
        match self.body.clone()? {
            Value::Object(fields) => Ok(fields),
            other => Err(body::not_an_object(&other)),
        }
    }
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn strictness(headers: &HeaderMap) -> Result<Strictness> {
    let value = headers.get(Strictness::HEADER);
    // What is no text is neither true nor false.
    Strictness::parse(value.map(|value| value.to_str().unwrap_or_default()))
}

/// Whether the answer to a write shall list what is odd about it.
fn wants_warnings(headers: &HeaderMap) -> bool {
    let value = headers.get("x-flagstaff-warnings").and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Whether a page is preferred to JSON. Those who say nothing, or take anything, are programs.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<_> = accepted.flat_map(|value| value.split(',')).map(range).collect();
    let quality = |wanted: [&str; 3]| {
        let of = |kind: &str| accepted.iter().find(|(name, _)| name == kind).map(|(_, q)| *q);
        wanted.into_iter().find_map(of).unwrap_or(0.0)
    };
    let any = "*/*";
    quality(["text/html", "text/*", any]) > quality(["application/json", "application/*", any])
}

/// A media range and its quality.
fn range(text: &str) -> (String, f64) {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let quality = quality.map_or(Some(1.0), |(_, value)| value.trim().parse().ok());
    (name.trim().to_ascii_lowercase(), quality.unwrap_or(0.0))
}
