//! One property test: an operator, its operand, and whether a property passes.
//!
//! Operands are compiled once: patterns, sets, dates, versions and numbers. A
//! test that cannot be compiled, such as `gt` with a word, is no error of the
//! flag: it never matches.

mod date;
mod equality;
mod form;
mod lenient_date;
mod number;
mod pattern;
mod text;
mod version;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

pub(super) use date::is_date;
pub(super) use form::form;
pub(super) use version::is_version;

use super::work::{BYTES, Work};
use date::DateTest;
use equality::Equality;
use number::{Comparison, Interval, number};
use pattern::Pattern;
use text::{Containment, Place};
use version::VersionTest;

/// How `exact` and `is_not` treat booleans: the project's
/// `property_matching_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// Version 1: a boolean in the filter asks whether the property is truthy.
    #[default]
    Classic,
    /// Version 2: a boolean in the filter is a value like any other.
    Explicit,
}

impl Matching {
    /// The mode of a stored version number: 2 is explicit, all else classic.
    pub fn from_version(version: i64) -> Self {
        if version == 2 { Self::Explicit } else { Self::Classic }
    }
}

/// Properties up to this size are free to look at: no definition has so many
/// filters that it mattered.
const FREE_BYTES: u64 = 1_024;

/// What a test needs to know beside filter and property.
#[derive(Debug)]
pub(super) struct Terms {
    /// The time of the question.
    pub(super) now: DateTime<Utc>,
    /// Where dates without an offset are read.
    pub(super) zone: Tz,
    pub(super) matching: Matching,
    /// What the question may still cost.
    pub(super) work: Work,
}

/// The operator is none of the documented ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownOperator;

/// A compiled operator and operand.
#[derive(Debug)]
pub(super) struct PropertyTest {
    matcher: Matcher,
    /// The `not_` form: the complement for properties that are there, and true
    /// for those that are not.
    negated: bool,
}

#[derive(Debug)]
enum Matcher {
    /// The operand makes no sense, so neither form of the operator matches.
    Never,
    Present,
    Equal(Equality),
    Contains(Containment),
    Pattern(Box<Pattern>),
    Number(Comparison, f64),
    Inside(Interval),
    Version(VersionTest),
    Date(DateTest),
}

impl PropertyTest {
    /// Compiles an operator for a filter's value, `None` or `null` for none.
    ///
    /// # Errors
    ///
    /// [`UnknownOperator`] if the name is not one of the wire's.
    pub(super) fn compile(operator: &str, value: Option<&Value>) -> Result<Self, UnknownOperator> {
        let (name, negated) = positive(operator);
        let Some(value) = value.filter(|value| !value.is_null()) else {
            let matcher = if name == "is_set" { Matcher::Present } else { Matcher::Never };
            // Without an operand not even the negative operators match.
            let negated = negated && name == "is_set";
            return Matcher::compile(name, &Value::Null).map(|_| Self { matcher, negated });
        };
        Ok(Self { matcher: Matcher::compile(name, value)?, negated })
    }

    /// Whether a property, `None` if missing, passes. A JSON `null` is there.
    /// One that would cost more than the question may does not.
    pub(super) fn passes(&self, property: Option<&Value>, terms: &Terms) -> bool {
        match property {
            None => self.negated,
            Some(property) => {
                self.matcher.is_affordable(property, &terms.work)
                    && self.matcher.hits(property, terms).is_some_and(|hit| hit != self.negated)
            }
        }
    }
}

/// The operator a negative one is the complement of, and whether it is one.
fn positive(operator: &str) -> (&str, bool) {
    match operator {
        "is_not" => ("exact", true),
        "is_not_set" => ("is_set", true),
        "not_icontains" => ("icontains", true),
        "not_icontains_multi" => ("icontains_multi", true),
        "not_starts_with" => ("starts_with", true),
        "not_ends_with" => ("ends_with", true),
        "not_regex" => ("regex", true),
        "not_between" => ("between", true),
        other => (other, false),
    }
}

impl Matcher {
    fn compile(operator: &str, value: &Value) -> Result<Self, UnknownOperator> {
        let compared = |comparison| number(value).map(|number| Self::Number(comparison, number));
        let versioned = |comparison| VersionTest::compared(comparison, value).map(Self::Version);
        let dated = |comparison| DateTest::compile(comparison, value).map(Self::Date);
        let matcher = match operator {
            "is_set" => Some(Self::Present),
            "exact" => Some(Self::Equal(Equality::compile(value))),
            "icontains" => Some(Self::Contains(Containment::of(Place::Anywhere, value))),
            "icontains_multi" => Some(Self::Contains(Containment::any(value))),
            "starts_with" => Some(Self::Contains(Containment::of(Place::Start, value))),
            "ends_with" => Some(Self::Contains(Containment::of(Place::End, value))),
            "regex" => Pattern::compile(value).map(Box::new).map(Self::Pattern),
            "gt" => compared(Comparison::Greater),
            "gte" => compared(Comparison::GreaterOrEqual),
            "lt" => compared(Comparison::Less),
            "lte" => compared(Comparison::LessOrEqual),
            "between" => Interval::compile(value).map(Self::Inside),
            "semver_eq" => versioned(Comparison::Equal),
            "semver_neq" => versioned(Comparison::NotEqual),
            "semver_gt" => versioned(Comparison::Greater),
            "semver_gte" => versioned(Comparison::GreaterOrEqual),
            "semver_lt" => versioned(Comparison::Less),
            "semver_lte" => versioned(Comparison::LessOrEqual),
            "semver_tilde" => VersionTest::ranged('~', value).map(Self::Version),
            "semver_caret" => VersionTest::ranged('^', value).map(Self::Version),
            "semver_wildcard" => VersionTest::wildcard(value).map(Self::Version),
            "is_date_exact" => dated(Comparison::Equal),
            "is_date_before" => dated(Comparison::Less),
            "is_date_after" => dated(Comparison::Greater),
            // These belong to cohort and flag filters; on a property they never match.
            "in" | "not_in" | "flag_evaluates_to" => None,
            _ => return Err(UnknownOperator),
        };
        Ok(matcher.unwrap_or(Self::Never))
    }

    /// Pays for reading a large property.
    fn is_affordable(&self, property: &Value, work: &Work) -> bool {
        let readings = match self {
            Self::Never | Self::Present => return true,
            Self::Contains(containment) => containment.readings(),
            _ => 1,
        };
        let cost = form::extent(property, work).saturating_mul(readings);
        cost <= FREE_BYTES || work.pay(cost / BYTES)
    }

    /// None when the property cannot be held against the operand at all.
    fn hits(&self, property: &Value, terms: &Terms) -> Option<bool> {
        match self {
            Self::Never => None,
            Self::Present => Some(true),
            Self::Equal(equality) => Some(equality.hits(property, terms.matching)),
            Self::Contains(containment) => Some(containment.hits(property)),
            Self::Pattern(pattern) => pattern.search(property, &terms.work),
            Self::Number(comparison, operand) => {
                let ordering = number(property)?.partial_cmp(operand)?;
                Some(comparison.accepts(ordering))
            }
            Self::Inside(interval) => interval.hits(property),
            Self::Version(test) => test.hits(property),
            Self::Date(test) => test.hits(property, terms),
        }
    }
}

#[cfg(test)]
mod tests;
