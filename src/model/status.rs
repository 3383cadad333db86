//! Decides whether a flag is in use, stale or gone (management-api 4.3), and
//! how far it is rolled out.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Number, Value, json};

use super::flag::FeatureFlag;
use crate::rules_format::RulesFormat;

/// How long a flag may go uncalled before it counts as stale.
pub const STALE_AFTER: TimeDelta = TimeDelta::days(30);

/// The states that an existing flag can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use, too young to tell, or switched off.
    Active,
    /// Not called for a month, or never called and fully rolled out for a month.
    Stale,
    /// Archived.
    Archived,
    /// Softly deleted.
    Deleted,
}

impl Status {
    /// The form shown in the flag itself.
    #[must_use]
    pub const fn upper(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Stale => "STALE",
            Self::Archived => "ARCHIVED",
            Self::Deleted => "DELETED",
        }
    }

    /// The form shown by the status operation.
    #[must_use]
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
        }
    }
}

/// A status and the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What state the flag is in.
    pub status: Status,
    /// Why, in the documented words.
    pub reason: String,
}

/// How far a flag's configuration rolls it out, whether or not it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSummary {
    /// Whether everybody gets the same.
    pub effectively_full_rollout: bool,
    /// Whether some condition set has property filters.
    pub has_targeting_conditions: bool,
    /// The highest percentage of a condition set, an absent one being 100; `None` without any.
    pub max_rollout_percentage: Option<Number>,
    /// Whether the flag has variants.
    pub is_multivariate: bool,
}

impl RolloutSummary {
    /// Summarizes filters as they stand.
    #[must_use]
    pub fn of(filters: &Value) -> Self {
        let groups = list(filters, "groups");
        let percentage = |group: &Value| match group.get("rollout_percentage") {
            Some(Value::Number(percentage)) => percentage.clone(),
            _ => Number::from(100),
        };
        let by_size = |a: &Number, b: &Number| {
            let size = |number: &Number| number.as_f64().unwrap_or_default();
            size(a).total_cmp(&size(b))
        };
        Self {
            effectively_full_rollout: full_rollout(filters).is_some(),
            has_targeting_conditions: groups.iter().any(|g| !list(g, "properties").is_empty()),
            max_rollout_percentage: groups.iter().map(percentage).max_by(by_size),
            is_multivariate: !variants(filters).is_empty(),
        }
    }

    /// The documented members.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "effectively_full_rollout": self.effectively_full_rollout,
            "has_targeting_conditions": self.has_targeting_conditions,
            "max_rollout_percentage": self.max_rollout_percentage,
            "is_multivariate": self.is_multivariate,
        })
    }
}

/// What a fully rolled out flag always answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullRollout {
    /// `true`, for a flag without variants.
    Boolean,
    /// This variant.
    Variant(String),
}

/// Judges a flag; the first rule of 4.3 that fits wins.
#[must_use]
pub fn of(flag: &FeatureFlag, now: DateTime<Utc>) -> Verdict {
    let (status, reason) = judge(flag, now);
    Verdict { status, reason }
}

fn judge(flag: &FeatureFlag, now: DateTime<Utc>) -> (Status, String) {
    if flag.deleted {
        return (Status::Deleted, "Flag has been deleted".into());
    }
    if flag.archived {
        return (Status::Archived, "Flag has been archived".into());
    }
    if !flag.active {
        return (Status::Active, "Flag is disabled (not evaluated for staleness)".into());
    }
    match flag.last_called_at {
        Some(called) => judge_called(called, now),
        None => judge_uncalled(flag, now),
    }
}

fn judge_called(called: DateTime<Utc>, now: DateTime<Utc>) -> (Status, String) {
    let age = (now - called).num_days();
    if called < now - STALE_AFTER {
        return (Status::Stale, format!("Flag has not been called in {age} days"));
    }
    match age {
        ..=0 => (Status::Active, "Flag was called today".into()),
        1 => (Status::Active, "Flag was last called 1 day ago".into()),
        _ => (Status::Active, format!("Flag was last called {age} days ago")),
    }
}

fn judge_uncalled(flag: &FeatureFlag, now: DateTime<Utc>) -> (Status, String) {
    let old = flag.created_at < now - STALE_AFTER;
    match full_rollout(&flag.filters).filter(|_| old) {
        Some(FullRollout::Boolean) => {
            (Status::Stale, "This boolean flag will always evaluate to \"true\"".into())
        }
        Some(FullRollout::Variant(key)) => {
            (Status::Stale, format!("This flag will always use the variant \"{key}\""))
        }
        None => (Status::Active, "Flag has no usage data yet".into()),
    }
}

/// What everybody gets, when the configuration gives everybody the same.
#[must_use]
pub fn full_rollout(filters: &Value) -> Option<FullRollout> {
    if !RulesFormat::of(filters).is_supported() {
        return None;
    }
    let groups = list(filters, "groups");
    let variants = variants(filters);
    if variants.is_empty() {
        return (groups.is_empty() || groups.iter().any(is_full_group))
            .then_some(FullRollout::Boolean);
    }
    let full: Vec<_> = groups.iter().filter(|group| is_full_group(group)).collect();
    if full.is_empty() {
        return None;
    }
    full.iter()
        .find_map(|group| group.get("variant")?.as_str())
        .or_else(|| variants.iter().find(|v| is_hundred(v))?.get("key")?.as_str())
        .map(|key| FullRollout::Variant(key.to_owned()))
}

/// How far a flag is rolled out, as a bulk deletion tells it (management-api 4.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Everybody gets the same: this variant, or `None` for a flag without variants.
    Full(Option<String>),
    /// There are groups, and each is at exactly 0 percent.
    Not,
    /// Anything between.
    Partial,
}

impl Rollout {
    /// Judges filters as they stand.
    #[must_use]
    pub fn of(filters: &Value) -> Self {
        let groups = list(filters, "groups");
        let is_zero = |group: &Value| percentage(group) == Some(0.0);
        match full_rollout(filters) {
            Some(FullRollout::Boolean) => Self::Full(None),
            Some(FullRollout::Variant(key)) => Self::Full(Some(key)),
            None if !groups.is_empty() && groups.iter().all(is_zero) => Self::Not,
            None => Self::Partial,
        }
    }

    /// The documented word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Full(_) => "fully_rolled_out",
            Self::Not => "not_rolled_out",
            Self::Partial => "partial",
        }
    }
}

/// Full rollout as lists understand it: a flag without any group counts as stale by itself and
/// is not listed as such. A known, deliberate mismatch (management-api 3.7).
#[must_use]
pub fn is_listed_as_full(filters: &Value) -> bool {
    let says_nothing = filters.as_object().is_none_or(serde_json::Map::is_empty);
    says_nothing || (!list(filters, "groups").is_empty() && full_rollout(filters).is_some())
}

/// The variants of a flag; none for a boolean one.
#[must_use]
pub fn variants(filters: &Value) -> &[Value] {
    filters.get("multivariate").map_or(&[], |multivariate| list(multivariate, "variants"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_full_group(group: &Value) -> bool {
    is_hundred(group) && list(group, "properties").is_empty()
}

fn is_hundred(of: &Value) -> bool {
    percentage(of) == Some(100.0)
}

fn percentage(of: &Value) -> Option<f64> {
    of.get("rollout_percentage").and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(
        filters: Value,
        age_days: i64,
        called: Option<TimeDelta>,
    ) -> (FeatureFlag, DateTime<Utc>) {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let flag = FeatureFlag {
            filters,
            created_at: now - TimeDelta::days(age_days),
            last_called_at: called.map(|ago| now - ago),
            ..FeatureFlag::example()
        };
        (flag, now)
    }

    #[test]
    fn usage_beats_configuration_and_age_decides_the_rest() {
        let full = || json!({"groups": [{"rollout_percentage": 100}]});
        let half = || json!({"groups": [{"rollout_percentage": 50}]});
        let month = TimeDelta::days(30);
        let cases = [
            (
                "called just now",
                flag(full(), 90, Some(TimeDelta::zero())),
                "active",
                "Flag was called today",
            ),
            (
                "called yesterday",
                flag(full(), 90, Some(TimeDelta::days(1))),
                "active",
                "Flag was last called 1 day ago",
            ),
            (
                "called a while ago",
                flag(full(), 90, Some(TimeDelta::days(12))),
                "active",
                "Flag was last called 12 days ago",
            ),
            (
                "exactly a month ago still counts",
                flag(full(), 90, Some(month)),
                "active",
                "Flag was last called 30 days ago",
            ),
            (
                "a second more does not",
                flag(full(), 90, Some(month + TimeDelta::seconds(1))),
                "stale",
                "Flag has not been called in 30 days",
            ),
            (
                "never called, old and for everybody",
                flag(full(), 31, None),
                "stale",
                "This boolean flag will always evaluate to \"true\"",
            ),
            (
                "never called but young",
                flag(full(), 29, None),
                "active",
                "Flag has no usage data yet",
            ),
            (
                "never called, for some",
                flag(half(), 31, None),
                "active",
                "Flag has no usage data yet",
            ),
        ];
        for (name, (flag, now), status, reason) in cases {
            let verdict = of(&flag, now);
            assert_eq!(
                (verdict.status.lower(), verdict.reason.as_str()),
                (status, reason),
                "{name}"
            );
        }
    }

    #[test]
    fn a_disabled_flag_is_active_and_a_deleted_one_is_deleted() {
        let (flag, now) = flag(json!({"groups": []}), 90, None);
        let disabled = FeatureFlag { active: false, ..flag.clone() };
        let deleted = FeatureFlag { deleted: true, ..flag };
        assert_eq!(of(&disabled, now).status, Status::Active);
        assert_eq!(of(&deleted, now).status.upper(), "DELETED");
        let archived = FeatureFlag { archived: true, ..disabled };
        let verdict = of(&archived, now);
        assert_eq!((verdict.status.upper(), verdict.status.lower()), ("ARCHIVED", "archived"));
        assert_eq!(verdict.reason, "Flag has been archived");
        assert_eq!(of(&FeatureFlag { deleted: true, ..archived }, now).status, Status::Deleted);
    }

    #[test]
    fn a_rollout_is_summarized_in_four_members() {
        let targeted = json!({"rollout_percentage": 100, "properties": [{"key": "x"}]});
        let one = json!({"variants": [{"key": "a", "rollout_percentage": 100}]});
        let cases = [
            (json!({"groups": []}), json!([true, false, null, false])),
            (json!({"groups": [{}]}), json!([false, false, 100, false])),
            (json!({"groups": [{"rollout_percentage": null}]}), json!([false, false, 100, false])),
            (
                json!({"groups": [{"rollout_percentage": 0}, {"rollout_percentage": 33.5}]}),
                json!([false, false, 33.5, false]),
            ),
            (json!({"groups": [targeted]}), json!([false, true, 100, false])),
            (
                json!({"groups": [targeted, {"rollout_percentage": 100}], "multivariate": one}),
                json!([true, true, 100, true]),
            ),
            (json!({"version": 2, "rules": []}), json!([false, false, null, false])),
        ];
        for (filters, expected) in cases {
            let summary = RolloutSummary::of(&filters).to_json();
            let members: Value = summary.as_object().unwrap().values().cloned().collect();
            assert_eq!(members, expected, "{filters}");
        }
    }

    #[test]
    fn a_rollout_is_full_only_when_everybody_gets_the_same() {
        let boolean = Some(FullRollout::Boolean);
        let variant = |key: &str| Some(FullRollout::Variant(key.into()));
        let two = json!({"variants": [{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]});
        let one = json!({"variants": [{"key": "a", "rollout_percentage": 0}, {"key": "b", "rollout_percentage": 100}]});
        let targeted = json!({"rollout_percentage": 100, "properties": [{"key": "x"}]});
        let cases = [
            ("no groups", json!({"groups": []}), boolean.clone()),
            ("nothing at all", json!({}), boolean.clone()),
            ("an absent percentage does not count", json!({"groups": [{}]}), None),
            (
                "any group will do",
                json!({"groups": [targeted.clone(), {"rollout_percentage": 100}]}),
                boolean,
            ),
            ("targeting is not everybody", json!({"groups": [targeted]}), None),
            (
                "two variants share",
                json!({"groups": [{"rollout_percentage": 100}], "multivariate": two}),
                None,
            ),
            (
                "one variant takes all",
                json!({"groups": [{"rollout_percentage": 100}], "multivariate": one}),
                variant("b"),
            ),
            (
                "an override takes all",
                json!({"groups": [{"rollout_percentage": 100, "variant": "a"}], "multivariate": two}),
                variant("a"),
            ),
        ];
        for (name, filters, expected) in cases {
            assert_eq!(full_rollout(&filters), expected, "{name}");
        }
    }
    #[test]
    fn a_bulk_deletion_tells_how_far_a_flag_was_rolled_out() {
        let group = |percentage: Value| json!({"rollout_percentage": percentage});
        let one = json!({"variants": [{"key": "a", "rollout_percentage": 100}]});
        let cases = [
            (json!({"groups": [group(json!(100))]}), Rollout::Full(None)),
            (json!({"groups": []}), Rollout::Full(None)),
            (
                json!({"groups": [group(json!(100))], "multivariate": one}),
                Rollout::Full(Some("a".into())),
            ),
            (json!({"groups": [group(json!(0)), group(json!(0.0))]}), Rollout::Not),
            (json!({"groups": [group(json!(0)), group(json!(1))]}), Rollout::Partial),
            (json!({"groups": [group(json!(0)), group(json!(null))]}), Rollout::Partial),
            (json!({"groups": [], "multivariate": one}), Rollout::Partial),
        ];
        for (filters, expected) in cases {
            assert_eq!(Rollout::of(&filters), expected, "{filters}");
        }
    }
}
