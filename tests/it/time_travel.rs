//! A flag tried out at a moment of the past is what it was then (management-api 4.4).
//!
//! [`random_lives_are_answered_later_as_they_were_then`] is the proof: flags and people change at
//! random, live evaluation is recorded on the way, and asked for again in the end.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use flagstaff::clock::Clock;
use http::Method;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    ENCRYPTION_KEY, FLAGS, Service,
    edges::{EDGES, Edge, Failure},
    events::{at, event},
};

both_databases! {
    properties_and_conditions_are_those_of_then,
    properties_of_now_never_stand_in,
    before_it_was_made_and_while_deleted_there_was_no_flag,
    a_flag_deleted_with_others_was_there_before,
    history_with_a_gap_is_told_as_such,
    naive_times_are_utc_and_offsets_count,
    relative_dates_count_from_then,
    a_history_beyond_the_limit_is_refused,
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The present moment, which everything that comes later comes after.
fn now() -> String {
    text(Clock::system().now())
}

fn on(plan: &str) -> Value {
    let property = json!({"key": "plan", "type": "person", "operator": "exact", "value": plan});
    json!({"groups": [{"properties": [property], "rollout_percentage": 100}]})
}

fn set(properties: Value) -> Value {
    event("$set", "ann", json!({"$set": properties}))
}

fn then(at: &str) -> Value {
    json!({"distinct_id": "ann", "timestamp": at})
}

async fn properties_and_conditions_are_those_of_then(service: &Service) {
    let (id, _) = service.create(json!({"key": "beta", "filters": on("pro")})).await;
    service.ingest(&[at(&now(), set(json!({"plan": "free", "other": 1})))]).await;
    let free = now();
    service.ingest(&[at(&now(), set(json!({"plan": "pro"})))]).await;
    let pro = now();
    service.patch(id, json!({"filters": on("free"), "name": "Other way round"})).await;
    let turned = now();
    service.patch(id, json!({"active": false})).await;
    let off = now();
    let unset = event("$set", "ann", json!({"$unset": ["plan"]}));
    service.ingest(&[at(&now(), unset)]).await;
    let bare = now();
    let cases = [
        (&free, "free", false, "no_condition_match"),
        (&pro, "pro", true, "condition_match"),
        (&turned, "pro", false, "no_condition_match"),
        (&off, "pro", false, "flag_disabled"),
    ];
    for edge in EDGES {
        for (moment, plan, result, reason) in cases {
            let told = service.tried(edge, id, &then(moment)).await;
            assert_eq!((&told["result"], &told["reason"]), (&json!(result), &json!(reason)));
            assert_eq!(told["person_properties"], json!({"plan": plan}), "{edge:?} {moment}");
        }
        let told = service.tried(edge, id, &then(&bare)).await;
        assert_eq!(told["person_properties"], json!({}), "{edge:?}");
    }
}

async fn properties_of_now_never_stand_in(service: &Service) {
    let (id, _) = service.create(json!({"key": "beta", "filters": on("pro")})).await;
    let before = now();
    service.ingest(&[at("2020-01-01T00:00:00Z", set(json!({"old": 1})))]).await;
    service.ingest(&[at(&now(), set(json!({"plan": "pro"})))]).await;
    for edge in EDGES {
        let told = service.tried(edge, id, &then(&before)).await;
        assert_eq!((&told["result"], &told["person_properties"]), (&json!(false), &json!({})));
        let told = service.tried(edge, id, &json!({"distinct_id": "ann"})).await;
        assert_eq!(told["result"], true, "{edge:?}");
    }
    let old = json!({"key": "old", "type": "person", "operator": "is_set", "value": "is_set"});
    let (older, _) = service
        .create(json!({"key": "older", "filters": {"groups": [{"properties": [old]}]}}))
        .await;
    let told = service.tried(Edge::Rest, older, &then(&now())).await;
    assert_eq!(told["result"], true, "what was set before the flag was made counts too");
}

async fn before_it_was_made_and_while_deleted_there_was_no_flag(service: &Service) {
    service.ingest(&[set(json!({"plan": "pro"}))]).await;
    let before = now();
    let (id, _) = service.create(json!({"key": "beta", "filters": on("pro")})).await;
    let made = now();
    service.patch(id, json!({"deleted": true})).await;
    let gone = now();
    service.patch(id, json!({"deleted": false})).await;
    let back = now();
    service.patch(id, json!({"deleted": true})).await;
    let absent = "Feature flag 'beta' did not exist at the specified timestamp.";
    for edge in EDGES {
        for moment in [&before, &gone, &now()] {
            let tried = service.tried_as(edge, &service.key, id, &then(moment)).await.unwrap();
            assert_eq!(tried, Err(Failure::bare(400, absent)), "{edge:?} {moment}");
        }
        for moment in [&made, &back] {
            let told = service.tried(edge, id, &then(moment)).await;
            assert_eq!(told["result"], true, "{edge:?} {moment}");
        }
    }
    let path = format!("{FLAGS}{id}/test_evaluation/");
    let (status, body) = service.rest(Method::POST, &path, then(&before)).await;
    assert_eq!((status, body), (400, json!({"error": absent})));
}

async fn a_flag_deleted_with_others_was_there_before(service: &Service) {
    service.ingest(&[set(json!({"plan": "pro"}))]).await;
    let (id, _) = service.create(json!({"key": "beta", "filters": on("pro")})).await;
    let made = now();
    let path = format!("{FLAGS}bulk_delete/");
    let (status, _) = service.rest(Method::POST, &path, json!({"ids": [id]})).await;
    assert_eq!(status, 200);
    for edge in EDGES {
        assert_eq!(service.tried(edge, id, &then(&made)).await["result"], true, "{edge:?}");
        let tried = service.tried_as(edge, &service.key, id, &then(&now())).await.unwrap();
        assert_eq!(tried.unwrap_err().status, 400, "{edge:?}");
    }
}

async fn history_with_a_gap_is_told_as_such(service: &Service) {
    service.ingest(&[set(json!({"plan": "pro"}))]).await;
    let (id, _) = service.create(json!({"key": "beta", "filters": on("pro")})).await;
    let first = now();
    for name in ["Two", "Three"] {
        service.patch(id, json!({"name": name})).await;
    }
    let third = now();
    service.patch(id, json!({"name": "Four"})).await;
    service
        .execute(&format!("DELETE FROM activity_log WHERE item_id = '{id}' AND version = 2"))
        .await;
    let gap = "Could not reconstruct flag at timestamp due to incomplete history.";
    for edge in EDGES {
        let tried = service.tried_as(edge, &service.key, id, &then(&first)).await.unwrap();
        assert_eq!(tried, Err(Failure::bare(400, gap)), "{edge:?}");
        assert_eq!(service.tried(edge, id, &then(&third)).await["result"], true, "{edge:?}");
        assert_eq!(service.tried(edge, id, &then(&now())).await["result"], true, "{edge:?}");
    }
    service
        .execute(&format!(
            "UPDATE activity_log SET version = 9 WHERE item_id = '{id}' AND version = 3"
        ))
        .await;
    for edge in EDGES {
        let tried = service.tried_as(edge, &service.key, id, &then(&third)).await.unwrap();
        assert_eq!(tried, Err(Failure::bare(400, "Invalid timestamp.")), "{edge:?}");
    }
}

async fn naive_times_are_utc_and_offsets_count(service: &Service) {
    let body = json!({"key": "beta", "filters": on("pro"), "created_at": "2026-01-01T00:00:00Z"});
    let (id, _) = service.create(body).await;
    service.ingest(&[at("2026-03-01T12:00:00Z", set(json!({"plan": "pro"})))]).await;
    for (moment, result) in [
        ("2026-03-01T11:59:59.999999Z", false),
        ("2026-03-01T12:00:00Z", true),
        ("2026-03-01T12:00", true),
        ("2026-03-01T11:59", false),
        ("2026-03-01T13:59:00+02:00", false),
        ("2026-03-01T14:00:00+02:00", true),
    ] {
        let told = service.tried(Edge::Rest, id, &then(moment)).await;
        assert_eq!(told["result"], result, "{moment}");
    }
    let future = text(Clock::system().now() + TimeDelta::days(400));
    assert_eq!(service.tried(Edge::Grpc, id, &then(&future)).await["result"], true);
}

async fn relative_dates_count_from_then(service: &Service) {
    let property =
        json!({"key": "joined", "type": "person", "operator": "is_date_after", "value": "-7d"});
    let filters = json!({"groups": [{"properties": [property], "rollout_percentage": 100}]});
    let body = json!({"key": "new", "filters": filters, "created_at": "2026-01-01T00:00:00Z"});
    let (id, _) = service.create(body).await;
    let joined = set(json!({"joined": "2026-03-01"}));
    service.ingest(&[at("2026-03-01T12:00:00Z", joined)]).await;
    for edge in EDGES {
        for (moment, result) in [("2026-03-05T00:00:00Z", true), ("2026-03-20T00:00:00Z", false)] {
            let told = service.tried(edge, id, &then(moment)).await;
            assert_eq!(told["result"], result, "{edge:?} {moment}");
        }
    }
}

async fn a_history_beyond_the_limit_is_refused(service: &Service) {
    let body = json!({"key": "beta", "filters": on("pro"), "created_at": "2026-01-01T00:00:00Z"});
    let (id, _) = service.create(body).await;
    service.ingest(&[at("2026-03-01T12:00:00Z", set(json!({"plan": "pro"})))]).await;
    let instant = "'2026-03-02T00:00:00+00:00'";
    service
        .execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
             INSERT INTO person_change \
             (project_id, person_id, kind, properties, occurred_at, recorded_at) \
             SELECT 1, (SELECT min(id) FROM person), 'set', '{{\"n\":' || i || '}}', {instant}, \
             {instant} FROM n"
        ))
        .await;
    let detail = "Failed to build person properties at specified timestamp.";
    for edge in EDGES {
        let ok = service.tried(edge, id, &then("2026-03-01T12:00:00Z")).await;
        assert_eq!(ok["result"], true, "{edge:?}: what came later does not count");
        let body = then("2026-03-02T00:00:00Z");
        let tried = service.tried_as(edge, &service.key, id, &body).await.unwrap();
        assert_eq!(tried, Err(Failure::bare(500, detail)), "{edge:?}");
    }
    service
        .execute("DELETE FROM person_change WHERE id = (SELECT max(id) FROM person_change)")
        .await;
    let ok = service.tried(Edge::Rest, id, &then("2026-03-02T00:00:00Z")).await;
    assert_eq!(ok["person_properties"], json!({"plan": "pro"}));
}

const SEED: u64 = 20_261_123;
const PEOPLE: [&str; 3] = ["ann", "bob", "cat"];

/// What live evaluation said of one flag at a moment.
#[derive(Debug)]
struct Recorded {
    moment: String,
    flag: usize,
    person: &'static str,
    /// Result, reason, condition and payload; `None` while the flag was deleted.
    answer: Option<[Value; 4]>,
}

/// A flag, as far as live evaluation does not tell.
struct Made {
    id: i64,
    key: String,
    active: bool,
    deleted: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn random_lives_are_answered_later_as_they_were_then_on_sqlite() {
    let service = Service::on_sqlite_with(&["--rate-limits", "off"]).await;
    random_lives_are_answered_later_as_they_were_then(&service).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_lives_are_answered_later_as_they_were_then_on_postgres() {
    let arguments = ["--rate-limits", "off", "--encryption-keys", ENCRYPTION_KEY];
    let Some(service) = Service::on_postgres_with(&arguments).await else { return };
    random_lives_are_answered_later_as_they_were_then(&service).await;
    service.stop().await;
}

async fn random_lives_are_answered_later_as_they_were_then(service: &Service) {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut flags, mut recorded) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let key = format!("flag-{number}");
        let body = json!({"key": key, "filters": filters(&mut random)});
        let (id, _) = service.create(body).await;
        flags.push(Made { id, key, active: true, deleted: false });
    }
    for _ in 0..60 {
        let flag = random.random_range(0..flags.len());
        match random.random_bool(0.5) {
            true => edit(service, &mut random, &mut flags[flag]).await,
            false => happen(service, &mut random).await,
        }
        record(service, &flags, &mut recorded).await;
    }
    assert_eq!(recorded.len(), 60 * PEOPLE.len() * flags.len());
    let said = |of: fn(&Recorded) -> bool| recorded.iter().filter(|seen| of(seen)).count();
    let ons = said(|seen| seen.answer.as_ref().is_some_and(|answer| answer[0] != false));
    let gone = said(|seen| seen.answer.is_none());
    assert!(ons > 50 && gone > 5 && recorded.len() - ons - gone > 50, "a dull life: {ons}, {gone}");
    for seen in &recorded {
        let body = json!({"distinct_id": seen.person, "timestamp": seen.moment});
        let edge = EDGES[random.random_range(0..EDGES.len())];
        let id = flags[seen.flag].id;
        let told = service.tried_as(edge, &service.key, id, &body).await.unwrap();
        let told = match told {
            Ok(told) => Some(
                ["result", "reason", "condition_index", "payload"].map(|name| told[name].clone()),
            ),
            Err(failure) => {
                let text = format!(
                    "Feature flag '{}' did not exist at the specified timestamp.",
                    flags[seen.flag].key
                );
                assert_eq!(failure, Failure::bare(400, &text), "seed {SEED}: {seen:?}");
                None
            }
        };
        assert_eq!(told, seen.answer, "seed {SEED}: {seen:?}");
    }
}

/// Everyone's answers by live evaluation, at a moment that nothing changes in.
async fn record(service: &Service, flags: &[Made], recorded: &mut Vec<Recorded>) {
    let moment = now();
    for person in PEOPLE {
        let live = service.flags_for(&json!({"distinct_id": person})).await;
        assert_eq!(live["errorsWhileComputingFlags"], false, "{live}");
        for (flag, made) in flags.iter().enumerate() {
            let answer = &live["flags"][&made.key];
            let answer = match (made.deleted, made.active) {
                (true, _) => None,
                (false, false) => {
                    Some([json!(false), json!("flag_disabled"), Value::Null, Value::Null])
                }
                (false, true) => {
                    let reason = &answer["reason"];
                    let variant = &answer["variant"];
                    let result = if variant.is_null() { &answer["enabled"] } else { variant };
                    let payload = &answer["metadata"]["payload"];
                    Some(
                        [result, &reason["code"], &reason["condition_index"], payload]
                            .map(Value::clone),
                    )
                }
            };
            assert_eq!(live["flags"].get(&made.key).is_some(), made.active && !made.deleted);
            recorded.push(Recorded { moment: moment.clone(), flag, person, answer });
        }
    }
}

/// One edit of a flag through the API; a deleted one is brought back.
async fn edit(service: &Service, random: &mut impl Rng, flag: &mut Made) {
    let body = match random.random_range(0..8) {
        _ if flag.deleted => {
            flag.deleted = false;
            json!({"deleted": false})
        }
        0 => {
            flag.deleted = true;
            json!({"deleted": true})
        }
        1 => json!({"name": format!("Name {}", random.random_range(0..100))}),
        2 => {
            flag.active = !flag.active;
            json!({"active": flag.active})
        }
        3 => {
            flag.active = true;
            json!({"active": true, "filters": filters(random)})
        }
        _ => json!({"filters": filters(random)}),
    };
    let (status, answer) = service.patch(flag.id, body.clone()).await;
    assert_eq!(status, 200, "{body}: {answer}");
}

/// One event that changes somebody's properties, at its own time.
async fn happen(service: &Service, random: &mut impl Rng) {
    let person = PEOPLE[random.random_range(0..PEOPLE.len())];
    let key = ["plan", "seats", "email"][random.random_range(0..3)];
    let value = match key {
        "plan" => json!(["pro", "free", "team"][random.random_range(0..3)]),
        "seats" => json!(random.random_range(0..20)),
        _ => json!(format!("{person}@{}.com", ["a", "b"][random.random_range(0..2)])),
    };
    let change = match random.random_range(0..6) {
        0 => json!({"$unset": [key]}),
        1 => json!({"$set_once": {key: value}}),
        2 => json!({"$set": {key: value}, "$set_once": {"first": value}}),
        _ => json!({"$set": {key: value}}),
    };
    service.ingest(&[at(&now(), event("$identify", person, change))]).await;
}

fn filters(random: &mut impl Rng) -> Value {
    let groups: Vec<_> = (0..random.random_range(1..4)).map(|_| condition(random)).collect();
    let mut filters = json!({"groups": groups});
    if random.random_bool(0.5) {
        filters["multivariate"] = json!({"variants": [{"key": "a", "rollout_percentage": 50},
            {"key": "b", "rollout_percentage": 50}]});
        filters["payloads"] = json!({"a": "1", "b": "2"});
    }
    filters
}

fn condition(random: &mut impl Rng) -> Value {
    let properties: Vec<_> = (0..random.random_range(0..3)).map(|_| property(random)).collect();
    let rollout = [json!(100), json!(100), json!(50), json!(0), Value::Null];
    let rollout = &rollout[random.random_range(0..rollout.len())];
    json!({"properties": properties, "rollout_percentage": rollout})
}

fn property(random: &mut impl Rng) -> Value {
    let (key, operator, value) = [
        ("plan", "exact", json!("pro")),
        ("plan", "exact", json!(["free", "team"])),
        ("plan", "is_not", json!("free")),
        ("plan", "is_set", json!("is_set")),
        ("first", "is_not_set", json!("is_not_set")),
        ("seats", "gt", json!("9")),
        ("seats", "lte", json!("12")),
        ("email", "icontains", json!("@a.com")),
        ("email", "not_regex", json!("^bob")),
    ][random.random_range(0..9)]
    .clone();
    json!({"key": key, "type": "person", "operator": operator, "value": value})
}
