//! What values filters can hold, for those who judge filters before they are
//! stored: the same parsers that evaluation uses.

use serde_json::Value;

use super::{CohortSource, Flag, FlagSource, cohort::Cohort, property};

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

/// Why the filters of a flag cannot be evaluated, in words; `None` if they can.
#[must_use]
pub fn problem(filters: &Value) -> Option<&'static str> {
    Flag::compile(&FlagSource::new(0, "", filters)).problem()
}

/// Whether the filters of a dynamic cohort can be evaluated.
#[must_use]
pub fn is_cohort(filters: &Value) -> bool {
    let groups = filters.get("groups");
    let filters = Some(filters);
    Cohort::compile(&CohortSource { id: 0, is_static: false, filters, groups }).is_sound()
}
