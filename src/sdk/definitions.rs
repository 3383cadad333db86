//! Reads a feed of definitions back into flags that the engine decides, as
//! SDKs do.
//!
//! The feed names what a flag depends on by key, the engine by id. Nothing
//! else is judged here: what the write API would refuse is compiled as it
//! stands, and fails alone where it cannot be understood.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use crate::engine::{Cohort, CohortSource, Flag, FlagSet, FlagSource, Matching, Settings};

/// An id that no flag has: what a key that is not in the feed refers to.
const NOBODY: i64 = i64::MIN;

/// Compiles the body of `GET /flags/definitions`.
///
/// # Errors
///
/// A sentence, for a body without a list of flags and for a flag without a key.
pub(crate) fn compile(feed: &Value) -> Result<FlagSet, String> {
    let stored = feed["flags"].as_array().ok_or("the definitions have no list of `flags`")?;
    let flags = numbered(stored)?;
    let ids: HashMap<&str, i64> = flags.iter().map(|(id, key, _)| (*key, *id)).collect();
    let compiled = flags.iter().map(|(id, key, flag)| compiled(*id, key, flag, &ids)).collect();
    Ok(FlagSet::new(settings(feed), compiled, cohorts(feed)))
}

/// Each flag with its id and its key. One without an id gets one that none else has.
fn numbered(stored: &[Value]) -> Result<Vec<(i64, &str, &Value)>, String> {
    let number = |(at, flag): (i64, &'_ Value)| flag["id"].as_i64().unwrap_or(-1 - at);
    (0..)
        .zip(stored)
        .map(|(at, flag)| {
            let key = flag["key"].as_str().ok_or_else(|| format!("flag {at} has no key"))?;
            Ok((number((at, flag)), key, flag))
        })
        .collect()
}

fn compiled(id: i64, key: &str, flag: &Value, ids: &HashMap<&str, i64>) -> Arc<Flag> {
    let filters = with_ids(&flag["filters"], ids);
    let is_true = |name: &str| flag[name] == true;
    let contexts = ["evaluation_contexts", "evaluation_environments"];
    let contexts = contexts.iter().find_map(|name| flag[*name].as_array());
    let contexts: Vec<String> =
        contexts.into_iter().flatten().filter_map(|c| c.as_str().map(str::to_owned)).collect();
    Arc::new(Flag::compile(&FlagSource {
        id,
        key,
        version: flag["version"].as_i64(),
        active: flag.get("active").is_none_or(|active| active == true),
        deleted: is_true("deleted"),
        filters: &filters,
        ensure_experience_continuity: is_true("ensure_experience_continuity"),
        evaluation_runtime: flag["evaluation_runtime"].as_str(),
        bucketing_identifier: flag["bucketing_identifier"].as_str(),
        evaluation_contexts: &contexts,
        has_encrypted_payloads: is_true("has_encrypted_payloads"),
        has_experiment: is_true("has_experiment"),
    }))
}

/// The filters with ids in place of the keys of other flags.
fn with_ids(filters: &Value, ids: &HashMap<&str, i64>) -> Value {
    let mut filters = filters.clone();
    let conditions = filters.get_mut("groups").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let properties = condition.get_mut("properties").and_then(Value::as_array_mut);
        for property in properties.into_iter().flatten().filter(|p| p["type"] == "flag") {
            let Some(key) = property["key"].as_str() else { continue };
            let named = ids.get(key).copied();
            // A feed of older servers may name a flag by its id.
            let id = named.or_else(|| key.parse().ok()).unwrap_or(NOBODY);
            property["key"] = json!(id.to_string());
        }
    }
    filters
}

fn cohorts(feed: &Value) -> Vec<Arc<Cohort>> {
    let stored = feed["cohorts"].as_object();
    let compiled = stored.into_iter().flatten().filter_map(|(id, tree)| {
        let filters = json!({"properties": tree});
        let source = CohortSource {
            id: id.parse().ok()?,
            is_static: false,
            filters: Some(&filters),
            groups: None,
        };
        Some(Arc::new(Cohort::compile(&source)))
    });
    compiled.collect()
}

/// The feed does not tell the project's time zone, so it is UTC, as it is for SDKs.
fn settings(feed: &Value) -> Settings {
    let types = feed["group_type_mapping"].as_object();
    let named =
        |(index, name): (&String, &Value)| Some((index.parse().ok()?, name.as_str()?.to_owned()));
    Settings {
        matching: Matching::from_version(feed["property_matching_version"].as_i64().unwrap_or(1)),
        group_types: types.into_iter().flatten().filter_map(named).collect(),
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Facts, Properties, Selection, Subject, evaluate};

    /// The flags that are on, the failed ones marked.
    fn on(feed: &Value, sent: Value) -> Vec<String> {
        let set = compile(feed).unwrap();
        let sent: Properties = sent.as_object().unwrap().clone();
        let subject = Subject::new("ann", Facts { sent: Some(&sent), ..Facts::default() });
        let now = chrono::DateTime::UNIX_EPOCH;
        let outcomes = evaluate(&set, &subject, &Selection::default(), now).outcomes;
        let told = outcomes.iter().filter(|outcome| outcome.enabled || outcome.failed);
        told.map(|o| format!("{}{}", if o.failed { "!" } else { "" }, o.flag.key())).collect()
    }

    fn reads(key: &str) -> Value {
        json!({"groups": [{"properties": [
            {"type": "flag", "key": key, "operator": "flag_evaluates_to", "value": true}]}]})
    }

    #[test]
    fn flags_are_read_by_key_or_by_id() {
        let everyone = json!({"groups": [{}]});
        let feed = json!({"flags": [
            {"id": 7, "key": "base", "filters": everyone},
            {"id": 8, "key": "by-key", "filters": reads("base")},
            {"id": 9, "key": "by-id", "filters": reads("7")},
            {"key": "without-id", "filters": reads("by-key")},
            {"id": 10, "key": "orphan", "filters": reads("nobody")},
            {"id": 11, "key": "off", "active": false, "filters": everyone},
        ]});
        assert_eq!(on(&feed, json!({})), ["base", "by-key", "by-id", "without-id"]);
    }

    #[test]
    fn cohorts_are_bare_trees_and_one_that_is_not_there_fails_its_flag() {
        let member = |id: i64| json!({"groups": [{"properties": [{"type": "cohort", "key": "id", "value": id}]}]});
        let feed = json!({
            "flags": [{"id": 1, "key": "in", "filters": member(5)}, {"id": 2, "key": "lost", "filters": member(6)}],
            "cohorts": {"5": {"type": "OR", "values": [{"key": "plan", "type": "person", "value": "pro"}]}},
        });
        assert_eq!(on(&feed, json!({"plan": "pro"})), ["in", "!lost"]);
        assert_eq!(on(&feed, json!({"plan": "free"})), ["!lost"]);
    }

    #[test]
    fn the_matching_version_counts() {
        let off = json!({"groups": [{"properties": [{"key": "a", "value": false}]}]});
        let feed = |version: i64| json!({"flags": [{"id": 1, "key": "off", "filters": off}], "property_matching_version": version});
        assert_eq!(on(&feed(1), json!({"a": "banana"})), ["off"]);
        assert_eq!(on(&feed(2), json!({"a": "banana"})), [""; 0]);
    }

    #[test]
    fn what_is_no_feed_says_so() {
        for feed in [json!(null), json!([]), json!({"flags": {}}), json!({"flags": [{"id": 1}]})] {
            assert!(compile(&feed).is_err(), "{feed}");
        }
    }
}
