//! Checks 8 and 10–14 of management-api 3.5: patterns, and which properties go
//! with which aggregation.

use std::{cell::LazyCell, collections::HashSet};

use serde_json::Value;

use super::{known::Own, objects, pattern, refuse};
use crate::model::{error::Result, json::Object};

/// A condition set, with its properties.
pub(super) struct Group<'a> {
    /// The group type it aggregates by; `None` is by person.
    pub(super) aggregation: Option<i64>,
    pub(super) properties: Vec<&'a Object>,
}

/// The condition sets of filters, each with the aggregation that it names or inherits.
pub(super) fn groups(filters: &Object) -> Result<Vec<Group<'_>>> {
    let key = "aggregation_group_type_index";
    let inherited = filters.get(key).and_then(Value::as_i64);
    let mut read = Vec::new();
    for (index, group) in objects(filters.get("groups"), "groups")?.into_iter().enumerate() {
        let aggregation = match group.get(key) {
            None => inherited,
            Some(named) => named.as_i64(),
        };
        let path = format!("groups[{index}].properties");
        read.push(Group { aggregation, properties: objects(group.get("properties"), &path)? });
    }
    Ok(read)
}

/// The most patterns of a flag, their look-arounds and back-references included: what each is
/// compiled to stays in the memory of every replica (architecture 9).
const MAX_PATTERNS: usize = 100;

/// Whether these patterns are few enough to be compiled.
pub(super) fn are_few<'a>(patterns: impl Iterator<Item = &'a str>) -> bool {
    patterns.map(pattern::parts).sum::<usize>() <= MAX_PATTERNS
}

/// The patterns of filters of any shape.
pub(super) fn patterns(filters: &Value) -> impl Iterator<Item = &str> {
    let groups = filters.get("groups").and_then(Value::as_array).into_iter().flatten();
    let properties = groups.filter_map(|group| group.get("properties")?.as_array()).flatten();
    properties.filter_map(|property| pattern_of(property.as_object()?))
}

/// Refuses more than [`MAX_PATTERNS`], before any is compiled.
pub(super) fn check_pattern_count(groups: &[Group<'_>]) -> Result<()> {
    let patterns = groups.iter().flat_map(|group| &group.properties).filter_map(|p| pattern_of(p));
    match are_few(patterns) {
        true => Ok(()),
        false => {
            Err(refuse(format!("A feature flag may hold at most {MAX_PATTERNS} regex patterns.")))
        }
    }
}

/// Check 8. A pattern that the flag holds already may stay, broken as it is.
pub(super) fn check_patterns(
    groups: &[Group<'_>],
    is_invalid: impl Fn(&str) -> bool,
    own: &Own,
) -> Result<()> {
    let stored = LazyCell::new(|| patterns(&own.filters).collect::<HashSet<&str>>());
    for (i, group) in groups.iter().enumerate() {
        for (j, property) in group.properties.iter().enumerate() {
            let Some(pattern) = pattern_of(property) else { continue };
            if is_invalid(pattern) && !stored.contains(pattern) {
                return Err(refuse(format!(
                    "groups[{i}].properties[{j}].value: invalid regex pattern"
                )));
            }
        }
    }
    Ok(())
}

fn pattern_of(property: &Object) -> Option<&str> {
    match property.get("operator")?.as_str()? {
        "regex" | "not_regex" => property.get("value")?.as_str(),
        _ => None,
    }
}

/// Check 10.
pub(super) fn check_early_access(groups: &[Group<'_>], own: &Own) -> Result<()> {
    if own.has_early_access && groups.iter().any(|group| group.aggregation.is_some()) {
        return Err(refuse(
            "Cannot use group aggregation in any condition set when the flag is linked to an \
             Early Access Feature.",
        ));
    }
    Ok(())
}

/// Checks 11–14, each over all condition sets before the next.
pub(super) fn check_types(groups: &[Group<'_>]) -> Result<()> {
    let by_person = || groups.iter().filter(|group| group.aggregation.is_none());
    let by_group = || groups.iter().filter_map(|group| Some((group.aggregation?, group)));
    for property in by_person().flat_map(|group| &group.properties) {
        if !matches!(kind(property), "person" | "cohort" | "flag") {
            return Err(refuse(
                "Filters are not valid (person-aggregated conditions can only use person, cohort, \
                 and flag properties)",
            )
            .with_hint(
                "A property's \"type\" is person, cohort or flag; it is group in condition sets with \
                 an aggregation_group_type_index.",
            ));
        }
    }
    let operator =
        |property: &Object| property.get("operator").and_then(Value::as_str).map(str::to_owned);
    for property in by_person().flat_map(|group| &group.properties) {
        if kind(property) == "flag" && operator(property).as_deref() != Some("flag_evaluates_to") {
            return Err(refuse("Flag properties must use the 'flag_evaluates_to' operator"));
        }
    }
    for (_, group) in by_group() {
        if group.properties.iter().any(|property| kind(property) != "group") {
            return Err(refuse(
                "Filters are not valid (group-aggregated conditions can only use group properties)",
            )
            .with_hint(
                "A property's \"type\" is group in condition sets with an \
                 aggregation_group_type_index; it is person, cohort or flag in the others.",
            ));
        }
    }
    for (aggregation, group) in by_group() {
        let index = |property: &Object| property.get("group_type_index").and_then(Value::as_i64);
        if group.properties.iter().any(|property| index(property) != Some(aggregation)) {
            return Err(refuse(
                "Filters are not valid (group properties must match the condition set's group type)",
            ));
        }
    }
    Ok(())
}

/// A property's type. One without a type has none, and so is refused by check 11.
pub(super) fn kind(property: &Object) -> &str {
    property.get("type").and_then(Value::as_str).unwrap_or_default()
}
