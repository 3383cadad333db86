//! `gt`, `gte`, `lt`, `lte` and `between`: comparison as binary64.

use std::cmp::Ordering;

use serde_json::Value;

use super::form;

/// A JSON number, or a string form that is a float literal as it stands.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        other => form::form(other).parse().ok(),
    }
}

/// Which orderings of property against filter satisfy an operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

/// A closed interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    least: f64,
    greatest: f64,
}

impl Interval {
    /// The filter's `[min, max]`, if that is what it is.
    pub(super) fn compile(filter: &Value) -> Option<Self> {
        let [least, greatest] = filter.as_array()?.as_slice() else { return None };
        let (least, greatest) = (number(least)?, number(greatest)?);
        (least <= greatest).then_some(Self { least, greatest })
    }

    /// Whether the property lies inside. What is no number lies outside, but
    /// NaN does neither.
    pub(super) fn hits(self, property: &Value) -> Option<bool> {
        match number(property) {
            Some(property) if property.is_nan() => None,
            Some(property) => Some(self.least <= property && property <= self.greatest),
            None => Some(false),
        }
    }
}
