//! The files of an embedded database: whose they are, who makes them, and what becomes of changes
//! when they are not in their place.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use serde_json::json;
use tonic::Code;

use crate::support::{
    FLAGS, Service,
    cli::{Flagstaff, Running},
    events::event,
    eventually,
};

const PATIENCE: Duration = Duration::from_secs(15);
const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];

fn start(folder: &Path) -> Running {
    Flagstaff::new(&FREE_PORTS).within(folder).start()
}

/// The name and mode of each file in a folder, sorted.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mode = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, entry.metadata().unwrap().permissions().mode() & 0o777)
    };
    let mut modes: Vec<_> = fs::read_dir(folder).unwrap().map(|e| mode(e.unwrap())).collect();
    modes.sort();
    modes
}

#[test]
fn what_is_made_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path());
    let names = ["flagstaff.db", "flagstaff.db-shm", "flagstaff.db-wal", "flagstaff.db.key"];
    let private: Vec<_> = names.map(|name| (name.to_owned(), 0o600)).into();
    assert_eq!(modes(folder.path()), private, "while it serves");
    let (_, _, log) = running.terminate();
    assert!(!log.contains("open to others"), "{log}");
    for (_, mode) in modes(folder.path()) {
        assert_eq!(mode, 0o600, "after it stopped");
    }
    let migrated = tempfile::tempdir().unwrap();
    Flagstaff::new(&["migrate", "up"]).within(migrated.path()).run();
    assert_eq!(modes(migrated.path()), [("flagstaff.db".to_owned(), 0o600)], "by migrate up");
}

#[test]
fn files_that_others_may_use_are_warned_about_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).terminate();
    let cases = [("flagstaff.db", 0o644), ("flagstaff.db", 0o660), ("flagstaff.db.key", 0o640)];
    for (name, wide) in cases {
        let file = folder.path().join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(wide)).unwrap();
        let (status, _, log) = start(folder.path()).terminate();
        assert_eq!(status.code(), Some(0), "{log}");
        let warned = log.lines().filter(|line| line.contains("open to others"));
        let warned: Vec<_> = warned.filter(|line| line.contains(&format!("{wide:04o}"))).collect();
        assert!(warned.iter().any(|line| line.contains(name)), "{name}: {log}");
        assert!(modes(folder.path()).contains(&(name.to_owned(), wide)));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn processes_that_start_on_one_new_file_all_start() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let stopped: Vec<_> = std::thread::scope(|scope| {
            let starting = [0; 3].map(|_| scope.spawn(|| start(path)));
            let running = starting.map(|start| start.join().unwrap());
            running.into_iter().map(Running::terminate).collect()
        });
        let printed = stopped.iter().filter(|(_, stdout, _)| stdout.contains("project id: 1"));
        assert_eq!(printed.count(), 1, "one of them made the project: {stopped:?}");
        for (status, _, log) in stopped {
            assert_eq!(status.code(), Some(0), "{log}");
        }
        let listed = Flagstaff::new(&["projects", "list"]).within(path).run().last_line();
        let projects: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(projects.as_array().unwrap().len(), 1);
    }
}

/// The file of a service on SQLite.
fn database(service: &Service) -> PathBuf {
    flagstaff::store::Store::sqlite_file(&service.database_url).unwrap()
}

/// What a change is answered with, over both edges, and what ingestion is.
async fn refusals(service: &Service, id: i64) -> [(u16, String); 2] {
    let (patched, body) =
        service.rest(Method::PATCH, &format!("{FLAGS}{id}/"), json!({"name": "lost"})).await;
    let request = flagstaff::wire::v1::EnableFeatureFlagRequest { project_id: "1".into(), id };
    let enabled = service.flags().enable_feature_flag(request).await;
    let status = enabled.map_or_else(|status| status.code(), |_| Code::Ok);
    assert_eq!((patched == 503, status == Code::Unavailable), (true, true), "{body} {status:?}");
    let events = json!({"api_key": service.token, "batch": [event("$set", "ann", json!({"$set": {"a": 1}}))]});
    let sent = service.send_events("/batch/", &events).await;
    [(patched, body["detail"].as_str().unwrap_or_default().to_owned()), (sent.status, sent.text)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_in_its_place_takes_no_changes_until_it_is_back() {
    let service = Service::on_sqlite().await;
    let id = service.create_for_everyone("flag").await;
    let file = database(&service);
    let away = file.with_extension("away");
    type Misplace = fn(&Path, &Path);
    let misplacements: [(&str, Misplace); 2] = [
        ("moved", |file, away| fs::rename(file, away).unwrap()),
        ("replaced", |file, away| {
            fs::rename(file, away).unwrap();
            fs::copy(away, file).unwrap();
        }),
    ];
    for (name, misplace) in misplacements {
        misplace(&file, &away);
        for (status, said) in refusals(&service, id).await {
            assert_eq!(status, 503, "{name}: {said}");
            assert!(said.contains("moved or replaced"), "{name}: {said}");
        }
        let (status, ready) = service.readiness().await;
        assert_eq!((status, &ready["status"]), (503, &json!("no_database_file")), "{name}");
        assert_eq!(service.evaluated(&service.token, "flag").await["enabled"], true, "{name}");

        fs::rename(&away, &file).unwrap();
        let back = async || {
            let (status, _) = service.patch(id, json!({"name": name})).await;
            (status == 200).then_some(())
        };
        eventually("changes are taken again", PATIENCE, back).await;
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        assert_eq!(flag["name"], name, "and stored");
        let ready = async || (service.readiness().await.0 == 200).then_some(());
        eventually("it is ready again", PATIENCE, ready).await;
    }
    service.stop().await;
}

/// Writes a flag's name anew, 20 kB at a time.
async fn write_on(service: &Service, id: i64, edit: usize) {
    let name = format!("{edit} {}", "x".repeat(390));
    let payload = format!("\"{}\"", "y".repeat(20_000));
    let filters = json!({"groups": [{}], "payloads": {"true": payload}});
    let (status, body) = service.patch(id, json!({"name": name, "filters": filters})).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_a_reader_holds_is_measured_and_emptied_when_the_reader_is_done() {
    const LARGE: f64 = 400_000.0;
    let service = Service::on_sqlite_with(&["--wal-warning-bytes", "400000"]).await;
    let id = service.create_for_everyone("flag").await;
    let reader = service.locked_read("SELECT count(*) FROM feature_flag").await;
    let size = async || service.metric("flagstaff_sqlite_wal_bytes").await;
    for edit in 0..200 {
        write_on(&service, id, edit).await;
    }
    let large = async || (size().await > 2.0 * LARGE).then_some(());
    eventually("the log has grown", PATIENCE, large).await;
    reader.rollback().await.unwrap();
    let small = async || (size().await < LARGE).then_some(());
    eventually("the log is small again", PATIENCE, small).await;
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert!(flag["name"].as_str().unwrap().starts_with("199 "), "nothing was lost");
    service.stop().await;
}
