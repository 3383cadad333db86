//! Decides whether two people edited the same thing (management-api 3.8).
//!
//! A client may say which version it started from, and send the flag as it was
//! then. Without the second nothing can conflict: the last write wins.

use serde_json::Value;

use super::{
    error::{Error, Result},
    json::{Object, same},
};

/// Fields that the service owns, or that only carry the check itself.
const NOT_COMPARED: [&str; 4] =
    ["version", "original_flag", "last_modified_by", "performed_rollback"];

/// Holds a write against the flag as stored, and drops from it what the client merely echoes.
///
/// `stored` is the flag in its REST form; `editor` is the mail address of whoever changed it last.
///
/// # Errors
///
/// `Conflict` when both changed one field, and to different values.
pub fn resolve(body: &mut Object, stored: &Object, editor: Option<&str>) -> Result<()> {
    let Some(Value::Object(original)) = body.get("original_flag").cloned() else { return Ok(()) };
    if !is_stale(body, stored) {
        return Ok(());
    }
    let nothing = Value::Null;
    for (field, wanted) in body.iter().filter(|(field, _)| !NOT_COMPARED.contains(&field.as_str()))
    {
        let Some(before) = original.get(field) else { continue };
        let now = stored.get(field).unwrap_or(&nothing);
        if !same(wanted, before) && !same(before, now) && !same(wanted, now) {
            return Err(conflict(editor));
        }
    }
    // A field that the client left as it found it must not undo what somebody else did since.
    body.retain(|field, wanted| {
        NOT_COMPARED.contains(&field.as_str())
            || field == "key"
            || !original.get(field).is_some_and(|before| same(wanted, before))
    });
    if let (Some(wanted), Some(before)) = (body.get("key"), original.get("key"))
        && same(wanted, before)
        && let Some(now) = stored.get("key")
    {
        // PUT needs a key, so an echoed one becomes the present one instead.
        body.insert("key".into(), now.clone());
    }
    Ok(())
}

/// Absent and -1 ask for no check; the stored version means that nothing happened since.
fn is_stale(body: &Object, stored: &Object) -> bool {
    match body.get("version") {
        None | Some(Value::Null) => false,
        Some(version) if version.as_i64() == Some(-1) => false,
        Some(version) => !stored.get("version").is_some_and(|now| same(version, now)),
    }
}

fn conflict(editor: Option<&str>) -> Error {
    let editor = editor.unwrap_or("another user");
    Error::conflict(format!(
        "The feature flag was updated by {editor} since you started editing it. \
         Please refresh and try again."
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().expect("an object").clone()
    }

    fn stored() -> Object {
        object(json!({"key": "k", "name": "theirs", "active": true, "version": 3}))
    }

    #[test]
    fn only_a_disagreement_on_one_field_is_a_conflict() {
        let original = json!({"key": "k", "name": "old", "active": true, "version": 2});
        let cases = [
            ("both changed it, differently", json!({"name": "mine", "version": 2}), true),
            ("both changed it alike", json!({"name": "theirs", "version": 2}), false),
            ("only they changed it", json!({"name": "old", "version": 2}), false),
            ("only I changed it", json!({"active": false, "version": 2}), false),
            ("nothing happened since", json!({"name": "mine", "version": 3}), false),
            ("no check was asked for", json!({"name": "mine", "version": -1}), false),
            ("no version was sent", json!({"name": "mine"}), false),
        ];
        for (name, sent, conflicts) in cases {
            let mut body = object(sent);
            body.insert("original_flag".into(), original.clone());
            let outcome = resolve(&mut body, &stored(), Some("ann@example.com"));
            assert_eq!(outcome.is_err(), conflicts, "{name}");
        }
    }

    #[test]
    fn without_the_original_the_last_write_wins() {
        let mut body = object(json!({"name": "mine", "version": 1}));
        assert!(resolve(&mut body, &stored(), None).is_ok());
        assert_eq!(body["name"], "mine");
    }

    #[test]
    fn the_editor_is_named() {
        let original = json!({"name": "old"});
        let body = || object(json!({"name": "mine", "version": 2, "original_flag": original}));
        let named = resolve(&mut body(), &stored(), Some("ann@example.com")).unwrap_err();
        assert!(named.detail.contains("ann@example.com"), "{named}");
        let unnamed = resolve(&mut body(), &stored(), None).unwrap_err();
        assert!(unnamed.detail.contains("another user"), "{unnamed}");
    }

    #[test]
    fn an_echoed_field_does_not_undo_what_others_did() {
        let mut body = object(json!({
            "key": "k", "name": "old", "active": false, "version": 2,
            "original_flag": {"key": "k", "name": "old", "active": true},
        }));
        resolve(&mut body, &stored(), None).unwrap();
        assert!(!body.contains_key("name"));
        assert_eq!((&body["active"], &body["key"]), (&json!(false), &json!("k")));
    }
}
