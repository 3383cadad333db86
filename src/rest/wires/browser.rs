//! The settings that a browser SDK loads before it asks for flags: as JSON, and
//! as a script (client-wires 4.4, "browser extras").

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use super::{Rest, options};
use crate::{
    model::error::{Error, Result},
    sdk::config::{Config, ProjectConfig},
};

const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
/// A page that is opened again need not ask again; a change shows within a minute.
const A_MINUTE: HeaderValue = HeaderValue::from_static("public, max-age=60");

pub(super) async fn json(
    State(rest): State<Rest>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    answer(&rest, &token, request.method(), |config| Ok(Json(config).into_response())).await
}

pub(super) async fn script(
    State(rest): State<Rest>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let script = |config: ProjectConfig<'_>| {
        let text = config.script().map_err(Error::internal)?;
        Ok(([(CONTENT_TYPE, SCRIPT)], text).into_response())
    };
    answer(&rest, &token, request.method(), script).await
}

async fn answer(
    rest: &Rest,
    token: &str,
    method: &Method,
    write: impl Fn(ProjectConfig<'_>) -> Result<Response>,
) -> Response {
    match *method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return options("GET, OPTIONS, HEAD"),
        _ => return Error::method_not_allowed(method).into_response(),
    }
    match config(rest, token).await.and_then(|config| write(config.with_token(token))) {
        Ok(mut response) => {
            response.headers_mut().insert(CACHE_CONTROL, A_MINUTE);
            response
        }
        Err(error) => error.into_response(),
    }
}

async fn config(rest: &Rest, token: &str) -> Result<Config> {
    let snapshot = rest.services.evaluated_by_token(token).await;
    // The token stands in the path, so one that is unknown names nothing.
    Ok(Config::of(&snapshot.map_err(|_| Error::not_found())?.flags))
}
