//! Field masks: which fields of a message are meant (architecture 3).

use prost_types::FieldMask;
use serde_json::{Value, json};

use crate::model::{
    error::{Error, Result},
    json::Object,
};

/// A field by its name in masks, its name in bodies, and its value if set.
pub(super) type Field = (&'static str, &'static str, Option<Value>);

/// The body that a masked message stands for, and whether it is a PUT (`*`).
///
/// Without a mask the set fields count. Masked and unset is null.
///
/// # Errors
///
/// `Invalid` on `update_mask` for a nested path or a name that no field has.
pub(super) fn masked(fields: &[Field], mask: Option<FieldMask>) -> Result<(Object, bool)> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() || paths == ["*"] {
        let set =
            fields.iter().filter_map(|(_, key, value)| Some(((*key).to_owned(), value.clone()?)));
        return Ok((set.collect(), !paths.is_empty()));
    }
    let meant = paths.iter().map(|path| named(fields, path));
    Ok((meant.collect::<Result<Object>>()?, false))
}

fn named(fields: &[Field], path: &str) -> Result<(String, Value)> {
    let refuse = |detail: String| Error::field("update_mask", "invalid_input", detail);
    if path.contains('.') {
        return Err(refuse(format!("Only top-level names can be masked, not \"{path}\".")));
    }
    let name = path.strip_suffix("_json").unwrap_or(path);
    let (_, key, value) = fields
        .iter()
        .find(|(field, ..)| *field == name)
        .ok_or_else(|| refuse(format!("There is no field \"{path}\".")))?;
    Ok(((*key).to_owned(), value.clone().unwrap_or_else(|| unset(name))))
}

/// A list has no null, so there it is the empty list.
fn unset(name: &str) -> Value {
    match name {
        "tags" | "evaluation_contexts" | "analytics_dashboards" => json!([]),
        _ => Value::Null,
    }
}
