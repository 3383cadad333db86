//! What an event says of who somebody is.

use serde_json::Value;

use super::identifier;
use crate::model::json::Object;

/// Ids that programs send when they know none. Whoever they were joined with would become
/// everybody, so they join nobody. Compared in lower case.
const NOBODY: [&str; 20] = [
    "anonymous",
    "guest",
    "distinctid",
    "distinct_id",
    "id",
    "not_authenticated",
    "email",
    "undefined",
    "true",
    "false",
    "null",
    "none",
    "nil",
    "nan",
    "0",
    "[object object]",
    "\"\"",
    "''",
    "unknown",
    "00000000-0000-0000-0000-000000000000",
];

/// Another id of the person that the event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The other id.
    pub other: String,
    /// Whether a person who is identified already may be merged too (`$merge_dangerously`).
    pub even_identified: bool,
}

impl Identity {
    /// What an event of this name says; `None` when it says nothing.
    ///
    /// # Errors
    ///
    /// A sentence: no other id where one is needed, or one that stands for nobody in particular.
    pub(super) fn of(
        name: &str,
        fields: &mut Object,
        properties: &mut Object,
    ) -> Result<Option<Self>, String> {
        let (field, is_needed) = match name {
            "$identify" => ("$anon_distinct_id", false),
            "$create_alias" | "$merge_dangerously" => ("alias", true),
            _ => return Ok(None),
        };
        let taken = |from: &mut Object| from.shift_remove(field).filter(is_said);
        let Some(other) = taken(properties).or_else(|| taken(fields)) else {
            return if is_needed { Err(format!("`{field}` is missing")) } else { Ok(None) };
        };
        let other = identifier(Some(&other), field)?;
        if NOBODY.contains(&other.to_lowercase().as_str()) {
            return Err(format!("`{field}` is `{other}`, which is nobody in particular"));
        }
        Ok(Some(Self { other, even_identified: name == "$merge_dangerously" }))
    }
}

fn is_said(value: &Value) -> bool {
    !value.is_null() && value != ""
}
