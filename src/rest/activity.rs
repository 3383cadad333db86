//! The activity log over REST (management-api 4.6).

use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    representation,
};
use crate::{
    model::{
        error::{Error, Result},
        fields,
    },
    service::{Services, page::Wanted},
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
    let limit = positive(&call, "limit", A_PAGE)?;
    let page_number = positive(&call, "page", 1)?;
    let limit_used = Wanted::new(0, limit).limit;
    let offset = (page_number - 1).saturating_mul(limit_used);
    let wanted = Wanted::new(offset, limit_used);
    let page = services.activity(&caller, &call.project()?, flag_id, wanted).await?;
    Reply::ok(json!({
        "results": page.results.iter().map(representation::activity).collect::<Vec<_>>(),
        "next": page.next_offset().map(|_| link(&call, page_number + 1, limit_used)),
        "previous": (page_number > 1).then(|| link(&call, page_number - 1, limit_used)),
        "total_count": page.total,
    }))
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

fn link(call: &Call, page: u64, limit: u64) -> Value {
    json!(call.base.with([("page", page.to_string()), ("limit", limit.to_string())].into_iter()))
}
