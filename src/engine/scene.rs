//! The subject as filters and hashes meet it: in a project, at a time.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cohort::Memberships;
use super::definition::{CohortTest, PersonTest};
use super::memo::Memo;
use super::property::{PropertyTest, Terms, form};
use super::reason::Failure;
use super::set::FlagSet;
use super::subject::Subject;

/// Whom a question is about, and what it is asked of.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    set: &'a FlagSet,
    pub(super) subject: &'a Subject<'a>,
    terms: Terms,
    memberships: Memberships,
    memo: Option<Memo>,
}

/// What came of one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Fails,
    /// A cohort said no that asks for behaviour.
    FailsUncertainly,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(set: &'a FlagSet, subject: &'a Subject<'a>, now: DateTime<Utc>) -> Self {
        let memberships = Memberships::default();
        Self { set, subject, terms: set.terms(now), memberships, memo: None }
    }

    /// The same for many flags, which ask much the same of the person.
    pub(super) fn remembering(self) -> Self {
        Self { memo: Some(Memo::default()), ..self }
    }

    /// Tests a property of the person. One that is missing where properties
    /// could not be read is not known to be missing, and passes no test.
    pub(super) fn person_passes(&self, person: &PersonTest) -> Verdict {
        let PersonTest { property, test, mark } = person;
        let passes = || {
            let property = self.subject.person_property(property);
            let is_known = property.is_some() || !self.subject.facts().stored_unavailable;
            is_known && test.passes(property, &self.terms)
        };
        match &self.memo {
            Some(memo) => memo.answer(*mark, passes).into(),
            None => passes().into(),
        }
    }

    /// Tests a property of the subject's group; a missing one as a person's.
    pub(super) fn group_passes(
        &self,
        index: Option<i64>,
        key: &str,
        test: &PropertyTest,
    ) -> Verdict {
        let property = self.group_property(index, key);
        let is_known = property.is_some() || !self.subject.facts().stored_groups_unavailable;
        (is_known && test.passes(property, &self.terms)).into()
    }

    pub(super) fn cohort(&self, test: &CohortTest) -> Result<Verdict, Failure> {
        let id = test.id.ok_or(Failure::CohortFiltersParsing)?;
        let Some(wanted) = test.wanted else { return Ok(Verdict::Fails) };
        let membership =
            self.set.cohort_set().membership(id, self.subject, &self.terms, &self.memberships)?;
        Ok(match membership {
            Some(membership) if membership.is_member == wanted => Verdict::Holds,
            Some(membership) if membership.is_uncertain => Verdict::FailsUncertainly,
            _ => Verdict::Fails,
        })
    }

    /// A property of the subject's group, if the type is known.
    pub(super) fn group_property(&self, index: Option<i64>, key: &str) -> Option<&Value> {
        self.subject.group_property(self.set.group_type(index?)?, key)
    }

    fn group_key(&self, index: i64) -> Option<&Value> {
        self.subject.group_key(self.set.group_type(index)?)
    }

    /// True if the group key is one that a condition can be asked about.
    pub(super) fn has_group_key(&self, index: i64) -> bool {
        self.group_key(index).is_some_and(|key| match key {
            Value::String(text) => !text.is_empty(),
            other => other.is_number(),
        })
    }

    /// The group's key as it is hashed; empty if it is no key.
    pub(super) fn group_identifier(&self, index: i64) -> Cow<'_, str> {
        match self.group_key(index) {
            Some(key @ (Value::String(_) | Value::Number(_))) => form(key),
            _ => Cow::Borrowed(""),
        }
    }
}
