//! Many flags at once over REST (management-api 4.7–4.9).

use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::{error::Result, json::Object, status::Rollout},
    service::{
        Services,
        bulk::{DeletedFlag, Refused},
    },
};

pub(super) async fn keys(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let found = services.flag_keys(&caller, &call.project()?, &call.object()?).await?;
    let keys: Object =
        found.keys.into_iter().map(|(id, key)| (id.to_string(), key.into())).collect();
    let mut body = json!({"keys": keys});
    if let Some(warning) = found.warning {
        body["warning"] = warning.into();
    }
    Reply::ok(body)
}

pub(super) async fn delete(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let deletion = services.delete_flags(&caller, &call.project()?, &call.object()?).await?;
    Reply::ok(json!({
        "deleted": deletion.deleted.iter().map(deleted).collect::<Vec<_>>(),
        "errors": deletion.errors.into_iter().map(refused).collect::<Vec<_>>(),
    }))
}

fn deleted(flag: &DeletedFlag) -> Value {
    let variant = match &flag.rollout {
        Rollout::Full(variant) => variant.as_deref(),
        Rollout::Not | Rollout::Partial => None,
    };
    json!({
        "id": flag.id,
        "key": flag.key,
        "rollout_state": flag.rollout.name(),
        "active_variant": variant,
    })
}

/// What names no flag has no key, not even null.
fn refused(refused: Refused) -> Value {
    match refused.key {
        Some(key) => json!({"id": refused.id, "key": key, "reason": refused.reason}),
        None => json!({"id": refused.id, "reason": refused.reason}),
    }
}

pub(super) async fn tags(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let tagging = services.tag_flags(&caller, &call.project()?, &call.object()?).await?;
    let updated = tagging.updated.iter().map(|(id, tags)| json!({"id": id, "tags": tags}));
    let skipped = tagging.skipped.iter().map(|(id, why)| json!({"id": id, "reason": why}));
    Reply::ok(json!({
        "updated": updated.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
    }))
}
