//! Activity rows on their way out to gRPC, and what they are narrowed to on its way in.

use serde_json::Value;

use super::values::{instant_text, timestamp, to_struct, to_wire};
use crate::{
    model::{activity::Activity, json::Object},
    wire::v1::{
        ActivityDetail, ActivityEntry, ActivityUser, Change, ListActivityRequest,
        ListFeatureFlagActivityRequest, Trigger,
    },
};

/// What rows are narrowed to, as a query says it.
#[must_use]
pub fn activity_filter(request: ListActivityRequest) -> Object {
    let fields = [
        ("user_id", request.user_id.map(Value::from)),
        ("activity", request.activity.map(Value::from)),
        ("since", request.since.map(instant_text)),
        ("until", request.until.map(instant_text)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// As [`activity_filter`], for the rows about one flag.
#[must_use]
pub fn flag_activity_filter(request: ListFeatureFlagActivityRequest) -> Object {
    activity_filter(ListActivityRequest {
        user_id: request.user_id,
        activity: request.activity,
        since: request.since,
        until: request.until,
        ..ListActivityRequest::default()
    })
}

/// A row as a message.
#[must_use]
pub fn activity(row: Activity) -> ActivityEntry {
    let user = match row.user {
        Some(user) => {
            ActivityUser { first_name: user.first_name, email: Some(user.email), is_system: None }
        }
        None => ActivityUser { first_name: "System".into(), email: None, is_system: Some(true) },
    };
    ActivityEntry {
        id: row.id.to_string(),
        user: Some(user),
        activity: row.activity,
        scope: row.scope,
        item_id: row.item_id.unwrap_or_default(),
        detail: Some(detail(&row.detail)),
        created_at: Some(timestamp(row.created_at)),
    }
}

fn detail(detail: &Value) -> ActivityDetail {
    let optional = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
    ActivityDetail {
        changes: detail["changes"].as_array().into_iter().flatten().map(change).collect(),
        name: optional("name"),
        short_id: optional("short_id"),
        r#type: optional("type"),
        trigger: detail.get("trigger").filter(|trigger| trigger.is_object()).map(trigger),
    }
}

fn change(change: &Value) -> Change {
    let (before, after) = (&change["before"], &change["after"]);
    Change {
        r#type: text(change, "type"),
        action: text(change, "action"),
        field: text(change, "field"),
        before: Some(to_wire(before)),
        after: Some(to_wire(after)),
        before_json: before.to_string(),
        after_json: after.to_string(),
    }
}

fn trigger(trigger: &Value) -> Trigger {
    Trigger {
        job_type: text(trigger, "job_type"),
        job_id: text(trigger, "job_id"),
        payload: trigger.get("payload").and_then(Value::as_object).map(to_struct),
    }
}

fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
