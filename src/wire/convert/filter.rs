//! What lists are narrowed to, on its way in from gRPC: the same JSON object
//! that a query or a bulk body becomes.

use serde_json::{Value, json};

use crate::{
    model::json::Object,
    wire::v1::{ListFeatureFlagsRequest, ListMatchingFeatureFlagIdsRequest},
};

/// The filter and the order of a list.
#[must_use]
pub fn list_filter(request: ListFeatureFlagsRequest) -> Object {
    let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
    let users = request.created_by_ids;
    let fields = [
        ("active", request.active.map(Value::from)),
        ("created_by_id", (!users.is_empty()).then(|| json!(users))),
        ("search", request.search.map(Value::from)),
        ("key", request.key.map(Value::from)),
        ("type", request.r#type.map(Value::from)),
        ("evaluation_runtime", request.evaluation_runtime.map(Value::from)),
        ("excluded_properties", list(request.excluded_properties)),
        ("tags", list(request.tags)),
        ("excluded_tags", list(request.excluded_tags)),
        ("has_evaluation_contexts", request.has_evaluation_contexts.map(Value::from)),
        ("archived", request.archived.map(Value::from)),
        ("order", request.order.map(Value::from)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The filter of all matching ids, which has no order and no pages.
#[must_use]
pub fn matching_filter(request: ListMatchingFeatureFlagIdsRequest) -> Object {
    list_filter(ListFeatureFlagsRequest {
        active: request.active,
        created_by_ids: request.created_by_ids,
        search: request.search,
        key: request.key,
        r#type: request.r#type,
        evaluation_runtime: request.evaluation_runtime,
        excluded_properties: request.excluded_properties,
        tags: request.tags,
        excluded_tags: request.excluded_tags,
        has_evaluation_contexts: request.has_evaluation_contexts,
        archived: request.archived,
        ..ListFeatureFlagsRequest::default()
    })
}
