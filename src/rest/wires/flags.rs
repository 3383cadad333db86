//! `/flags` and `/decide`: evaluates for whoever has the project's public token.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, REFERER, USER_AGENT},
    request::Parts,
};

use super::{
    Rest, options,
    query::Query,
    unpack::{Credential, Packed},
};
use crate::{
    auth::Identity,
    engine::RequestRuntime,
    model::error::{Error, Result},
    rest::{body, cors::PageRequest},
    sdk::{
        answer::{self, Answer, Stamp},
        body::{Packing, object_of},
        config::Config,
        protocol::{Endpoint, Protocol},
        request::FlagsRequest,
    },
    service::evaluation::{Asked, Scene, request_id},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Says that a proxy took a request for `/decide` to `/flags`.
const ORIGINAL_ENDPOINT: HeaderName = HeaderName::from_static("x-original-endpoint");

pub(super) async fn flags(rest: &Rest, request: Request) -> Response {
    let original = text(request.headers(), &ORIGINAL_ENDPOINT);
    let endpoint = match original.is_some_and(|name| name.eq_ignore_ascii_case("decide")) {
        true => Endpoint::Decide,
        false => Endpoint::Flags,
    };
    answer(rest, endpoint, request).await
}

pub(super) async fn decide(rest: &Rest, request: Request) -> Response {
    answer(rest, Endpoint::Decide, request).await
}

/// A layer would copy and box each of these requests, so they are opened to all by hand.
async fn answer(rest: &Rest, endpoint: Endpoint, request: Request) -> Response {
    let page = PageRequest::of(&request);
    let mut response = answered(rest, endpoint, request).await;
    page.open_path(&mut response);
    response
}

async fn answered(rest: &Rest, endpoint: Endpoint, request: Request) -> Response {
    let (Parts { method, uri, headers, .. }, content) = request.into_parts();
    let query = Query::of(&uri);
    let version = query.get("v").or_else(|| query.get("version"));
    let protocol = Protocol::of(endpoint, version, query.get("config"));
    match method {
        Method::POST => evaluated(rest, protocol, &query, (&headers, &uri), content)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Method::GET | Method::HEAD => unasked(rest, protocol, &headers),
        Method::OPTIONS => options("GET, POST, OPTIONS, HEAD"),
        _ => Error::method_not_allowed(method).into_response(),
    }
}

/// Probes and old clients ask without a body; they get an empty answer.
fn unasked(rest: &Rest, Protocol { shape, .. }: Protocol, headers: &HeaderMap) -> Response {
    let evaluation = &answer::nothing();
    let config = Some(Config::of_nobody());
    json(Answer { shape, evaluation, stamp: stamp(rest, headers), config })
}

async fn evaluated(
    rest: &Rest,
    Protocol { shape, with_config }: Protocol,
    query: &Query<'_>,
    (headers, uri): (&HeaderMap, &Uri),
    content: Body,
) -> Result<Response> {
    packing(headers, query).check_type()?;
    let (limit, limits) = (rest.settings.body_bytes, &rest.settings.bodies);
    let mut memory = limits.memory.reservation();
    let bytes = body::read(content, limit, limits, &mut memory).await?;
    let credential = Credential::Identity(Identity::default());
    let packed = Packed { headers, uri, bytes, limit, credential };
    let mut sent = FlagsRequest::of(packed.parse(rest, &mut memory, object_of).await?);
    let token = sent.token.as_deref().ok_or_else(Error::not_authenticated)?;
    let snapshot = rest.services.evaluated_by_token(token).await?;
    let evaluation = match sent.disable_flags {
        true => answer::nothing(),
        false => {
            let distinct_id = sent.take_distinct_id()?;
            let scene = scene(&mut sent, headers, query);
            rest.services.evaluate(&snapshot, &asked(distinct_id, sent), &scene).await
        }
    };
    let config = with_config.then(|| Config::of(&snapshot.flags));
    let stamp = stamp(rest, headers);
    Ok(json(Answer { shape, evaluation: &evaluation, stamp, config }))
}

fn json(answer: Answer<'_, '_>) -> Response {
    let mut response = Response::new(Body::from(answer.to_json()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// How a request says that its body is packed.
pub(super) fn packing<'a>(headers: &'a HeaderMap, query: &'a Query<'_>) -> Packing<'a> {
    Packing {
        content_type: text(headers, &CONTENT_TYPE),
        content_encoding: text(headers, &CONTENT_ENCODING),
        compression: query.get("compression"),
    }
}

/// Which flags are asked for, and by what kind of program.
fn scene(sent: &mut FlagsRequest, headers: &HeaderMap, query: &Query<'_>) -> Scene {
    Scene {
        runtime: sent.runtime(|| detected(headers)),
        flag_keys: sent.flag_keys.take(),
        evaluation_contexts: std::mem::take(&mut sent.evaluation_contexts),
        survey_only: query.is_true("only_evaluate_survey_feature_flags"),
        only_sent_properties: query.is_true("only_use_override_person_properties"),
        encrypted_too: false,
        switched_off_by_key: false,
    }
}

fn asked(distinct_id: String, sent: FlagsRequest) -> Asked {
    Asked {
        distinct_id,
        anon_distinct_id: sent.anon_distinct_id,
        device_id: sent.device_id,
        person_properties: sent.person_properties,
        groups: sent.groups,
        group_properties: sent.group_properties,
    }
}

fn detected(headers: &HeaderMap) -> RequestRuntime {
    let from_browser = headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers.contains_key("sec-fetch-mode")
        || headers.contains_key("sec-fetch-site");
    RequestRuntime::detected(text(headers, &USER_AGENT), from_browser)
}

fn stamp(rest: &Rest, headers: &HeaderMap) -> Stamp {
    Stamp {
        request_id: request_id(text(headers, &HeaderName::from_static("x-request-id"))),
        evaluated_at: rest.services.clock.now().timestamp_millis(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
