//! `flagstaff import`: a project comes along and answers as it did; what is here already is
//! treated as told.

use std::{collections::BTreeMap, time::Duration};

use flagstaff::wire::v1::{BatchEvaluateFlagsRequest, EvaluatedFlag, EvaluationSubject};
use http::Method;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    cli::{Flagstaff, Outcome},
    directory::{COHORTS, plan},
    eventually, size,
    varied::{listed, random_subject},
};

both_databases! {
    a_project_comes_along_and_answers_as_it_did,
    a_rehearsal_tells_the_same_and_writes_nothing,
    a_second_import_changes_nothing,
    what_is_here_stays_is_updated_or_stops_the_import,
    group_types_are_found_by_name_and_get_new_numbers,
    what_the_rules_refuse_is_left_out_and_told,
    flags_come_in_as_the_reference_serves_them,
    changes_are_signed,
    the_guides_own_commands_lead_to_the_end,
}

const PATIENCE: Duration = Duration::from_secs(10);
/// Subjects with as many properties as these that a message of 1 MiB holds.
const A_MESSAGE: usize = 2_500;
const SEED: u64 = 6;

/// The command line that imports project 1 of one service into another.
pub(crate) fn import(source: &Service, target: &Service, words: &[&str]) -> Flagstaff {
    let url = format!("http://{}", source.address);
    let arguments = ["import", "--from-url", &url, "--project", "1", "--format", "json"];
    let keys = if target.is_on_postgres() { crate::support::ENCRYPTION_KEY } else { "" };
    let command =
        target.flagstaff(&[&arguments, words].concat()).env("FLAGSTAFF_IMPORT_KEY", &source.key);
    if keys.is_empty() { command } else { command.env("FLAGSTAFF_ENCRYPTION_KEYS", keys) }
}

/// Runs it, while the services go on.
pub(crate) fn done(command: Flagstaff) -> Outcome {
    tokio::task::block_in_place(|| command.outcome())
}

/// Runs it to a good end, and reads its summary.
fn summary(command: Flagstaff) -> Value {
    let outcome = done(command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// What became of one thing.
pub(crate) fn entry<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let entries = summary["entries"].as_array().unwrap();
    let found = entries.iter().find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("nothing is told of {name}: {summary}"))
}

/// Answers without what differs by right: numbers and versions.
async fn answers(
    service: &Service,
    subjects: &[EvaluationSubject],
) -> Vec<BTreeMap<String, EvaluatedFlag>> {
    let mut client = service.evaluation_as(Some(&service.token));
    let mut answers = Vec::new();
    for subjects in subjects.chunks(A_MESSAGE) {
        let subjects = subjects.to_vec();
        let request = BatchEvaluateFlagsRequest { subjects, ..Default::default() };
        let mut stream = client.batch_evaluate_flags(request).await.unwrap().into_inner();
        while let Some(answer) = stream.message().await.unwrap() {
            let flags = answer.flags.into_iter().map(|(key, mut flag)| {
                let metadata = flag.metadata.as_mut().unwrap();
                (metadata.id, metadata.version) = (0, 0);
                (key, flag)
            });
            answers.push(flags.collect());
        }
    }
    answers
}

/// Waits until the running service serves what a command wrote.
async fn until_served(service: &Service, key: &str) {
    let look = async || (!service.evaluated(&service.token, key).await.is_null()).then_some(());
    eventually("the imported flags are served", PATIENCE, look).await;
}

/// Every flag of project 1 by key, without what differs by right.
async fn all_flags(service: &Service) -> BTreeMap<String, Value> {
    let (_, list) = service.get(&format!("{FLAGS}?limit=1000")).await;
    let flags = list["results"].as_array().unwrap().clone();
    flags.into_iter().map(|flag| (flag["key"].as_str().unwrap().to_owned(), flag)).collect()
}

async fn a_project_comes_along_and_answers_as_it_did(target: &Service) {
    let source = Service::on_sqlite().await;
    source.varied_project().await;
    let came = summary(import(&source, target, &["--yes"]));
    let there = all_flags(&source).await;
    assert!(there.len() > 60, "{}", there.len());
    assert_eq!(came["flags"]["created"], there.len(), "{came}");
    assert_eq!(came["cohorts"]["created"], 4, "only those that a flag goes by: {came}");
    assert_eq!(came["group_types"]["created"], 1, "{came}");
    let note = &entry(&came, "Beta")["notes"][0];
    assert!(note.as_str().unwrap().starts_with("its 1000 members stay behind"), "{note}");

    let here = all_flags(target).await;
    for (key, flag) in &there {
        let same = [
            "name",
            "active",
            "archived",
            "tags",
            "evaluation_contexts",
            "evaluation_runtime",
            "bucketing_identifier",
            "ensure_experience_continuity",
            "is_remote_configuration",
            "has_encrypted_payloads",
            "rollback_conditions",
            "created_at",
        ];
        for field in same {
            assert_eq!(here[key][field], flag[field], "{key} {field}");
        }
        let payloads = |flag: &Value| flag["filters"]["payloads"].to_string();
        assert_eq!(payloads(&here[key]), payloads(flag), "{key}: spelled as it was");
    }
    target.list_in(entry(&came, "Beta")["id"].as_i64().unwrap(), &listed()).await;
    until_served(target, "everybody").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let count = size(2_500, 10_000);
    let subjects: Vec<_> = (0..count).map(|n| random_subject(&mut random, n)).collect();
    let look = async || {
        let some = answers(target, &subjects[..30]).await;
        (some == answers(&source, &subjects[..30]).await).then_some(())
    };
    eventually("the listed members count", PATIENCE, look).await;
    let (before, after) = (answers(&source, &subjects).await, answers(target, &subjects).await);
    assert!(before.len() == count && before[0].len() >= 60, "{:?}", before[0].keys());
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before, after, "{SEED} {at} {:?}", subjects[at]);
    }
    let told_apart = before[0].keys().filter(|key| {
        let on = before.iter().filter(|answer| answer[*key].enabled).count();
        on > 0 && on < count
    });
    assert!(told_apart.count() > 50, "the subjects differ enough to tell");
    source.stop().await;
}

async fn a_rehearsal_tells_the_same_and_writes_nothing(target: &Service) {
    let source = Service::on_sqlite().await;
    source.varied_project().await;
    let before = target.totals().await;
    let told = summary(import(&source, target, &[]));
    assert_eq!((&told["dry_run"], target.totals().await), (&json!(true), before));
    assert_eq!(target.get(COHORTS).await.1["count"], 0);
    assert_eq!(entry(&told, "company")["id"], Value::Null, "it has no number yet");
    let done = summary(import(&source, target, &["--yes"]));
    assert_eq!(done["dry_run"], false);
    for part in ["flags", "cohorts", "group_types", "never_imported"] {
        assert_eq!(told[part], done[part], "{part}");
    }
    let outcomes = |summary: &Value| -> Vec<Value> {
        let entries = summary["entries"].as_array().unwrap().iter();
        entries.map(|e| json!([e["kind"], e["name"], e["outcome"], e["notes"]])).collect()
    };
    assert_eq!(outcomes(&told), outcomes(&done));
    source.stop().await;
}

async fn a_second_import_changes_nothing(target: &Service) {
    let source = Service::on_sqlite().await;
    source.varied_project().await;
    summary(import(&source, target, &["--yes"]));
    let revision = "SELECT CAST(revision AS TEXT) FROM project WHERE id = 1";
    let before = (target.stored(revision).await, target.totals().await);
    for on_conflict in ["skip", "update"] {
        let again = summary(import(&source, target, &["--yes", "--on-conflict", on_conflict]));
        let outcomes = again["entries"].as_array().unwrap().iter().map(|e| e["outcome"].clone());
        let changed: Vec<_> = outcomes.filter(|outcome| outcome != "unchanged").collect();
        assert!(changed.is_empty(), "{again}");
    }
    assert_eq!((target.stored(revision).await, target.totals().await), before);
    source.stop().await;
}

async fn what_is_here_stays_is_updated_or_stops_the_import(target: &Service) {
    let source = Service::on_sqlite().await;
    let (pro, free) = (plan("pro"), plan("free"));
    let cohort = source.new_cohort(json!({"name": "Payers", "filters": pro})).await.0;
    let goes_by = json!({"groups": [{"properties": [
        {"key": "id", "type": "cohort", "operator": "in", "value": cohort}]}]});
    source.create(json!({"key": "both", "name": "there", "filters": goes_by})).await;
    source.create_for_everyone("new").await;
    target.new_cohort(json!({"name": "Another", "filters": free})).await;
    let known = target.new_cohort(json!({"name": "Payers", "filters": free})).await.0;
    let (id, _) = target.create(json!({"key": "both", "name": "here"})).await;
    let path = format!("{FLAGS}{id}/");

    let stopped = done(import(&source, target, &["--yes", "--on-conflict", "fail"]));
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(2), ""), "{stopped:?}");
    assert!(stopped.stderr.contains("--on-conflict") && stopped.stderr.contains("`Payers`"));
    assert_eq!(all_flags(target).await.len(), 1, "nothing was imported");

    let kept = summary(import(&source, target, &["--yes"]));
    assert_eq!(
        (&entry(&kept, "both")["outcome"], &entry(&kept, "new")["outcome"]),
        (&json!("kept"), &json!("created"))
    );
    assert_eq!(entry(&kept, "both")["notes"], json!(["differs in name, filters"]));
    let cohort = entry(&kept, "Payers");
    assert_eq!((&cohort["outcome"], &cohort["id"]), (&json!("kept"), &json!(known)));
    assert_eq!(target.get(&path).await.1["name"], "here");

    let updated = summary(import(&source, target, &["--yes", "--on-conflict", "update"]));
    assert_eq!(entry(&updated, "both")["outcome"], "updated");
    assert_eq!(entry(&updated, "new")["outcome"], "unchanged");
    let (_, flag) = target.get(&path).await;
    assert_eq!((&flag["name"], &flag["version"]), (&json!("there"), &json!(2)));
    let condition = &flag["filters"]["groups"][0]["properties"][0];
    assert_eq!((&condition["value"], &condition["cohort_name"]), (&json!(known), &json!("Payers")));
    let (_, cohort) = target.get(&format!("{COHORTS}{known}/")).await;
    assert_eq!(cohort["filters"], pro);
    assert_eq!(target.history(id).await[0].1, ["name", "filters", "version"]);
    source.stop().await;
}

async fn group_types_are_found_by_name_and_get_new_numbers(target: &Service) {
    let source = Service::on_sqlite().await;
    for (index, name) in ["company", "team", "city"].into_iter().enumerate() {
        source.group_type(i32::try_from(index).unwrap(), name).await;
    }
    target.group_type(0, "team").await;
    for service in [&source, target] {
        service.reload().await;
    }
    for index in 0..3 {
        let by_group = json!({"groups": [{"aggregation_group_type_index": index, "properties": [
            {"key": "size", "type": "group", "group_type_index": index, "operator": "exact",
                "value": "big"}]}]});
        source.create(json!({"key": format!("group-{index}"), "filters": by_group})).await;
    }
    let came = summary(import(&source, target, &["--yes"]));
    let numbers: Vec<_> =
        ["company", "team", "city"].iter().map(|name| entry(&came, name)["id"].clone()).collect();
    assert_eq!(numbers, [json!(1), json!(0), json!(2)], "{came}");
    assert_eq!(entry(&came, "company")["notes"], json!(["its index is 0 there"]));
    let flags = all_flags(target).await;
    let condition = &flags["group-0"]["filters"]["groups"][0];
    assert_eq!(condition["aggregation_group_type_index"], 1);
    assert_eq!(condition["properties"][0]["group_type_index"], 1);
    source.stop().await;
}

async fn what_the_rules_refuse_is_left_out_and_told(target: &Service) {
    let source = Service::on_sqlite().await;
    let first = source.create_for_everyone("first").await;
    let reads = json!({"groups": [{"properties": [{"key": first.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true}]}]});
    source.create(json!({"key": "reader", "filters": reads})).await;
    source.create_for_everyone("third").await;
    let limit = json!({"feature_flag_limit": 2});
    assert_eq!(target.rest(Method::PATCH, "/api/projects/1/", limit).await.0, 200);
    target.create_for_everyone("here").await;
    let outcome = done(import(&source, target, &["--yes"]));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let came: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&came["flags"]["created"], &came["flags"]["refused"]), (&json!(1), &json!(2)));
    assert!(came.to_string().contains("Maximum of 2 feature flags"), "{came}");
    assert_eq!(all_flags(target).await.len(), 2);

    let more = json!({"feature_flag_limit": 10, "require_evaluation_contexts": true});
    assert_eq!(target.rest(Method::PATCH, "/api/projects/1/", more).await.0, 200);
    let outcome = done(import(&source, target, &["--yes"]));
    let came: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, &came["flags"]["refused"]), (Some(3), &json!(2)), "{came}");
    assert!(came.to_string().contains("At least one evaluation context is required"), "{came}");
    source.stop().await;
}

/// Flags that no write of today makes, as older ones stand in the list of the source.
async fn flags_come_in_as_the_reference_serves_them(target: &Service) {
    let source = Service::on_sqlite().await;
    let variants = json!([{"key": "a", "rollout_percentage": 50},
        {"key": "b", "rollout_percentage": 30}]);
    let enrollment = json!([{"properties": [{"key": "$feature_enrollment/legacy", "type": "person",
        "operator": "exact", "value": ["true"]}]}]);
    let held = json!([{"properties": [], "rollout_percentage": 10, "variant": "holdout-7"}]);
    let older = json!({"key": "age", "type": "person", "operator": "gte", "value": 18});
    let flags = [
        ("uneven", json!({"groups": [{}], "multivariate": {"variants": variants}})),
        ("legacy", json!({"groups": [{}], "super_groups": enrollment, "holdout_groups": held})),
        ("other", json!({"groups": [{}], "super_groups": [{"rollout_percentage": 10}]})),
        ("number", json!({"groups": [{"properties": [older]}]})),
        ("rules", json!({"version": 2, "rules": []})),
    ];
    for (key, filters) in &flags {
        source.stored_flag(1, key, filters).await;
    }
    source.execute("UPDATE project SET flag_count = 5 WHERE id = 1").await;
    source.reload().await;
    let outcome = done(import(&source, target, &["--yes"]));
    let came: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, &came["flags"]["created"]), (Some(3), &json!(4)), "{came}");
    let refused = entry(&came, "rules");
    let why = "The key \"version\" is reserved in filters.";
    assert_eq!((&refused["outcome"], &refused["notes"]), (&json!("refused"), &json!([why])));
    let note = "The legacy member \"super_groups\" has a form that \"feature_enrollment\" cannot \
        express: it is removed.";
    assert_eq!(entry(&came, "other")["notes"], json!([note]));
    let here = all_flags(target).await;
    let filters = |key: &str| &here[key]["filters"];
    assert_eq!(filters("uneven")["multivariate"]["variants"], variants);
    assert_eq!(filters("number")["groups"][0]["properties"][0]["value"], 18);
    assert_eq!(filters("legacy")["feature_enrollment"], true);
    assert_eq!(filters("legacy")["holdout"], json!({"id": 7, "exclusion_percentage": 10}));
    for key in ["legacy", "other"] {
        let members = filters(key).as_object().unwrap();
        assert!(!members.contains_key("super_groups") && !members.contains_key("holdout_groups"));
    }
    let again = done(import(&source, target, &["--on-conflict", "update", "--yes"]));
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["flags"]["unchanged"], 4, "what came in settles: {again}");
    // A request has to be even, as ever.
    let body = json!({"filters": {"groups": [{}], "multivariate": {"variants": variants}}});
    let id = here["number"]["id"].as_i64().unwrap();
    assert_eq!(target.patch(id, body).await.0, 400);
    source.stop().await;
}

async fn changes_are_signed(target: &Service) {
    let source = Service::on_sqlite().await;
    source.create_for_everyone("signed").await;
    summary(import(&source, target, &["--user", "ann@example.com"]));
    let users = "SELECT CAST(COUNT(*) AS TEXT) FROM \"user\"";
    assert_eq!(target.stored(users).await.as_deref(), Some("1"), "a rehearsal makes nobody");
    summary(import(&source, target, &["--yes", "--user", "ann@example.com"]));
    let flags = all_flags(target).await;
    assert_eq!(flags["signed"]["created_by"]["email"], "ann@example.com");
    source.stop().await;
}

/// The import commands of the guide, in their order, with this source for PostHog.
async fn the_guides_own_commands_lead_to_the_end(target: &Service) {
    let source = Service::on_sqlite().await;
    source.varied_project().await;
    let guide = std::fs::read_to_string("docs/migrating-from-posthog.md").unwrap();
    let commands = guide.lines().filter_map(|line| line.strip_prefix("flagstaff import "));
    let address = format!("http://{}", source.address);
    let (mut ran, mut last) = (0, String::new());
    for command in commands {
        let words: Vec<_> = ["import"].into_iter().chain(command.split_whitespace()).collect();
        let words: Vec<_> = words
            .into_iter()
            .map(|word| match word {
                "https://us.posthog.com" => address.as_str(),
                "12345" => "1",
                other => other,
            })
            .collect();
        let command = target
            .flagstaff(&words)
            .env("FLAGSTAFF_IMPORT_KEY", &source.key)
            .env("FLAGSTAFF_ENCRYPTION_KEYS", crate::support::ENCRYPTION_KEY);
        let outcome = done(command);
        assert_eq!(outcome.code, Some(0), "{words:?} {outcome:?}");
        (ran, last) = (ran + 1, outcome.stdout);
    }
    assert!(ran >= 2 && last.contains("Imported into project 1."), "{ran} {last}");
    assert_eq!(all_flags(target).await.len(), all_flags(&source).await.len());
    source.stop().await;
}
