//! Refuses writes that name a rules format, and writes to flags that are stored in another format
//! than condition sets.

use serde_json::{Value, json};

use super::{
    error::{Error, Result},
    fields,
    flag::FeatureFlag,
    json::Object,
};
use crate::rules_format::{RulesFormat, VERSION};

/// The members of the only updates that such a flag takes.
const ALLOWED: [&str; 3] = ["active", "deleted", "version"];

/// Refuses filters that name `version`, whatever its value.
///
/// # Errors
///
/// `reserved_config_version` on `filters`.
pub fn check_reserved(filters: &Value) -> Result<()> {
    match filters.get(VERSION) {
        None => Ok(()),
        Some(_) => Err(Error::field(
            "filters",
            "reserved_config_version",
            "The key \"version\" is reserved in filters.",
        )),
    }
}

/// Checks an update of a stored flag; a flag of condition sets takes any.
///
/// A flag in another format can only be disabled or deleted, each by a body with the flag's current
/// `version`. A deletion disables it too, so `body` gets `active: false` then.
///
/// # Errors
///
/// `reserved_config_version` and `unsupported_config_version`, in this order; `Conflict` for a
/// `version` that is not the current one.
pub fn check_update(body: &mut Object, stored: &FeatureFlag) -> Result<()> {
    if RulesFormat::of(&stored.filters).is_supported() {
        return Ok(());
    }
    body.get("filters").map_or(Ok(()), check_reserved)?;
    let is = |name: &str, wanted: bool| {
        let sent = body.get(name).map(|value| fields::boolean(name, value));
        sent.is_some_and(|sent| sent.is_ok_and(|sent| sent == wanted))
    };
    let only_allowed = body.keys().all(|name| ALLOWED.contains(&name.as_str()));
    let (disables, deletes) = (is("active", false), is("deleted", true));
    let others = (body.contains_key("active") && !disables)
        || (body.contains_key("deleted") && !deletes)
        || !(disables || deletes);
    let version = body.get("version").and_then(|sent| fields::integer("version", sent).ok());
    let Some(version) = version.filter(|_| only_allowed && !others) else {
        return Err(unsupported());
    };
    let current = stored.version.unwrap_or(0);
    if version != current {
        return Err(Error::conflict(format!(
            "This feature flag has changed since version {version}; it is now at version {current}. \
             Nothing was written. Please refresh and try again."
        )));
    }
    body.insert("active".into(), json!(false));
    Ok(())
}

/// Refuses an operation on a flag that is stored in another format than condition sets.
///
/// # Errors
///
/// `unsupported_config_version`.
pub fn check_operation(stored: &FeatureFlag) -> Result<()> {
    match RulesFormat::of(&stored.filters).is_supported() {
        true => Ok(()),
        false => Err(unsupported()),
    }
}

fn unsupported() -> Error {
    let detail = "This feature flag is stored in a rules format that is not supported. \
                  It can only be disabled or deleted.";
    Error::rule(detail).with_reason("unsupported_config_version").with_hint(
        "Disable it by PATCH {\"active\": false, \"version\": n}, or delete it by PATCH \
         {\"deleted\": true, \"version\": n}, with n the flag's version.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(body: Value) -> (Result<()>, Object) {
        let filters = json!({"version": 2, "rules": []});
        let stored = FeatureFlag { filters, version: Some(3), ..FeatureFlag::example() };
        let mut body = body.as_object().unwrap().clone();
        (check_update(&mut body, &stored), body)
    }

    #[test]
    fn a_flag_of_another_format_can_only_be_disabled_or_deleted() {
        let cases = [
            (json!({"active": false, "version": 3}), None),
            (json!({"deleted": true, "version": 3}), None),
            (json!({"deleted": true, "active": false, "version": 3}), None),
            (json!({"active": false, "version": 2}), Some("conflict")),
            (json!({"active": false}), Some("unsupported_config_version")),
            (json!({"active": false, "version": null}), Some("unsupported_config_version")),
            (json!({"active": true, "version": 3}), Some("unsupported_config_version")),
            (json!({"deleted": false, "version": 3}), Some("unsupported_config_version")),
            (
                json!({"deleted": true, "active": true, "version": 3}),
                Some("unsupported_config_version"),
            ),
            (
                json!({"active": false, "version": 3, "name": "x"}),
                Some("unsupported_config_version"),
            ),
            (json!({"version": 3}), Some("unsupported_config_version")),
            (json!({"filters": {}, "version": 3}), Some("unsupported_config_version")),
            (json!({"filters": {"version": 2}, "version": 3}), Some("reserved_config_version")),
        ];
        for (body, expected) in cases {
            let (checked, after) = update(body.clone());
            let reason = checked.err().map(|error| error.reason.clone());
            assert_eq!(reason.as_deref(), expected, "{body}");
            if expected.is_none() {
                assert_eq!(after["active"], false, "{body}: a deletion disables it too");
            }
        }
    }

    #[test]
    fn the_version_is_reserved_whatever_its_value() {
        for version in [json!(1), json!(2), json!(3), json!("2"), json!(true), json!(null)] {
            let error = check_reserved(&json!({"version": version})).unwrap_err();
            assert_eq!(
                (&*error.reason, error.attr.as_deref()),
                ("reserved_config_version", Some("filters"))
            );
        }
        assert!(check_reserved(&json!({"groups": [{"version": 1}]})).is_ok());
    }
}
