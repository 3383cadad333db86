//! Checks 27–30 of management-api 3.5: payloads and whose they are.

use serde_json::Value;

use super::{membership::first_unknown, refuse, variants};
use crate::model::{
    error::Result,
    json::{self, Limits, MAX_PARSER_DEPTH, Object},
};

pub(super) fn check(filters: &Object) -> Result<()> {
    let payloads = match filters.get("payloads") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(payloads)) => payloads,
        Some(_) => return Err(refuse("Payloads must be passed as a dictionary")),
    };
    if payloads.values().any(is_broken) {
        return Err(refuse("Payload value is not valid JSON"));
    }
    owners(filters, payloads)
}

/// A payload given as text must itself be JSON text.
fn is_broken(payload: &Value) -> bool {
    let limits = Limits::REQUEST.with_depth(MAX_PARSER_DEPTH);
    payload.as_str().is_some_and(|text| json::parse(text, limits).is_err())
}

fn owners(filters: &Object, payloads: &Object) -> Result<()> {
    let variants = variants::listed(filters)?;
    if variants.is_empty() {
        return match payloads.keys().all(|key| key == "true") {
            true => Ok(()),
            false => Err(refuse("Payload keys must be 'true' for boolean flags")),
        };
    }
    match first_unknown(payloads.keys().map(String::as_str), variants::keys(&variants)) {
        None => Ok(()),
        Some(_) => Err(refuse("Payload keys must match a variant key for multivariate flags")),
    }
}
