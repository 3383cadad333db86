//! Changes reach those who watch another replica on the same PostgreSQL: by announcement at once,
//! and where announcements are lost all the same.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Service, events::event, eventually, watch::Watcher};

const PATIENCE: Duration = Duration::from_secs(10);

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
                eventually("it is evaluated", PATIENCE, evaluated).await;
                watcher.until_version(self.flag, Some(self.version)).await;
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

/// From the next connection on, announcements of this database go into a table and to nobody.
const SUPPRESS: &str = "
    CREATE TABLE suppressed (payload text);
    CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS
        'INSERT INTO public.suppressed VALUES ($2)';
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    END $$";

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_hear_no_announcement_follow_all_the_same() {
    let Some(first) = Service::on_postgres().await else { return };
    first.execute(SUPPRESS).await;
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
