//! Flags over REST: list, create, retrieve, update.

use http::Method as Verb;
use serde_json::json;

use super::{
    call::{Call, Reply},
    pages,
};
use crate::{
    model::{error::Result, shown::ShownFlag, write::Method},
    service::{
        Services,
        flags::{Switch, Update},
    },
};

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let wanted = pages::wanted(&call);
    let page =
        services.list_flags(&*call.caller()?, &call.project()?, &call.params(), wanted).await?;
    pages::listing(&call, page, ShownFlag::to_json).await
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
    let (caller, project) = (call.caller()?, call.project()?);
    let (verdict, rollout) = services.flag_status(&caller, &project, call.id("id")?).await?;
    Reply::ok(json!({
        "status": verdict.status.lower(),
        "reason": verdict.reason,
        "rollout": rollout.to_json(),
    }))
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
    let (caller, strictness) = (call.caller()?, call.strictness()?);
    let made = services.create_flag(&caller, &call.project()?, &call.object()?, strictness).await?;
    Reply::created(call.with_warnings(made.value.to_json(), &made.warnings))
}

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let flag = services.get_flag(&*call.caller()?, &call.project()?, call.id("id")?).await?;
    Reply::ok(flag.to_json())
}

pub(super) async fn update(services: Services, call: Call) -> Result<Reply> {
    let method = if call.method == Verb::PUT { Method::Put } else { Method::Patch };
    let caller = call.caller()?;
    let update = Update { method, ..Update::patch(call.id("id")?, call.object()?) };
    let strictness = call.strictness()?;
    let done = services.update_flag(&caller, &call.project()?, update, strictness).await?;
    Reply::ok(call.with_warnings(done.value.to_json(), &done.warnings))
}
