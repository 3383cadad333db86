//! A change of tags on many flags at once (management-api 4.9).

use std::collections::HashSet;

use serde_json::Value;

use super::{
    error::{Error, Result},
    fields,
    json::Object,
    write::{bounded, label, labels},
};

/// The most flags of one request.
const MOST_FLAGS: usize = 500;
/// The most tags of one request.
const MOST_TAGS: usize = 100;
/// The most changes of one request: flags times tags.
const MOST_CHANGES: usize = 10_000;

/// What is done with the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Add,
    Remove,
    Set,
}

/// A wanted change of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagUpdate {
    /// The flags, each once, in the order given.
    pub ids: Vec<i64>,
    action: Action,
    /// Normalised, each once, sorted.
    tags: Vec<String>,
}

impl TagUpdate {
    /// Reads `ids`, `action` and `tags`, judged in that order.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first that breaks a rule, with the stock or documented message.
    pub fn parse(body: &Object) -> Result<Self> {
        let field = |name: &str| body.get(name).ok_or_else(|| fields::required(name));
        let ids = ids(field("ids")?)?;
        let name = fields::choice("action", field("action")?, &["add", "remove", "set"])?;
        let action = match name.as_str() {
            "add" => Action::Add,
            "remove" => Action::Remove,
            _ => Action::Set,
        };
        let tags = tags(field("tags")?)?;
        if tags.is_empty() && action != Action::Set {
            let detail = format!("tags must not be empty for action '{name}'.");
            return Err(Error::field("tags", "invalid_input", detail));
        }
        if ids.len() * tags.len() > MOST_CHANGES {
            let detail = format!(
                "Too many changes in one request: ids × distinct tags must not exceed {MOST_CHANGES}."
            );
            return Err(Error::field("tags", "invalid_input", detail));
        }
        Ok(Self { ids, action, tags })
    }

    /// The tags of a flag afterwards, sorted.
    #[must_use]
    pub fn apply(&self, current: &[String]) -> Vec<String> {
        let mut tags = match self.action {
            Action::Set => self.tags.clone(),
            Action::Add => [current, &self.tags].concat(),
            Action::Remove => {
                let is_kept = |tag: &&String| self.tags.binary_search(tag).is_err();
                current.iter().filter(is_kept).cloned().collect()
            }
        };
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

fn ids(value: &Value) -> Result<Vec<i64>> {
    let items = bounded("ids", value, MOST_FLAGS)?;
    if items.is_empty() {
        return Err(Error::field("ids", "empty", "This list may not be empty."));
    }
    let read = |(at, item)| fields::integer(&format!("ids__{at}"), item);
    let mut ids = items.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

fn tags(value: &Value) -> Result<Vec<String>> {
    let items = bounded("tags", value, MOST_TAGS)?;
    let read = |(at, item): (usize, &Value)| {
        let attr = format!("tags__{at}");
        match label(&attr, item)? {
            tag if tag.is_empty() => {
                Err(Error::field(attr, "blank", "This field may not be blank."))
            }
            tag => Ok(tag),
        }
    };
    items.iter().enumerate().map(read).collect::<Result<Vec<_>>>().map(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: Value) -> Result<TagUpdate> {
        TagUpdate::parse(body.as_object().unwrap())
    }

    #[test]
    fn the_first_wrong_field_is_told() {
        let body = |ids: Value, action: Value, tags: Value| json!({"ids": ids, "action": action, "tags": tags});
        let one = || json!([1]);
        let many = |count: usize| json!((0..count).collect::<Vec<_>>());
        let names = |count: usize| json!((0..count).map(|n| format!("t{n}")).collect::<Vec<_>>());
        let cases = [
            (json!({}), "ids", "required"),
            (json!({"ids": null}), "ids", "null"),
            (json!({"ids": "1"}), "ids", "not_a_list"),
            (json!({"ids": []}), "ids", "empty"),
            (json!({"ids": many(501)}), "ids", "max_length"),
            (json!({"ids": [1, "x"]}), "ids__1", "invalid_input"),
            (json!({"ids": [true]}), "ids__0", "invalid_input"),
            (json!({"ids": [1]}), "action", "required"),
            (body(one(), json!(null), json!([])), "action", "null"),
            (body(one(), json!("drop"), json!([])), "action", "invalid_choice"),
            (json!({"ids": [1], "action": "set"}), "tags", "required"),
            (body(one(), json!("set"), json!(null)), "tags", "null"),
            (body(one(), json!("set"), json!("a")), "tags", "not_a_list"),
            (body(one(), json!("set"), names(101)), "tags", "max_length"),
            (body(one(), json!("set"), json!(["a", " "])), "tags__1", "blank"),
            (body(one(), json!("set"), json!([1])), "tags__0", "invalid_input"),
            (body(one(), json!("set"), json!(["x".repeat(256)])), "tags__0", "max_length"),
            (body(one(), json!("add"), json!([])), "tags", "invalid_input"),
            (body(one(), json!("remove"), json!([])), "tags", "invalid_input"),
        ];
        for (body, attr, code) in cases {
            let error = parse(body.clone()).unwrap_err();
            assert_eq!(
                (error.attr.as_deref(), error.reason.as_ref()),
                (Some(attr), code),
                "{body}"
            );
        }
        let error = parse(body(many(500), json!("add"), names(21))).unwrap_err();
        let told = (error.attr.as_deref(), error.detail.as_str());
        let detail = "Too many changes in one request: ids × distinct tags must not exceed 10000.";
        assert_eq!(told, (Some("tags"), detail));
        assert!(parse(body(many(500), json!("add"), names(20))).is_ok());
    }

    #[test]
    fn tags_are_added_removed_or_set() {
        let current = ["a".to_owned(), "b".to_owned()];
        let cases = [
            ("add", json!([" C ", "a"]), vec!["a", "b", "c"]),
            ("remove", json!(["A", "z"]), vec!["b"]),
            ("set", json!([" A ", "a"]), vec!["a"]),
            ("set", json!([]), vec![]),
        ];
        for (action, tags, expected) in cases {
            let update = parse(json!({"ids": ["7", 7], "action": action, "tags": tags})).unwrap();
            assert_eq!(
                (update.ids.as_slice(), update.apply(&current)),
                (&[7][..], expected.into_iter().map(str::to_owned).collect()),
                "{action}"
            );
        }
    }
}
