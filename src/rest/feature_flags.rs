//! Flags over REST: list, create, retrieve, update.

use http::Method as Verb;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::{
        error::Result,
        shown::ShownFlag,
        write::{Method, Typed},
    },
    service::{
        Services,
        flags::{Switch, Update},
        page::{Page, Wanted},
    },
};

const A_PAGE: u64 = 100;

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let wanted = Wanted::new(number(&call, "offset").unwrap_or(0), limit(&call));
    let page =
        services.list_flags(&*call.caller()?, &call.project()?, &call.params(), wanted).await?;
    Reply::ok(json!({
        "count": page.total,
        "next": next(&call, &page),
        "previous": previous(&call, wanted),
        "results": page.results.iter().map(ShownFlag::to_json).collect::<Vec<_>>(),
    }))
}

pub(super) async fn matching_ids(services: Services, call: Call) -> Result<Reply> {
    let ids =
        services.matching_flag_ids(&*call.caller()?, &call.project()?, &call.params()).await?;
    Reply::ok(json!({"ids": ids, "total": ids.len()}))
}

pub(super) async fn dependents(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let flags = services.dependent_flags(&caller, &call.project()?, call.id("id")?).await?;
    let shown =
        flags.iter().map(|flag| json!({"id": flag.id, "key": flag.key, "name": flag.title()}));
    Reply::ok(shown.collect())
}

pub(super) async fn status(services: Services, call: Call) -> Result<Reply> {
    let verdict = services.flag_status(&*call.caller()?, &call.project()?, call.id("id")?).await?;
    Reply::ok(json!({"status": verdict.status.lower(), "reason": verdict.reason}))
}

/// The payload's text as a JSON string, or null.
pub(super) async fn remote_config(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let payload = services.remote_config(&caller, &call.project()?, call.part("id")).await?;
    Reply::ok(json!(payload))
}

pub(super) async fn switch(services: Services, call: Call, switch: Switch) -> Result<Reply> {
    let caller = call.caller()?;
    let flag = services.switch_flag(&caller, &call.project()?, call.id("id")?, switch).await?;
    Reply::ok(flag.to_json())
}

pub(super) async fn create(services: Services, call: Call) -> Result<Reply> {
    let flag = services.create_flag(&*call.caller()?, &call.project()?, &call.object()?).await?;
    Reply::created(flag.to_json())
}

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let flag = services.get_flag(&*call.caller()?, &call.project()?, call.id("id")?).await?;
    Reply::ok(flag.to_json())
}

pub(super) async fn update(services: Services, call: Call) -> Result<Reply> {
    let method = if call.method == Verb::PUT { Method::Put } else { Method::Patch };
    let caller = call.caller()?;
    let update =
        Update { id: call.id("id")?, body: call.object()?, method, typed: Typed::default() };
    let flag = services.update_flag(&caller, &call.project()?, update).await?;
    Reply::ok(flag.to_json())
}

/// A parameter that is no number counts as not sent (management-api 3.7).
fn number(call: &Call, name: &str) -> Option<u64> {
    call.param(name)?.parse().ok()
}

fn limit(call: &Call) -> u64 {
    number(call, "limit").filter(|limit| *limit > 0).unwrap_or(A_PAGE)
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
