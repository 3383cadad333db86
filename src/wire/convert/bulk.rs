//! Bulk requests on their way in from gRPC, as the JSON bodies that REST has.

use serde_json::{Value, json};

use super::filter::list_filter;
use crate::{
    model::{json::Object, status::Rollout},
    wire::v1::{
        BulkDeleteFeatureFlagsRequest, BulkUpdateFeatureFlagTagsRequest, FeatureFlagSelection,
        ListFeatureFlagsRequest, RolloutState, TagAction,
    },
};

/// A body of `ids` alone.
#[must_use]
pub fn ids_body(ids: Vec<String>) -> Object {
    Object::from_iter([("ids".to_owned(), json!(ids))])
}

/// The body of a bulk deletion.
#[must_use]
pub fn deletion_body(request: BulkDeleteFeatureFlagsRequest) -> Object {
    let mut body = ids_body(request.ids);
    body.insert("filters".into(), Value::Object(selection(request.filters.unwrap_or_default())));
    body
}

fn selection(selection: FeatureFlagSelection) -> Object {
    list_filter(ListFeatureFlagsRequest {
        active: selection.active,
        created_by_ids: selection.created_by_ids,
        search: selection.search,
        r#type: selection.r#type,
        evaluation_runtime: selection.evaluation_runtime,
        excluded_properties: selection.excluded_properties,
        tags: selection.tags,
        excluded_tags: selection.excluded_tags,
        has_evaluation_contexts: selection.has_evaluation_contexts,
        archived: selection.archived,
        ..ListFeatureFlagsRequest::default()
    })
}

/// The body of a bulk change of tags; an action that is not given is left out.
#[must_use]
pub fn tags_body(request: BulkUpdateFeatureFlagTagsRequest) -> Object {
    let action = match TagAction::try_from(request.action) {
        Ok(TagAction::Unspecified) => None,
        Ok(TagAction::Add) => Some("add".to_owned()),
        Ok(TagAction::Remove) => Some("remove".to_owned()),
        Ok(TagAction::Set) => Some("set".to_owned()),
        Err(_) => Some(request.action.to_string()),
    };
    let mut body = ids_body(request.ids);
    body.extend(action.map(|action| ("action".to_owned(), Value::String(action))));
    body.insert("tags".into(), json!(request.tags));
    body
}

/// How far a flag was rolled out, as a message, and the variant that everybody had.
#[must_use]
pub fn rollout(rollout: Rollout) -> (RolloutState, Option<String>) {
    match rollout {
        Rollout::Full(variant) => (RolloutState::FullyRolledOut, variant),
        Rollout::Not => (RolloutState::NotRolledOut, None),
        Rollout::Partial => (RolloutState::Partial, None),
    }
}
