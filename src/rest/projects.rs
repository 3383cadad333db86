//! Projects over REST (architecture 2).

use super::{
    call::{Call, Reply},
    representation,
};
use crate::{model::error::Result, service::Services};

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let project = services.get_project(&*call.caller()?, &call.project()?).await?;
    Reply::ok(representation::project(&project))
}

pub(super) async fn update(services: Services, call: Call) -> Result<Reply> {
    let (caller, strictness) = (call.caller()?, call.strictness()?);
    let done =
        services.update_project(&caller, &call.project()?, &call.object()?, strictness).await?;
    Reply::ok(call.with_warnings(representation::project(&done.value), &done.warnings))
}
