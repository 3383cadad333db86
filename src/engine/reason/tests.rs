use super::*;

const MISS: Reason = Reason::NoConditionMatch(Miss::Plain);
const UNRESOLVED: Reason = Reason::NoConditionMatch(Miss::CohortUnresolved);

#[test]
fn the_most_telling_reason_wins_and_ties_go_to_the_later_condition() {
    use Reason::{NoConditionMatch, NoGroupType, OutOfRolloutBound};
    type Case = (&'static str, &'static [Reason], (Reason, Option<u32>));
    let cases: [Case; 9] = [
        ("no conditions", &[], (NoGroupType, None)),
        (
            "a rollout miss, then a filter miss",
            &[OutOfRolloutBound, MISS],
            (OutOfRolloutBound, Some(0)),
        ),
        (
            "a filter miss, then a rollout miss",
            &[MISS, OutOfRolloutBound],
            (OutOfRolloutBound, Some(1)),
        ),
        ("three filter misses", &[MISS, MISS, MISS], (MISS, Some(2))),
        ("two skipped groups", &[NoGroupType, NoGroupType], (NoGroupType, Some(1))),
        (
            "a skipped group, then a filter miss",
            &[NoGroupType, MISS],
            (NoConditionMatch(Miss::GroupsSkipped), Some(1)),
        ),
        (
            "a filter miss, then a skipped group",
            &[MISS, NoGroupType],
            (NoConditionMatch(Miss::GroupsSkipped), Some(0)),
        ),
        ("an unresolved cohort before a filter miss", &[UNRESOLVED, MISS], (UNRESOLVED, Some(1))),
        (
            "an unresolved cohort and a skipped group",
            &[NoGroupType, UNRESOLVED],
            (UNRESOLVED, Some(1)),
        ),
    ];
    for (name, reasons, expected) in cases {
        let mut ranking = Ranking::new();
        (0..).zip(reasons).for_each(|(index, reason)| ranking.note(*reason, index));
        assert_eq!(ranking.verdict(), expected, "{name}");
    }
}

#[test]
fn a_reason_reads_as_documented() {
    let cases = [
        (Reason::SuperConditionValue, Some(0), "super_condition_value", "Super condition value", 6),
        (
            Reason::HoldoutConditionValue,
            None,
            "holdout_condition_value",
            "Holdout condition value",
            5,
        ),
        (Reason::ConditionMatch, Some(1), "condition_match", "Matched condition set 2", 4),
        (Reason::OutOfRolloutBound, Some(0), "out_of_rollout_bound", "Out of rollout bound", 3),
        (MISS, Some(0), "no_condition_match", "No matching condition set", 2),
        (Reason::NoGroupType, Some(0), "no_group_type", "No group type", 1),
        (Reason::FlagDisabled, None, "flag_disabled", "Feature flag is disabled", 0),
        (
            Reason::MissingDependency,
            None,
            "missing_dependency",
            "Flag cannot be evaluated due to missing dependency",
            -1,
        ),
    ];
    for (reason, index, code, description, priority) in cases {
        assert_eq!(reason.code(), code);
        assert_eq!(reason.description(index), description);
        assert_eq!(reason.priority(), priority, "{code}");
    }
}
