//! What an event says of the use of a flag.

use serde_json::Value;

use crate::model::{json::Object, write::is_key};

/// The longest answer of a flag that is counted by itself, in bytes.
const MAX_VARIANT_BYTES: usize = 400;

/// Somebody used a flag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Usage {
    /// The flag's key.
    pub flag_key: String,
    /// `$feature_flag_called`, `$feature_view` or `$feature_interaction`.
    pub event: &'static str,
    /// What the flag answered: a variant's key, `true` or `false`; `null` where that was not said.
    pub variant: String,
}

impl Usage {
    /// A call of the flag itself, which says when it was last called.
    pub const CALLED: &'static str = "$feature_flag_called";

    /// What an event of this name says; `None` when it is not about a flag.
    ///
    /// # Errors
    ///
    /// A sentence, when the flag is not named by a key that a flag can have.
    pub(super) fn of(name: &str, properties: &Object) -> Result<Option<Self>, String> {
        let (event, key, variant) = match name {
            Self::CALLED => (Self::CALLED, "$feature_flag", "$feature_flag_response"),
            "$feature_view" => ("$feature_view", "feature_flag", "feature_flag_variant"),
            "$feature_interaction" => {
                ("$feature_interaction", "feature_flag", "feature_flag_variant")
            }
            _ => return Ok(None),
        };
        let flag_key = match properties.get(key) {
            None | Some(Value::Null) => return Err(format!("`{key}` is missing")),
            Some(Value::String(text)) if is_key(text) => text.clone(),
            Some(_) => return Err(format!("`{key}` is not the key of a flag")),
        };
        let variant = answer(properties.get(variant))
            .ok_or_else(|| format!("`{variant}` is longer than {MAX_VARIANT_BYTES} bytes"))?;
        Ok(Some(Self { flag_key, event, variant }))
    }

    /// Whether it tells more than calls: the flag has enriched analytics (management-api 3.10).
    #[must_use]
    pub fn is_enriched(&self) -> bool {
        self.event != Self::CALLED
    }
}

fn answer(said: Option<&Value>) -> Option<String> {
    let text = match said {
        None => "null".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    (text.len() <= MAX_VARIANT_BYTES).then_some(text)
}
