//! Checks 18–26 of management-api 3.5: operators, and the values they take.

use serde_json::Value;

use super::{
    known::{Grammar, Known, number},
    properties::{Group, kind},
};
use crate::model::{
    error::{Error, Result},
    json::Object,
    unknown_fields::nearest,
};

/// Operators that evaluation knows.
const FOR_FLAGS: [&str; 33] = [
    "exact",
    "is_not",
    "icontains",
    "not_icontains",
    "icontains_multi",
    "not_icontains_multi",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "regex",
    "not_regex",
    "gt",
    "gte",
    "lt",
    "lte",
    "min",
    "max",
    "is_set",
    "is_not_set",
    "is_date_exact",
    "is_date_after",
    "is_date_before",
    "semver_eq",
    "semver_neq",
    "semver_gt",
    "semver_gte",
    "semver_lt",
    "semver_lte",
    "semver_tilde",
    "semver_caret",
    "semver_wildcard",
    "flag_evaluates_to",
];
/// Operators of other products, which flags refuse.
const ELSEWHERE: [&str; 3] = ["between", "not_between", "is_cleaned_path_exact"];
/// Those of them that evaluation knows all the same.
const RANGES: [&str; 2] = ["between", "not_between"];
/// Other names of operators, and the one for flags alone.
const NOT_LISTED: [&str; 3] = ["min", "max", "flag_evaluates_to"];
/// The other operators of a flag's conditions, in words.
const FLAGS_ALONE: &str = "of cohorts: in, not_in; of flags: flag_evaluates_to";
/// The other operators of a cohort's conditions, in words.
const COHORTS_ALONE: &str = "between, not_between; of cohorts: in, not_in";
/// Operators that read only text; those that compare numbers read these as well.
const TEXT_ONLY: [&str; 10] =
    ["regex", "not_regex", "icontains", "not_icontains", "gt", "gte", "lt", "lte", "min", "max"];

pub(super) fn check(groups: &[Group<'_>], known: &Known) -> Result<()> {
    groups
        .iter()
        .flat_map(|group| &group.properties)
        .try_for_each(|property| judge(property, known))
}

fn judge(property: &Object, known: &Known) -> Result<()> {
    let operator = operator(property, FLAGS_ALONE)?;
    let value = property.get("value").unwrap_or(&Value::Null);
    if kind(property) == "cohort" {
        cohort(value, known)?;
    }
    match operator {
        "in" | "not_in" => membership(operator, property),
        _ => check_value(operator, value, &known.grammar),
    }
}

/// Checks 22, 23, 25 and 26: whether an operator can read a value.
pub(in crate::model) fn check_value(
    operator: &str,
    value: &Value,
    grammar: &Grammar,
) -> Result<()> {
    match operator {
        "is_date_exact" | "is_date_after" | "is_date_before" => date(value, grammar),
        "icontains_multi" | "not_icontains_multi" => list(operator, value),
        // Numbers are what these compare, and evaluation takes them as such.
        "gt" | "gte" | "lt" | "lte" | "min" | "max" if value.is_number() => Ok(()),
        _ if TEXT_ONLY.contains(&operator) => text(operator, value),
        _ if operator.starts_with("semver_") => version(operator, value, grammar),
        _ => Ok(()),
    }
}

/// The operator of a cohort's test of a person property: one that evaluation knows for such.
pub(in crate::model) fn person_operator(property: &Object) -> Result<&str> {
    match property.get("operator") {
        Some(Value::String(name)) if RANGES.contains(&name.as_str()) => Ok(name),
        Some(Value::String(name)) if name == "flag_evaluates_to" => {
            Err(unknown_operator(name, COHORTS_ALONE))
        }
        _ => match operator(property, COHORTS_ALONE)? {
            name @ ("in" | "not_in") => Err(not_of_cohorts(name, "person")),
            name => Ok(name),
        },
    }
}

fn refuse(code: &'static str, detail: String) -> Error {
    Error::field("filters", code, detail)
}

/// A value as messages show it: text bare, the rest as JSON.
pub(in crate::model) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Absent and null are `exact`. `others` are named in the hint beside the operators of properties.
fn operator<'a>(property: &'a Object, others: &str) -> Result<&'a str> {
    match property.get("operator") {
        None | Some(Value::Null) => Ok("exact"),
        Some(Value::String(name)) if FOR_FLAGS.contains(&name.as_str()) => Ok(name),
        Some(Value::String(name)) if name == "in" || name == "not_in" => Ok(name),
        Some(Value::String(name)) if ELSEWHERE.contains(&name.as_str()) => {
            let detail = format!("Unsupported operator for feature flags: {name}");
            Err(refuse("unsupported_operator", detail).with_hint(operators(name, others)))
        }
        Some(other) => Err(unknown_operator(&shown(other), others)),
    }
}

/// `others` are operators beside those of properties of flags.
fn unknown_operator(name: &str, others: &str) -> Error {
    refuse("invalid_operator", format!("Invalid operator: {name}"))
        .with_hint(operators(name, others))
}

/// What an operator was probably meant to be, and the operators that there are.
fn operators(name: &str, others: &str) -> String {
    let meant = match nearest(name, &FOR_FLAGS) {
        Some(near) => format!("Did you mean \"{near}\"? "),
        None => String::new(),
    };
    let plain = FOR_FLAGS.into_iter().filter(|name| !NOT_LISTED.contains(name));
    let plain: Vec<&str> = plain.collect();
    format!("{meant}Operators: {}; {others}.", plain.join(", "))
}

fn cohort(value: &Value, known: &Known) -> Result<()> {
    match number(value).and_then(|id| known.cohorts.get(&id)) {
        None => Err(cohort_does_not_exist(shown(value))),
        Some(cohort) if cohort.is_behavioural => Err(behavioural_cohort(&cohort.name)),
        Some(_) => Ok(()),
    }
}

/// Check 20: filters refer to a cohort that the project does not have.
pub fn cohort_does_not_exist(id: impl std::fmt::Display) -> Error {
    refuse("cohort_does_not_exist", format!("Cohort with id {id} does not exist"))
}

/// Check 21: a flag goes by what evaluation does not know.
#[must_use]
pub fn behavioural_cohort(name: &str) -> Error {
    let detail = format!("Cohort '{name}' with filters on events cannot be used in feature flags.");
    refuse("behavioral_cohort_found", detail)
}

fn date(value: &Value, grammar: &Grammar) -> Result<()> {
    match (grammar.is_date)(value) {
        true => Ok(()),
        false => Err(refuse("invalid_date", format!("Invalid date value: {}", shown(value)))),
    }
}

fn membership(operator: &str, property: &Object) -> Result<()> {
    match kind(property) {
        "cohort" => Ok(()),
        kind => Err(not_of_cohorts(operator, kind)),
    }
}

fn not_of_cohorts(operator: &str, kind: &str) -> Error {
    let detail = format!(
        "The '{operator}' operator is only valid for cohort properties, not '{kind}' properties."
    );
    refuse("invalid_operator", detail)
}

fn text(operator: &str, value: &Value) -> Result<()> {
    // What is stored, and so what is shown, is the operator without its alias.
    let operator = match operator {
        "min" => "gte",
        "max" => "lte",
        other => other,
    };
    match value {
        Value::String(_) => Ok(()),
        other => {
            let detail = format!("Invalid value for operator {operator}: {}", shown(other));
            Err(refuse("invalid_value", detail))
        }
    }
}

fn list(operator: &str, value: &Value) -> Result<()> {
    match value {
        Value::Array(_) => Ok(()),
        _ => Err(refuse("invalid_value", format!("{operator} operator requires a list of values"))),
    }
}

fn version(operator: &str, value: &Value, grammar: &Grammar) -> Result<()> {
    let Value::String(text) = value else {
        let detail = format!("Invalid value for operator {operator}: expected a semver string");
        return Err(refuse("invalid_value", detail));
    };
    let is_wildcard = operator == "semver_wildcard";
    if (is_wildcard && is_pattern(text, grammar)) || (grammar.is_version)(value) {
        return Ok(());
    }
    Err(refuse("invalid_value", format!("Invalid semver value for operator {operator}: {text}")))
}

/// A version whose last components are stars; a star alone is every version.
fn is_pattern(text: &str, grammar: &Grammar) -> bool {
    let mut core = text.trim();
    while let Some(shorter) = core.strip_suffix(".*") {
        core = shorter;
    }
    core == "*" || (grammar.is_version)(&Value::from(core))
}
