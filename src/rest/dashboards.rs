//! Usage dashboards over REST (management-api 4.1, architecture 2).

use serde_json::json;

use super::{
    call::{Call, Reply},
    dashboard_page::{self, Visit},
    representation,
};
use crate::{
    model::{
        error::{Error, Result},
        usage_range::Dates,
    },
    service::Services,
};

/// Numbers for programs, or a page for people.
pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let date = |name: &str| call.param(name).map(str::to_owned);
    let dates = Dates { from: date("date_from"), to: date("date_to") };
    let (caller, id) = (call.caller()?, call.id("dashboard_id")?);
    let shown = services.dashboard(&caller, &call.project()?, id, &dates).await?;
    if !as_page(&call)? {
        return Reply::ok(representation::dashboard(&shown));
    }
    let range = match (dates.from.as_deref().unwrap_or_default(), dates.to) {
        ("", None) => "-30d".to_owned(),
        (from, None) => from.to_owned(),
        (_, Some(_)) => String::new(),
    };
    let visit = Visit { range, has_links: call.param("personal_api_key").is_none() };
    Reply::page(dashboard_page::page(&shown, &visit))
}

fn as_page(call: &Call) -> Result<bool> {
    match call.param("format").unwrap_or_default() {
        "" => Ok(call.wants_page),
        "html" => Ok(true),
        "json" => Ok(false),
        other => {
            let detail = format!("\"{other}\" is not a valid choice.");
            Err(Error::field("format", "invalid_choice", detail))
        }
    }
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
