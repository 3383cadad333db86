//! A database that goes on from an earlier state, as after a restored backup or a fail-over that
//! lost commits: revisions are reached again with other content, and every replica and watcher
//! comes to what the database has.

use std::time::Duration;

use flagstaff::wire::v1::watch_flags_response::Event;
use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Code;

use crate::support::{FLAGS, Service, eventually, watch::Watcher};

/// Within which everything is rebuilt: 2 s, and the rest for a busy machine.
const BOUND: Duration = Duration::from_secs(10);
const DEFINITIONS: &str = "/flags/definitions?token=";

/// What a backup of the flags of project 1 holds.
const TABLES: [&str; 3] = ["project", "feature_flag", "change_log"];

async fn back_up(service: &Service) {
    let copy = |table: &str| format!("CREATE TABLE backup_{table} AS SELECT * FROM {table};");
    service.execute(&TABLES.map(copy).concat()).await;
}

/// Puts the rows of the backup in the place of those that are there, in one transaction.
async fn restore(service: &Service) {
    let begin = if service.is_on_postgres() { "BEGIN;" } else { "BEGIN IMMEDIATE;" };
    let project = "UPDATE project SET revision = b.revision, history_token = b.history_token, \
                   definitions_token = b.definitions_token, flag_count = b.flag_count, activity_count = b.activity_count \
                   FROM backup_project AS b WHERE b.id = project.id;";
    let rows = ["feature_flag", "change_log"].map(|table| {
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup_{table};")
    });
    service.execute(&format!("{begin} {project} {} COMMIT;", rows.concat())).await;
}

async fn version(service: &Service, key: &str) -> Value {
    service.evaluated(&service.token, key).await["metadata"]["version"].clone()
}

async fn etag(service: &Service) -> String {
    let path = format!("{DEFINITIONS}{}", service.token);
    let answer = service.call(Method::GET, &path, Some(&service.secret), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.headers["etag"].to_str().unwrap().to_owned()
}

/// The versions that a list shows, by the flags' keys.
async fn listed(service: &Service) -> Vec<(String, i64)> {
    let (_, list) = service.get(FLAGS).await;
    let flags = list["results"].as_array().unwrap().iter();
    let mut flags: Vec<_> = flags
        .map(|flag| (flag["key"].as_str().unwrap().to_owned(), flag["version"].as_i64().unwrap()))
        .collect();
    flags.sort();
    flags
}

/// Hears until something is seen, and returns how that was told. A stream that ends, as revisions
/// never fall within one, is resumed from where it was.
async fn follows(
    watcher: &mut Watcher,
    service: &Service,
    key: &str,
    seen: impl AsyncFn(&Watcher) -> bool,
) -> String {
    let from = watcher.heard.len();
    let following = async {
        while !seen(watcher).await {
            if let Err(status) = watcher.try_hear().await {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let resumed = service.resume(key, watcher).await;
                let left = std::mem::replace(watcher, resumed);
                watcher.heard = left.heard;
            }
        }
    };
    let outcome = timeout(BOUND, following).await;
    assert!(outcome.is_ok(), "not in time: {}", watcher.heard);
    watcher.heard[from..].to_owned()
}

/// Hears until the copy is what the service would tell.
async fn converges(watcher: &mut Watcher, service: &Service) -> String {
    let seen = async |watcher: &Watcher| watcher.copy() == service.told_definitions().await;
    follows(watcher, service, &service.secret, seen).await
}

both_databases! {
    a_restored_backup_is_served_without_another_write,
    a_revision_that_is_reached_again_is_told_from_the_first,
    a_writer_reads_its_own_writes_after_a_restore,
    a_watcher_with_the_token_of_another_history_gets_a_snapshot,
    a_list_shows_what_a_restore_brought_back,
}

async fn a_restored_backup_is_served_without_another_write(service: &Service) {
    let flag = service.create_for_everyone("one").await;
    back_up(service).await;
    let before = etag(service).await;
    for name in ["Two", "Three"] {
        service.patch(flag, json!({"name": name})).await;
    }
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.until_version(flag, Some(3)).await;
    restore(service).await;
    let seen = async || (version(service, "one").await == 1).then_some(());
    eventually("the flag is as it was", BOUND, seen).await;
    assert!(converges(&mut watcher, service).await.contains('s'), "{}", watcher.heard);
    assert_eq!(watcher.version(flag), Some(1));
    assert_eq!((listed(service).await, etag(service).await), (vec![("one".into(), 1)], before));
}

async fn a_revision_that_is_reached_again_is_told_from_the_first(service: &Service) {
    let (lost, kept) =
        (service.create_for_everyone("lost").await, service.create_for_everyone("kept").await);
    back_up(service).await;
    for name in ["Two", "Three", "Four"] {
        service.patch(lost, json!({"name": name})).await;
    }
    let mut watcher = service.watch(&service.secret, None).await;
    let mut public = service.watch(&service.token, None).await;
    watcher.until_version(lost, Some(4)).await;
    public.hear().await;
    let (revision, before) = (watcher.revision, etag(service).await);

    restore(service).await;
    for name in ["Two", "Three", "Four"] {
        service.patch(kept, json!({"name": name})).await;
    }
    let seen = async || {
        let seen = (version(service, "lost").await, version(service, "kept").await);
        (seen == (1.into(), 4.into())).then_some(())
    };
    eventually("flags are those of the new history", BOUND, seen).await;
    let told = converges(&mut watcher, service).await;
    assert!(told.contains('s'), "a snapshot: {told}");
    assert_eq!((watcher.version(lost), watcher.version(kept)), (Some(1), Some(4)));
    assert_eq!(watcher.revision, revision, "the same number");
    let token = watcher.history_token.clone();
    let seen = async |public: &Watcher| public.history_token == token;
    let told = follows(&mut public, service, &service.token, seen).await;
    assert!(told.contains('n'), "the public token hears of it: {told}");
    assert_ne!(etag(service).await, before);
}

async fn a_writer_reads_its_own_writes_after_a_restore(service: &Service) {
    let flag = service.create_for_everyone("own").await;
    let other = service.create_for_everyone("other").await;
    back_up(service).await;
    for _ in 0..5 {
        service.patch(other, json!({"active": true})).await;
    }
    restore(service).await;
    for expected in 2..12 {
        let (status, _) = service.patch(flag, json!({"active": true})).await;
        assert_eq!((status, version(service, "own").await), (200, expected.into()));
        assert_eq!(version(service, "other").await, 1, "not what was lost");
    }
}

async fn a_watcher_with_the_token_of_another_history_gets_a_snapshot(service: &Service) {
    let flag = service.create_for_everyone("one").await;
    back_up(service).await;
    for name in ["Two", "Three"] {
        service.patch(flag, json!({"name": name})).await;
    }
    let mut left = service.watch(&service.secret, None).await;
    left.until_version(flag, Some(3)).await;
    let mut again = service.resume(&service.secret, &left).await;
    assert!(matches!(again.hear().await, Event::Heartbeat(_)), "{}", again.heard);
    assert_eq!(again.history_token, left.history_token);

    restore(service).await;
    for name in ["2", "3", "4"] {
        service.patch(flag, json!({"name": name})).await;
    }
    let mut now = service.watch(&service.secret, None).await;
    now.hear().await;
    assert_eq!(now.revision, left.revision + 1);
    assert_ne!(now.history_token, left.history_token);
    let mut stale = service.resume(&service.secret, &left).await;
    assert!(matches!(stale.hear().await, Event::Snapshot(_)), "{}", stale.heard);
    // The revision alone says that a delta would do.
    let mut untold = service.watch(&service.secret, Some(left.revision)).await;
    assert!(matches!(untold.hear().await, Event::Delta(_)), "{}", untold.heard);
    let mut again = service.resume(&service.secret, &now).await;
    assert!(matches!(again.hear().await, Event::Heartbeat(_)), "{}", again.heard);
    // From within this history, only what was missed is told.
    service.patch(flag, json!({"name": "5"})).await;
    let mut later = service.resume(&service.secret, &now).await;
    assert!(matches!(later.hear().await, Event::Delta(_)), "{}", later.heard);
}

async fn a_list_shows_what_a_restore_brought_back(service: &Service) {
    let flag = service.create_for_everyone("one").await;
    let kept = service.create_for_everyone("two").await;
    back_up(service).await;
    service.patch(flag, json!({"key": "renamed"})).await;
    assert_eq!(listed(service).await, [("renamed".into(), 2), ("two".into(), 1)]);
    restore(service).await;
    service.patch(kept, json!({"key": "other"})).await;
    assert_eq!(listed(service).await, [("one".into(), 1), ("other".into(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_follow_a_promoted_standby_that_lacks_commits() {
    let Some(first) = Service::on_postgres().await else { return };
    // As where announcements are lost with the connections.
    first.suppress_announcements().await;
    let replicas = [first.replica().await, first.replica().await];
    let [writer, reader] = &replicas;
    let mut flags = Vec::new();
    for number in 0..12 {
        flags.push(writer.create_for_everyone(&format!("flag-{number}")).await);
    }
    back_up(writer).await;
    for flag in &flags[..6] {
        writer.patch(*flag, json!({"name": "lost"})).await;
    }
    let reached = async || (version(reader, "flag-5").await == 2).then_some(());
    eventually("both have what will be lost", BOUND, reached).await;
    let mut watchers =
        [writer.watch(&first.secret, None).await, reader.watch(&first.secret, None).await];
    for watcher in &mut watchers {
        watcher.until_version(flags[5], Some(2)).await;
    }
    restore(writer).await;
    for flag in &flags[6..] {
        writer.patch(*flag, json!({"name": "kept"})).await;
    }
    for service in &replicas {
        let all = async || {
            for number in 0..12 {
                let expected = if number < 6 { 1 } else { 2 };
                if version(service, &format!("flag-{number}")).await != expected {
                    return None;
                }
            }
            Some(())
        };
        eventually("every flag is served as it is", BOUND, all).await;
    }
    for (watcher, service) in watchers.iter_mut().zip(&replicas) {
        assert!(converges(watcher, service).await.contains('s'), "{}", watcher.heard);
    }
    assert_eq!(etag(writer).await, etag(reader).await);
    for replica in replicas {
        replica.stop().await;
    }
    first.stop().await;
}

/// Projects beside the first; more than one look compares.
const MANY: i64 = 600;

/// A change to the flag of project 1, as another replica makes it, of which nobody hears.
fn change(version: i64) -> String {
    format!(
        "UPDATE project SET revision = revision + 1, history_token = {version} WHERE id = 1; \
         UPDATE feature_flag SET version = {version} WHERE project_id = 1 AND key = 'one'; \
         INSERT INTO change_log \
         (project_id, revision, kind, item_id, deleted, created_at, history_token) \
         SELECT 1, p.revision, 'flag', CAST(f.id AS text), false, f.created_at, {version} \
         FROM project p JOIN feature_flag f ON f.project_id = p.id WHERE p.id = 1;"
    )
}

async fn many_projects(service: &Service) {
    service
        .execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) \
             INSERT INTO project (organization_id, name, api_token, created_at) \
             SELECT organization_id, name, 'phc_many_projects_' || i, created_at \
             FROM n JOIN project ON project.id = 1"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_among_many_projects_is_found_by_index() {
    let services = [Some(Service::on_sqlite().await), Service::on_postgres().await];
    for first in services.into_iter().flatten() {
        first.create_for_everyone("one").await;
        many_projects(&first).await;
        // It reads all of them at its start.
        let service = first.replica().await;
        for expected in 2..5 {
            first.execute(&format!("BEGIN; {} COMMIT", change(expected))).await;
            let seen = async || (version(&service, "one").await == expected).then_some(());
            eventually("the change is found", BOUND, seen).await;
        }
        // An earlier state of one project, among many.
        back_up(&first).await;
        first.execute(&format!("BEGIN; {} COMMIT", change(9))).await;
        let seen = async || (version(&service, "one").await == 9).then_some(());
        eventually("the change is found", BOUND, seen).await;
        restore(&first).await;
        let seen = async || (version(&service, "one").await == 4).then_some(());
        eventually("what was restored is found", BOUND, seen).await;
        service.stop().await;
        first.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_is_found_by_index() {
    let Some(first) = Service::on_postgres().await else { return };
    first.create_for_everyone("one").await;
    let (other, token) = first.new_project("Other");
    many_projects(&first).await;
    let service = first.replica().await;
    for expected in 2..5 {
        // It takes its number now, and commits after others have, which are seen before.
        let late = first.begun(&change(expected)).await;
        for _ in 0..3 {
            let path = format!("/api/projects/{other}/feature_flags/");
            let key = format!("other-{}", uuid::Uuid::new_v4());
            let everyone = json!({"groups": [{"rollout_percentage": 100}]});
            let flag = json!({"key": key, "filters": everyone});
            assert_eq!(first.rest(Method::POST, &path, flag).await.0, 201);
            let look =
                async || (service.evaluated(&token, &key).await["enabled"] == true).then_some(());
            eventually("what was committed earlier is seen", BOUND, look).await;
        }
        assert_eq!(version(&service, "one").await, expected - 1, "not committed");
        late.commit().await.unwrap();
        let seen = async || (version(&service, "one").await == expected).then_some(());
        eventually("the late change is found", BOUND, seen).await;
    }
    service.stop().await;
    first.stop().await;
}

/// Ends each connection that follows changes as soon as it is there, for half a second.
const END_CONNECTIONS: &str = "DO $$ DECLARE ends timestamptz := clock_timestamp() + interval '500 ms'; \
    BEGIN WHILE clock_timestamp() < ends LOOP \
        PERFORM pg_stat_clear_snapshot(); \
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND application_name = 'flagstaff follow'; \
    END LOOP; END $$";

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_reads_its_own_writes_while_its_reading_connections_are_killed() {
    let Some(first) = Service::on_postgres().await else { return };
    // So that nothing but the write itself brings the change.
    first.suppress_announcements().await;
    let service = first.replica().await;
    let flag = service.create_for_everyone("own").await;
    let is_ending = async || {
        let query = "SELECT CAST(count(*) AS text) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query LIKE 'DO $$%'";
        (first.stored(query).await.as_deref() == Some("1")).then_some(())
    };
    for expected in 2..8 {
        let write = async {
            eventually("connections are ended", BOUND, is_ending).await;
            let (status, _) = service.patch(flag, json!({"name": expected.to_string()})).await;
            assert_eq!((status, version(&service, "own").await), (200, expected.into()));
        };
        tokio::join!(first.execute(END_CONNECTIONS), write);
    }
    service.stop().await;
    first.stop().await;
}
