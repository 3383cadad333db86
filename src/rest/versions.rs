//! A flag's versions over REST (management-api 4.5).

use super::{
    call::{Call, Reply},
    pages,
};
use crate::{
    model::{
        error::{Error, Result},
        history::VersionSummary,
    },
    service::Services,
};

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let wanted = number(call.part("version_number"))?;
    let version = services.flag_version(&caller, &call.project()?, call.id("id")?, wanted).await?;
    Reply::ok(version.to_json())
}

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let wanted = pages::wanted(&call);
    let page = services.flag_versions(&caller, &call.project()?, call.id("id")?, wanted).await?;
    pages::reply(&call, &page, VersionSummary::to_json)
}

pub(super) async fn restore(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let (project, id, body) = (call.project()?, call.id("id")?, call.object()?);
    let flag = services.restore_flag_version(&caller, &project, id, &body).await?;
    Reply::ok(flag.to_json())
}

/// A number of any length; anything else is no path of ours.
fn number(text: &str) -> Result<i128> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| Error::not_found()),
        false => Err(Error::not_found()),
    }
}
