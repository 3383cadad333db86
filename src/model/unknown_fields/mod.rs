//! Finds fields that a write brings and nothing reads: mostly misspelled ones.
//!
//! The API takes them as documented. A caller is warned of them, or has them refused, with the
//! name that was probably meant.

mod names;
mod suggestion;

pub use names::{COHORT, FLAG, PROJECT};
pub(super) use suggestion::nearest;

use serde_json::Value;

use super::{
    error::{Error, Result},
    json::Object,
};
use names::{Nested, Shape};

/// The most warnings about one write.
pub const MAX_WARNINGS: usize = 100;
/// The longest name that is repeated to the caller, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// Something about a write that its sender may not have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it is, such as `filters.groups[0].rolout_percentage`.
    pub path: String,
    /// What it is, as a sentence.
    pub message: String,
    /// The known name that is nearest; `None` if none is near.
    pub suggestion: Option<&'static str>,
}

/// What a write does about unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strictness(Option<bool>);

impl Strictness {
    /// The header, and the metadata key in gRPC, by which a request overrides the project's setting.
    pub const HEADER: &'static str = "x-flagstaff-strict";

    /// Parses the value of [`Self::HEADER`]; `None` leaves the decision to the project.
    ///
    /// # Errors
    ///
    /// `Invalid` on the header for anything but `true` and `false`, in any case.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self(None)) };
        match value.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Self(Some(true))),
            "false" => Ok(Self(Some(false))),
            _ => Err(Error::field(Self::HEADER, "invalid_input", "Must be true or false.")),
        }
    }

    /// Returns the warnings about `body`.
    ///
    /// # Errors
    ///
    /// `unknown_field` on the first unknown field, if the request or else the project is strict.
    pub fn check(
        self,
        body: &Object,
        shape: &Shape,
        is_project_strict: bool,
    ) -> Result<Vec<Warning>> {
        let warnings = find(body, shape);
        match warnings.first() {
            Some(first) if self.0.unwrap_or(is_project_strict) => Err(first.refusal()),
            _ => Ok(warnings),
        }
    }
}

impl Warning {
    fn refusal(&self) -> Error {
        let field = self.path.split(['.', '[']).next().unwrap_or_default();
        let meant = match self.suggestion {
            Some(name) => format!(" Did you mean \"{name}\"?"),
            None => String::new(),
        };
        let detail = format!("Unknown field \"{}\".{meant}", self.path);
        Error::field(field, "unknown_field", detail)
    }

    /// The documented members.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "path": self.path,
            "message": self.message,
            "suggestion": self.suggestion,
        })
    }
}

/// Returns the unknown fields of an object, in their order, at most [`MAX_WARNINGS`].
#[must_use]
pub fn find(body: &Object, shape: &Shape) -> Vec<Warning> {
    let mut found = Vec::new();
    visit(body, shape, "", &mut found);
    found
}

fn visit(object: &Object, shape: &Shape, path: &str, found: &mut Vec<Warning>) {
    for (name, value) in object {
        if found.len() == MAX_WARNINGS {
            return;
        }
        if !shape.takes(name, value) {
            found.push(warning(name, shape, path));
        } else if let Some(nested) = shape.nested(name) {
            descend(value, nested, &joined(path, name), found);
        }
    }
}

fn descend(value: &Value, nested: &Nested, path: &str, found: &mut Vec<Warning>) {
    match (nested, value) {
        (Nested::Object(shape), Value::Object(object)) => visit(object, shape, path, found),
        (Nested::List(shape), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                if let Value::Object(object) = item {
                    visit(object, shape, &format!("{path}[{at}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn warning(name: &str, shape: &Shape, path: &str) -> Warning {
    let shown: String = name.chars().take(MAX_NAME_LENGTH).collect();
    let effect = match path.is_empty() {
        true => "it is ignored",
        false => "it is stored, and has no effect",
    };
    Warning {
        path: joined(path, &shown),
        message: format!("Unknown field \"{shown}\": {effect}."),
        suggestion: suggestion::nearest(name, shape.names),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests;
