//! What events cost is bounded by their own size, and one project's events do not hold up those
//! of another.

use serde_json::{Value, json};

use crate::support::{
    Service,
    events::{at, called, event},
    size,
};

both_databases! {
    many_events_for_a_large_person_cost_what_they_weigh,
    refused_events_cost_no_more_than_others,
    late_removals_replay_a_bounded_history,
    many_slots_of_usage_are_looked_up_one_by_one,
    known_persons_are_looked_up_one_by_one,
    groups_are_looked_up_one_by_one_without_statistics,
    a_flood_of_one_project_does_not_hold_up_another,
    a_large_request_is_taken_in_parts_and_in_order,
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}

fn set(id: &str, values: Value) -> Value {
    event("$set", id, json!({"$set": values}))
}

/// A person close to what is stored of one.
async fn large_person(service: &Service, id: &str) {
    let values = (0..4_500).map(|n| (format!("filler {n}"), json!("x".repeat(90))));
    service.ingest(&[set(id, Value::Object(values.collect()))]).await;
}

/// Sends events some of which may be refused, and returns how many are.
async fn refused(service: &Service, token: &str, events: &[Value]) -> usize {
    let body = json!({"api_key": token, "batch": events});
    let answer = service.send_events("/batch/", &body).await;
    assert!([200, 400].contains(&answer.status), "{}", answer.text);
    answer.json()["rejected"].as_array().map_or(0, Vec::len)
}

async fn many_events_for_a_large_person_cost_what_they_weigh(service: &Service) {
    large_person(service, "u").await;
    let events: Vec<Value> = (0..400)
        .map(|n| match n % 4 {
            0 => set("u", json!({ format!("new {n}"): n })),
            1 => event("$set", "u", json!({"$unset": [format!("filler {n}")]})),
            2 => event("x", "u", json!({"$set_once": {"filler 0": n}})),
            _ => set("u", json!({"filler 0": n})),
        })
        .collect();
    assert_eq!(refused(service, &service.token, &events).await, 0);
    let properties = service.properties_of("u").await.unwrap();
    assert_eq!(properties["filler 0"], 399);
    assert_eq!(properties.as_object().unwrap().len(), 4_500);
}

async fn refused_events_cost_no_more_than_others(service: &Service) {
    large_person(service, "u").await;
    let count = size(200, 2_000);
    let large = |n| set("u", json!({ format!("n{n}"): "x".repeat(100_000) }));
    let events: Vec<Value> = (0..count).map(large).collect();
    for events in events.chunks(100) {
        assert_eq!(refused(service, &service.token, events).await, 100);
    }
    assert_eq!(service.properties_of("u").await.unwrap().as_object().unwrap().len(), 4_500);
    assert_eq!(service.count("person_change").await, 1);
    assert_eq!(service.count("ingested_event").await, 1, "and are refused again");
}

async fn late_removals_replay_a_bounded_history(service: &Service) {
    const PEOPLE: usize = 60;
    let early = |event| at("2026-01-01T00:00:01Z", event);
    let late = |event| at("2026-01-01T00:00:09Z", event);
    let mut events = Vec::new();
    for n in 0..PEOPLE {
        let who = format!("p{n}");
        events.push(early(set(&who, json!({"p": "set"}))));
        events.push(late(event("x", &who, json!({"$set_once": {"p": "once"}}))));
    }
    for n in 0..1_100 {
        events.push(late(set("long", json!({ "n": n }))));
    }
    events.push(early(set("long", json!({"p": "set"}))));
    events.push(late(event("x", "long", json!({"$set_once": {"p": "once"}}))));
    service.ingest(&events).await;
    let unset =
        |who: String| at("2026-01-01T00:00:05Z", event("$set", &who, json!({"$unset": ["p"]})));
    let mut late: Vec<Value> = (0..PEOPLE).map(|n| unset(format!("p{n}"))).collect();
    late.push(unset("long".to_owned()));
    service.ingest(&late).await;
    for n in 0..PEOPLE {
        let properties = service.properties_of(&format!("p{n}")).await.unwrap();
        assert_eq!(properties, json!({"p": "once"}), "p{n}");
    }
    let properties = service.properties_of("long").await.unwrap();
    assert_eq!(properties, json!({"n": 1_099}), "too long a history to look into");
}

async fn many_slots_of_usage_are_looked_up_one_by_one(service: &Service) {
    const FLAGS: usize = 20;
    for n in 0..FLAGS {
        service.create_for_everyone(&format!("flag-{n}")).await;
    }
    let hour = |n: usize| {
        let hours = i64::try_from(n).unwrap();
        (crate::support::now() - chrono::TimeDelta::hours(hours)).to_rfc3339()
    };
    let count = size(500, 1_500);
    let events: Vec<Value> = (0..count)
        .map(|n| {
            let call = called(&format!("flag-{}", n % FLAGS), "u", json!(format!("v{}", n % 7)));
            at(&hour(n), call)
        })
        .collect();
    for round in 1..=2 {
        service.ingest(&events).await;
        assert_eq!(service.number("SELECT SUM(count) FROM usage_hour").await, round * whole(count));
    }
    assert_eq!(service.count("usage_unique").await, whole(count));
}

/// Persons by numbers, made by the database itself.
async fn many_persons(service: &Service, count: usize) {
    let statements = match service.database_url.starts_with("postgres") {
        true => format!(
            "INSERT INTO person (project_id, uuid, properties, created_at, updated_at) \
             SELECT 1, gen_random_uuid(), '{{}}', now(), now() FROM generate_series(1, {count}); \
             INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
             SELECT 1, id, 'known ' || id FROM person"
        ),
        false => format!(
            "INSERT INTO person (project_id, uuid, properties, created_at, updated_at) \
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) \
             SELECT 1, randomblob(16), '{{}}', '2026-01-01T00:00:00+00:00', \
             '2026-01-01T00:00:00+00:00' FROM c; \
             INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
             SELECT 1, id, 'known ' || id FROM person"
        ),
    };
    service.execute(&statements).await;
}

async fn known_persons_are_looked_up_one_by_one(service: &Service) {
    const PERSONS: usize = 100_000;
    many_persons(service, PERSONS).await;
    let count = size(500, 2_000);
    let some: Vec<Value> =
        (1..=count).map(|n| set(&format!("known {}", n * 50), json!({"n": n}))).collect();
    service.ingest(&some).await;
    assert_eq!(service.count("person").await, PERSONS as i64);
    assert_eq!(service.count("person WHERE version = 1").await, whole(count));
    let merges: Vec<Value> = (1..=50)
        .map(|n| {
            event(
                "$merge_dangerously",
                &format!("known {n}"),
                json!({"alias": format!("known {}", n + 1_000)}),
            )
        })
        .collect();
    service.ingest(&merges).await;
    assert_eq!(service.count("person").await, PERSONS as i64 - 50);
    assert_eq!(service.count("person_distinct_id").await, PERSONS as i64);
}

async fn groups_are_looked_up_one_by_one_without_statistics(service: &Service) {
    let count = size(2_000, 8_000);
    let groups = |n: i32| -> Vec<Value> {
        let group = |key| {
            let said = json!({"$group_type": "company", "$group_key": format!("g{key}"),
                "$group_set": {"n": n}});
            event("$groupidentify", "u", said)
        };
        (0..count).map(group).collect()
    };
    for round in 1..=2 {
        service.ingest(&groups(round)).await;
    }
    assert_eq!(service.count("\"group\" WHERE version = 2").await, whole(count));
}

async fn a_flood_of_one_project_does_not_hold_up_another(service: &Service) {
    let (_, other) = service.new_project("other");
    large_person(service, "u").await;
    let flood: Vec<Value> = (0..size(6_000, 30_000))
        .map(|n| match n % 3 {
            0 => set("u", json!({ format!("new {n}"): "x".repeat(50) })),
            1 => event("$set", "u", json!({"$unset": [format!("filler {}", n % 4_500)]})),
            _ => set(&format!("p{n}"), json!({"n": n})),
        })
        .collect();
    let flooding = refused(service, &service.token, &flood);
    let calm = async {
        // Each waits for at most the share of the flood that is being written.
        for n in 0..10 {
            assert_eq!(refused(service, &other, &[set("v", json!({"n": n}))]).await, 0);
        }
    };
    tokio::pin!(flooding, calm);
    tokio::select! {
        () = &mut calm => {}
        _ = &mut flooding => panic!("the flood was through before ten events of another project"),
    }
    flooding.await;
}

async fn a_large_request_is_taken_in_parts_and_in_order(service: &Service) {
    let mut events: Vec<Value> = (0..5_000).map(|n| set("u", json!({ "n": n }))).collect();
    events[1_234] = json!({"event": "$set"});
    events[4_321] = set("u", json!({"large": "x".repeat(600_000)}));
    let body = json!({"api_key": service.token, "batch": events});
    let answer = service.send_events("/batch/", &body).await.json();
    let rejected: Vec<&Value> =
        answer["rejected"].as_array().unwrap().iter().map(|event| &event["index"]).collect();
    assert_eq!(rejected, [&json!(1_234), &json!(4_321)]);
    assert_eq!(service.properties_of("u").await.unwrap(), json!({"n": 4_999}));
    assert_eq!(service.count("person_change").await, 4_998);
}
