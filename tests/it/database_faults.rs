//! Connections to PostgreSQL that die, with and without a word, and callers that leave: the
//! service goes on as soon as new connections work, without a restart.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, events::event, eventually};

const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: [&str; 6] = [
    "--database-timeout",
    "4s",
    "--database-statement-timeout",
    "20s",
    "--encryption-keys",
    crate::support::ENCRYPTION_KEY,
];

/// A flag that asks for a stored property, and a person who has it.
async fn a_project(service: &Service) -> i64 {
    let plan = json!({"key": "plan", "type": "person", "operator": "exact", "value": "pro"});
    let filters = json!({"groups": [{"properties": [plan]}]});
    let (flag, _) = service.create(json!({"key": "pros", "filters": filters})).await;
    service.ingest(&[event("$identify", "ann", json!({"$set": {"plan": "pro"}}))]).await;
    flag
}

/// One of each kind of work, at once: a change, a list, events, an evaluation with stored facts
/// and an unknown key. The statuses that were answered.
async fn all_kinds(service: &Service, flag: i64, n: usize) -> Vec<(&'static str, u16)> {
    let change = service.patch(flag, json!({"name": n.to_string()}));
    let list = service.get(FLAGS);
    let set = event("$identify", &format!("person-{n}"), json!({"$set": {"n": n}}));
    let body = json!({"api_key": service.token, "batch": [set]});
    let events = service.send_events("/batch/", &body);
    let ann = json!({"distinct_id": "ann"});
    let evaluation = service.flags_for(&ann);
    let unknown = format!("phx_{n:0>40}");
    let key = service.call(Method::GET, FLAGS, Some(&unknown), None);
    let (change, list, events, evaluation, key) =
        futures::join!(change, list, events, evaluation, key);
    let is_known = evaluation["errorsWhileComputingFlags"] == false;
    vec![
        ("change", change.0),
        ("list", list.0),
        ("events", events.status),
        ("evaluation", if is_known { 200 } else { 503 }),
        ("key", if key.status == 401 { 200 } else { key.status }),
    ]
}

/// Whether all was done but what is not waited for for long: on a busy machine, keys and stored
/// facts may be late.
fn waited_for(answers: &[(&'static str, u16)]) -> bool {
    answers.iter().all(|(kind, status)| *status == 200 || ["evaluation", "key"].contains(kind))
}

fn all_done(answers: &[(&'static str, u16)]) -> bool {
    answers.iter().all(|(_, status)| *status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fall_silent_are_replaced() {
    let Some((service, proxy)) = Service::behind_proxy(&SHORT).await else { return };
    let flag = a_project(&service).await;
    let busy = || join_all((0..10).map(|n| all_kinds(&service, flag, n)));
    for answers in busy().await {
        assert!(waited_for(&answers), "{answers:?}");
    }
    // Some are in use at this moment, some are idle.
    let (_, answers) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            proxy.silence();
        },
        busy()
    );
    for (_, status) in answers.into_iter().flatten() {
        assert!([200, 503].contains(&status), "{status}");
    }
    let recovered = async || {
        let answers = all_kinds(&service, flag, 100).await;
        (all_done(&answers) && !service.is_stale().await).then_some(())
    };
    eventually("all kinds of work are done again", PATIENCE, recovered).await;
    for answers in busy().await {
        assert!(waited_for(&answers), "no stuck connection is left: {answers:?}");
    }
    // Changes of others are heard of again.
    service.execute("UPDATE project SET revision = revision + 1 WHERE id = 1").await;
    let revision = service.number("SELECT revision FROM project WHERE id = 1").await;
    let seen = async || {
        let (_, flag) = service.patch(flag, json!({"name": "Seen"})).await;
        let now = service.number("SELECT revision FROM project WHERE id = 1").await;
        (flag["name"] == "Seen" && now > revision).then_some(())
    };
    eventually("changes go on", PATIENCE, seen).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_is_not_gone() {
    let Some((service, proxy)) = Service::behind_proxy(&[]).await else { return };
    let flag = a_project(&service).await;
    // Half a second there and back.
    proxy.slow_down(Duration::from_millis(250));
    for n in 0..3 {
        let (status, body) = service.patch(flag, json!({"name": n.to_string()})).await;
        assert_eq!(status, 200, "{body}");
        assert!(!service.is_stale().await, "after change {n}");
    }
    proxy.slow_down(Duration::ZERO);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_cost_no_read_and_no_begin() {
    let Some(service) = Service::on_postgres().await else { return };
    let flag = a_project(&service).await;
    let busy = || join_all((0..10).map(|n| all_kinds(&service, flag, n)));
    for round in 0..3 {
        for answers in busy().await {
            assert!(waited_for(&answers), "{answers:?}");
        }
        service
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name LIKE 'flagstaff%'",
            )
            .await;
        for answers in busy().await {
            assert!(waited_for(&answers), "round {round}: {answers:?}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stops_and_starts_is_unavailable_and_never_a_defect() {
    let settings = ["--database-timeout", "3s"];
    let Some((service, postgres)) = Service::on_own_postgres_with(&settings).await else { return };
    let flag = a_project(&service).await;
    service.execute("CHECKPOINT").await;
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let is_over = tokio_util::sync::CancellationToken::new();
    let traffic = async {
        let mut n = 0;
        while !is_over.is_cancelled() {
            n += 1;
            let answers = join_all((0..4).map(|k| all_kinds(&service, flag, n * 4 + k))).await;
            seen.lock().unwrap().extend(answers.into_iter().flatten());
        }
    };
    let outage = async {
        for _ in 0..2 {
            tokio::task::block_in_place(|| postgres.stop());
            let noticed = async || service.is_stale().await.then_some(());
            eventually("the database is known to be gone", PATIENCE, noticed).await;
            tokio::task::block_in_place(|| postgres.start());
            let back = async || {
                let (status, _) = service.patch(flag, json!({"name": "Back"})).await;
                (status == 200 && !service.is_stale().await).then_some(())
            };
            eventually("changes are taken again", PATIENCE, back).await;
        }
        is_over.cancel();
    };
    tokio::join!(traffic, outage);
    let seen = seen.into_inner().unwrap();
    let odd: Vec<_> = seen.iter().filter(|(_, status)| ![200, 503].contains(status)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(seen.contains(&("change", 503)), "{seen:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_leave_nothing_behind() {
    let settings = [&SHORT[..], &["--database-write-connections", "2"]].concat();
    let Some((service, proxy)) = Service::behind_proxy(&settings).await else { return };
    let flag = a_project(&service).await;
    // Each step of a transaction takes long enough to leave in its middle.
    proxy.slow_down(Duration::from_millis(5));
    for n in 0..60 {
        let change = service.patch(flag, json!({"name": format!("left {n}")}));
        // The time limit is the caller's: it leaves wherever the change has come to.
        let _ = tokio::time::timeout(Duration::from_millis(n), change).await;
    }
    proxy.slow_down(Duration::ZERO);
    let changes = join_all((0..20).map(|n| service.patch(flag, json!({"name": n.to_string()}))));
    for (status, body) in changes.await {
        assert_eq!(status, 200, "{body}");
    }
    let open = "pg_stat_activity WHERE datname = current_database() \
                AND application_name LIKE 'flagstaff%' AND state LIKE 'idle in transaction%'";
    let none = async || (service.count(open).await == 0).then_some(());
    eventually("no transaction is left open", PATIENCE, none).await;
    let (_, page) = service.get(&format!("{FLAGS}{flag}/activity/?limit=1000")).await;
    let (_, shown) = service.get(&format!("{FLAGS}{flag}/")).await;
    let rows = page["results"].as_array().map(Vec::len).unwrap_or_default();
    assert_eq!(Value::from(rows), shown["version"], "a row for each version");
    service.stop().await;
}
