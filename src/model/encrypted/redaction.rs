//! Redaction of payloads where encryption comes too late: in activity rows that were written
//! while the payload was still plain.

use serde_json::Value;

use super::{REDACTED, is_encrypted};
use crate::model::{diff::Change, flag::FeatureFlag, json::Object};

/// Returns whether a change encrypts the payloads of a flag that had plain ones.
#[must_use]
pub fn is_turned_on(before: &FeatureFlag, after: &FeatureFlag) -> bool {
    !is_encrypted(before) && is_encrypted(after)
}

/// Redacts the payloads in the changes that an activity row is about to record.
///
/// Both sides are redacted if the flag is encrypted afterwards: the side before would otherwise
/// keep the clear text of a payload that is a secret from now on.
pub fn redact_changes(changes: &mut [Change], before: &FeatureFlag, after: &FeatureFlag) {
    for change in changes.iter_mut().filter(|change| change.field == "filters") {
        if is_encrypted(before) || is_encrypted(after) {
            redact(&mut change.before);
        }
        if is_encrypted(after) {
            redact(&mut change.after);
        }
    }
}

/// Redacts the payloads in the `detail` of a stored activity row. Returns whether there were any.
pub fn redact_detail(detail: &mut Value) -> bool {
    let changes = detail.get_mut("changes").and_then(Value::as_array_mut);
    let about_filters = |change: &&mut Value| change["field"] == "filters";
    let changes = changes.into_iter().flatten().filter(about_filters);
    let sides = changes.filter_map(Value::as_object_mut).flat_map(|change| {
        change.iter_mut().filter(|(name, _)| *name == "before" || *name == "after")
    });
    sides.fold(false, |found, (_, filters)| redact(filters) | found)
}

/// Returns whether filters show the redacted text in place of a payload.
#[must_use]
pub fn is_redacted(filters: &Value) -> bool {
    let payloads = filters.get("payloads").and_then(Value::as_object);
    payloads.into_iter().flat_map(Object::values).any(|payload| payload == REDACTED)
}

/// Replaces every payload of `filters` by the redacted text. Returns whether any was replaced.
fn redact(filters: &mut Value) -> bool {
    let redact_one = |payload: &mut Value| {
        let is_clear = !payload.is_null() && *payload != REDACTED;
        if is_clear {
            *payload = REDACTED.into();
        }
        is_clear
    };
    match filters.get_mut("payloads") {
        Some(Value::Object(payloads)) => {
            payloads.values_mut().fold(false, |found, payload| redact_one(payload) | found)
        }
        Some(other) => redact_one(other),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::diff;

    fn flag(encrypted: Option<bool>, payload: &str) -> FeatureFlag {
        FeatureFlag {
            has_encrypted_payloads: encrypted,
            filters: json!({"groups": [], "payloads": {"true": payload, "blue": "\"b\""}}),
            ..FeatureFlag::example()
        }
    }

    #[test]
    fn the_sides_of_a_change_are_redacted_by_what_the_flag_was_and_is() {
        let (plain, secret) = (Some(false), Some(true));
        let cases = [
            ("turned on", None, secret, true, true),
            ("turned on from false", plain, secret, true, true),
            ("another secret", secret, secret, true, true),
            ("turned off with a fresh payload", secret, plain, true, false),
            ("plain throughout", plain, plain, false, false),
        ];
        for (name, before, after, hides_before, hides_after) in cases {
            let (before, after) = (flag(before, "\"old\""), flag(after, "\"new\""));
            let mut changes = diff::between(&before, &after);
            redact_changes(&mut changes, &before, &after);
            let change = changes.iter().find(|change| change.field == "filters").expect(name);
            assert_eq!(!change.before.to_string().contains("old"), hides_before, "{name}");
            assert_eq!(!change.after.to_string().contains("new"), hides_after, "{name}");
            assert_eq!(change.before["payloads"]["blue"] == REDACTED, hides_before, "{name}");
        }
    }

    #[test]
    fn a_stored_row_loses_its_payloads_and_nothing_else() {
        let clear = json!({"changes": [
            {"field": "name", "before": "payloads", "after": null},
            {"field": "filters", "before": null,
             "after": {"groups": [1.50], "payloads": {"true": "\"open\"", "blue": 7}}},
            {"field": "filters", "before": {"payloads": "\"open\""}, "after": {"payloads": null}},
        ], "name": "a"});
        let mut row = clear.clone();
        assert!(redact_detail(&mut row));
        let mut expected = clear;
        expected["changes"][1]["after"]["payloads"] = json!({"true": REDACTED, "blue": REDACTED});
        expected["changes"][2]["before"]["payloads"] = json!(REDACTED);
        assert_eq!(row, expected);
        assert!(!redact_detail(&mut row), "the second time there is nothing left");
    }

    #[test]
    fn odd_rows_are_left_as_they_are() {
        for odd in
            [json!(null), json!({"changes": 5}), json!({"changes": [5, {"field": "filters"}]})]
        {
            let mut row = odd.clone();
            assert!(!redact_detail(&mut row));
            assert_eq!(row, odd);
        }
    }
}
