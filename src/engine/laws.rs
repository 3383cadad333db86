//! What holds for every flag and everyone, tried on random ones.

mod projects;
mod rubbish;

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::fixtures::{flag, now, set};
use super::*;
use projects::{Person, Project};

/// What a caller sees of an outcome.
type Told = (bool, Option<String>, Reason, Option<u32>, Option<String>, bool);

fn told(outcome: Outcome<'_>) -> Told {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let Outcome { enabled, reason, condition_index, failed, .. } = outcome;
    (enabled, owned(outcome.variant), reason, condition_index, owned(outcome.payload), failed)
}

/// Everything a project answers, by flag key.
fn answers(set: &FlagSet, person: &Person) -> HashMap<String, Told> {
    let evaluation = evaluate(set, &person.subject(), &Selection::default(), now());
    let answer = |outcome: Outcome<'_>| (outcome.flag.key().to_owned(), told(outcome));
    evaluation.outcomes.into_iter().map(answer).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_explanation_agrees_with_the_evaluation(
        project in projects::project(), person in projects::person(),
    ) {
        let set = project.set();
        let subject = person.subject();
        for outcome in evaluate(&set, &subject, &Selection::default(), now()).outcomes {
            let explanation = explain(&set, outcome.flag, &subject, now());
            prop_assert_eq!(told(explanation.outcome), told(outcome), "{}", outcome.flag.key());
            let matched = explanation.conditions.iter().filter(|report| report.matched);
            let winner =
                outcome.condition_index.filter(|_| outcome.reason == Reason::ConditionMatch);
            prop_assert_eq!(
                matched.map(|report| report.index).collect::<Vec<_>>(),
                Vec::from_iter(winner)
            );
        }
    }

    #[test]
    fn one_flag_alone_answers_as_among_all(
        project in projects::project(), person in projects::person(),
        contexts in prop::collection::vec(projects::context(), 0..3), survey_only: bool,
        runtime in prop::sample::select(vec![
            RequestRuntime::All, RequestRuntime::Unknown,
            RequestRuntime::Only(Runtime::Client), RequestRuntime::Only(Runtime::Server),
        ]),
    ) {
        let set = project.set();
        let subject = person.subject();
        let audience = Audience { runtime, evaluation_contexts: &contexts, survey_only, encrypted_too: false, switched_off_by_key: false };
        let selection = Selection { audience, ..Selection::default() };
        let mut all: HashMap<&str, Told> = evaluate(&set, &subject, &selection, now())
            .outcomes.into_iter().map(|outcome| (outcome.flag.key(), told(outcome))).collect();
        for flag in set.flags() {
            let alone = evaluate_one(&set, &subject, flag.key(), &audience, now()).map(told);
            prop_assert_eq!(alone, all.remove(flag.key()), "{}", flag.key());
        }
    }

    #[test]
    fn the_order_of_flags_and_cohorts_never_matters(
        project in projects::project(), person in projects::person(), turns: [Index; 2],
    ) {
        let Project { mut flags, mut cohorts, .. } = project.clone();
        let [at, other] = turns.map(|turn| turn.index(flags.len()));
        flags.rotate_left(at);
        flags.swap(0, other);
        cohorts.reverse();
        let turned = Project { flags, cohorts, ..project.clone() };
        prop_assert_eq!(answers(&turned.set(), &person), answers(&project.set(), &person));
    }

    #[test]
    fn flags_that_a_flag_does_not_read_never_move_it(
        project in projects::project(), person in projects::person(), chosen: Index,
    ) {
        let set = project.set();
        let mut kept = vec![chosen.index(set.flags().len()) as i64];
        while let Some(more) = kept.iter().find_map(|id| {
            let read = set.flag_by_id(*id)?.dependencies();
            read.iter().copied().find(|read| !kept.contains(read))
        }) {
            kept.push(more);
        }
        let unrelated: Vec<i64> =
            set.flags().iter().map(|flag| flag.id()).filter(|id| !kept.contains(id)).collect();
        let fewer = set.with_changes(Vec::new(), &unrelated);
        let mut before = answers(&set, &person);
        before.retain(|key, _| fewer.flag(key).is_some());
        prop_assert_eq!(answers(&fewer, &person), before);
    }

    #[test]
    fn raising_a_rollout_never_drops_anyone(
        project in projects::project(), person in projects::person(),
        chosen: Index, condition: Index, raised in 0.0..=100.0_f64,
    ) {
        let mut higher = project.clone();
        let flag = &mut higher.flags[chosen.index(project.flags.len())];
        // A flag that reads itself is not evaluated at all.
        let Some(conditions) = flag.filters["groups"].as_array_mut().filter(|all| !all.is_empty())
        else { return Ok(()) };
        let at = condition.index(conditions.len());
        let condition = &mut conditions[at];
        let rollout = condition["rollout_percentage"].as_f64().unwrap_or(100.0);
        condition["rollout_percentage"] = json!(rollout.max(raised));
        let is_on = |project: &Project| {
            answers(&project.set(), &person).get(&flag_key(chosen, project)).map(|told| told.0)
        };
        prop_assert!(is_on(&project) != Some(true) || is_on(&higher) == Some(true));
    }

    #[test]
    fn nothing_stored_and_nothing_sent_makes_the_engine_panic(
        stored in prop::collection::vec(rubbish::filters(), 1..5),
        cohorts in prop::collection::vec(rubbish::filters(), 0..3),
        sent in rubbish::properties(), groups in rubbish::properties(),
        distinct_id in "\\PC{0,220}", device_id in prop::option::of("\\PC{0,3}"),
    ) {
        let flags = stored.into_iter().zip(0..).map(|(filters, id)| flag(id, "flag", filters));
        let cohorts = cohorts.iter().zip(1..).map(|(filters, id)| Arc::new(Cohort::compile(
            &CohortSource { id, is_static: false, filters: Some(filters), groups: filters.get("groups") },
        )));
        let settings = projects::settings(false);
        let set = FlagSet::new(settings, flags.collect(), cohorts.collect());
        let facts = Facts {
            sent: Some(&sent), groups: Some(&groups), sent_groups: Some(&groups),
            device_id: device_id.as_deref(), ..Facts::default()
        };
        let subject = Subject::new(&distinct_id, facts);
        let all = evaluate(&set, &subject, &Selection::default(), now());
        prop_assert!(all.outcomes.len() <= set.flags().len());
        for flag in set.flags() {
            explain(&set, flag, &subject, now());
        }
    }
}

fn flag_key(chosen: Index, project: &Project) -> String {
    projects::key(chosen.index(project.flags.len()) as i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn variants_get_their_shares(
        weights in prop::collection::vec(1..100_u32, 1..6), key in "[a-z-]{1,20}", salt: u32,
    ) {
        const PEOPLE: u32 = 20_000;
        let total: u32 = weights.iter().sum();
        let share = |weight: u32| f64::from(weight) / f64::from(total);
        let variants: Vec<Value> = weights.iter().enumerate().map(|(at, weight)| {
            json!({"key": at.to_string(), "rollout_percentage": share(*weight) * 100.0})
        }).collect();
        let set = set([flag(1, &key, json!({"groups": [{}], "multivariate": {"variants": variants}}))]);
        let mut counts = vec![0_u32; weights.len()];
        for person in 0..PEOPLE {
            let id = format!("{salt}-{person}");
            let subject = Subject::new(&id, Facts::default());
            let outcome = evaluate_one(&set, &subject, &key, &Audience::default(), now());
            let variant = outcome.and_then(|outcome| outcome.variant);
            if let Some(at) = variant.and_then(|key| key.parse::<usize>().ok()) {
                counts[at] += 1;
            }
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let (people, share) = (f64::from(PEOPLE), share(weight));
            // Six standard deviations: one run in hundreds of millions is unlucky.
            let tolerance = 6.0 * (people * share * (1.0 - share)).sqrt() + 1.0;
            let off = (f64::from(count) - people * share).abs();
            prop_assert!(off <= tolerance, "{count} of {people} for a share of {share}");
        }
    }
}

fn regex(pattern: &str, key: &str) -> Value {
    json!({"groups": [{"properties": [{"key": key, "operator": "regex", "value": pattern}]}]})
}

#[test]
fn two_thousand_absurd_patterns_cost_a_bounded_search_and_harm_no_other_flag() {
    let absurd = ["(?=.*x)b", "(a|a)*a{1,900}b", "(?:(?=a)|(?=b)){1000000000}c", "(a*)\\1b"];
    let mut flags: Vec<_> = (0..2_000)
        .map(|id| flag(id, &format!("absurd-{id}"), regex(absurd[id as usize % 4], "long")))
        .collect();
    flags.push(flag(2_000, "modest", regex("^.+@example\\.com$", "email")));
    flags.push(flag(2_001, "behind", regex("(?<!un)used$", "state")));
    let set = set(flags);
    let sent = json!({"long": "a".repeat(1 << 20), "email": "ann@example.com", "state": "used"});
    let sent = sent.as_object().expect("an object");
    let subject = Subject::new("ann", Facts { sent: Some(sent), ..Facts::default() });
    let all = evaluate(&set, &subject, &Selection::default(), now());
    let on: Vec<&str> = all
        .outcomes
        .iter()
        .filter(|outcome| outcome.enabled)
        .map(|outcome| outcome.flag.key())
        .collect();
    assert_eq!(on, ["modest", "behind"]);
    assert!(!all.errors_while_computing);
}

#[test]
fn what_cannot_be_paid_for_matches_neither_operator() {
    let contains = |operator: &str, at: i64| json!({"groups": [{"properties": [{"key": "long", "operator": operator, "value": format!("z{at}")}]}]});
    let flags = (0..40).flat_map(|at| {
        let pair = [("icontains", 2 * at), ("not_icontains", 2 * at + 1)];
        pair.map(|(operator, id)| flag(id, &format!("{operator}-{id}"), contains(operator, at)))
    });
    let set = set(flags);
    let sent = Properties::from_iter([("long".to_owned(), json!("a".repeat(10 << 20)))]);
    let subject = Subject::new("ann", Facts { sent: Some(&sent), ..Facts::default() });
    let all = evaluate(&set, &subject, &Selection::default(), now());
    let on = all.outcomes.iter().filter(|outcome| outcome.enabled).count();
    assert!((10..40).contains(&on), "{on} of the 40 that would hold were paid for");
    let last = evaluate_one(&set, &subject, "not_icontains-79", &Audience::default(), now());
    assert!(last.is_some_and(|outcome| outcome.enabled), "alone it can be paid for");
}
