//! Lists that page by `limit` and `offset`: `{"count", "next", "previous", "results"}`.

use serde_json::{Value, json};

use super::call::Call;
use crate::service::page::{Page, Wanted};

/// The part of a list that the query asks for, `a_page` of it without other word.
pub(super) fn wanted(call: &Call, a_page: u64) -> Wanted {
    let limit = number(call, "limit").filter(|limit| *limit > 0).unwrap_or(a_page);
    Wanted::new(number(call, "offset").unwrap_or(0), limit)
}

/// The answer, each result shown by `show`.
pub(super) fn answer<T>(call: &Call, page: &Page<T>, show: impl Fn(&T) -> Value) -> Value {
    json!({
        "count": page.total,
        "next": next(call, page),
        "previous": previous(call, page.wanted),
        "results": page.results.iter().map(show).collect::<Vec<_>>(),
    })
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
