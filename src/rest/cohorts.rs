//! Cohorts and their members over REST (architecture 2).

use serde_json::json;

use super::{
    call::{Call, Reply},
    pages, representation,
};
use crate::{
    model::{
        cohort::{members::Changed, write::CohortWrite},
        error::Result,
        write::Method,
    },
    service::Services,
};

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let wanted = pages::wanted(&call);
    let page = services.list_cohorts(&*call.caller()?, &call.project()?, wanted).await?;
    pages::listing(&call, page, representation::cohort).await
}

pub(super) async fn create(services: Services, call: Call) -> Result<Reply> {
    let wanted = write(&call, Method::Create)?;
    let (caller, strictness) = (call.caller()?, call.strictness()?);
    let made = services.create_cohort(&caller, &call.project()?, &wanted, strictness).await?;
    Reply::created(call.with_warnings(representation::cohort(&made.value), &made.warnings))
}

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let cohort = services.get_cohort(&caller, &call.project()?, call.id("cohort_id")?).await?;
    Reply::ok(representation::cohort(&cohort))
}

pub(super) async fn update(services: Services, call: Call) -> Result<Reply> {
    let (caller, id) = (call.caller()?, call.id("cohort_id")?);
    let wanted = write(&call, Method::Patch)?;
    let strictness = call.strictness()?;
    let done = services.update_cohort(&caller, &call.project()?, id, &wanted, strictness).await?;
    Reply::ok(call.with_warnings(representation::cohort(&done.value), &done.warnings))
}

pub(super) async fn add_members(services: Services, call: Call) -> Result<Reply> {
    let (caller, id) = (call.caller()?, call.id("cohort_id")?);
    let changed =
        services.add_cohort_members(&caller, &call.project()?, id, &call.object()?).await?;
    shown(changed)
}

pub(super) async fn remove_members(services: Services, call: Call) -> Result<Reply> {
    let (caller, id) = (call.caller()?, call.id("cohort_id")?);
    let changed =
        services.remove_cohort_members(&caller, &call.project()?, id, &call.object()?).await?;
    shown(changed)
}

fn shown(changed: Changed) -> Result<Reply> {
    Reply::ok(json!({"changed": changed.changed, "unknown": changed.unknown}))
}

fn write(call: &Call, method: Method) -> Result<CohortWrite> {
    Ok(CohortWrite { body: call.object()?, method, is_typed: false })
}
