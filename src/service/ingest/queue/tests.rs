use serde_json::{Value, json};

use super::*;
use crate::model::event::Sent;

fn event(raw: Value) -> Event {
    let arrived_at = "2026-11-23T12:00:00Z".parse().unwrap();
    Event::parse(raw, &Sent { at: None, arrived_at }, None).unwrap()
}

fn plain(count: usize) -> Placed<Event> {
    (0..count).map(|n| (n, event(json!({"event": "x", "distinct_id": "u"})))).collect()
}

/// Has events wait, as a request that nobody awaits.
fn wait(queue: &Ingestion, project_id: i64, events: Placed<Event>) {
    let room = queue.reserve(project_id, events.len(), 0).unwrap();
    let request = Request::new(events.len(), oneshot::channel().0, room, None);
    let entry = |(place, event)| Entry::new(Arc::clone(&request), place, event);
    let entries = events.into_iter().map(entry).collect();
    locked(&queue.lines).add(project_id, entries);
}

fn turn(queue: &Ingestion) -> Vec<(i64, usize)> {
    let group = locked(&queue.lines).next_group();
    group.iter().map(|share| (share.project_id, share.entries.len())).collect()
}

#[test]
fn a_full_queue_refuses_at_once() {
    let queue = Ingestion::default();
    let held: Vec<Room> =
        (0..4).map(|project| queue.reserve(project, 0, usize::MAX / 2).unwrap()).collect();
    let error = queue.reserve(4, 1, 0).unwrap_err();
    assert_eq!((error.code.http_status(), error.reason.as_ref()), (503, "overloaded"));
    assert_eq!(error.retry_after.map(|delay| delay.as_secs()), Some(1));
    drop(held);
    assert!(queue.reserve(4, 1, usize::MAX / 2).is_ok(), "one that fills it all is let in");
}

#[test]
fn one_project_never_takes_all_of_the_room() {
    let queue = Ingestion::default();
    let held = queue.reserve(1, 0, usize::MAX / 2).unwrap();
    assert!(queue.reserve(1, 1, 0).is_err());
    assert!(queue.reserve(2, 1, 0).is_ok());
    drop(held);
    assert!(queue.reserve(1, 1, 0).is_ok());
}

#[test]
fn projects_take_turns_by_bounded_shares() {
    let queue = Ingestion::default();
    wait(&queue, 1, plain(2_500));
    wait(&queue, 2, plain(3));
    assert_eq!(turn(&queue), [(1, 1_000), (2, 3)]);
    assert_eq!(turn(&queue), [], "what is being written is waited for");
    wait(&queue, 3, plain(1));
    wait(&queue, 2, plain(1));
    assert_eq!(turn(&queue), [(3, 1)], "others are not");
    queue.done(1, Vec::new());
    queue.done(2, Vec::new());
    assert_eq!(turn(&queue), [(1, 1_000), (2, 1)]);
    queue.done(1, Vec::new());
    assert_eq!(turn(&queue), [(1, 500)]);
}

#[test]
fn a_share_is_bounded_by_weight_and_bytes() {
    let queue = Ingestion::default();
    let alias = |n| json!({"event": "$create_alias", "distinct_id": "u", "alias": format!("a{n}")});
    wait(&queue, 1, (0..300).map(|n| (n, event(alias(n)))).collect());
    let large = json!({"event": "$set", "distinct_id": "u", "$set": {"a": "x".repeat(400_000)}});
    wait(&queue, 2, (0..30).map(|n| (n, event(large.clone()))).collect());
    assert_eq!(turn(&queue), [(1, 100), (2, 11)]);
}

#[test]
fn what_is_left_of_a_share_comes_first_the_next_time() {
    let queue = Ingestion::default();
    wait(&queue, 1, plain(1_200));
    let mut group = locked(&queue.lines).next_group();
    let left = group.remove(0).entries.split_off(999);
    queue.done(1, left);
    let group = locked(&queue.lines).next_group();
    let places: Vec<usize> = group[0].entries.iter().map(|entry| entry.place).collect();
    assert_eq!(places, (999..1_200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_request_gives_up_the_events_that_wait() {
    let queue = Ingestion::default();
    let room = queue.reserve(1, 3, 0).unwrap();
    let writing = tokio::spawn({
        let queue = queue.clone();
        async move { queue.write(1, plain(1_001), room).await }
    });
    let group = queue.next_group().await;
    group[0].entries[0].request.fail(&Error::unavailable("gone"));
    assert_eq!(writing.await.unwrap().unwrap_err().code.http_status(), 503);
    queue.done(1, Vec::new());
    assert_eq!(turn(&queue), []);
    assert!(locked(&queue.lines).taken.is_empty(), "and its room");
}
