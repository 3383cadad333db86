//! One filter of a condition, compiled by what it reads.

use serde_json::{Map, Value};

use super::{Aggregation, Malformed};
use crate::engine::memo::Mark;
use crate::engine::property::{PropertyTest, form};

/// Columns of the person's row are found under this prefix.
pub(in crate::engine) const PERSON_METADATA_PREFIX: &str = "__posthog_person_metadata__";

/// A compiled filter, with what an explanation repeats of its stored form.
#[derive(Debug)]
pub(in crate::engine) struct Filter {
    pub(in crate::engine) key: Box<str>,
    pub(in crate::engine) kind: &'static str,
    pub(in crate::engine) operator: Box<str>,
    pub(in crate::engine) value: Value,
    pub(in crate::engine) test: Test,
}

/// What a filter reads, and what must be found there.
#[derive(Debug)]
pub(in crate::engine) enum Test {
    Person(PersonTest),
    /// A property of the group of the given type, else of the condition's.
    Group(Option<i64>, PropertyTest),
    Cohort(CohortTest),
    Flag(FlagTest),
}

/// A person property.
#[derive(Debug)]
pub(in crate::engine) struct PersonTest {
    /// The key it is stored under.
    pub(in crate::engine) property: Box<str>,
    pub(in crate::engine) test: PropertyTest,
    /// The same for every test of this property by this operator and value.
    pub(in crate::engine) mark: Mark,
}

/// Membership in a cohort.
#[derive(Debug)]
pub(in crate::engine) struct CohortTest {
    /// None if what is stored is no id: the flag then fails.
    pub(in crate::engine) id: Option<i64>,
    /// True for `in`, false for `not_in`, none for operators that never match.
    pub(in crate::engine) wanted: Option<bool>,
}

/// The result of another flag.
#[derive(Debug)]
pub(in crate::engine) struct FlagTest {
    /// None if what is stored is no id; no flag is read then.
    pub(in crate::engine) id: Option<i64>,
    /// None if the operator or the value make no sense; no result fits then.
    pub(in crate::engine) expected: Option<Expected>,
}

/// A flag's result, as another flag asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) enum Expected {
    /// On, with any variant or none.
    On,
    Off,
    /// On with this very variant; case counts.
    Variant(Box<str>),
}

impl Filter {
    pub(super) fn compile(stored: &Value) -> Result<Self, Malformed> {
        let stored = stored.as_object().ok_or("a filter is no object")?;
        let kind = match text(stored, "type")? {
            None | Some("person") => "person",
            Some("group") => "group",
            Some("cohort") => "cohort",
            Some("flag") => "flag",
            Some("person_metadata") => "person_metadata",
            Some(_) => return Err("a filter has an unknown type"),
        };
        let key: Box<str> = match stored.get("key") {
            Some(Value::String(key)) => key.as_str().into(),
            Some(number @ Value::Number(_)) => form(number).into(),
            // A cohort filter is told by its value; older ones have no key.
            None | Some(Value::Null) if kind == "cohort" => "id".into(),
            _ => return Err("a filter has no key"),
        };
        let operator =
            text(stored, "operator")?.unwrap_or(if kind == "cohort" { "in" } else { "exact" });
        let value = stored.get("value").cloned().unwrap_or_default();
        let test = compile_test(kind, &key, operator, &value, stored)?;
        Ok(Self { key, kind, operator: operator.into(), value, test })
    }

    /// True for the filters that are held against people's properties last.
    pub(in crate::engine) fn is_deferred(&self) -> bool {
        matches!(self.test, Test::Cohort(_))
    }

    pub(super) fn person_property(&self) -> Option<&str> {
        match &self.test {
            Test::Person(person) => Some(&person.property),
            _ => None,
        }
    }

    /// The group type read, within a condition of this aggregation.
    pub(super) fn group_type(&self, aggregation: Aggregation) -> Option<i64> {
        match &self.test {
            Test::Group(own, _) => aggregation.group_type(*own),
            _ => None,
        }
    }
}

impl Aggregation {
    /// The group type a filter reads: the one it names, else the condition's.
    pub(in crate::engine) fn group_type(self, named: Option<i64>) -> Option<i64> {
        match (named, self) {
            (Some(index), _) | (None, Self::Group(index)) => Some(index),
            (None, Self::Person) => None,
        }
    }
}

/// Compiles what the filter tests.
fn compile_test(
    kind: &str,
    key: &str,
    operator: &str,
    value: &Value,
    stored: &Map<String, Value>,
) -> Result<Test, Malformed> {
    let property = || {
        PropertyTest::compile(operator, Some(value)).map_err(|_| "a filter has an unknown operator")
    };
    let person = |property: Box<str>, test| {
        let mark = Mark::of(&property, operator, value);
        Test::Person(PersonTest { property, test, mark })
    };
    Ok(match kind {
        "cohort" => Test::Cohort(CohortTest::compile(operator, value)),
        "flag" => Test::Flag(FlagTest::compile(key, operator, value)),
        "group" => Test::Group(index(stored, "group_type_index")?, property()?),
        "person_metadata" => person(format!("{PERSON_METADATA_PREFIX}{key}").into(), property()?),
        _ => person(key.into(), property()?),
    })
}

impl CohortTest {
    pub(in crate::engine) fn compile(operator: &str, value: &Value) -> Self {
        let wanted = match operator {
            "in" => Some(true),
            "not_in" => Some(false),
            _ => None,
        };
        Self { id: cohort_id(value), wanted }
    }
}

/// An integer or its decimal string.
fn cohort_id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl FlagTest {
    fn compile(key: &str, operator: &str, value: &Value) -> Self {
        let expected = match value {
            Value::Bool(true) => Some(Expected::On),
            Value::Bool(false) => Some(Expected::Off),
            Value::String(variant) => Some(Expected::Variant(variant.as_str().into())),
            _ => None,
        };
        Self {
            id: key.parse().ok(),
            expected: expected.filter(|_| operator == "flag_evaluates_to"),
        }
    }
}

/// A string member, none if absent or `null`.
pub(super) fn text<'a>(
    object: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a str>, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a text of the filters is no string"),
    }
}

/// An integer member, none if absent or `null`.
pub(super) fn index(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or("a group type index is no integer"),
    }
}
