//! Usage dashboards over REST (management-api 4.1, architecture 2).

use serde_json::json;

use super::{
    call::{Call, Reply},
    representation,
};
use crate::{
    model::{error::Result, usage_range::Dates},
    service::Services,
};

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let date = |name: &str| call.param(name).map(str::to_owned);
    let dates = Dates { from: date("date_from"), to: date("date_to") };
    let (caller, id) = (call.caller()?, call.id("dashboard_id")?);
    let shown = services.dashboard(&caller, &call.project()?, id, &dates).await?;
    Reply::ok(representation::dashboard(&shown))
}

/// The body is not looked at: clients may send a whole flag, or nothing.
pub(super) async fn enrich(services: Services, call: Call) -> Result<Reply> {
    let (caller, id) = (call.caller()?, call.id("id")?);
    services.enrich_usage_dashboard(&caller, &call.project()?, id).await?;
    Reply::ok(json!({"success": true}))
}

pub(super) async fn create(services: Services, call: Call) -> Result<Reply> {
    let (caller, id) = (call.caller()?, call.id("id")?);
    services.create_usage_dashboard(&caller, &call.project()?, id).await?;
    Reply::ok(json!({"success": true}))
}
