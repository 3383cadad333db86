//! The lists of early access features and surveys, which browser SDKs wait for: always empty, as
//! there are none.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Method, Uri};
use serde_json::json;

use super::{Rest, options, query::Query};
use crate::model::error::{Code, Error, Result};

/// The paths, without the last slash.
pub(in crate::rest) const EARLY_ACCESS: &str = "/api/early_access_features";
pub(in crate::rest) const SURVEYS: &str = "/api/surveys";

pub(super) async fn early_access(State(rest): State<Rest>, method: Method, uri: Uri) -> Response {
    answer(&rest, &method, &uri, "earlyAccessFeatures").await
}

pub(super) async fn surveys(State(rest): State<Rest>, method: Method, uri: Uri) -> Response {
    answer(&rest, &method, &uri, "surveys").await
}

async fn answer(rest: &Rest, method: &Method, uri: &Uri, list: &str) -> Response {
    match *method {
        Method::GET | Method::HEAD => match check_token(rest, uri).await {
            Ok(()) => Json(json!({list: []})).into_response(),
            Err(error) => error.into_response(),
        },
        Method::OPTIONS => options("GET, OPTIONS, HEAD"),
        _ => Error::method_not_allowed(method).into_response(),
    }
}

/// The public token is the credential, as in all that browsers ask (change-management 6).
async fn check_token(rest: &Rest, uri: &Uri) -> Result<()> {
    let query = Query::of(uri);
    let help = "You can find your project token in PostHog project settings.";
    let Some(token) = query.get("token") else {
        let detail = format!("Project token not provided. {help}");
        return Err(Error::not_authenticated().saying(detail));
    };
    match rest.services.evaluated_by_token(token).await {
        Ok(_) => Ok(()),
        Err(error) if error.code == Code::Unauthenticated => {
            Err(error.saying(format!("Project token invalid. {help}")))
        }
        Err(error) => Err(error),
    }
}
