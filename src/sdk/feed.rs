//! Writes the feed of definitions by which SDKs evaluate flags themselves
//! (evaluation 15.1, management-api 5).
//!
//! Flags name what they depend on by key here, and cohorts come as bare trees.
//! The bytes are a function of the definitions alone, so that every replica
//! gives the same feed, and with it the same entity tag.

pub(crate) mod book;
mod cohorts;
mod dependencies;
pub(crate) mod log;
mod omission;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    model::{
        definitions::Definitions,
        error::{Error, Result},
        flag::FeatureFlag,
        link::LinkKind,
    },
    rules_format::RulesFormat,
};
use omission::Candidate;

/// The two forms of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The cohorts that flags refer to come as such.
    WithCohorts,
    /// Without cohorts: the simple ones are written out in the conditions that name them.
    Expanded,
}

#[derive(Serialize)]
struct Feed<'a> {
    flags: Vec<FeedFlag<'a>>,
    group_type_mapping: &'a BTreeMap<i64, String>,
    cohorts: BTreeMap<i64, &'a Value>,
    minimal_flag_called_events: bool,
    property_matching_version: i32,
}

#[derive(Serialize)]
struct FeedFlag<'a> {
    id: i64,
    team_id: i64,
    name: &'a str,
    key: &'a str,
    filters: Value,
    deleted: bool,
    active: bool,
    ensure_experience_continuity: Option<bool>,
    has_encrypted_payloads: Option<bool>,
    version: Option<i64>,
    evaluation_runtime: Option<&'a str>,
    evaluation_contexts: &'a [String],
    bucketing_identifier: Option<&'a str>,
    has_experiment: bool,
}

/// The feed as JSON text.
///
/// # Errors
///
/// `Internal`, if the definitions were no JSON.
pub(crate) fn write(definitions: &Definitions, form: Form) -> Result<Vec<u8>> {
    let chains = dependencies::Chains::of(&definitions.flags);
    let trees = &definitions.cohorts;
    let given = given(&definitions.flags);
    let flags: Vec<_> = given
        .iter()
        .map(|flag| {
            let mut filters = flag.filters.clone();
            if form == Form::Expanded {
                cohorts::expand(&mut filters, trees);
            }
            chains.rewrite(flag.id, &mut filters);
            told(flag, filters)
        })
        .collect();
    let cohorts = match form {
        Form::WithCohorts => {
            let named = given.iter().flat_map(|flag| cohorts::named(&flag.filters));
            cohorts::referenced(named, trees)
        }
        Form::Expanded => BTreeMap::new(),
    };
    let feed = Feed {
        flags,
        group_type_mapping: &definitions.group_types,
        cohorts,
        minimal_flag_called_events: false,
        property_matching_version: definitions.project.property_matching_version,
    };
    serde_json::to_vec(&feed).map_err(Error::internal)
}

/// The flags that the feed gives, in their order.
fn given(flags: &[FeatureFlag]) -> Vec<&FeatureFlag> {
    let reads: Vec<_> = flags.iter().map(|flag| dependencies::reads(&flag.filters)).collect();
    let candidates = flags.iter().zip(&reads).map(|(flag, reads)| Candidate {
        id: flag.id,
        is_supported: RulesFormat::of(&flag.filters).is_supported(),
        reads,
    });
    let omitted = omission::omitted(candidates);
    flags.iter().filter(|flag| !omitted.contains(&flag.id)).collect()
}

fn told(flag: &FeatureFlag, filters: Value) -> FeedFlag<'_> {
    FeedFlag {
        id: flag.id,
        team_id: flag.project_id,
        name: &flag.name,
        key: &flag.key,
        filters,
        deleted: flag.deleted,
        active: flag.active,
        ensure_experience_continuity: flag.ensure_experience_continuity,
        has_encrypted_payloads: flag.has_encrypted_payloads,
        version: flag.version,
        evaluation_runtime: flag.evaluation_runtime.as_deref(),
        evaluation_contexts: &flag.evaluation_contexts,
        bucketing_identifier: flag.bucketing_identifier.as_deref(),
        has_experiment: flag.live_links(LinkKind::Experiment).next().is_some(),
    }
}

/// The filters of all conditions.
fn properties(filters: &Value) -> impl Iterator<Item = &Value> {
    let conditions = filters["groups"].as_array().into_iter().flatten();
    conditions.flat_map(|condition| condition["properties"].as_array().into_iter().flatten())
}

/// The same, to be changed.
fn properties_mut(filters: &mut Value) -> impl Iterator<Item = &mut Value> {
    let conditions = filters.get_mut("groups").and_then(Value::as_array_mut).into_iter().flatten();
    conditions.flat_map(|condition| {
        condition.get_mut("properties").and_then(Value::as_array_mut).into_iter().flatten()
    })
}

#[cfg(test)]
pub(crate) mod tests;
