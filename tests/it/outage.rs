//! Evaluation while the database is gone, slow or locked: it goes on from memory, lets nobody in
//! for want of facts, and says which answers it does not know (evaluation 6.2, 10 and 12).

use std::time::Duration;

use flagstaff::wire::v1::watch_flags_response::Event;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Code;

use crate::support::{Service, eventually};

const PATIENCE: Duration = Duration::from_secs(15);

/// Ann, who is stored and listed, and a flag of each kind.
async fn a_project(service: &Service) {
    service.stored_person(7, &["ann"], &json!({"plan": "pro"})).await;
    service.cohort(1, 7, true, "{}").await;
    service.member(7, 7).await;
    let plan = |operator: &str, value: &str| json!({"key": "plan", "type": "person", "operator": operator, "value": value});
    let listed = json!({"key": "id", "type": "cohort", "value": 7});
    let flags = [
        ("everyone", json!({"groups": [{}]})),
        ("pros", json!({"groups": [{"properties": [plan("exact", "pro")]}]})),
        ("payers", json!({"groups": [{"properties": [plan("is_not", "free")]}]})),
        ("listed", json!({"groups": [{"properties": [listed]}]})),
    ];
    for (key, filters) in flags {
        service.create(json!({"key": key, "filters": filters})).await;
    }
    let half = json!({"groups": [{"rollout_percentage": 50}]});
    let kept = json!({"key": "kept", "filters": half, "ensure_experience_continuity": true});
    service.create(kept).await;
    service.reload().await;
}

/// What the flags in the order above are: on, off, or the code of a failure.
fn told(answer: &Value) -> Vec<Value> {
    let flag = |key: &str| {
        let flag = &answer["flags"][key];
        match flag["failed"] == true {
            true => flag["reason"]["code"].clone(),
            false => flag["enabled"].clone(),
        }
    };
    ["everyone", "pros", "payers", "listed"].into_iter().map(flag).collect()
}

fn kept_failed(answer: &Value) -> bool {
    answer["flags"]["kept"]["reason"]["code"] == "hash_key_override_error"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_costs_only_what_was_not_read_before() {
    let Some((service, postgres)) = Service::on_own_postgres().await else { return };
    a_project(&service).await;
    let (ann, bob) = (json!({"distinct_id": "ann"}), json!({"distinct_id": "bob"}));
    let warm = service.flags_for(&ann).await;
    assert_eq!(told(&warm), [true, true, true, true], "{warm}");

    postgres.stop();
    let unnoticed = service.flags_for(&bob).await;
    assert_eq!(unnoticed["errorsWhileComputingFlags"], true, "{unnoticed}");
    let noticed = async || service.is_stale().await.then_some(());
    eventually("the database is known to be gone", PATIENCE, noticed).await;

    let old = service.flags_for(&ann).await;
    assert_eq!(old["flags"], warm["flags"], "what was read before still counts");
    assert_eq!(old["errorsWhileComputingFlags"], false);
    let unknown = service.flags_for(&bob).await;
    let failed = json!("database_unavailable");
    assert_eq!(told(&unknown), [json!(true), json!(false), json!(false), failed.clone()]);
    assert!(kept_failed(&unknown), "{unknown}");
    assert_eq!(unknown["errorsWhileComputingFlags"], true);
    let sent = json!({"distinct_id": "bob", "person_properties": {"plan": "pro"}});
    let answer = service.flags_for(&sent).await;
    assert_eq!(told(&answer), [json!(true), json!(true), json!(true), failed]);
    let login = json!({"distinct_id": "ann", "$anon_distinct_id": "visitor"});
    let answer = service.flags_for(&login).await;
    assert!(kept_failed(&answer), "nothing can be kept for the visitor: {answer}");
    assert_eq!(answer["flags"]["listed"], warm["flags"]["listed"]);
    let plain = json!({"distinct_id": "bob", "flag_keys": ["everyone"]});
    assert_eq!(service.flags_for(&plain).await["errorsWhileComputingFlags"], false);

    postgres.start();
    let back = async || {
        let answer = service.flags_for(&bob).await;
        (answer["errorsWhileComputingFlags"] == false).then_some(answer)
    };
    let answer = eventually("people are read again", PATIENCE, back).await;
    assert_eq!(told(&answer), [true, false, true, false], "{answer}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_to_watch_is_told_that_the_database_is_gone() {
    let Some((service, postgres)) = Service::on_own_postgres().await else { return };
    let definitions = async || service.try_watch(&service.secret, "", None).await;
    service.create_for_everyone("one").await;
    // Its key is known by this, and no definitions are held for watchers.
    drop(service.told_definitions().await);
    // The server for the tests is quick to commit, and may lose what it did last in a crash.
    service.execute("CHECKPOINT").await;

    postgres.stop();
    let many = futures::future::join_all((0..20).map(|_| definitions()));
    for answer in timeout(PATIENCE, many).await.expect("none waits for the others") {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
    let noticed = async || service.is_stale().await.then_some(());
    eventually("the database is known to be gone", PATIENCE, noticed).await;
    assert_eq!(definitions().await.unwrap_err().code(), Code::Unavailable);
    let ahead = service.try_watch(&service.token, "", Some(1_000)).await;
    assert_eq!(ahead.unwrap_err().code(), Code::Unavailable, "whether that is there is not known");
    let mut public = service.watch(&service.token, None).await;
    assert!(matches!(public.hear().await, Event::RevisionNotice(_)), "revisions are in memory");

    postgres.start();
    let back = async || definitions().await.ok();
    let mut watcher = eventually("definitions are told again", PATIENCE, back).await;
    watcher.hear().await;
    assert_eq!(watcher.copy(), service.told_definitions().await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_waited_for_only_so_long() {
    let Some(service) = Service::on_postgres().await else { return };
    a_project(&service).await;
    let held = service.locked("TABLE person_distinct_id IN ACCESS EXCLUSIVE MODE").await;
    let ann = json!({"distinct_id": "ann"});
    let answers = futures::future::join_all((0..30).map(|_| service.flags_for(&ann))).await;
    for answer in answers {
        let failed = json!("database_unavailable");
        assert_eq!(told(&answer), [json!(true), json!(false), json!(false), failed]);
        assert_eq!(answer["errorsWhileComputingFlags"], true);
    }
    held.rollback().await.unwrap();
    let back = async || (told(&service.flags_for(&ann).await) == [true; 4]).then_some(());
    eventually("people are read again", PATIENCE, back).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hash_keys_that_cannot_be_written_fail_their_flags_alone() {
    let Some(service) = Service::on_postgres().await else { return };
    a_project(&service).await;
    let held = service.locked("TABLE hash_key_override IN EXCLUSIVE MODE").await;
    let login = json!({"distinct_id": "ann", "$anon_distinct_id": "visitor"});
    let answer = service.flags_for(&login).await;
    assert!(kept_failed(&answer), "{answer}");
    assert_eq!(told(&answer), [true; 4], "{answer}");
    assert_eq!(answer["errorsWhileComputingFlags"], true);
    held.rollback().await.unwrap();
    let back = async || {
        let answer = service.flags_for(&login).await;
        (answer["errorsWhileComputingFlags"] == false).then_some(())
    };
    eventually("they are written", PATIENCE, back).await;
    let kept = service.stored("SELECT hash_key FROM hash_key_override").await;
    assert_eq!(kept.as_deref(), Some("visitor"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_people_is_seen_by_every_replica() {
    let Some(first) = Service::on_postgres().await else { return };
    a_project(&first).await;
    let second = first.replica().await;
    for (n, plan) in ["free", "pro", "free", "pro"].into_iter().enumerate() {
        let names = if n < 2 { r#"{"ids":["ann"]}"# } else { r#"{"many":true}"# };
        first
            .execute(&format!(
                "BEGIN; UPDATE person SET properties = '{{\"plan\": \"{plan}\"}}' WHERE id = 7; \
                 SELECT pg_notify('flagstaff', 'people 1 {names}'); COMMIT"
            ))
            .await;
        for service in [&first, &second] {
            let look = async || {
                let flags = &service.flags_for(&json!({"distinct_id": "ann"})).await["flags"];
                (flags["pros"]["enabled"] == (plan == "pro")).then_some(())
            };
            eventually("the plan is seen", Duration::from_secs(2), look).await;
        }
    }
    second.stop().await;
    first.stop().await;
}
