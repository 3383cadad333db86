//! Lists over REST: `limit` and `offset` in, `{"count", "next", "previous", "results"}` out.

use std::future::ready;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::error::{Error, Result},
    service::page::{Listing, Page, Wanted},
};

const A_PAGE: u64 = 100;

/// The part of a list that a request asks for.
pub(super) fn wanted(call: &Call) -> Wanted {
    let limit = number(call, "limit").filter(|limit| *limit > 0).unwrap_or(A_PAGE);
    Wanted::new(number(call, "offset").unwrap_or(0), limit)
}

/// A page, with links to those beside it. A large one is written while it is read.
pub(super) async fn listing<T: Send + 'static>(
    call: &Call,
    listing: Listing<T>,
    show: fn(&T) -> Value,
) -> Result<Reply> {
    let (total, wanted) = (listing.total, listing.wanted);
    let next = wanted.next_offset(total).map(|offset| link(call, wanted.limit, offset));
    let body = json!({
        "count": total,
        "next": next,
        "previous": previous(call, wanted),
        "results": [],
    });
    streamed(body, listing, show).await
}

/// A body whose empty list of `results` is filled by those of a listing.
pub(super) async fn streamed<T: Send + 'static>(
    mut body: Value,
    mut listing: Listing<T>,
    show: fn(&T) -> Value,
) -> Result<Reply> {
    // The first results tell whether they can be read, before a status is sent.
    let first = listing.next_batch().await?.unwrap_or_default();
    if listing.is_read() {
        body["results"] = first.iter().map(show).collect();
        return Reply::ok(body);
    }
    let text = body.to_string();
    let (head, tail) = text.split_once(EMPTY_RESULTS).unwrap_or((&text, ""));
    let mut head = format!("{head}\"results\":[").into_bytes();
    write_all(&mut head, &first, show, true);
    let rest = stream::try_unfold(
        (listing, first.is_empty()),
        move |(mut listing, is_first)| async move {
            let Some(batch) = listing.next_batch().await.inspect_err(log)? else { return Ok(None) };
            let mut text = Vec::new();
            write_all(&mut text, &batch, show, is_first);
            Ok::<_, Error>(Some((Bytes::from(text), (listing, is_first && batch.is_empty()))))
        },
    );
    let part = |text: Vec<u8>| stream::once(ready(Ok(Bytes::from(text))));
    let tail = format!("]{tail}").into_bytes();
    Reply::stream(Body::from_stream(part(head).chain(rest).chain(part(tail))))
}

/// How an empty list of results is written; in a string its quotes would be escaped.
const EMPTY_RESULTS: &str = "\"results\":[]";

/// Writes items with a comma before each that is not the first of all.
fn write_all<T>(text: &mut Vec<u8>, items: &[T], show: fn(&T) -> Value, mut is_first: bool) {
    for item in items {
        if !std::mem::take(&mut is_first) {
            text.push(b',');
        }
        text.extend(show(item).to_string().into_bytes());
    }
}

/// The answer has begun; that it breaks off is all that the caller can be told.
fn log(error: &Error) {
    tracing::error!(causes = error.causes(), "a list could not be read to its end");
}

/// A page that is at hand, with links to those beside it.
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
