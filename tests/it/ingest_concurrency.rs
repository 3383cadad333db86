//! Events that arrive at once, through one process and through two.

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Service,
    events::{called, event, with_uuid},
};

both_databases! {
    merges_that_cross_meet_in_one_person,
    many_batches_about_the_same_people_all_land,
    a_batch_sent_many_times_at_once_counts_once,
}

fn alias(id: &str, other: &str) -> Value {
    event("$create_alias", id, json!({"alias": other}))
}

fn set(id: &str, values: Value) -> Value {
    event("$set", id, json!({"$set": values}))
}

/// Two persons each, who are each made the other at once, by different senders.
async fn cross(senders: [&Service; 2]) {
    const PAIRS: usize = 30;
    let people: Vec<_> = (0..PAIRS)
        .flat_map(|n| {
            [set(&format!("a{n}"), json!({"a": n})), set(&format!("b{n}"), json!({"b": n}))]
        })
        .collect();
    senders[0].ingest(&people).await;
    let crossing = (0..PAIRS).flat_map(|n| {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let ways = [(senders[0], alias(&a, &b)), (senders[1], alias(&b, &a))];
        ways.map(|(sender, event)| async move { sender.ingest(&[event]).await })
    });
    join_all(crossing).await;
    for n in 0..PAIRS {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let one = senders[0].properties_of(&a).await.unwrap();
        assert_eq!((&one["a"], &one["b"]), (&json!(n), &json!(n)));
        assert_eq!(senders[0].properties_of(&b).await, Some(one), "{b} is {a}");
    }
    assert_eq!(senders[0].count("person").await, PAIRS as i64);
    assert_eq!(senders[0].count("person_distinct_id").await, 2 * PAIRS as i64);
}

async fn merges_that_cross_meet_in_one_person(service: &Service) {
    cross([service, service]).await;
}

async fn many_batches_about_the_same_people_all_land(service: &Service) {
    same_people([service, service]).await;
}

/// Batches that name the same people, each in another order.
async fn same_people(senders: [&Service; 2]) {
    const BATCHES: usize = 24;
    const PEOPLE: usize = 60;
    let batch = |n: usize| {
        let name = format!("seen_by_{n}");
        let events = (0..PEOPLE).map(|k| {
            let person = (k * 7 + n * 11) % PEOPLE;
            set(&format!("p{person}"), json!({ name.clone(): true }))
        });
        events.collect::<Vec<_>>()
    };
    let sent = (0..BATCHES).map(|n| {
        let (sender, batch) = (senders[n % 2], batch(n));
        async move { sender.ingest(&batch).await }
    });
    join_all(sent).await;
    assert_eq!(senders[0].count("person").await, PEOPLE as i64);
    let seen = senders[0].properties_of("p0").await.unwrap();
    assert_eq!(seen.as_object().unwrap().len(), BATCHES, "nobody's change was lost: {seen}");
}

async fn a_batch_sent_many_times_at_once_counts_once(service: &Service) {
    repeated([service, service]).await;
}

async fn repeated(senders: [&Service; 2]) {
    const EVENTS: usize = 100;
    let event = |n: usize| {
        let uuid = Uuid::new_v4().to_string();
        with_uuid(&uuid, called("beta", &format!("u{n}"), json!(true)))
    };
    senders[0].create_for_everyone("beta").await;
    let batch: Vec<_> = (0..EVENTS).map(event).collect();
    let sent = (0..10).map(|n| {
        let (sender, mut batch) = (senders[n % 2], batch.clone());
        batch.rotate_left(n * 9);
        async move { sender.ingest(&batch).await }
    });
    join_all(sent).await;
    let total = senders[0].number("SELECT SUM(count) FROM usage_hour").await;
    assert_eq!(total, EVENTS as i64);
    assert_eq!(senders[0].count("ingested_event").await, EVENTS as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_take_events_about_the_same_people() {
    let Some(first) = Service::on_postgres().await else { return };
    let second = first.replica().await;
    cross([&first, &second]).await;
    first.execute("DELETE FROM person").await;
    same_people([&first, &second]).await;
    first.execute("DELETE FROM ingested_event; DELETE FROM usage_hour").await;
    repeated([&first, &second]).await;
    second.stop().await;
    first.stop().await;
}
