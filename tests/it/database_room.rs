//! A database file without room, and transactions that the database ends by itself: what was
//! acknowledged is there, and nothing has to be started again.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Service, events::event, eventually, rows::is_there};

const PATIENCE: Duration = Duration::from_secs(30);
const BATCHES: usize = 20;
const PERSONS: usize = 20;

/// One batch of persons of its own, as one request.
async fn send(service: &Service, batch: usize) -> u16 {
    let note = "x".repeat(4_000);
    let persons = (0..PERSONS).map(|n| {
        let set = json!({"$set": {"note": note}});
        event("$identify", &format!("person-{batch}-{n}"), set)
    });
    let body = json!({"api_key": service.token, "batch": persons.collect::<Vec<Value>>()});
    service.send_events("/batch/", &body).await.status
}

/// What was acknowledged is stored, changes count, and a fresh start sees the same.
async fn nothing_was_lost(service: &Service, acknowledged: &[usize], flag: i64) {
    for batch in acknowledged {
        let rows = format!("person_distinct_id WHERE distinct_id LIKE 'person-{batch}-%'");
        assert_eq!(service.count(&rows).await, PERSONS as i64, "batch {batch} was acknowledged");
    }
    let changed = async || {
        let (status, flag) = service.patch(flag, json!({"name": "Room"})).await;
        (status == 200).then_some(flag)
    };
    let changed = eventually("a flag is changed", PATIENCE, changed).await;
    let (_, shown) = service.get(&format!("{}{flag}/", crate::support::FLAGS)).await;
    assert_eq!(shown["version"], changed["version"]);
    assert_eq!(shown["name"], "Room");
    let version = format!("feature_flag WHERE id = {flag} AND version = {}", shown["version"]);
    assert_eq!(service.count(&version).await, 1, "the file has it, not only a connection");
    assert_eq!(send(service, 1_000).await, 200);
    assert!(is_there(service, "person_distinct_id WHERE distinct_id = 'person-1000-0'").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_the_database_ended_leave_no_trace() {
    let service = Service::on_sqlite().await;
    let flag = service.create_for_everyone("room").await;
    // As a full disk does, this ends the transaction, and not only the statement.
    service
        .execute(
            "CREATE TRIGGER full BEFORE INSERT ON person BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
        )
        .await;
    for batch in 0..3 {
        send(&service, batch).await;
    }
    assert!(!is_there(&service, "person").await);
    service.execute("DROP TRIGGER full").await;
    let mut acknowledged = Vec::new();
    for batch in 10..13 {
        assert_eq!(send(&service, batch).await, 200);
        acknowledged.push(batch);
    }
    nothing_was_lost(&service, &acknowledged, flag).await;
    service.stop().await;
}

/// A file system of its own, of a few megabytes.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where the tests may not mount one.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(disk.0.path())
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(disk);
        }
        crate::support::postgres::say("skipped: file systems cannot be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for connections may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_it_cannot_keep() {
    let Some(disk) = SmallDisk::new() else { return };
    let service = Service::on_file(disk.0.path().join("flagstaff.db")).await;
    let flag = service.create_for_everyone("room").await;
    // What goes when room is made.
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1_200_000]).unwrap();

    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for batch in 0..BATCHES {
        match send(&service, batch).await {
            200 => acknowledged.push(batch),
            503 => refused += 1,
            other => panic!("{other} for a full disk"),
        }
    }
    assert!(refused > 1, "the disk was full: {acknowledged:?}");
    assert_eq!(service.readiness().await.1["writable"], false);
    let (status, _) = service.patch(flag, json!({"name": "No room"})).await;
    assert!([200, 503].contains(&status), "{status}");

    std::fs::remove_file(ballast).unwrap();
    nothing_was_lost(&service, &acknowledged, flag).await;
    assert_eq!(service.readiness().await.1["writable"], true);
    service.stop().await;
}
