//! The decision about one flag, from conditions down to filters.

use std::borrow::Cow;

use serde_json::Value;

use super::bucket;
use super::definition::{Aggregation, Condition, Filter, Flag, Rules, Test};
use super::outcome::Outcome;
use super::reason::{Failure, Miss, Ranking, Reason};
use super::scene::{Scene, Verdict};
use super::standing::Standings;
use super::subject::HashKeys;

/// What came of one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Devices are put into buckets, and no device is known.
    NoDevice,
    /// Groups are counted, and no usable group key is known.
    NoGroup,
    /// Some filter does not hold.
    FilterMissed(Miss),
    OutsideRollout,
    Matched,
}

/// Decides about a flag whose dependencies are settled in `standings`.
pub(super) fn decide<'f>(
    flag: &'f Flag,
    scene: &Scene<'_>,
    standings: &Standings<'f>,
) -> Outcome<'f> {
    let Some(rules) = flag.rules() else { return Outcome::failed(flag, Failure::FlagDataParsing) };
    if standings.lacks_any(&rules.dependencies) {
        return Outcome::off(flag, Reason::MissingDependency, None);
    }
    if rules.continuity && matches!(scene.subject.facts().hash_keys, HashKeys::Unavailable) {
        return Outcome::failed(flag, Failure::HashKeyOverride);
    }
    let question = Question { flag, rules, scene, standings };
    question.enrollment().or_else(|| question.holdout()).unwrap_or_else(|| {
        question.conditions().unwrap_or_else(|failure| Outcome::failed(flag, failure))
    })
}

/// One flag, asked about one subject.
pub(super) struct Question<'q, 'f> {
    pub(super) flag: &'f Flag,
    pub(super) rules: &'f Rules,
    pub(super) scene: &'q Scene<'q>,
    pub(super) standings: &'q Standings<'f>,
}

impl<'f> Question<'_, 'f> {
    /// Early access: a person who answered gets what they answered, always
    /// with the payload of an enabled flag.
    fn enrollment(&self) -> Option<Outcome<'f>> {
        let property = self.rules.enrollment.as_deref()?;
        let Some(answer) = self.scene.subject.person_property(property) else {
            // Going on as if nobody had answered could let in one who opted out.
            let is_unknown = self.scene.subject.facts().stored_unavailable;
            return is_unknown.then(|| Outcome::failed(self.flag, Failure::DatabaseUnavailable));
        };
        let enabled = matches!(answer, Value::Bool(true)) || answer.as_str() == Some("true");
        Some(Outcome {
            enabled,
            payload: self.rules.payload.as_deref(),
            ..Outcome::off(self.flag, Reason::SuperConditionValue, Some(0))
        })
    }

    fn holdout(&self) -> Option<Outcome<'f>> {
        let holdout = self.rules.holdout.as_ref()?;
        let is_member = holdout.rollout.takes_all() || {
            let identifier = self.identifier(self.rules.aggregation, StoredKeys::Ignored);
            holdout.rollout.includes(bucket::for_holdout(&identifier))
        };
        is_member.then(|| Outcome {
            enabled: true,
            variant: Some(&holdout.variant),
            payload: holdout.payload.as_deref(),
            ..Outcome::off(self.flag, Reason::HoldoutConditionValue, None)
        })
    }

    /// The first condition that matches, else the most telling reason.
    fn conditions(&self) -> Result<Outcome<'f>, Failure> {
        let mut ranking = Ranking::new();
        for (index, condition) in (0_u32..).zip(&self.rules.conditions) {
            let finding = self.examine(condition)?;
            if finding == Finding::Matched {
                return Ok(self.matched(condition, index));
            }
            ranking.note(finding.reason(), index);
            if finding == Finding::OutsideRollout && self.rules.early_exit {
                return Ok(Outcome::off(self.flag, Reason::OutOfRolloutBound, Some(index)));
            }
        }
        let (reason, index) = ranking.verdict();
        Ok(Outcome::off(self.flag, reason, index))
    }

    /// The outcome once a condition has matched: its own variant if the flag
    /// has it, else the hashed one, else plain on.
    fn matched(&self, condition: &Condition, index: u32) -> Outcome<'f> {
        let overridden = condition.variant.as_deref().and_then(|key| self.rules.variant(key));
        let variant = overridden.or_else(|| self.hashed_variant(condition.aggregation));
        let on = Outcome {
            enabled: true,
            payload: self.rules.payload.as_deref(),
            ..Outcome::off(self.flag, Reason::ConditionMatch, Some(index))
        };
        match variant {
            Some(at) => on.with_variant(&self.rules.variants, at),
            None => on,
        }
    }

    fn hashed_variant(&self, aggregation: Aggregation) -> Option<usize> {
        if self.rules.variants.is_empty() {
            return None;
        }
        let identifier = self.identifier(aggregation, StoredKeys::Honoured);
        self.rules.variant_at(bucket::for_variant(&self.rules.prefix, &identifier))
    }

    /// Examines one condition, whatever the others say.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of a cohort that a filter reads.
    pub(super) fn examine(&self, condition: &Condition) -> Result<Finding, Failure> {
        if let Some(finding) = self.unanswerable(condition) {
            return Ok(finding);
        }
        for filter in condition.in_order() {
            match self.test(filter, condition.aggregation)? {
                Verdict::Holds => {}
                Verdict::Fails => return Ok(Finding::FilterMissed(Miss::Plain)),
                Verdict::FailsUncertainly => {
                    return Ok(Finding::FilterMissed(Miss::CohortUnresolved));
                }
            }
        }
        let inside = condition.rollout.takes_all() || {
            let identifier = self.identifier(condition.aggregation, StoredKeys::Honoured);
            condition.rollout.includes(bucket::for_rollout(&self.rules.prefix, &identifier))
        };
        Ok(if inside { Finding::Matched } else { Finding::OutsideRollout })
    }

    /// Why a condition cannot be asked of this subject at all.
    fn unanswerable(&self, condition: &Condition) -> Option<Finding> {
        match condition.aggregation {
            Aggregation::Person
                if self.rules.by_device && self.scene.subject.device_id().is_none() =>
            {
                Some(Finding::NoDevice)
            }
            Aggregation::Group(index) if !self.scene.has_group_key(index) => Some(Finding::NoGroup),
            _ => None,
        }
    }

    /// Tests one filter of a condition with this aggregation.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of the cohort that the filter reads.
    pub(super) fn test(
        &self,
        filter: &Filter,
        aggregation: Aggregation,
    ) -> Result<Verdict, Failure> {
        match &filter.test {
            Test::Person(person) => Ok(self.scene.person_passes(person)),
            Test::Group(index, test) => {
                let index = aggregation.group_type(*index);
                Ok(self.scene.group_passes(index, &filter.key, test))
            }
            Test::Flag(test) => Ok(self.standings.satisfies(test).into()),
            Test::Cohort(test) => self.scene.cohort(test),
        }
    }

    /// The identifier that is hashed: a group's key, or one of a person's ids.
    fn identifier(&self, aggregation: Aggregation, stored: StoredKeys) -> Cow<'_, str> {
        match aggregation {
            Aggregation::Group(index) => self.scene.group_identifier(index),
            Aggregation::Person => Cow::Borrowed(self.person_identifier(stored)),
        }
    }

    fn person_identifier(&self, stored: StoredKeys) -> &str {
        let subject = self.scene.subject;
        let device = if self.rules.by_device { subject.device_id() } else { None };
        let continued = || {
            let kept = match stored {
                StoredKeys::Honoured => subject.hash_key(self.flag.key()),
                StoredKeys::Ignored => None,
            };
            kept.or_else(|| subject.anon_distinct_id())
        };
        let continued = || if self.rules.continuity { continued() } else { None };
        device.or_else(continued).unwrap_or_else(|| subject.distinct_id())
    }
}

/// Whether hash keys stored for the flag take part.
#[derive(Clone, Copy)]
enum StoredKeys {
    Honoured,
    /// Holdouts keep out the same people of every flag, so they ask for the
    /// ids of the request alone.
    Ignored,
}

impl Finding {
    /// The reason a condition gives for not matching.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NoDevice | Self::OutsideRollout => Reason::OutOfRolloutBound,
            Self::NoGroup => Reason::NoGroupType,
            Self::FilterMissed(miss) => Reason::NoConditionMatch(miss),
            Self::Matched => Reason::ConditionMatch,
        }
    }
}
