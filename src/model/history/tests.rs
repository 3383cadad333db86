use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::model::{
    activity::{Action, NewActivity},
    diff,
};

/// A flag's whole life: each state, and the rows that were written of the changes between them.
fn lived(states: &[FeatureFlag]) -> Vec<Step> {
    let step = |pair: &[FeatureFlag]| {
        let changes = diff::between(&pair[0], &pair[1]);
        let row = NewActivity {
            action: Action::Updated,
            flag_id: pair[1].id,
            key: pair[1].key.clone(),
            name: pair[1].key.clone(),
            changes,
        };
        Step {
            version: row.version(),
            activity: "updated".into(),
            detail: row.detail().to_string(),
            at: DateTime::UNIX_EPOCH + TimeDelta::days(pair[1].version.unwrap()),
            by: pair[1].version,
        }
    };
    states.windows(2).map(step).collect()
}

fn grown(edits: &[Edit]) -> Vec<FeatureFlag> {
    let mut states = vec![FeatureFlag::example()];
    for edit in edits {
        let mut next = states[states.len() - 1].clone();
        edit.apply(&mut next);
        next.version = next.version.map(|version| version + 1);
        states.push(next);
    }
    states
}

#[derive(Clone, Debug)]
enum Edit {
    Name(String),
    Key(String),
    Groups(u8),
    Active(bool),
    Runtime(Option<String>),
    Continuity(Option<bool>),
    Rollback(Option<i64>),
    Called(Option<i64>),
    Nothing,
}

impl Edit {
    fn apply(&self, flag: &mut FeatureFlag) {
        match self {
            Self::Name(name) => flag.name.clone_from(name),
            Self::Key(key) => flag.key.clone_from(key),
            Self::Groups(n) => {
                flag.filters =
                    json!({"groups": vec![json!({"rollout_percentage": n}); usize::from(*n % 3)]});
            }
            Self::Active(on) => flag.active = *on,
            Self::Runtime(runtime) => flag.evaluation_runtime.clone_from(runtime),
            Self::Continuity(on) => flag.ensure_experience_continuity = *on,
            Self::Rollback(n) => flag.rollback_conditions = n.map_or(Value::Null, |n| json!([n])),
            Self::Called(days) => {
                flag.last_called_at = days.map(|days| DateTime::UNIX_EPOCH + TimeDelta::days(days));
            }
            Self::Nothing => {}
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        "[a-c]{0,2}".prop_map(Edit::Name),
        "[a-z]{1,4}".prop_map(Edit::Key),
        any::<u8>().prop_map(Edit::Groups),
        any::<bool>().prop_map(Edit::Active),
        prop_oneof![Just(None), Just(Some("all".into())), Just(Some("server".into()))]
            .prop_map(Edit::Runtime),
        any::<Option<bool>>().prop_map(Edit::Continuity),
        prop_oneof![Just(None), (0..3_i64).prop_map(Some)].prop_map(Edit::Rollback),
        prop_oneof![Just(None), (0..3_i64).prop_map(Some)].prop_map(Edit::Called),
        Just(Edit::Nothing),
    ];
    prop::collection::vec(edit, 0..12)
}

proptest! {
    #[test]
    fn every_version_comes_back_as_it_was(edits in edits()) {
        let states = grown(&edits);
        let (steps, now) = (lived(&states), &states[states.len() - 1]);
        for (version, state) in (1..).zip(&states) {
            let got = match target(now, i128::from(version)).unwrap() {
                Target::Current => current(now),
                Target::Past(version) => past(now, version, &steps).unwrap(),
            };
            prop_assert_eq!(&got.flag, state);
            prop_assert_eq!(got.is_historical, version < states.len() as i64);
        }
    }

    #[test]
    fn a_missing_row_is_told_by_every_version_that_needs_it(edits in edits(), hole in any::<prop::sample::Index>()) {
        prop_assume!(!edits.is_empty());
        let states = grown(&edits);
        let (mut steps, now) = (lived(&states), &states[states.len() - 1]);
        let lost = steps.remove(hole.index(steps.len())).version.unwrap();
        for version in 1..states.len() as i64 {
            let got = past(now, version, &steps);
            if version <= lost {
                prop_assert_eq!(got.unwrap_err().code.http_status(), 422, "{} of {}", version, lost);
            } else {
                prop_assert_eq!(&got.unwrap().flag, &states[usize::try_from(version - 1).unwrap()]);
            }
        }
    }
}

#[test]
fn the_author_and_the_time_are_those_of_the_version() {
    let states = grown(&[Edit::Name("a".into()), Edit::Name("b".into()), Edit::Nothing]);
    let (steps, now) = (lived(&states), &states[3]);
    let second = past(now, 2, &steps).unwrap();
    assert_eq!((second.by, second.at), (Some(2), DateTime::UNIX_EPOCH + TimeDelta::days(2)));
    let first = past(now, 1, &steps).unwrap();
    assert_eq!((first.by, first.at, first.flag.name.as_str()), (None, now.created_at, ""));
}

#[test]
fn rows_without_a_version_are_passed_over_and_twice_told_ones_are_not() {
    let states = grown(&[Edit::Active(false), Edit::Active(true)]);
    let (mut steps, now) = (lived(&states), &states[2]);
    let aside = Step {
        version: None,
        detail: json!({"changes": [{"field": "active", "before": false, "after": true}]})
            .to_string(),
        ..steps[0].clone()
    };
    steps.push(aside);
    assert!(past(now, 1, &steps).unwrap().flag.active);
    steps.push(steps[1].clone());
    assert_eq!(
        past(now, 1, &steps).unwrap_err().detail,
        "Activity log is incomplete. Cannot reconstruct version 1."
    );
}

#[test]
fn damage_is_told_and_never_guessed_around() {
    let states = grown(&[Edit::Name("a".into())]);
    let damaged = [
        "{".to_owned(),
        json!({"changes": [{"field": "name", "before": 1}]}).to_string(),
        json!({"changes": [{"field": "active", "before": "yes"}]}).to_string(),
    ];
    for detail in damaged {
        let steps = [Step { detail, ..lived(&states)[0].clone() }];
        assert!(past(&states[1], 1, &steps).is_err());
    }
}

#[test]
fn a_wanted_version_is_judged_in_the_documented_order() {
    let flag = FeatureFlag { version: Some(3), ..FeatureFlag::example() };
    let detail = |wanted| target(&flag, wanted).unwrap_err().detail.clone();
    assert_eq!(target(&flag, 3).unwrap(), Target::Current);
    assert_eq!(target(&flag, 1).unwrap(), Target::Past(1));
    assert_eq!(detail(0), "Version 0 not found (current version is 3)");
    assert_eq!(detail(4), "Version 4 not found (current version is 3)");
    assert_eq!(
        detail(1 << 70),
        format!("Version {} not found (current version is 3)", 1_i128 << 70)
    );
    let unversioned = FeatureFlag { version: None, ..flag.clone() };
    let error = target(&unversioned, 1).unwrap_err();
    assert_eq!((error.code.http_status(), error.detail.as_str()), (422, "Flag has no version set"));
    let remote = FeatureFlag { is_remote_configuration: Some(true), ..unversioned };
    let error = target(&remote, 0).unwrap_err();
    assert_eq!((error.code.http_status(), error.body), (400, BodyKind::Detail));
}

#[test]
fn filters_of_old_versions_always_have_groups() {
    for (before, after) in [
        (json!(null), json!({"groups": []})),
        (json!({"payloads": {}}), json!({"payloads": {}, "groups": []})),
    ] {
        assert_eq!(normalised(before), after);
    }
}

#[test]
fn a_version_with_encrypted_payloads_is_not_brought_back() {
    let mut version = current(&FeatureFlag::example());
    assert_eq!(version.as_patch().unwrap()["filters"], json!({"groups": []}));
    version.flag.has_encrypted_payloads = Some(true);
    assert_eq!(version.as_patch().unwrap_err().code.http_status(), 400);
}
