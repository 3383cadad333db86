//! The feed of definitions over HTTP: for SDKs on paths of their own, and on
//! the management path (evaluation 15.1, management-api 5).

use std::sync::Arc;

use axum::{
    RequestExt, Router,
    extract::{RawPathParams, Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    request::Parts,
};

use super::{Rest, allow, options, query::Query};
use crate::{
    auth::Identity,
    model::{
        error::{Error, Result},
        project::ProjectRef,
    },
    sdk::{etag, feed::Form},
    snapshot::Feed,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ALLOWED: &str = "GET, OPTIONS, HEAD";
/// Proxies may not keep it, and whoever keeps it asks before using it again.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, must-revalidate");

pub(super) fn router(rest: &Rest) -> Router {
    Router::new()
        .route("/api/feature_flag/local_evaluation", any(chosen))
        .route("/api/feature_flag/local_evaluation/", any(chosen))
        .with_state(rest.clone())
}

/// `/flags/definitions`: cohorts always come along.
pub(super) async fn whole(rest: &Rest, identity: &Identity, request: Request) -> Response {
    let parts = request.into_parts().0;
    match parts.method {
        Method::OPTIONS => options(ALLOWED),
        _ => by_token(rest, identity, Form::WithCohorts, &parts).await,
    }
}

/// The older path: cohorts come along when they are asked for.
async fn chosen(State(rest): State<Rest>, request: Request) -> Response {
    let form = form(&Query::of(request.uri()));
    let parts = request.into_parts().0;
    match parts.method {
        Method::OPTIONS => allow(HeaderValue::from_static(ALLOWED)),
        _ => by_token(&rest, &identity(&parts), form, &parts).await,
    }
}

/// The same, in the project that the path names.
pub(in crate::rest) async fn of_project(rest: Rest, mut request: Request) -> Response {
    let path = request.extract_parts::<RawPathParams>().await;
    let parts = request.into_parts().0;
    let feed = async {
        let path = path.map_err(|_| Error::not_found())?;
        let named = path.iter().find_map(|(name, id)| (name == "project_id").then_some(id));
        let query = Query::of(&parts.uri);
        let token = query.get("token").map(str::to_owned);
        let caller = identity(&parts).caller()?;
        let project = ProjectRef::parse(named.unwrap_or_default(), token)?;
        rest.services.definitions(&caller, &project, form(&query)).await
    };
    sent(&parts.headers, feed.await)
}

async fn by_token(rest: &Rest, identity: &Identity, form: Form, parts: &Parts) -> Response {
    match parts.method {
        Method::GET | Method::HEAD => {}
        _ => return Error::method_not_allowed(&parts.method).into_response(),
    }
    let feed = async {
        let query = Query::of(&parts.uri);
        rest.services.definitions_by_token(&*identity.caller()?, query.get("token"), form).await
    };
    sent(&parts.headers, feed.await)
}

fn identity(parts: &Parts) -> Identity {
    parts.extensions.get::<Identity>().cloned().unwrap_or_default()
}

fn form(query: &Query<'_>) -> Form {
    match query.is_present("send_cohorts") {
        true => Form::WithCohorts,
        false => Form::Expanded,
    }
}

/// The feed, or 304 for whoever holds it already.
fn sent(headers: &HeaderMap, feed: Result<Arc<Feed>>) -> Response {
    let feed = match feed {
        Ok(feed) => feed,
        Err(error) => return error.into_response(),
    };
    let mut held = headers.get_all(IF_NONE_MATCH).iter().filter_map(|held| held.to_str().ok());
    let mut response = match held.any(|held| etag::is_named(held, &feed.etag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(CONTENT_TYPE, JSON)], feed.body.clone()).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    headers.insert(ETAG, feed.etag_header.clone());
    response
}
