//! Replaces the legacy members `super_groups` and `holdout_groups` by the members that took their
//! place (management-api 3.4).

use serde_json::{Number, Value, json};

use crate::{
    model::{json::Object, unknown_fields::Warning},
    rules_format::RulesFormat,
};

/// A legacy member, and the one that took its place.
struct Legacy {
    name: &'static str,
    successor: &'static str,
}

const ENROLLMENT: Legacy = Legacy { name: "super_groups", successor: "feature_enrollment" };
const HOLDOUT: Legacy = Legacy { name: "holdout_groups", successor: "holdout" };

/// Takes the legacy members out of the filters of the flag with this key.
///
/// The enrollment form becomes `feature_enrollment: true`, a single condition that forces the variant
/// `holdout-<id>` becomes `holdout`; a member that is there already stays. Returns a warning for each
/// legacy member that has another form and is lost. Filters in another rules format are left alone.
pub fn replace_legacy(filters: &mut Value, key: &str) -> Vec<Warning> {
    if !RulesFormat::of(filters).is_supported() {
        return Vec::new();
    }
    let Some(filters) = filters.as_object_mut() else { return Vec::new() };
    let enrollment = replace(filters, &ENROLLMENT, |groups| enrollment(groups, key));
    let holdout = replace(filters, &HOLDOUT, holdout);
    [enrollment, holdout].into_iter().flatten().collect()
}

fn replace(
    filters: &mut Object,
    legacy: &Legacy,
    convert: impl Fn(&[Value]) -> Option<Value>,
) -> Option<Warning> {
    let groups = match filters.shift_remove(legacy.name)? {
        Value::Null => return None,
        Value::Array(groups) if groups.is_empty() => return None,
        Value::Array(groups) => groups,
        _ => return Some(legacy.warning()),
    };
    let Some(converted) = convert(&groups) else { return Some(legacy.warning()) };
    // Null says no more than an absent member.
    if filters.get(legacy.successor).is_none_or(Value::is_null) {
        filters.insert(legacy.successor.to_owned(), converted);
    }
    None
}

impl Legacy {
    fn warning(&self) -> Warning {
        let Self { name, successor } = self;
        Warning {
            path: format!("filters.{name}"),
            message: format!(
                "The legacy member \"{name}\" has a form that \"{successor}\" cannot express: \
                 it is removed."
            ),
            suggestion: Some(successor),
        }
    }
}

/// `true` for the one condition by which people enrolled in early access (evaluation 5.1).
fn enrollment(groups: &[Value], key: &str) -> Option<Value> {
    let [group] = groups else { return None };
    let [property] = group.get("properties")?.as_array()?.as_slice() else { return None };
    let is_absent_or = |of: &Value, name: &str, value: Value| {
        of.get(name).is_none_or(|found| found.is_null() || *found == value)
    };
    let is_enrollment = property.get("key")?.as_str()?.strip_prefix("$feature_enrollment/")? == key
        && property.get("value")? == &json!(["true"])
        && is_absent_or(property, "operator", json!("exact"))
        && is_absent_or(property, "type", json!("person"))
        && is_absent_or(property, "negation", json!(false))
        && is_for_persons(group)
        && share(group)?.as_f64()? == 100.0
        && group.get("variant").is_none_or(Value::is_null);
    is_enrollment.then_some(Value::Bool(true))
}

/// The holdout that a single condition for everybody stood for.
fn holdout(groups: &[Value]) -> Option<Value> {
    let [group] = groups else { return None };
    let is_for_everybody = match group.get("properties") {
        None | Some(Value::Null) => true,
        Some(properties) => properties.as_array()?.is_empty(),
    };
    let digits = group.get("variant")?.as_str()?.strip_prefix("holdout-")?;
    let id: i64 = digits.parse().ok().filter(|id: &i64| id.to_string() == digits)?;
    let share = share(group)?;
    let is_share = share.as_f64().is_some_and(|share| (0.0..=100.0).contains(&share));
    (is_for_everybody && is_share && is_for_persons(group))
        .then(|| json!({"id": id, "exclusion_percentage": share}))
}

fn is_for_persons(group: &Value) -> bool {
    group.get("aggregation_group_type_index").is_none_or(Value::is_null)
}

/// The percentage of a condition; `None` for what is no number.
fn share(group: &Value) -> Option<Number> {
    match group.get("rollout_percentage") {
        None | Some(Value::Null) => Some(Number::from(100)),
        Some(Value::Number(share)) => Some(share.clone()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(filters: Value) -> (Value, Vec<String>) {
        let mut filters = filters;
        let warnings = replace_legacy(&mut filters, "new-flow");
        (filters, warnings.into_iter().map(|warning| warning.path).collect())
    }

    fn enrolled(key: &str, value: Value) -> Value {
        json!({"properties": [{"key": format!("$feature_enrollment/{key}"), "type": "person",
            "operator": "exact", "value": value}], "rollout_percentage": 100})
    }

    #[test]
    fn the_documented_forms_become_the_members_of_today() {
        let form = || enrolled("new-flow", json!(["true"]));
        let held = |share: Value| json!({"properties": [], "rollout_percentage": share, "variant": "holdout-7"});
        let cases = [
            (json!({"super_groups": [form()]}), json!({"feature_enrollment": true})),
            (
                json!({"super_groups": [form()], "feature_enrollment": false}),
                json!({"feature_enrollment": false}),
            ),
            (
                json!({"super_groups": [form()], "feature_enrollment": null}),
                json!({"feature_enrollment": true}),
            ),
            (
                json!({"holdout_groups": [held(json!(10))]}),
                json!({"holdout": {"id": 7, "exclusion_percentage": 10}}),
            ),
            (
                json!({"holdout_groups": [held(json!(12.5))]}),
                json!({"holdout": {"id": 7, "exclusion_percentage": 12.5}}),
            ),
            (
                json!({"holdout_groups": [{"variant": "holdout-8"}]}),
                json!({"holdout": {"id": 8, "exclusion_percentage": 100}}),
            ),
            (
                json!({"holdout_groups": [held(json!(10))],
                    "holdout": {"id": 1, "exclusion_percentage": 2}}),
                json!({"holdout": {"id": 1, "exclusion_percentage": 2}}),
            ),
            (json!({"super_groups": null, "holdout_groups": []}), json!({})),
        ];
        for (filters, expected) in cases {
            assert_eq!(replaced(filters.clone()), (expected, Vec::new()), "{filters}");
        }
    }

    #[test]
    fn other_forms_are_removed_with_a_warning() {
        let enrollments = [
            json!([enrolled("another", json!(["true"]))]),
            json!([enrolled("new-flow", json!(["false"]))]),
            json!([enrolled("new-flow", json!(["true"])), enrolled("new-flow", json!(["true"]))]),
            json!([{"properties": [], "rollout_percentage": 10}]),
            json!([{}]),
            json!({"properties": []}),
        ];
        let holdouts = [
            json!([{"variant": "control", "rollout_percentage": 10}]),
            json!([{"variant": "holdout-x"}]),
            json!([{"variant": "holdout-07"}]),
            json!([{"variant": "holdout-7", "rollout_percentage": 101}]),
            json!([{"variant": "holdout-7", "rollout_percentage": "10"}]),
            json!([{"variant": "holdout-7", "properties": [{"key": "a", "value": 1}]}]),
            json!([{"variant": "holdout-7"}, {"variant": "holdout-8"}]),
            json!("x"),
        ];
        let named = |name: &'static str| move |value: Value| (name, value);
        let enrollments = enrollments.into_iter().map(named("super_groups"));
        for (name, value) in enrollments.chain(holdouts.into_iter().map(named("holdout_groups"))) {
            let after = replaced(json!({"groups": [{}], name: value}));
            let expected = (json!({"groups": [{}]}), vec![format!("filters.{name}")]);
            assert_eq!(after, expected, "{name}: {value}");
        }
    }

    #[test]
    fn filters_of_another_format_are_left_alone() {
        let filters = json!({"version": 2, "rules": [], "super_groups": [{}]});
        assert_eq!(replaced(filters.clone()), (filters, Vec::new()));
    }
}
