//! Decides what changed between two states of a flag, as activity rows show it
//! (management-api 4.6).

use serde_json::{Value, json};

use super::{fields::timestamp, flag::FeatureFlag, json};

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The field's name.
    pub field: &'static str,
    /// `created` from empty, `deleted` to empty, else `changed`.
    pub action: &'static str,
    /// The value before; null where it was empty.
    pub before: Value,
    /// The value after; null where it became empty.
    pub after: Value,
}

impl Change {
    /// Compares two values of one field; `None` when nothing changed.
    #[must_use]
    pub fn between(field: &'static str, before: Value, after: Value) -> Option<Self> {
        match (json::is_empty(&before), json::is_empty(&after)) {
            (true, true) => None,
            (true, false) => Some(Self { field, action: "created", before: Value::Null, after }),
            (false, true) => Some(Self { field, action: "deleted", before, after: Value::Null }),
            (false, false) if json::same(&before, &after) => None,
            (false, false) => Some(Self { field, action: "changed", before, after }),
        }
    }

    /// The shape stored in a row's detail.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "type": "FeatureFlag",
            "action": self.action,
            "field": self.field,
            "before": self.before,
            "after": self.after,
        })
    }
}

/// A field's name and how to read it from a flag.
type Tracked = (&'static str, fn(&FeatureFlag) -> Value);

/// The fields that rows tell of, in their documented order.
///
/// `archived` is our own addition and stands last, so the documented ones keep their places.
const TRACKED: [Tracked; 16] = [
    ("key", |flag| json!(flag.key)),
    ("name", |flag| json!(flag.name)),
    ("filters", |flag| flag.filters.clone()),
    ("deleted", |flag| json!(flag.deleted)),
    ("active", |flag| json!(flag.active)),
    ("version", |flag| json!(flag.version)),
    ("rollback_conditions", |flag| flag.rollback_conditions.clone()),
    ("performed_rollback", |flag| json!(flag.performed_rollback)),
    ("ensure_experience_continuity", |flag| json!(flag.ensure_experience_continuity)),
    ("has_enriched_analytics", |flag| json!(flag.has_enriched_analytics)),
    ("is_remote_configuration", |flag| json!(flag.is_remote_configuration)),
    ("has_encrypted_payloads", |flag| json!(flag.has_encrypted_payloads)),
    ("evaluation_runtime", |flag| json!(flag.evaluation_runtime)),
    ("bucketing_identifier", |flag| json!(flag.bucketing_identifier)),
    ("last_called_at", |flag| json!(flag.last_called_at.map(timestamp))),
    ("archived", |flag| json!(flag.archived)),
];

/// Every tracked field that differs, in the documented order.
#[must_use]
pub fn between(before: &FeatureFlag, after: &FeatureFlag) -> Vec<Change> {
    TRACKED
        .iter()
        .filter_map(|(field, read)| Change::between(field, read(before), read(after)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptiness_decides_what_a_change_is_called() {
        let cases = [
            ("nothing to nothing", json!(null), json!(""), None),
            ("nothing to something", json!(""), json!("x"), Some("created")),
            ("something to nothing", json!("x"), json!(""), Some("deleted")),
            ("one thing to another", json!("x"), json!("y"), Some("changed")),
            ("false is something", json!(true), json!(false), Some("changed")),
            ("zero is something", json!(1), json!(0), Some("changed")),
            ("no groups is something", json!({"groups": []}), json!({}), Some("deleted")),
            ("another spelling is no change", json!(50), json!(50.0), None),
        ];
        for (name, before, after, expected) in cases {
            let got = Change::between("name", before, after).map(|change| change.action);
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn changes_come_in_the_documented_order() {
        let before = FeatureFlag::example();
        let mut after = before.clone();
        after.version = Some(2);
        after.name = "renamed".into();
        after.active = false;
        let fields: Vec<_> = between(&before, &after).iter().map(|change| change.field).collect();
        assert_eq!(fields, ["name", "active", "version"]);
    }
}
