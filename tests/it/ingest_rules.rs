//! What events make of persons, groups and the use of flags (architecture 4).

use chrono::{DateTime, Utc};
use flagstaff::model::property_history::{Change, ChangeKind, replay};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    events::{at, called, event, with_uuid},
};

both_databases! {
    a_person_is_found_by_what_events_said,
    an_older_set_never_overwrites_a_newer_one,
    set_once_and_unset_follow_event_time,
    a_late_unset_uncovers_what_it_should,
    what_is_stored_is_what_a_replay_gives,
    an_anonymous_id_joins_the_identified_person,
    merged_persons_keep_what_both_had,
    an_identified_person_is_merged_dangerously_alone,
    plain_and_personless_events_make_nobody,
    groups_are_made_with_their_types,
    a_sixth_group_type_is_refused,
    a_new_group_type_raises_the_revision,
    calls_are_counted_by_flag_variant_and_hour,
    a_late_call_never_moves_the_last_one_back,
    calls_raise_no_revision_and_survive_a_change_of_the_flag,
    of_two_events_with_one_uuid_the_first_counts,
    nul_characters_are_removed,
    the_use_of_unknown_flags_and_old_use_are_not_counted,
    an_event_without_a_uuid_gets_one,
    an_event_from_the_far_future_happened_when_it_arrived,
    the_ids_of_old_events_are_forgotten,
    an_event_that_spoils_a_transaction_is_refused_alone,
    a_person_does_not_grow_without_bound,
    what_was_written_is_in_the_metrics,
}

const T1: &str = "2026-01-01T00:00:01Z";
const T2: &str = "2026-01-01T00:00:02Z";
const T3: &str = "2026-01-01T00:00:03Z";
const T9: &str = "2026-01-01T00:00:09Z";

fn set(id: &str, time: &str, values: Value) -> Value {
    at(time, event("$set", id, json!({"$set": values})))
}

fn set_once(id: &str, time: &str, values: Value) -> Value {
    at(time, event("page", id, json!({"$set_once": values})))
}

fn unset(id: &str, time: &str, names: Value) -> Value {
    at(time, event("$set", id, json!({"$unset": names})))
}

fn identify(id: &str, anon: &str, time: &str) -> Value {
    at(time, event("$identify", id, json!({"$anon_distinct_id": anon})))
}

/// Takes events in one by one, each in a request of its own.
async fn one_by_one(service: &Service, events: &[Value]) {
    for event in events {
        service.ingest(std::slice::from_ref(event)).await;
    }
}

async fn an_older_set_never_overwrites_a_newer_one(service: &Service) {
    let events = [
        set("u", T2, json!({"plan": "new"})),
        set("u", T1, json!({"plan": "old", "other": "kept"})),
    ];
    one_by_one(service, &events).await;
    assert_eq!(service.properties_of("u").await.unwrap(), json!({"plan": "new", "other": "kept"}));
    let again = events.map(|mut event| {
        event["distinct_id"] = json!("at once");
        event
    });
    service.ingest(&again).await;
    assert_eq!(service.properties_of("at once").await.unwrap()["plan"], "new");
}

async fn a_person_is_found_by_what_events_said(service: &Service) {
    service.ingest(&[set("u", T1, json!({"email": "Ann@Example.com"}))]).await;
    service.ingest(&[set("u", T2, json!({"name": "Ann"}))]).await;
    for search in ["ann@example", "ANN"] {
        let (status, page) =
            service.get(&format!("/api/projects/1/persons/?search={search}")).await;
        assert_eq!((status, &page["results"][0]["distinct_ids"]), (200, &json!(["u"])), "{page}");
    }
}

async fn set_once_and_unset_follow_event_time(service: &Service) {
    let events = [
        set_once("u", T2, json!({"first": "b", "kept": 1})),
        set_once("u", T1, json!({"first": "a"})),
        set_once("u", T3, json!({"first": "c", "kept": 2})),
        set("u", T3, json!({"gone": 1, "spared": 2})),
        unset("u", T2, json!(["spared"])),
        unset("u", T9, json!(["gone"])),
        set("u", T2, json!({"gone": "too late"})),
    ];
    one_by_one(service, &events).await;
    let expected = json!({"first": "a", "kept": 1, "spared": 2});
    let person = service.properties_of("u").await.unwrap();
    assert_eq!(person, expected);
}

async fn a_late_unset_uncovers_what_it_should(service: &Service) {
    let events = [
        set("u", T1, json!({"p": "a"})),
        set_once("u", T3, json!({"p": "b"})),
        unset("u", T2, json!(["p"])),
    ];
    one_by_one(service, &events).await;
    assert_eq!(service.properties_of("u").await.unwrap(), json!({"p": "b"}), "from the history");
}

/// A person's history, in the order of the replay rule.
async fn history(service: &Service, distinct_id: &str) -> Vec<Change> {
    let connection = Database::connect(&service.database_url).await.unwrap();
    let query = format!(
        "SELECT c.kind, c.properties, c.occurred_at FROM person_change c \
         JOIN person_distinct_id d ON d.person_id = c.person_id \
         WHERE d.distinct_id = '{distinct_id}' ORDER BY c.occurred_at, c.id"
    );
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    connection.close().await.unwrap();
    let change = |row: sea_orm::QueryResult| Change {
        kind: ChangeKind::parse(&row.try_get_by_index::<String>(0).unwrap()).unwrap(),
        properties: serde_json::from_str(&row.try_get_by_index::<String>(1).unwrap()).unwrap(),
        occurred_at: row.try_get_by_index(2).unwrap(),
        event_uuid: None,
    };
    rows.into_iter().map(change).collect()
}

async fn what_is_stored_is_what_a_replay_gives(service: &Service) {
    let events = [
        set("u", T3, json!({"a": 3, "b": 3})),
        set_once("anon", T9, json!({"a": "once", "c": "once"})),
        set("anon", T1, json!({"a": 1, "d": 1})),
        unset("u", T9, json!(["b"])),
        identify("u", "anon", T9),
        set_once("anon", T1, json!({"b": "early"})),
        unset("u", T2, json!(["d", "c"])),
        set("anon", T2, json!({"d": 2})),
    ];
    one_by_one(service, &events).await;
    let history = history(service, "u").await;
    assert!(history.len() >= events.len() - 1, "{history:?}");
    let replayed = Value::Object(replay(&history).values().clone());
    assert_eq!(service.properties_of("u").await, Some(replayed), "{history:?}");
    let early: Vec<&Change> = history.iter().filter(|c| c.occurred_at <= time(T1)).collect();
    assert_eq!(replay(early).values()["a"], 1, "as it was then");
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn ids_of_the_person(service: &Service, distinct_id: &str) -> i64 {
    let same = format!(
        "person_distinct_id WHERE person_id = \
         (SELECT person_id FROM person_distinct_id WHERE distinct_id = '{distinct_id}')"
    );
    service.count(&same).await
}

async fn an_anonymous_id_joins_the_identified_person(service: &Service) {
    service.ingest(&[set("u", T1, json!({"plan": "pro"})), identify("u", "anon", T2)]).await;
    assert_eq!(service.properties_of("anon").await, service.properties_of("u").await);
    service.ingest(&[identify("new", "newer", T2)]).await;
    assert_eq!(ids_of_the_person(service, "newer").await, 2);
    let alias = at(T3, event("$create_alias", "u", json!({"alias": "nickname"})));
    service.ingest(&[alias]).await;
    assert_eq!(ids_of_the_person(service, "nickname").await, 3);
    assert_eq!(service.count("person").await, 2);
}

async fn merged_persons_keep_what_both_had(service: &Service) {
    service
        .ingest(&[
            set("u", T1, json!({"plan": "pro", "own": 1})),
            set("anon", T2, json!({"plan": "free", "theirs": 2})),
        ])
        .await;
    service.cohort(1, 5, true, "{}").await;
    service.cohort(1, 6, true, "{}").await;
    let insert = |id: &str, rest: &str| {
        format!("INSERT INTO {rest} FROM person_distinct_id d WHERE d.distinct_id = '{id}'; ")
    };
    let member = |cohort: i64| {
        format!("cohort_member (cohort_id, person_id, project_id) SELECT {cohort}, d.person_id, 1")
    };
    let override_ = |flag: &str, key: &str| {
        format!(
            "hash_key_override (project_id, person_id, feature_flag_key, hash_key, created_at) \
             SELECT 1, d.person_id, '{flag}', '{key}', {}",
            instant(service)
        )
    };
    let statements = [
        insert("u", &member(5)),
        insert("anon", &member(5)),
        insert("anon", &member(6)),
        insert("u", &override_("both", "of the identified")),
        insert("anon", &override_("both", "of the anonymous")),
        insert("anon", &override_("one", "of the anonymous")),
        "UPDATE cohort SET count = 2 WHERE id = 5; UPDATE cohort SET count = 1 WHERE id = 6".into(),
    ];
    service.execute(&statements.concat()).await;
    service.ingest(&[identify("u", "anon", T3)]).await;

    let expected = json!({"plan": "pro", "own": 1, "theirs": 2});
    assert_eq!(
        service.properties_of("anon").await.unwrap(),
        expected,
        "the survivor's values stand"
    );
    assert_eq!(service.count("person").await, 1);
    assert_eq!(service.count("cohort_member").await, 2);
    assert_eq!(service.number("SELECT count FROM cohort WHERE id = 5").await, 1);
    assert_eq!(service.number("SELECT count FROM cohort WHERE id = 6").await, 1);
    let kept = "SELECT hash_key FROM hash_key_override WHERE feature_flag_key = 'both'";
    assert_eq!(service.stored(kept).await.unwrap(), "of the identified");
    assert_eq!(service.count("hash_key_override").await, 2);
    let created = "SELECT CAST(created_at AS TEXT) FROM person";
    assert!(service.stored(created).await.unwrap().contains("00:00:01"), "the earlier one's");
    let replayed = Value::Object(replay(&history(service, "u").await).values().clone());
    assert_eq!(service.properties_of("u").await, Some(replayed));
}

/// An instant as the database spells it.
fn instant(service: &Service) -> &'static str {
    match service.database_url.starts_with("postgres") {
        true => "'2026-01-01T00:00:00Z'::timestamptz",
        false => "'2026-01-01T00:00:00+00:00'",
    }
}

async fn an_identified_person_is_merged_dangerously_alone(service: &Service) {
    let alias = |name: &str| at(T9, event(name, "second", json!({"alias": "first"})));
    service.ingest(&[identify("first", "a", T1), identify("second", "b", T1)]).await;
    service.ingest(&[identify("second", "a", T2), alias("$create_alias")]).await;
    assert_eq!(service.count("person").await, 2, "a shared device makes nobody one");
    service.ingest(&[alias("$merge_dangerously")]).await;
    assert_eq!(ids_of_the_person(service, "a").await, 4);
    assert_eq!(service.count("person").await, 1);
}

async fn plain_and_personless_events_make_nobody(service: &Service) {
    let personless = json!({"$process_person_profile": false, "$set": {"a": 1}});
    service
        .ingest(&[
            event("$pageview", "u", json!({"$current_url": "/"})),
            event("bought", "u", personless),
            called("beta", "u", json!(true)),
        ])
        .await;
    assert_eq!(service.count("person").await, 0);
    let identify = event("$identify", "u", json!({"$process_person_profile": false}));
    let body = json!({"api_key": service.token, "batch": [identify]});
    let answer = service.send_events("/batch/", &body).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

fn group(kind: &str, key: &str, time: &str, values: Value) -> Value {
    let properties = json!({"$group_type": kind, "$group_key": key, "$group_set": values});
    at(time, event("$groupidentify", "u", properties))
}

async fn groups_are_made_with_their_types(service: &Service) {
    service
        .ingest(&[
            group("company", "acme", T2, json!({"plan": "new", "size": 5})),
            group("company", "acme", T1, json!({"plan": "old", "kept": 1})),
            group("project", "acme", T1, json!({"other": true})),
        ])
        .await;
    let properties = async |kind: &str| {
        let query = format!(
            "SELECT g.properties FROM \"group\" g JOIN group_type t \
             ON t.group_type_index = g.group_type_index AND t.project_id = g.project_id \
             WHERE t.name = '{kind}' AND g.group_key = 'acme'"
        );
        let text = service.stored(&query).await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(properties("company").await, json!({"plan": "new", "size": 5, "kept": 1}));
    assert_eq!(properties("project").await, json!({"other": true}));
    assert_eq!(service.number("SELECT MAX(group_type_index) FROM group_type").await, 1);
    assert_eq!(service.count("person").await, 0, "a group is nobody");
    service.ingest(&[group("company", "acme", T9, json!({"plan": "newest"}))]).await;
    assert_eq!(properties("company").await["plan"], "newest");
}

async fn a_sixth_group_type_is_refused(service: &Service) {
    let events: Vec<_> =
        (0..6).map(|n| group(&format!("type {n}"), "acme", T1, json!({}))).collect();
    let body = json!({"api_key": service.token, "batch": events});
    for _ in 0..2 {
        let answer = service.send_events("/batch/", &body).await;
        assert_eq!(answer.status, 200);
        let rejected = &answer.json()["rejected"];
        assert_eq!(rejected.as_array().map(Vec::len), Some(1), "{rejected}");
        assert_eq!(rejected[0]["index"], 5);
        assert!(rejected[0]["reason"].as_str().unwrap().contains("sixth group type"));
    }
    assert_eq!(service.count("group_type").await, 5);
}

async fn revision(service: &Service) -> i64 {
    service.number("SELECT revision FROM project WHERE id = 1").await
}

async fn a_new_group_type_raises_the_revision(service: &Service) {
    let before = revision(service).await;
    service
        .ingest(&[group("company", "acme", T1, json!({})), group("team", "a", T1, json!({}))])
        .await;
    assert_eq!(revision(service).await, before + 1);
    service.ingest(&[group("company", "other", T1, json!({"a": 1}))]).await;
    assert_eq!(revision(service).await, before + 1, "a group alone does not");
}

/// The half of an hour of yesterday.
fn yesterday(hour: u32) -> String {
    let day = (crate::support::now() - chrono::TimeDelta::days(1)).date_naive();
    format!("{day}T{hour:02}:30:00Z")
}

async fn calls_are_counted_by_flag_variant_and_hour(service: &Service) {
    service.create_for_everyone("beta").await;
    let hour = |hour: u32, event: Value| at(&yesterday(hour), event);
    service
        .ingest(&[
            hour(1, called("beta", "a", json!("blue"))),
            hour(1, called("beta", "b", json!("blue"))),
            hour(1, called("beta", "a", json!("blue"))),
            hour(2, called("beta", "a", json!("blue"))),
            hour(1, called("beta", "a", json!(false))),
            hour(1, event("$feature_view", "a", json!({"feature_flag": "beta"}))),
            hour(1, event("$feature_interaction", "a", json!({"feature_flag": "beta"}))),
        ])
        .await;
    service.ingest(&[hour(1, called("beta", "c", json!("blue")))]).await;
    assert_eq!(service.count("usage_hour").await, 5);
    assert_eq!(service.count("usage_unique").await, 5);
    let blue = "SELECT MAX(count) FROM usage_hour WHERE variant = 'blue' AND flag_key = 'beta'";
    assert_eq!(service.number(blue).await, 4);
    let sketch = "SELECT sketch FROM usage_unique u JOIN usage_hour h ON h.variant = u.variant \
                  AND h.event = u.event AND h.hour = u.hour WHERE h.count = 4";
    assert_eq!(users(service, sketch).await, 3, "one of them called twice");
}

/// How many users a stored sketch counts.
async fn users(service: &Service, query: &str) -> u64 {
    let connection = Database::connect(&service.database_url).await.unwrap();
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    connection.close().await.unwrap();
    let bytes: Vec<u8> = row.try_get_by_index(0).unwrap();
    flagstaff::model::sketch::UniqueSketch::from_bytes(&bytes).unwrap().count()
}

async fn last_called(service: &Service, id: i64) -> Value {
    service.get(&format!("{FLAGS}{id}/")).await.1["last_called_at"].clone()
}

async fn a_late_call_never_moves_the_last_one_back(service: &Service) {
    let id = service.create_for_everyone("beta").await;
    service.ingest(&[at(T3, called("beta", "u", json!(true)))]).await;
    assert_eq!(last_called(service, id).await, T3);
    service.ingest(&[at(T1, called("beta", "u", json!(true)))]).await;
    assert_eq!(last_called(service, id).await, T3);
    service
        .ingest(&[
            at(T9, called("beta", "u", json!(true))),
            at(T2, called("beta", "u", json!(true))),
        ])
        .await;
    assert_eq!(last_called(service, id).await, T9);
    service.ingest(&[event("$feature_view", "u", json!({"feature_flag": "beta"}))]).await;
    assert_eq!(last_called(service, id).await, T9, "a view is no call");
}

async fn calls_raise_no_revision_and_survive_a_change_of_the_flag(service: &Service) {
    let id = service.create_for_everyone("beta").await;
    let before = revision(service).await;
    service.ingest(&[at(T1, called("beta", "u", json!(true)))]).await;
    assert_eq!(revision(service).await, before);
    let calls = (2..=9).map(|second| {
        let event = at(&format!("2026-01-01T00:00:0{second}Z"), called("beta", "u", json!(true)));
        async move { service.ingest(&[event]).await }
    });
    let changes = (0..20).map(|n| service.patch(id, json!({"name": format!("n{n}")})));
    let (_, changed) =
        tokio::join!(futures::future::join_all(calls), futures::future::join_all(changes));
    assert!(changed.iter().all(|(status, _)| *status == 200));
    assert_eq!(last_called(service, id).await, T9);
}

async fn of_two_events_with_one_uuid_the_first_counts(service: &Service) {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let first = with_uuid(uuid, set("u", T1, json!({"n": "first"})));
    let second = with_uuid(uuid, set("u", T2, json!({"n": "second"})));
    service.ingest(&[first.clone(), second.clone()]).await;
    assert_eq!(service.properties_of("u").await.unwrap(), json!({"n": "first"}), "within a batch");
    service.ingest(&[second]).await;
    assert_eq!(
        service.properties_of("u").await.unwrap(),
        json!({"n": "first"}),
        "and across batches"
    );
    assert_eq!(service.count("person_change").await, 1);
    service.create_for_everyone("beta").await;
    let other = "01890a5d-ac96-774b-bcce-b302099a8058";
    let call = with_uuid(other, called("beta", "u", json!(true)));
    let calls: Vec<_> = (0..20).map(|_| std::slice::from_ref(&call)).collect();
    futures::future::join_all(calls.into_iter().map(|call| service.ingest(call))).await;
    assert_eq!(service.number("SELECT SUM(count) FROM usage_hour").await, 1, "and at once");
}

async fn the_use_of_unknown_flags_and_old_use_are_not_counted(service: &Service) {
    let id = service.create_for_everyone("beta").await;
    let gone = service.create_for_everyone("gone").await;
    service.patch(gone, json!({"deleted": true})).await;
    let days_ago = |days: i64| (crate::support::now() - chrono::TimeDelta::days(days)).to_rfc3339();
    service
        .ingest(&[
            called("never-made", "u", json!(true)),
            called("gone", "u", json!(true)),
            event("$feature_view", "u", json!({"feature_flag": "never-made"})),
            at("1980-01-01T00:00:00Z", called("beta", "u", json!(true))),
            at(&days_ago(91), called("beta", "u", json!(true))),
            at(&days_ago(89), called("beta", "u", json!(true))),
        ])
        .await;
    assert_eq!(service.count("usage_hour").await, 1);
    assert_eq!(service.count("usage_unique").await, 1);
    assert_eq!(service.number("SELECT SUM(count) FROM usage_hour").await, 1);
    assert!(last_called(service, id).await.is_string());
    let metrics = service.metrics().await;
    for (reason, count) in [("unknown_flag", 3), ("too_old", 2)] {
        let counted = |line: &&str| {
            line.starts_with("flagstaff_ingest_usage_uncounted_total") && line.contains(reason)
        };
        let line = metrics.lines().find(counted).unwrap_or_else(|| panic!("{metrics}"));
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    }
}

async fn an_event_without_a_uuid_gets_one(service: &Service) {
    service.ingest(&[set("u", T1, json!({"n": 1})), event("$pageview", "u", json!({}))]).await;
    assert_eq!(service.count("ingested_event").await, 2);
    assert_eq!(service.count("person_change WHERE event_uuid IS NOT NULL").await, 1);
    service.ingest(&[set("u", T1, json!({"n": 1}))]).await;
    assert_eq!(service.count("person_change").await, 2, "another event, whatever it says");
}

async fn an_event_from_the_far_future_happened_when_it_arrived(service: &Service) {
    let id = service.create_for_everyone("beta").await;
    let ahead = |hours: i64| (crate::support::now() + chrono::TimeDelta::hours(hours)).to_rfc3339();
    service
        .ingest(&[
            set("far", &ahead(24), json!({"p": "ahead"})),
            set("near", &ahead(22), json!({"p": "ahead"})),
            at(&ahead(22), called("beta", "u", json!(true))),
        ])
        .await;
    service
        .ingest(&[
            event("$set", "far", json!({"$set": {"p": "now"}})),
            event("$set", "near", json!({"$set": {"p": "now"}})),
        ])
        .await;
    assert_eq!(service.properties_of("far").await.unwrap(), json!({"p": "now"}));
    assert_eq!(service.properties_of("near").await.unwrap(), json!({"p": "ahead"}));
    let called_at = last_called(service, id).await;
    assert!(time(called_at.as_str().unwrap()) <= crate::support::now(), "{called_at}");
}

async fn the_ids_of_old_events_are_forgotten(service: &Service) {
    service.ingest(&[event("$pageview", "u", json!({}))]).await;
    let old = match service.database_url.starts_with("postgres") {
        true => "gen_random_uuid(), now() - interval '31 days' FROM generate_series(1, 2500)",
        false => {
            "randomblob(16), '2020-01-01T00:00:00+00:00' FROM \
             (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500) \
              SELECT n FROM c)"
        }
    };
    let insert =
        format!("INSERT INTO ingested_event (project_id, uuid, received_at) SELECT 1, {old}");
    service.execute(&insert).await;
    assert_eq!(service.count("ingested_event").await, 2501);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let running = service.flagstaff(&arguments).start();
    let within = std::time::Duration::from_secs(20);
    let is_swept = async || (service.count("ingested_event").await == 1).then_some(());
    crate::support::eventually("old ids are swept", within, is_swept).await;
    running.terminate();
}

async fn nul_characters_are_removed(service: &Service) {
    service.ingest(&[set("u\0", T1, json!({"na\0me": "a\0b"}))]).await;
    assert_eq!(service.properties_of("u").await.unwrap(), json!({"name": "ab"}));
}

async fn an_event_that_spoils_a_transaction_is_refused_alone(service: &Service) {
    let trigger = match service.database_url.starts_with("postgres") {
        true => {
            "CREATE FUNCTION spoil() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'spoilt'; END $$ \
             LANGUAGE plpgsql; CREATE TRIGGER spoil BEFORE INSERT ON person_change FOR EACH ROW \
             WHEN (NEW.properties LIKE '%poison%') EXECUTE FUNCTION spoil();"
        }
        false => {
            "CREATE TRIGGER spoil BEFORE INSERT ON person_change \
             WHEN NEW.properties LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'spoilt'); END;"
        }
    };
    service.execute(trigger).await;
    let mut events: Vec<_> = (0..40).map(|n| set(&format!("u{n}"), T1, json!({"n": n}))).collect();
    events[17] = set("u17", T1, json!({"n": "poison"}));
    let body = json!({"api_key": service.token, "batch": events});
    let good = [set("bystander", T1, json!({"n": 0}))];
    let (answer, ()) = tokio::join!(service.send_events("/batch/", &body), service.ingest(&good));
    let expected =
        json!({"status": 1, "rejected": [{"index": 17, "reason": "it could not be stored"}]});
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(service.count("person").await, 40);
    assert_eq!(service.count("person_change").await, 40);
    assert_eq!(service.properties_of("u17").await, None);
}

async fn a_person_does_not_grow_without_bound(service: &Service) {
    let large = |n: i64| set("u", T1, json!({ format!("p{n}"): "x".repeat(150 * 1024) }));
    for n in 0..3 {
        service.ingest(&[large(n)]).await;
    }
    let body =
        json!({"api_key": service.token, "batch": [large(4), set("v", T1, json!({"a": 1}))]});
    let answer = service.send_events("/batch/", &body).await;
    assert_eq!(answer.json()["rejected"][0]["index"], 0, "{}", answer.text);
    assert_eq!(service.properties_of("u").await.unwrap().as_object().unwrap().len(), 3);
    assert!(service.properties_of("v").await.is_some());
}

async fn what_was_written_is_in_the_metrics(service: &Service) {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let event = with_uuid(uuid, event("$pageview", "u", json!({})));
    service.ingest(&[event.clone(), event]).await;
    let body = json!({"api_key": service.token, "batch": [{}]});
    assert_eq!(service.send_events("/batch/", &body).await.status, 400);
    let metrics = service.metrics().await;
    for line in [
        r#"flagstaff_ingest_events_total{kind="other""#,
        "flagstaff_ingest_repeated_total",
        "flagstaff_ingest_rejected_total",
        "flagstaff_ingest_commit_duration_seconds_count",
        "flagstaff_ingest_waiting",
    ] {
        let found = metrics.lines().find(|found| found.starts_with(line));
        let value = found.unwrap_or_else(|| panic!("no {line} in {metrics}"));
        let expected = if line.contains("waiting") { " 0" } else { " 1" };
        assert!(value.ends_with(expected), "{value}");
    }
}
