//! Changes reach those who watch another replica on the same PostgreSQL: by announcement at once,
//! and where announcements are lost all the same.

use std::time::Duration;

use flagstaff::wire::v1::watch_flags_response::Event;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Code;

use crate::support::{Service, events::event, eventually, watch::Watcher};

const PATIENCE: Duration = Duration::from_secs(10);
/// Within which a change is everywhere, announced or not: 1.2 s, and the rest for a busy machine.
const BOUND: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_through_one_replica_is_heard_on_the_other() {
    let Some(first) = Service::on_postgres().await else { return };
    let second = first.replica().await;
    let id = first.create_for_everyone("shared").await;
    let mut here = first.watch(&first.secret, None).await;
    let mut there = second.watch(&first.secret, None).await;
    let mut public = second.watch(&first.token, None).await;
    for version in 2..10 {
        let writer = if version % 2 == 0 { &first } else { &second };
        writer.patch(id, json!({"name": version.to_string()})).await;
        for watcher in [&mut here, &mut there] {
            watcher.until_version(id, Some(version)).await;
        }
    }
    assert_eq!(here.copy(), there.copy());
    public.until("the same revision", |public| public.revision == here.revision).await;

    // Revisions are the project's: one replica goes on where another was left.
    let left = here.revision;
    first.patch(id, json!({"name": "more"})).await;
    here.until_version(id, Some(10)).await;
    let mut moved = second.watch(&first.secret, Some(left)).await;
    moved.until_version(id, Some(10)).await;
    assert!(moved.heard.starts_with(['h', 'd']), "no snapshot: {}", moved.heard);
    second.stop().await;
    first.stop().await;
}

/// Three replicas, somebody who watches each of them, and a flag.
struct Three {
    replicas: [Service; 3],
    watchers: Vec<Watcher>,
    flag: i64,
    version: i64,
}

impl Three {
    async fn of(first: Service) -> Self {
        let flag = first.create_for_everyone("shared").await;
        let replicas = [first.replica().await, first.replica().await, first];
        let mut watchers = Vec::new();
        for replica in &replicas {
            watchers.push(replica.watch(&replica.secret, None).await);
        }
        Self { replicas, watchers, flag, version: 1 }
    }

    /// Changes the flag through each replica in turn, and sees it evaluated and heard on all.
    async fn all_follow(&mut self) {
        for writer in 0..self.replicas.len() {
            self.version += 1;
            let change = json!({"name": self.version.to_string()});
            self.replicas[writer].patch(self.flag, change).await;
            for (replica, watcher) in self.replicas.iter().zip(&mut self.watchers) {
                let evaluated = async || {
                    let flag = replica.evaluated(&replica.token, "shared").await;
                    (flag["metadata"]["version"] == self.version).then_some(())
                };
                eventually("it is evaluated", BOUND, evaluated).await;
                let heard = watcher.until_version(self.flag, Some(self.version));
                timeout(BOUND, heard).await.expect("it is heard within the bound");
            }
        }
    }

    async fn stop(self) {
        drop(self.watchers);
        for replica in self.replicas {
            replica.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_listening_connections_are_killed_follow_all_the_same() {
    let Some(first) = Service::on_postgres().await else { return };
    let mut three = Three::of(first).await;
    three.all_follow().await;
    for _ in 0..3 {
        let killed = three.replicas[2]
            .stored(
                "SELECT CAST(count(pg_terminate_backend(pid)) AS text) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query ILIKE 'LISTEN%'",
            )
            .await;
        assert_ne!(killed.as_deref(), Some("0"), "they listened");
        three.all_follow().await;
        let listening = async || {
            let count = three.replicas[2]
                .stored(
                    "SELECT CAST(count(*) AS text) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query ILIKE 'LISTEN%'",
                )
                .await;
            (count.as_deref() == Some("3")).then_some(())
        };
        eventually("all listen again", PATIENCE, listening).await;
    }
    three.all_follow().await;
    three.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_hear_no_announcement_follow_all_the_same() {
    let Some(first) = Service::on_postgres().await else { return };
    first.suppress_announcements().await;
    // Its connections are older than that.
    let restarted = first.replica().await;
    let mut three = Three::of(restarted).await;
    three.all_follow().await;
    three.all_follow().await;
    let unheard = "SELECT CAST(count(*) AS text) FROM suppressed WHERE payload LIKE 'revision 1 %'";
    let unheard: i64 = first.stored(unheard).await.unwrap().parse().unwrap();
    assert!(unheard >= 7, "{unheard} announcements were suppressed");
    three.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_connection_that_died_in_silence_is_replaced() {
    let Some((service, _postgres)) = Service::on_own_postgres().await else { return };
    let listeners = async || {
        let pids = service.stored(
            "SELECT coalesce(string_agg(CAST(pid AS text), ' '), '') FROM pg_stat_activity \
             WHERE datname = current_database() AND (query ILIKE 'LISTEN%' OR query = 'SELECT 1')",
        );
        let pids = pids.await.unwrap();
        pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let one = async || listeners().await.into_iter().next();
    let silent = eventually("it listens", PATIENCE, one).await;
    // As when the machine at the other end is gone: nothing is closed, nothing answers.
    signal("STOP", &silent);
    let another = async || listeners().await.into_iter().find(|pid| *pid != silent);
    let heard = tokio::time::timeout(Duration::from_secs(30), async {
        eventually("another listens", Duration::from_secs(25), another).await
    });
    let heard = heard.await;
    signal("CONT", &silent);
    heard.unwrap();
    service.stop().await;
}

fn signal(name: &str, pid: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, pid]).status().unwrap();
    assert!(sent.success(), "kill -s {name} {pid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_from_a_replica_that_is_ahead_is_not_taken_back() {
    let Some(first) = Service::on_postgres().await else { return };
    first.suppress_announcements().await;
    let ahead = first.replica().await;
    let behind = first.replica().await;
    let flag = ahead.create_for_everyone("shared").await;
    for version in 2..12 {
        let name = json!({"name": version.to_string()});
        ahead.patch(flag, name).await;
        for key in [&first.secret, &first.token] {
            let mut here = ahead.watch(key, None).await;
            here.hear().await;
            let mut there = behind.watch(key, Some(here.revision)).await;
            assert!(matches!(there.hear().await, Event::Heartbeat(_)), "{}", there.heard);
            assert_eq!(there.revision, here.revision);
        }
    }
    for service in [behind, ahead, first] {
        service.stop().await;
    }
}

both_databases! { a_database_that_was_put_back_is_followed }

async fn a_database_that_was_put_back_is_followed(service: &Service) {
    let flag = service.create_for_everyone("one").await;
    let mut watchers =
        [service.watch(&service.secret, None).await, service.watch(&service.token, None).await];
    for name in ["Two", "Three", "Four"] {
        service.patch(flag, json!({"name": name})).await;
    }
    watchers[0].until_version(flag, Some(4)).await;
    let reached = watchers[0].revision;
    watchers[1].until("the same", |watcher| watcher.revision == reached).await;
    service
        .execute(&format!(
            "BEGIN; UPDATE project SET revision = revision - 2 WHERE id = 1; \
             DELETE FROM change_log WHERE revision > {reached} - 2; \
             UPDATE feature_flag SET name = 'Two', version = 2 WHERE id = {flag}; COMMIT"
        ))
        .await;
    for (mut watcher, key) in watchers.into_iter().zip([&service.secret, &service.token]) {
        assert_eq!(
            watcher.end().await.code(),
            Code::Unavailable,
            "revisions never fall in a stream"
        );
        let mut again = service.watch(key, Some(reached)).await;
        again.hear().await;
        assert_eq!(again.revision, reached - 2, "{}", again.heard);
    }
    let evaluated = service.evaluated(&service.token, "one").await;
    assert_eq!(evaluated["metadata"]["version"], 2);
    let told = service.told_definitions().await;
    assert_eq!(told.flags[0].version, Some(2));
    // And on from there.
    service.patch(flag, json!({"name": "Otherwise"})).await;
    let mut again = service.watch(&service.secret, None).await;
    again.hear().await;
    assert_eq!((again.version(flag), again.revision), (Some(3), reached - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_the_command_line_is_heard() {
    let service = Service::on_sqlite().await;
    let id = service.create_for_everyone("one").await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    // As another process writes: nobody in this one is told.
    service
        .execute(&format!(
            "BEGIN IMMEDIATE; UPDATE feature_flag SET name = 'Outside', version = 2 WHERE id = {id}; \
             UPDATE project SET revision = revision + 1 WHERE id = 1; \
             INSERT INTO change_log (project_id, revision, kind, item_id, deleted, created_at) \
             SELECT 1, revision, 'flag', '{id}', false, '2026-01-01T00:00:00+00:00' \
             FROM project WHERE id = 1; COMMIT"
        ))
        .await;
    watcher.until_version(id, Some(2)).await;
    assert_eq!(watcher.heard, "sd");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_facts_are_forgotten_when_their_change_is_announced() {
    let Some((first, postgres)) = Service::on_own_postgres().await else { return };
    let second = first.replica().await;
    let plan = json!({"key": "plan", "type": "person", "operator": "exact", "value": "pro"});
    let filters = json!({"groups": [{"properties": [plan]}]});
    let (flag, _) = first.create(json!({"key": "pros", "filters": filters})).await;
    let set = |plan: &str| event("$set", "ann", json!({"$set": {"plan": plan}}));
    first.ingest(&[set("pro")]).await;
    let ann = json!({"distinct_id": "ann"});
    let is_on = async || {
        let answer = second.flags_for(&ann).await;
        (answer["flags"]["pros"]["enabled"] == true).then_some(())
    };
    eventually("ann is a pro on the other replica", PATIENCE, is_on).await;

    first.ingest(&[set("free")]).await;
    // Announcements keep their order: who heard of this heard of ann.
    first.patch(flag, json!({"name": "after"})).await;
    seen(&second, 2).await;
    postgres.stop();
    // What only grew old would be told as it was; what is known to have changed is not told.
    let answer = second.flags_for(&ann).await;
    assert_eq!(answer["errorsWhileComputingFlags"], true, "{answer}");
    assert_ne!(answer["flags"]["pros"]["enabled"], Value::Bool(true), "{answer}");
    postgres.start();
    second.stop().await;
    first.stop().await;
}

async fn seen(service: &Service, version: i64) {
    let look = async || {
        let flag = service.evaluated(&service.token, "pros").await;
        (flag["metadata"]["version"] == version).then_some(())
    };
    eventually("the flag is seen", PATIENCE, look).await;
}
