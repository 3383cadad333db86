//! The same decision, told condition by condition and filter by filter.
//!
//! Nothing is decided here: the outcome comes from [`decide`], and each line
//! of the report from the very functions it calls. Only the short cuts are
//! left out, so that what a decision had no need to ask is told as well.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Audience;
use super::decide::{Finding, Question, decide};
use super::definition::{Condition, Filter, Flag, Test};
use super::outcome::Outcome;
use super::reason::{Failure, Miss, Reason};
use super::scene::{Scene, Verdict};
use super::set::FlagSet;
use super::standing::Standings;
use super::subject::Subject;

/// A flag's outcome, and how it came about.
#[derive(Debug)]
pub struct Explanation<'f> {
    /// What the flag came out as. A flag that is switched off says so here.
    pub outcome: Outcome<'f>,
    /// The flag's conditions in stored order; none if it cannot be understood.
    pub conditions: Vec<ConditionReport<'f>>,
}

/// What came of one condition.
#[derive(Debug)]
pub struct ConditionReport<'f> {
    /// Its position.
    pub index: u32,
    /// True for the condition that decided, so for one at most.
    pub matched: bool,
    /// True if all of its filters hold, whether it decided or not.
    pub properties_matched: bool,
    /// True if the filters hold but the identifier is outside the rollout.
    pub rollout_excluded: bool,
    /// The rollout, 100 if none is stored.
    pub rollout_percentage: f64,
    /// The variant that the condition asks for.
    pub variant: Option<&'f str>,
    /// A sentence for people.
    pub explanation: &'static str,
    /// Its filters in stored order.
    pub properties: Vec<PropertyReport<'f>>,
}

/// What came of one filter.
#[derive(Debug)]
pub struct PropertyReport<'f> {
    /// The filter's key, as stored.
    pub key: &'f str,
    /// The filter's operator, or the one that stands for none.
    pub operator: &'f str,
    /// The filter's value, as stored.
    pub value: &'f Value,
    /// What the filter reads: `person`, `group`, `cohort`, `flag` or `person_metadata`.
    pub kind: &'static str,
    /// What was found there; none if nothing was, and for cohorts.
    pub actual_value: Option<Value>,
    /// True if the filter holds.
    pub matched: bool,
    /// A sentence for people.
    pub explanation: Cow<'static, str>,
}

/// Explains what a flag is for a subject.
///
/// The flag need not be the set's own: it may be an older version, be switched
/// off, or be kept from some audiences. What it depends on is the set's.
pub fn explain<'f>(
    set: &'f FlagSet,
    flag: &'f Flag,
    subject: &Subject<'_>,
    now: DateTime<Utc>,
) -> Explanation<'f> {
    let scene = Scene::new(set, subject, now);
    let standings = Standings::read_by(set, flag, &scene, &Audience::default());
    let outcome = match flag.is_active() {
        true => decide(flag, &scene, &standings),
        false => Outcome::off(flag, Reason::FlagDisabled, None),
    };
    let Some(rules) = flag.rules() else { return Explanation { outcome, conditions: Vec::new() } };
    let question = Question { flag, rules, scene: &scene, standings: &standings };
    let winner = outcome.condition_index.filter(|_| outcome.reason == Reason::ConditionMatch);
    let report = |(index, condition)| question.report(index, condition, winner);
    Explanation { outcome, conditions: (0..).zip(&rules.conditions).map(report).collect() }
}

impl<'f> Question<'_, 'f> {
    fn report(
        &self,
        index: u32,
        condition: &'f Condition,
        winner: Option<u32>,
    ) -> ConditionReport<'f> {
        let finding = self.examine(condition);
        let properties: Vec<_> =
            condition.filters.iter().map(|filter| self.report_filter(filter, condition)).collect();
        ConditionReport {
            index,
            matched: winner == Some(index),
            properties_matched: properties.iter().all(|property| property.matched),
            rollout_excluded: finding == Ok(Finding::OutsideRollout),
            rollout_percentage: condition.rollout.percentage(),
            variant: condition.variant.as_deref(),
            explanation: tell(finding, winner == Some(index)),
            properties,
        }
    }

    fn report_filter(&self, filter: &'f Filter, condition: &Condition) -> PropertyReport<'f> {
        let verdict = self.test(filter, condition.aggregation);
        let actual_value = self.actual(filter, condition);
        PropertyReport {
            key: &filter.key,
            operator: &filter.operator,
            value: &filter.value,
            kind: filter.kind,
            matched: verdict == Ok(Verdict::Holds),
            explanation: tell_filter(verdict, filter, actual_value.is_some()),
            actual_value,
        }
    }

    /// What the filter finds where it looks.
    fn actual(&self, filter: &Filter, condition: &Condition) -> Option<Value> {
        match &filter.test {
            Test::Person(person) => self.scene.subject.person_property(&person.property).cloned(),
            Test::Group(index, _) => self
                .scene
                .group_property(condition.aggregation.group_type(*index), &filter.key)
                .cloned(),
            Test::Flag(test) => self.standings.value(test.id?),
            Test::Cohort(_) => None,
        }
    }
}

fn tell(finding: Result<Finding, Failure>, is_winner: bool) -> &'static str {
    match finding {
        Ok(Finding::Matched) if is_winner => {
            "All filters hold and the rollout includes the identifier: this condition decided"
        }
        Ok(Finding::Matched) => {
            "All filters hold and the rollout includes the identifier, but the flag was decided elsewhere"
        }
        Ok(Finding::OutsideRollout) => {
            "All filters hold, but the identifier is outside the rollout"
        }
        Ok(Finding::FilterMissed(Miss::CohortUnresolved)) => {
            "A cohort filter does not hold; the cohort's behavioral part is not evaluated here"
        }
        Ok(Finding::FilterMissed(_)) => "Some filter does not hold",
        Ok(Finding::NoGroup) => "Not evaluated: no usable group key was given",
        Ok(Finding::NoDevice) => {
            "Not evaluated: the flag buckets by device, and no device id was given"
        }
        Err(_) => "Not evaluated: a cohort it reads cannot be evaluated",
    }
}

fn tell_filter(
    verdict: Result<Verdict, Failure>,
    filter: &Filter,
    is_there: bool,
) -> Cow<'static, str> {
    let subject = match &filter.test {
        Test::Cohort(_) => "cohort",
        Test::Flag(_) => "flag",
        Test::Person(..) | Test::Group(..) if is_there => "property",
        Test::Person(..) | Test::Group(..) => "missing property",
    };
    match verdict {
        Ok(Verdict::Holds) => format!("The {subject} satisfies `{}`", filter.operator).into(),
        Ok(Verdict::Fails) => {
            format!("The {subject} does not satisfy `{}`", filter.operator).into()
        }
        Ok(Verdict::FailsUncertainly) => Miss::CohortUnresolved.description().into(),
        Err(failure) => Reason::Failed(failure).description(None),
    }
}

#[cfg(test)]
mod tests;
