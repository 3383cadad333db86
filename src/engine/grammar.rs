//! What values filters can hold, for those who judge filters before they are
//! stored: the same parsers that evaluation uses.

use serde_json::Value;

use super::property;

/// Whether a date filter can hold the value: an absolute or relative date as text.
#[must_use]
pub fn is_date(value: &Value) -> bool {
    property::is_date(value)
}

/// Whether a version filter can hold the value: text that is a version, short ones padded.
#[must_use]
pub fn is_version(value: &Value) -> bool {
    property::is_version(value)
}
