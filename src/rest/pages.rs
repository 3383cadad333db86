//! Lists over REST: `limit` and `offset` in, `{"count", "next", "previous", "results"}` out.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::error::Result,
    service::page::{Page, Wanted},
};

const A_PAGE: u64 = 100;

/// The part of a list that a request asks for.
pub(super) fn wanted(call: &Call) -> Wanted {
    let limit = number(call, "limit").filter(|limit| *limit > 0).unwrap_or(A_PAGE);
    Wanted::new(number(call, "offset").unwrap_or(0), limit)
}

/// A page, with links to those beside it.
pub(super) fn reply<T>(call: &Call, page: &Page<T>, show: impl Fn(&T) -> Value) -> Result<Reply> {
    Reply::ok(json!({
        "count": page.total,
        "next": next(call, page),
        "previous": previous(call, page.wanted),
        "results": page.results.iter().map(show).collect::<Vec<_>>(),
    }))
}

/// A parameter that is no number counts as not sent (management-api 3.7).
fn number(call: &Call, name: &str) -> Option<u64> {
    call.param(name)?.parse().ok()
}

fn next<T>(call: &Call, page: &Page<T>) -> Option<Value> {
    Some(link(call, page.wanted.limit, page.next_offset()?))
}

fn previous(call: &Call, wanted: Wanted) -> Option<Value> {
    (wanted.offset > 0)
        .then(|| link(call, wanted.limit, wanted.offset.saturating_sub(wanted.limit)))
}

/// The same list, elsewhere in it; the first page has no offset.
fn link(call: &Call, limit: u64, offset: u64) -> Value {
    let kept = call.query().iter().filter(|(name, _)| name != "limit" && name != "offset");
    let kept = kept.map(|(name, value)| (name.as_str(), value.clone()));
    let offset = (offset > 0).then(|| ("offset", offset.to_string()));
    json!(call.base.with(kept.chain([("limit", limit.to_string())]).chain(offset)))
}
