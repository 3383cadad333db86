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
    let project =
        services.update_project(&*call.caller()?, &call.project()?, &call.object()?).await?;
    Reply::ok(representation::project(&project))
}
