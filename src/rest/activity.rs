//! The activity log over REST (management-api 4.6).

use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    pages, representation,
};
use crate::{
    model::{
        activity::{ActivityFilter, Start},
        error::{Error, Result},
        fields,
    },
    service::{Services, activity::WantedRows, page::MOST},
};

const A_PAGE: u64 = 10;

pub(super) async fn of_project(services: Services, call: Call) -> Result<Reply> {
    answer(services, call, None).await
}

pub(super) async fn of_flag(services: Services, call: Call) -> Result<Reply> {
    let id = call.id("id")?;
    answer(services, call, Some(id)).await
}

async fn answer(services: Services, call: Call, flag_id: Option<i64>) -> Result<Reply> {
    let caller = call.caller()?;
    let limit = positive(&call, "limit", A_PAGE)?.min(MOST);
    let page = positive(&call, "page", 1)?;
    let start = Start::Offset((page - 1).saturating_mul(limit));
    let filter = &call.params();
    let wanted = WantedRows { flag_id, filter, start, limit, may_shorten: false };
    let rows = services.activity(&caller, &call.project()?, wanted).await?;
    let body = json!({
        "results": [],
        "next": rows.more.then(|| link(&call, page + 1, limit)),
        "previous": (page > 1).then(|| link(&call, page - 1, limit)),
        "total_count": rows.total,
    });
    pages::streamed(body, rows.results, representation::activity).await
}

fn positive(call: &Call, name: &str, default: u64) -> Result<u64> {
    let Some(text) = call.param(name) else { return Ok(default) };
    match fields::integer(name, &Value::from(text))? {
        number @ 1.. => Ok(number.unsigned_abs()),
        _ => {
            let detail = "Ensure this value is greater than or equal to 1.";
            Err(Error::field(name, "min_value", detail))
        }
    }
}

/// The same rows, another page of them.
fn link(call: &Call, page: u64, limit: u64) -> Value {
    let place = [("page", page.to_string()), ("limit", limit.to_string())];
    let kept = call.query().iter().filter(|(name, _)| ActivityFilter::NAMES.contains(&&**name));
    let kept = kept.map(|(name, value)| (name.as_str(), value.clone()));
    json!(call.base.with(place.into_iter().chain(kept)))
}
