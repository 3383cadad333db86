//! The feed of definitions on its way out to gRPC.
//!
//! The messages are read off the text that REST sends, so the two can say
//! nothing different.

use serde_json::Value;

use super::{filters, values::to_struct};
use crate::{
    model::{
        error::{Error, Result},
        json,
    },
    wire::v1::{FeatureFlagDefinition, FeatureFlagDefinitions},
};

/// A feed's text, and the messages that say the same.
///
/// # Errors
///
/// `Internal`, if it were no JSON.
pub fn definitions(text: &[u8]) -> Result<(String, FeatureFlagDefinitions)> {
    let text = String::from_utf8(text.to_vec()).map_err(Error::internal)?;
    let feed = json::parse_stored(&text).map_err(Error::internal)?;
    Ok((text, message(&feed)))
}

/// The messages of a parsed feed.
pub(super) fn message(feed: &Value) -> FeatureFlagDefinitions {
    let entries = |name: &str| feed[name].as_object().into_iter().flatten();
    let name = |(index, name): (&String, &Value)| Some((index.clone(), name.as_str()?.to_owned()));
    let tree = |(id, tree): (&String, &Value)| Some((id.clone(), to_struct(tree.as_object()?)));
    let version = feed["property_matching_version"].as_i64();
    FeatureFlagDefinitions {
        flags: feed["flags"].as_array().into_iter().flatten().map(flag).collect(),
        group_type_mapping: entries("group_type_mapping").filter_map(name).collect(),
        cohorts: entries("cohorts").filter_map(tree).collect(),
        minimal_flag_called_events: feed["minimal_flag_called_events"].as_bool(),
        property_matching_version: version.and_then(|version| i32::try_from(version).ok()),
    }
}

/// One flag of a feed.
pub(super) fn flag(flag: &Value) -> FeatureFlagDefinition {
    let text = |name: &str| flag[name].as_str().map(str::to_owned);
    let number = |name: &str| flag[name].as_i64();
    let contexts = flag["evaluation_contexts"].as_array().into_iter().flatten();
    FeatureFlagDefinition {
        id: number("id").unwrap_or_default(),
        team_id: number("team_id").unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        key: text("key").unwrap_or_default(),
        filters: Some(filters::to_message(&flag["filters"])),
        filters_json: flag["filters"].to_string(),
        deleted: flag["deleted"] == true,
        active: flag["active"] == true,
        ensure_experience_continuity: flag["ensure_experience_continuity"].as_bool(),
        has_encrypted_payloads: flag["has_encrypted_payloads"].as_bool(),
        version: number("version"),
        evaluation_runtime: text("evaluation_runtime"),
        evaluation_contexts: contexts.filter_map(|c| c.as_str().map(str::to_owned)).collect(),
        bucketing_identifier: text("bucketing_identifier"),
        has_experiment: flag["has_experiment"] == true,
    }
}
