//! Reads what a caller wants a group type to be called, and decides whether
//! one may be deleted.

use serde_json::Value;

use super::GroupType;
use crate::model::{
    error::{Error, Result},
    fields,
    json::Object,
};

/// The longest display name, in characters.
const MAX_DISPLAY_NAME_CHARS: usize = 400;
/// How many flags and cohorts a refusal names.
const MAX_NAMED: usize = 5;

/// Returns the group type with the display names of a body; what is not mentioned stays. The name
/// that events use and the index never change.
///
/// # Errors
///
/// `Invalid` on the first name that is no text, is blank or is longer than 400 characters.
pub fn renamed(before: &GroupType, body: &Object) -> Result<GroupType> {
    let name = |attr: &str, before: &Option<String>| match body.get(attr) {
        None => Ok(before.clone()),
        Some(sent) => fields::nullable(attr, sent, |attr, sent| {
            fields::short_text(attr, sent, MAX_DISPLAY_NAME_CHARS)
        }),
    };
    Ok(GroupType {
        name_singular: name("name_singular", &before.name_singular)?,
        name_plural: name("name_plural", &before.name_plural)?,
        ..before.clone()
    })
}

/// Whether filters of a flag or cohort name a group type by its index, wherever in them.
#[must_use]
pub fn uses_group_type(filters: &Value, index: i32) -> bool {
    match filters {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let names_a_type = name == "group_type_index" || name == "aggregation_group_type_index";
            (names_a_type && value.as_f64() == Some(index.into())) || uses_group_type(value, index)
        }),
        Value::Array(items) => items.iter().any(|item| uses_group_type(item, index)),
        _ => false,
    }
}

/// Whether a group type that these flags and cohorts use may be deleted.
///
/// # Errors
///
/// `Blocked`, naming them.
pub fn deletion(flags: &[String], cohorts: &[String]) -> Result<()> {
    let named = |kind: &str, names: &[String]| {
        let shown: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
        let more = names.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{kind} use it: {}{more}", shown.join(", "))
    };
    let users = match (flags.is_empty(), cohorts.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => named("feature flags", flags),
        (true, false) => named("cohorts", cohorts),
    };
    Err(Error::blocked(format!("Cannot delete this group type because {users}.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn display_names_are_all_that_changes() {
        let before =
            GroupType { name_singular: Some("Firm".into()), ..GroupType::new(2, "company".into()) };
        let body = json!({"group_type": "x", "group_type_index": 4, "name_plural": "Firms"});
        let after = renamed(&before, body.as_object().unwrap()).unwrap();
        let expected = GroupType { name_plural: Some("Firms".into()), ..before.clone() };
        assert_eq!(after, expected);
        let body = json!({"name_singular": null});
        assert_eq!(renamed(&before, body.as_object().unwrap()).unwrap().name_singular, None);
        for wrong in [json!({}), json!("x".repeat(401)), json!(["x"])] {
            let body = json!({ "name_plural": wrong });
            let error = renamed(&before, body.as_object().unwrap()).unwrap_err();
            assert_eq!(error.attr.as_deref(), Some("name_plural"), "{body}");
        }
    }

    #[test]
    fn filters_use_a_group_type_wherever_they_name_it() {
        let cases = [
            (json!({"aggregation_group_type_index": 1}), true),
            (json!({"aggregation_group_type_index": 1.0}), true),
            (json!({"aggregation_group_type_index": 0}), false),
            (json!({"aggregation_group_type_index": null}), false),
            (json!({"groups": [{"aggregation_group_type_index": 1}]}), true),
            (json!({"groups": [{"properties": [{"type": "group", "group_type_index": 1}]}]}), true),
            (json!({"groups": [{"properties": [{"key": "group_type_index", "value": 1}]}]}), false),
        ];
        for (filters, uses) in cases {
            assert_eq!(uses_group_type(&filters, 1), uses, "{filters}");
        }
    }

    #[test]
    fn a_used_group_type_stays() {
        let names = |count: usize| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>();
        deletion(&[], &[]).unwrap();
        let error = deletion(&names(7), &[]).unwrap_err();
        let expected = "Cannot delete this group type because feature flags use it: \
                        f0, f1, f2, f3, f4 and 2 more.";
        assert_eq!(error.detail, expected);
        assert!(deletion(&[], &names(1)).unwrap_err().detail.contains("cohorts use it: f0."));
    }
}
