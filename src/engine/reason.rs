//! Why a flag came out as it did: each reason's code, text and rank.

use std::borrow::Cow;

/// The reason behind an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The person enrolled in, or opted out of, the flag's early access.
    SuperConditionValue,
    /// The identifier is held out of the flag's experiment.
    HoldoutConditionValue,
    /// A condition matched.
    ConditionMatch,
    /// A condition's filters hold, but the identifier is outside its rollout.
    OutOfRolloutBound,
    /// Some filter of the condition does not hold.
    NoConditionMatch(Miss),
    /// A group condition, and no usable key for its group type.
    NoGroupType,
    /// The flag is switched off. Answers about all flags leave it out.
    FlagDisabled,
    /// The flag reads, directly or through another, a flag that is not there.
    MissingDependency,
    /// The flag could not be evaluated.
    Failed(Failure),
}

/// What else is known about a condition that did not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Nothing more.
    Plain,
    /// A group condition was skipped for want of a group key.
    GroupsSkipped,
    /// A cohort whose behavioural part is not evaluated here said no.
    CohortUnresolved,
}

/// Why a flag could not be evaluated. Other flags are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The stored definition has a shape nobody knows.
    FlagDataParsing,
    /// The flag names a cohort, or one nested in it, that does not exist.
    CohortNotFound,
    /// The cohort contains itself.
    CohortCycle,
    /// A cohort's id or definition has a shape nobody knows.
    CohortFiltersParsing,
    /// The stored hash keys of a flag with experience continuity were not read.
    HashKeyOverride,
    /// What is stored of the person decides, and could not be read.
    DatabaseUnavailable,
}

impl Reason {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::SuperConditionValue => "super_condition_value",
            Self::HoldoutConditionValue => "holdout_condition_value",
            Self::ConditionMatch => "condition_match",
            Self::OutOfRolloutBound => "out_of_rollout_bound",
            Self::NoConditionMatch(_) => "no_condition_match",
            Self::NoGroupType => "no_group_type",
            Self::FlagDisabled => "flag_disabled",
            Self::MissingDependency => "missing_dependency",
            Self::Failed(failure) => failure.code(),
        }
    }

    /// The sentence on the wire; only a match names its condition.
    pub fn description(self, condition_index: Option<u32>) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::ConditionMatch => return matched(condition_index.unwrap_or_default()),
            Self::SuperConditionValue => "Super condition value",
            Self::HoldoutConditionValue => "Holdout condition value",
            Self::OutOfRolloutBound => "Out of rollout bound",
            Self::NoConditionMatch(miss) => miss.description(),
            Self::NoGroupType => "No group type",
            Self::FlagDisabled => "Feature flag is disabled",
            Self::MissingDependency => "Flag cannot be evaluated due to missing dependency",
            Self::Failed(failure) => failure.description(),
        })
    }

    /// How much this reason tells: among conditions that failed, the highest
    /// is reported. A failure never competes, it replaces the decision.
    pub fn priority(self) -> i8 {
        match self {
            Self::SuperConditionValue => 6,
            Self::HoldoutConditionValue => 5,
            Self::ConditionMatch => 4,
            Self::OutOfRolloutBound => 3,
            Self::NoConditionMatch(_) => 2,
            Self::NoGroupType => 1,
            Self::FlagDisabled => 0,
            Self::MissingDependency | Self::Failed(_) => -1,
        }
    }
}

/// The sentence of a match. Nearly all flags have few conditions, and theirs are at hand.
fn matched(index: u32) -> Cow<'static, str> {
    const FIRST: [&str; 8] = [
        "Matched condition set 1",
        "Matched condition set 2",
        "Matched condition set 3",
        "Matched condition set 4",
        "Matched condition set 5",
        "Matched condition set 6",
        "Matched condition set 7",
        "Matched condition set 8",
    ];
    match FIRST.get(index as usize) {
        Some(sentence) => Cow::Borrowed(sentence),
        None => Cow::Owned(format!("Matched condition set {}", u64::from(index) + 1)),
    }
}

impl Miss {
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Plain => "No matching condition set",
            Self::GroupsSkipped => {
                "No matching condition set (group conditions were not evaluated because no group type was provided)"
            }
            Self::CohortUnresolved => {
                "This condition targets a behavioral or realtime cohort. Its membership is not fully evaluated here, \
                 so this result can differ from the cohort's member list."
            }
        }
    }
}

impl Failure {
    fn code(self) -> &'static str {
        match self {
            Self::FlagDataParsing => "flag_data_parsing_error",
            Self::CohortNotFound => "dependency_not_found_cohort",
            Self::CohortCycle => "dependency_cycle_cohort",
            Self::CohortFiltersParsing => "cohort_filters_parsing_error",
            Self::HashKeyOverride => "hash_key_override_error",
            Self::DatabaseUnavailable => "database_unavailable",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::FlagDataParsing => "The flag's definition could not be understood",
            Self::CohortNotFound => "The flag refers to a cohort that does not exist",
            Self::CohortCycle => "The flag refers to a cohort that contains itself",
            Self::CohortFiltersParsing => "The filters of a cohort could not be understood",
            Self::HashKeyOverride => "The stored hash keys could not be read",
            Self::DatabaseUnavailable => "What is stored of the person could not be read",
        }
    }
}

/// The most telling reason among conditions that did not match.
///
/// Ties go to the later condition, so that three misses report the third.
#[derive(Debug)]
pub(super) struct Ranking {
    reason: Reason,
    condition_index: Option<u32>,
    groups_skipped: bool,
    cohort_unresolved: bool,
}

impl Ranking {
    /// The ranking before any condition: a flag without conditions keeps it.
    pub(super) fn new() -> Self {
        Self {
            reason: Reason::NoGroupType,
            condition_index: None,
            groups_skipped: false,
            cohort_unresolved: false,
        }
    }

    /// Notes why the condition at `index` did not match.
    pub(super) fn note(&mut self, reason: Reason, index: u32) {
        self.groups_skipped |= reason == Reason::NoGroupType;
        self.cohort_unresolved |= reason == Reason::NoConditionMatch(Miss::CohortUnresolved);
        if reason.priority() >= self.reason.priority() {
            self.reason = reason;
            self.condition_index = Some(index);
        }
    }

    /// The reason to report and its condition.
    ///
    /// A plain miss is given the description that tells most: what any
    /// condition learned about cohorts, else that groups were skipped.
    pub(super) fn verdict(self) -> (Reason, Option<u32>) {
        let miss = match (self.cohort_unresolved, self.groups_skipped) {
            (true, _) => Miss::CohortUnresolved,
            (false, true) => Miss::GroupsSkipped,
            (false, false) => Miss::Plain,
        };
        let reason = match self.reason {
            Reason::NoConditionMatch(_) => Reason::NoConditionMatch(miss),
            other => other,
        };
        (reason, self.condition_index)
    }
}

#[cfg(test)]
mod tests;
