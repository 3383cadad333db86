use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::fixtures::{flag, items, now, set, source, vectors};
use super::*;

fn object(value: &Value) -> Properties {
    value.as_object().cloned().unwrap_or_default()
}

fn by_key<'f>(
    set: &'f FlagSet,
    subject: &Subject<'_>,
    selection: &Selection<'_>,
) -> HashMap<&'f str, Outcome<'f>> {
    let evaluation = evaluate(set, subject, selection, now());
    evaluation.outcomes.into_iter().map(|outcome| (outcome.flag.key(), outcome)).collect()
}

/// The only flag's outcome, by both paths.
fn only<'f>(set: &'f FlagSet, subject: &Subject<'_>) -> Outcome<'f> {
    let all = evaluate(set, subject, &Selection::default(), now());
    let [outcome] = all.outcomes[..] else { panic!("one flag") };
    let one = evaluate_one(set, subject, outcome.flag.key(), &Audience::default(), now());
    assert_eq!(one.map(told), Some(told(outcome)), "both paths agree");
    outcome
}

/// What a caller sees of an outcome.
fn told(outcome: Outcome<'_>) -> (bool, Option<&str>, &'static str, Option<u32>, Option<&str>) {
    (
        outcome.enabled,
        outcome.variant,
        outcome.reason.code(),
        outcome.condition_index,
        outcome.payload,
    )
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn on(properties: Value) -> Value {
    json!({"groups": [{"properties": properties}]})
}

fn depends(id: i64, value: impl Into<Value>) -> Value {
    json!({"type": "flag", "key": id.to_string(), "operator": "flag_evaluates_to", "value": value.into()})
}

#[test]
fn evaluation_vectors_come_out_as_recorded() {
    let Some(file) = vectors("v1_evaluation.json") else { return };
    for case in items(&file, "cases") {
        let set = set_of(&case["definitions"]);
        let context = &case["context"];
        let maps =
            ["person_properties", "groups", "group_properties"].map(|key| object(&context[key]));
        let [sent, groups, sent_groups] = maps.each_ref().map(Some);
        let facts = Facts { sent, groups, sent_groups, ..Facts::default() };
        let subject = Subject::new(context["distinct_id"].as_str().expect("a distinct id"), facts);

        let outcomes = by_key(&set, &subject, &Selection::default());
        let expected = case["expected"]["flags"].as_object().expect("expectations");
        assert_eq!(outcomes.len(), expected.len(), "{}: flags in the answer", case["id"]);
        for (key, expected) in expected {
            let outcome = outcomes[key.as_str()];
            let got = json!({
                "value": outcome.variant.map_or(Value::Bool(outcome.enabled), Value::from),
                "enabled": outcome.enabled,
                "variant": outcome.variant,
                "payload": outcome.payload,
                "reason": {"code": outcome.reason.code(), "condition_index": outcome.condition_index},
                "local_evaluation": expected["local_evaluation"],
            });
            assert_eq!(&got, expected, "{}: {key}", case["id"]);
        }
    }
}

/// A vector's flags. The feed names dependencies by key, flags as stored by id.
fn set_of(definitions: &Value) -> FlagSet {
    let stored = items(definitions, "flags");
    let ids: HashMap<&str, i64> = stored
        .iter()
        .filter_map(|flag| Some((flag["key"].as_str()?, flag["id"].as_i64()?)))
        .collect();
    let flags = stored.iter().map(|stored| {
        let mut filters = stored["filters"].clone();
        for condition in filters["groups"].as_array_mut().expect("conditions") {
            for filter in condition["properties"].as_array_mut().expect("filters") {
                if filter["type"] == "flag" {
                    let id = filter["key"].as_str().and_then(|key| ids.get(key)).unwrap_or(&-1);
                    filter["key"] = json!(id.to_string());
                }
            }
        }
        let source = source(
            stored["id"].as_i64().expect("an id"),
            stored["key"].as_str().expect("a key"),
            &filters,
        );
        Arc::new(Flag::compile(&FlagSource { active: stored["active"] == true, ..source }))
    });
    let group_types = object(&definitions["group_type_mapping"]);
    let group_types = group_types.iter().map(|(index, name)| {
        (index.parse().expect("an index"), name.as_str().expect("a name").to_owned())
    });
    let settings = Settings { group_types: group_types.collect(), ..Settings::default() };
    FlagSet::new(settings, flags.collect(), Vec::new())
}

#[test]
fn early_access_answers_for_whoever_answered_it() {
    let filters = json!({
        "feature_enrollment": true, "groups": [{"rollout_percentage": 100}], "payloads": {"true": "\"p\""},
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}
    });
    let set = set([flag(1, "beta", filters)]);
    let decided = |enabled| (enabled, None, "super_condition_value", Some(0), Some("\"p\""));
    let cases = [
        ("enrolled", json!({"$feature_enrollment/beta": true}), decided(true)),
        ("enrolled, as text", json!({"$feature_enrollment/beta": "true"}), decided(true)),
        ("case counts", json!({"$feature_enrollment/beta": "True"}), decided(false)),
        ("opted out", json!({"$feature_enrollment/beta": false}), decided(false)),
        ("null is an answer", json!({"$feature_enrollment/beta": null}), decided(false)),
        ("no answer", json!({}), (true, Some("a"), "condition_match", Some(0), None)),
    ];
    for (name, sent, expected) in cases {
        let sent = object(&sent);
        let subject = Subject::new("ann", Facts { sent: Some(&sent), ..Facts::default() });
        assert_eq!(told(only(&set, &subject)), expected, "{name}");
    }
}

#[test]
fn a_holdout_of_everyone_needs_no_hash_and_has_its_own_payload() {
    let holdout = |percentage: f64| {
        json!({"groups": [{}], "holdout": {"id": 7, "exclusion_percentage": percentage},
               "payloads": {"holdout-7": "1", "true": "2"}})
    };
    let held = (true, Some("holdout-7"), "holdout_condition_value", None, Some("1"));
    let cases = [
        ("everyone", 100.0, held),
        ("more than everyone", 250.0, held),
        ("less than no one", -1.0, (true, None, "condition_match", Some(0), Some("2"))),
    ];
    for (name, percentage, expected) in cases {
        let set = set([flag(1, "test", holdout(percentage))]);
        assert_eq!(told(only(&set, &Subject::new("ann", Facts::default()))), expected, "{name}");
    }
}

#[test]
fn a_device_flag_without_a_device_is_out_of_rollout_and_goes_on() {
    let filters = json!({"early_exit": true, "groups": [{"rollout_percentage": 100},
        {"aggregation_group_type_index": 0, "rollout_percentage": 100}]});
    let source =
        FlagSource { bucketing_identifier: Some("device_id"), ..source(1, "flag", &filters) };
    let settings =
        Settings { group_types: HashMap::from([(0, "company".to_owned())]), ..Settings::default() };
    let set = FlagSet::new(settings, vec![Arc::new(Flag::compile(&source))], Vec::new());
    let groups = object(&json!({"company": "acme"}));
    let no_group = Facts::default();
    let grouped = Facts { groups: Some(&groups), ..no_group };
    let device = Facts { device_id: Some("d"), ..no_group };
    let cases = [
        (
            "neither device nor group",
            no_group,
            (false, None, "out_of_rollout_bound", Some(0), None),
        ),
        ("a group", grouped, (true, None, "condition_match", Some(1), None)),
        ("a device", device, (true, None, "condition_match", Some(0), None)),
    ];
    for (name, facts, expected) in cases {
        assert_eq!(told(only(&set, &Subject::new("ann", facts))), expected, "{name}");
    }
}

#[test]
fn continuity_hashes_the_stored_key_then_the_anonymous_id() {
    // At 1 % the identifier user-17 is inside (0.0091...), user-61 is not.
    let filters = json!({"groups": [{"rollout_percentage": 1}]});
    let stored = HashMap::from([("beta-search".to_owned(), "user-17".to_owned())]);
    let read = HashKeys::Read(&stored);
    let cases = [
        ("the stored key", true, read, None, Some(true)),
        ("the stored key before the anonymous id", true, read, Some("user-61"), Some(true)),
        ("the anonymous id", true, HashKeys::Absent, Some("user-17"), Some(true)),
        ("neither", true, HashKeys::Absent, None, Some(false)),
        ("a flag that does not ask for it", false, read, Some("user-17"), Some(false)),
        ("keys that could not be read", true, HashKeys::Unavailable, None, None),
        ("keys that were not needed", false, HashKeys::Unavailable, None, Some(false)),
    ];
    for (name, ensure_experience_continuity, hash_keys, anon_distinct_id, expected) in cases {
        let source =
            FlagSource { ensure_experience_continuity, ..source(1, "beta-search", &filters) };
        let set = set([Arc::new(Flag::compile(&source))]);
        let subject =
            Subject::new("user-61", Facts { hash_keys, anon_distinct_id, ..Facts::default() });
        let outcome = only(&set, &subject);
        assert_eq!((!outcome.failed).then_some(outcome.enabled), expected, "{name}");
    }
}

#[test]
fn a_property_that_could_not_be_read_satisfies_nothing() {
    let is_not = json!([{"type": "person", "key": "plan", "operator": "is_not", "value": "pro"}]);
    let set = set([flag(1, "flag", on(is_not))]);
    let sent = object(&json!({"plan": "free"}));
    for (stored_unavailable, sent, expected) in
        [(false, None, true), (true, None, false), (true, Some(&sent), true)]
    {
        let subject = Subject::new("ann", Facts { stored_unavailable, sent, ..Facts::default() });
        assert_eq!(
            only(&set, &subject).enabled,
            expected,
            "unavailable: {stored_unavailable}, sent: {sent:?}"
        );
    }
}

#[test]
fn a_flag_that_goes_by_what_could_not_be_read_fails() {
    let cohort = |id: i64, is_static: bool, filters: Option<&Value>| {
        Arc::new(Cohort::compile(&CohortSource { id, is_static, filters, groups: None }))
    };
    let pros = json!({"properties": {"type": "AND", "values": [
        {"type": "person", "key": "plan", "operator": "is_not", "value": "free"}]}});
    let cohorts = || vec![cohort(1, true, None), cohort(2, false, Some(&pros))];
    let outside =
        |id: i64| json!([{"type": "cohort", "key": "id", "value": id, "operator": "not_in"}]);
    let cases = [
        (
            "a static cohort",
            on(outside(1)),
            Some("database_unavailable"),
            Some("database_unavailable"),
        ),
        ("a cohort by a property", on(outside(2)), Some("database_unavailable"), None),
        (
            "early access",
            json!({"feature_enrollment": true, "groups": [{}]}),
            Some("database_unavailable"),
            Some("database_unavailable"),
        ),
        ("neither", json!({"groups": [{}]}), None, None),
    ];
    let sent = object(&json!({"plan": "free"}));
    for (name, filters, of_nothing, of_sent) in cases {
        let set = FlagSet::new(Settings::default(), vec![flag(1, "flag", filters)], cohorts());
        for (sent, expected) in [(None, of_nothing), (Some(&sent), of_sent)] {
            let facts = Facts { stored_unavailable: true, sent, ..Facts::default() };
            let outcome = only(&set, &Subject::new("ann", facts));
            let failure = outcome.failed.then(|| outcome.reason.code());
            assert_eq!(failure, expected, "{name}, sent: {sent:?}");
        }
    }
}

#[test]
fn a_group_property_that_could_not_be_read_satisfies_nothing() {
    let is_not = json!([{"type": "group", "group_type_index": 0, "key": "plan", "operator": "is_not", "value": "pro"}]);
    let settings = Settings { group_types: [(0, "company".into())].into(), ..Settings::default() };
    let set = FlagSet::new(settings, vec![flag(1, "flag", on(is_not))], Vec::new());
    let groups = object(&json!({"company": "acme"}));
    for unavailable in [false, true] {
        let facts = Facts {
            groups: Some(&groups),
            stored_groups_unavailable: unavailable,
            ..Facts::default()
        };
        assert_eq!(only(&set, &Subject::new("ann", facts)).enabled, !unavailable);
    }
}

#[test]
fn a_flag_reads_flags_as_they_came_out() {
    let variants = json!({"groups": [{}], "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}});
    let never = json!({"groups": [{"properties": [{"key": "x", "operator": "is_set"}]}]});
    let broken = json!({"groups": 1});
    let cases = [
        ("a variant is on", variants.clone(), json!(true), (true, "condition_match")),
        ("a variant is not off", variants.clone(), json!(false), (false, "no_condition_match")),
        ("a variant is itself", variants.clone(), json!("a"), (true, "condition_match")),
        ("case counts", variants.clone(), json!("A"), (false, "no_condition_match")),
        (
            "on is not the text true",
            json!({"groups": [{}]}),
            json!("true"),
            (false, "no_condition_match"),
        ),
        ("off is off", never, json!(false), (true, "condition_match")),
        ("a number is no result", variants, json!(1), (false, "no_condition_match")),
        ("one that failed is not even off", broken, json!(false), (false, "no_condition_match")),
    ];
    for (name, read, value, expected) in cases {
        let set = set([flag(2, "reader", on(json!([depends(1, value)]))), flag(1, "read", read)]);
        let outcome =
            by_key(&set, &Subject::new("ann", Facts::default()), &Selection::default())["reader"];
        assert_eq!((outcome.enabled, outcome.reason.code()), expected, "{name}");
    }
}

#[test]
fn a_flag_that_is_withheld_counts_as_off_for_others() {
    let filters = json!({"groups": [{}]});
    let whole = source(1, "read", &filters);
    let contexts = keys(&["app"]);
    let client = Audience { runtime: RequestRuntime::Only(Runtime::Client), ..Audience::default() };
    let elsewhere = keys(&["site"]);
    let sited = Audience { evaluation_contexts: &elsewhere, ..Audience::default() };
    let cases = [
        ("inactive", FlagSource { active: false, ..whole }, Audience::default()),
        ("deleted", FlagSource { deleted: true, ..whole }, Audience::default()),
        ("encrypted", FlagSource { has_encrypted_payloads: true, ..whole }, Audience::default()),
        ("for servers", FlagSource { evaluation_runtime: Some("server"), ..whole }, client),
        ("for another context", FlagSource { evaluation_contexts: &contexts, ..whole }, sited),
    ];
    for (name, read, audience) in cases {
        let reader = flag(2, "reader", on(json!([depends(1, false)])));
        let set = set([Arc::new(Flag::compile(&read)), reader]);
        let subject = Subject::new("ann", Facts::default());
        let outcomes = by_key(&set, &subject, &Selection { audience, ..Selection::default() });
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), [&"reader"], "{name}");
        assert!(outcomes["reader"].enabled, "{name}");
        assert!(evaluate_one(&set, &subject, "read", &audience, now()).is_none(), "{name}");
        let one = evaluate_one(&set, &subject, "reader", &audience, now())
            .expect("a flag that is served");
        assert!(one.enabled, "{name}");
    }
}

#[test]
fn a_lost_flag_is_missing_for_all_that_read_it_and_a_cycle_is_an_error() {
    let set = set([
        flag(1, "reads-nobody", on(json!([depends(99, false)]))),
        flag(2, "reads-it", on(json!([depends(1, false)]))),
        flag(3, "egg", on(json!([depends(4, true)]))),
        flag(4, "hen", on(json!([depends(3, true)]))),
        flag(5, "reads-hen", on(json!([depends(4, false)]))),
        flag(6, "alone", json!({"groups": [{}]})),
    ]);
    let subject = Subject::new("ann", Facts::default());
    let evaluation = evaluate(&set, &subject, &Selection::default(), now());
    let got: Vec<_> = evaluation
        .outcomes
        .iter()
        .map(|outcome| (outcome.flag.key(), outcome.reason.code(), outcome.failed))
        .collect();
    let missing = |key| (key, "missing_dependency", false);
    let alone = ("alone", "condition_match", false);
    assert_eq!(got, [missing("reads-nobody"), missing("reads-it"), missing("reads-hen"), alone]);
    assert!(evaluation.errors_while_computing);
    assert!(evaluate_one(&set, &subject, "egg", &Audience::default(), now()).is_none());

    let asked = keys(&["alone", "reads-nobody"]);
    let selection = Selection { flag_keys: Some(&asked), ..Selection::default() };
    assert!(
        !evaluate(&set, &subject, &selection, now()).errors_while_computing,
        "missing alone is no error"
    );
}

#[test]
fn asking_for_keys_brings_what_they_depend_on() {
    let set = set([
        flag(1, "base", json!({"groups": [{}]})),
        flag(2, "middle", on(json!([depends(1, true)]))),
        flag(3, "top", on(json!([depends(2, true)]))),
        flag(4, "other", json!({"groups": [{}]})),
        flag(5, "survey-targeting-x", json!({"groups": [{}]})),
    ]);
    let survey = Audience { survey_only: true, ..Audience::default() };
    let (top, nobody) = (keys(&["top", "nobody"]), keys(&[]));
    let cases: [(&str, Selection<'_>, &[&str]); 3] = [
        (
            "a key",
            Selection { flag_keys: Some(&top), ..Selection::default() },
            &["base", "middle", "top"],
        ),
        ("no key", Selection { flag_keys: Some(&nobody), ..Selection::default() }, &[]),
        ("surveys", Selection { flag_keys: None, audience: survey }, &["survey-targeting-x"]),
    ];
    for (name, selection, expected) in cases {
        let evaluation = evaluate(&set, &Subject::new("ann", Facts::default()), &selection, now());
        let got: Vec<_> = evaluation.outcomes.iter().map(|outcome| outcome.flag.key()).collect();
        assert_eq!(got, expected, "{name}");
        assert!(evaluation.outcomes.iter().all(|outcome| outcome.enabled), "{name}");
    }
}

#[test]
fn a_cohort_filter_matches_fails_or_fails_the_flag() {
    let behavior = json!({"properties": {"type": "OR", "values": [{"type": "behavioral", "key": "$pageview"}]}});
    let everyone = json!({"properties": {"type": "AND", "values": []}});
    let cohort = |id, filters| {
        Arc::new(Cohort::compile(&CohortSource {
            id,
            is_static: false,
            filters: Some(filters),
            groups: None,
        }))
    };
    let cohorts = vec![cohort(1, &everyone), cohort(2, &behavior)];
    let filter = |value: Value, operator: &str| json!({"type": "cohort", "key": "id", "value": value, "operator": operator});
    let unresolved = Miss::CohortUnresolved;
    let cases = [
        ("a member", filter(json!(1), "in"), Reason::ConditionMatch),
        ("a member, by the id's text", filter(json!("1"), "in"), Reason::ConditionMatch),
        (
            "a member who must not be",
            filter(json!(1), "not_in"),
            Reason::NoConditionMatch(Miss::Plain),
        ),
        (
            "an operator that makes no sense",
            filter(json!(1), "exact"),
            Reason::NoConditionMatch(Miss::Plain),
        ),
        ("behaviour", filter(json!(2), "in"), Reason::NoConditionMatch(unresolved)),
        (
            "a cohort that is not there",
            filter(json!(3), "in"),
            Reason::Failed(Failure::CohortNotFound),
        ),
        (
            "an id that is none",
            filter(json!("x"), "in"),
            Reason::Failed(Failure::CohortFiltersParsing),
        ),
    ];
    for (name, filter, expected) in cases {
        let flag = flag(1, "flag", on(json!([filter])));
        let set = FlagSet::new(Settings::default(), vec![flag], cohorts.clone());
        let outcome = only(&set, &Subject::new("ann", Facts::default()));
        assert_eq!(outcome.reason, expected, "{name}");
        assert_eq!(outcome.failed, matches!(expected, Reason::Failed(_)), "{name}");
    }
}

#[test]
fn cohorts_are_asked_last() {
    let filters = on(json!([
        {"type": "cohort", "key": "id", "value": "x"},
        {"type": "person", "key": "plan", "operator": "is_set"}
    ]));
    let set = set([flag(1, "flag", filters)]);
    assert!(
        !only(&set, &Subject::new("ann", Facts::default())).failed,
        "the property said no before the cohort could fail"
    );
}

#[test]
fn a_switched_off_flag_is_answered_where_it_is_asked_for_by_key() {
    let filters = json!({"groups": [{}]});
    let off = FlagSource { active: false, ..source(1, "off", &filters) };
    let contexts = keys(&["app"]);
    let elsewhere = keys(&["site"]);
    let asking = Audience { switched_off_by_key: true, ..Audience::default() };
    let client = Audience { runtime: RequestRuntime::Only(Runtime::Client), ..asking };
    let sited = Audience { evaluation_contexts: &elsewhere, ..asking };
    let cases = [
        ("switched off", off, asking, true),
        ("for programs that do not ask", off, Audience::default(), false),
        ("deleted", FlagSource { deleted: true, ..off }, asking, false),
        ("encrypted", FlagSource { has_encrypted_payloads: true, ..off }, asking, false),
        ("for servers", FlagSource { evaluation_runtime: Some("server"), ..off }, client, false),
        ("elsewhere", FlagSource { evaluation_contexts: &contexts, ..off }, sited, false),
    ];
    let subject = Subject::new("ann", Facts::default());
    for (name, source, audience, is_answered) in cases {
        let reader = flag(2, "reader", on(json!([depends(1, false)])));
        let set = set([Arc::new(Flag::compile(&source)), reader]);
        let expected = is_answered.then_some((false, None, "flag_disabled", None, None));
        let one = evaluate_one(&set, &subject, "off", &audience, now()).map(told);
        assert_eq!(one, expected, "{name}");
        let (asked, both) = (keys(&["off", "off"]), keys(&["reader"]));
        let answers = |flag_keys: Option<&[String]>| {
            let outcomes = by_key(&set, &subject, &Selection { flag_keys, audience });
            (outcomes.get("off").copied().map(told), outcomes.contains_key("reader"))
        };
        assert_eq!(answers(Some(&asked)), (expected, false), "{name}");
        assert_eq!(answers(Some(&both)), (None, true), "{name}: only read by the one asked for");
        assert_eq!(answers(None), (None, true), "{name}: all flags");
    }
}
