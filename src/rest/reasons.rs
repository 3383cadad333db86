//! Why flags are what they are, over REST (management-api 4.10, 5).

use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::{error::Result, json::Object},
    service::{
        Services,
        page::Wanted,
        reasons::{FlagReason, MyFlag},
    },
};

pub(super) async fn reasons(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let mut sent = call.params();
    // The one parameter that may come more than once.
    let keys = call.query().iter().filter(|(name, _)| name == "flag_keys");
    sent.insert("flag_keys".into(), keys.map(|(_, key)| Value::from(key.as_str())).collect());
    let reasons = services.evaluation_reasons(&caller, &call.project()?, &sent).await?;
    Reply::ok(Value::Object(reasons.into_iter().map(shown).collect::<Object>()))
}

fn shown(flag: FlagReason) -> (String, Value) {
    let evaluation = json!({"reason": flag.reason, "condition_index": flag.condition_index});
    (flag.key, json!({"value": flag.value, "evaluation": evaluation}))
}

/// All of them, in one answer.
pub(super) async fn my_flags(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let all = Wanted { offset: 0, limit: i64::MAX.unsigned_abs(), may_shorten: false };
    let page = services.my_flags(&caller, &call.project()?, &call.params(), all).await?;
    Reply::ok(page.results.iter().map(mine).collect())
}

fn mine(mine: &MyFlag) -> Value {
    json!({"feature_flag": mine.flag.to_minimal_json(), "value": mine.value})
}
