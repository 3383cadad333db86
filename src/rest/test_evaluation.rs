//! Flags and conditions tried out, over REST (management-api 4.4, 5).

use super::call::{Call, Reply};
use crate::{model::error::Result, service::Services};

pub(super) async fn test(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let (project, id, body) = (call.project()?, call.id("id")?, call.object()?);
    let tested = services.test_evaluation(&caller, &project, id, &body).await?;
    Reply::ok(tested.to_json())
}

pub(super) async fn blast_radius(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let (project, body) = (call.project()?, call.object()?);
    let reach = services.blast_radius(&caller, &project, &body).await?;
    Reply::ok(reach.to_json())
}
