//! Detects which rules format a flag's `filters` are in.
//!
//! `filters.version` selects the format. Only the format of condition sets is evaluated and can be
//! written; a flag in any other is stored by earlier versions or by restored backups alone. Such a
//! flag must do no harm: it fails alone in evaluation and is in no definitions feed.

use serde_json::Value;

/// The member of `filters` that selects the format.
pub const VERSION: &str = "version";

/// A format of `filters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulesFormat {
    /// Format 1: condition sets. `version` is absent or a number equal to 1.
    Conditions,
    /// Format 2: ordered rules. `version` is a number equal to 2.
    Rules,
    /// Any other value of `version`, text and booleans included.
    Unsupported,
}

impl RulesFormat {
    /// Returns the format of stored filters.
    #[must_use]
    pub fn of(filters: &Value) -> Self {
        let Some(version) = filters.get(VERSION) else { return Self::Conditions };
        match version.as_f64() {
            Some(1.0) => Self::Conditions,
            Some(2.0) => Self::Rules,
            _ => Self::Unsupported,
        }
    }

    /// Returns whether this service evaluates and writes filters of the format.
    #[must_use]
    pub fn is_supported(self) -> bool {
        self == Self::Conditions
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_number_selects_a_format() {
        let cases = [
            (json!({}), RulesFormat::Conditions),
            (json!({"version": 1}), RulesFormat::Conditions),
            (json!({"version": 1.0}), RulesFormat::Conditions),
            (json!({"version": 2}), RulesFormat::Rules),
            (json!({"version": 2.0}), RulesFormat::Rules),
            (json!({"version": 3}), RulesFormat::Unsupported),
            (json!({"version": 1.5}), RulesFormat::Unsupported),
            (json!({"version": "1"}), RulesFormat::Unsupported),
            (json!({"version": "2"}), RulesFormat::Unsupported),
            (json!({"version": true}), RulesFormat::Unsupported),
            (json!({"version": null}), RulesFormat::Unsupported),
        ];
        for (filters, expected) in cases {
            assert_eq!(RulesFormat::of(&filters), expected, "{filters}");
        }
    }
}
