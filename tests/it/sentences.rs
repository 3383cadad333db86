//! What an operator types, what the command line says, and its exit code.

use std::{fs, io::Read, path::Path, process::Stdio};

use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use serde_json::json;
use tempfile::TempDir;

use crate::support::cli::{Flagstaff, Outcome};

const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];

/// A folder with a database in it that has one project.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Flagstaff::new(&["migrate", "up"]).within(folder.path()).run();
    started(folder.path()).terminate();
    folder
}

fn started(folder: &Path) -> crate::support::cli::Running {
    Flagstaff::new(&[&["serve"], &PORTS[..]].concat())
        .within(folder)
        .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
        .start()
}

const KEY: &str = "phx_123456789012345678901234";

fn typed(folder: &TempDir, line: &[&str]) -> Outcome {
    Flagstaff::new(line).within(folder.path()).outcome()
}

#[test]
fn what_was_typed_wrong_is_told_with_what_is_right() {
    let folder = folder();
    let serve = |arguments: &[&'static str]| -> Vec<&'static str> {
        [&["serve"], &PORTS[..], arguments].concat()
    };
    let cases: [(Vec<&str>, &str); 14] = [
        (
            serve(&["--database-url", "sqlite://absent.db"]),
            "error: --database-url (FLAGSTAFF_DATABASE_URL): unable to open database file `absent.db`: \
             there is none; `sqlite://absent.db?mode=rwc` makes one",
        ),
        (
            serve(&["--database-url", "sqlite://no/absent.db?mode=rwc"]),
            "error: --database-url (FLAGSTAFF_DATABASE_URL): unable to open database file \
             `no/absent.db`: there is no folder `no`",
        ),
        (
            vec!["keys", "list", "--database-url", "sqlite://absent.db"],
            "error: --database-url (FLAGSTAFF_DATABASE_URL): there is no database at `absent.db`; \
             `flagstaff migrate up` makes one",
        ),
        (
            vec!["serve", "--listen", "127.0.0.1"],
            "error: invalid value '127.0.0.1' for '--listen (FLAGSTAFF_LISTEN)': there is no port; \
             write an IP address and a port, such as 127.0.0.1:8080",
        ),
        (
            serve(&["--trusted-proxies", "10.0.0.0/99"]),
            "error: invalid value '10.0.0.0/99' for '--trusted-proxies (FLAGSTAFF_TRUSTED_PROXIES)': \
             not a network (CIDR) such as 10.0.0.0/8 or fd00::/8, nor an IP address",
        ),
        (
            serve(&["--watch-heartbeat", "0s"]),
            "error: invalid value '0s' for '--watch-heartbeat (FLAGSTAFF_WATCH_HEARTBEAT)': \
             must be longer than 0s",
        ),
        (
            serve(&["--enrichment-interval", "0s"]),
            "error: invalid value '0s' for '--enrichment-interval (FLAGSTAFF_ENRICHMENT_INTERVAL)': \
             must be longer than 0s",
        ),
        (
            vec!["keys", "create", "--project", "1", "--scopes", "*", "--expires", "tomorrow"],
            "error: invalid value 'tomorrow' for '--expires <EXPIRES>': not a length of time; \
             write how long the key holds, such as 30d, 12h or 1y",
        ),
        (
            vec!["keys", "create", "--project", "99", "--scopes", "*"],
            "error: --project: there is no project 99; `flagstaff projects list` shows all",
        ),
        (
            vec!["keys", "create", "--project", "1", "--project", "98", "--scopes", "*"],
            "error: --project: there is no project 98; `flagstaff projects list` shows all",
        ),
        (vec!["keys", "revoke", "99"], "error: there is no key 99"),
        (
            serve(&["--database-url", "postgres://ann:se@cret@127.0.0.1:1/db"]),
            "error: --database-url (FLAGSTAFF_DATABASE_URL): cannot open the database at \
             127.0.0.1:1: Connection refused (os error 111)",
        ),
        (
            serve(&["--database-url", "postgres://ann:12#secret@127.0.0.1:1/db"]),
            "error: --database-url (FLAGSTAFF_DATABASE_URL): `postgres://ann:***@127.0.0.1:1/db` is \
             not a sqlite:// or postgres:// URL (it holds a `#`; in the user and the password, `@` \
             is written as %40, `:` as %3A, `/` as %2F, `?` as %3F, `#` as %23 and `%` as %25)",
        ),
        (
            serve(&["--database-url", "postgres://ann:se/cret@127.0.0.1:1/db"]),
            "error: --database-url (FLAGSTAFF_DATABASE_URL): `postgres://ann:***@127.0.0.1:1/db` is \
             not a sqlite:// or postgres:// URL (error with configuration: invalid port number; in \
             the user and the password, `@` is written as %40, `:` as %3A, `/` as %2F, `?` as %3F, \
             `#` as %23 and `%` as %25)",
        ),
    ];
    for (line, said) in cases {
        let outcome = typed(&folder, &line);
        let told = (outcome.code, outcome.stderr.trim_end(), outcome.stdout.as_str());
        assert_eq!(told, (Some(2), said, ""), "{line:?}");
    }
}

#[test]
fn a_name_is_taken_where_an_address_is_wanted() {
    let folder = folder();
    let line = ["serve", "--listen", "localhost:0", "--ops-listen", "localhost:0"];
    let running = Flagstaff::new(&line).within(folder.path()).start();
    assert!(running.address("address").starts_with("127.0.0.1:"));
    let (status, ..) = running.terminate();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_keeps_locked_is_named() {
    let folder = folder();
    let file = folder.path().join("flagstaff.db");
    let mut options = ConnectOptions::new(format!("sqlite://{}", file.display()));
    options.max_connections(1);
    let other = Database::connect(options).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let line = ["projects", "create", "--name", "Second"];
    let outcome = tokio::task::block_in_place(|| typed(&folder, &line));
    let said = "error: --database-url (FLAGSTAFF_DATABASE_URL): another program keeps the database \
                file `flagstaff.db` locked; try again once it is done, or stop it";
    assert_eq!((outcome.code, outcome.stderr.trim_end()), (Some(2), said));
    other.execute_unprepared("ROLLBACK").await.unwrap();
    tokio::task::block_in_place(|| Flagstaff::new(&line).within(folder.path()).run());
}

/// Runs a command whose output nobody reads, and gives its exit code and what it says about that.
fn unread(folder: &TempDir, line: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flagstaff"));
    command.args(line).env_clear().current_dir(folder.path()).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_reader_who_goes_away_ends_a_command_quietly() {
    let folder = folder();
    let lines: [&[&str]; 8] = [
        &["keys", "list"],
        &["keys", "create", "--project", "1", "--scopes", "*"],
        &["projects", "list"],
        &["projects", "create", "--name", "Third"],
        &["migrate", "status"],
        &["--help"],
        &["serve", "--help"],
        &["--version"],
    ];
    for line in lines {
        assert_eq!(unread(&folder, line), (Some(0), String::new()), "{line:?}");
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = folder();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flagstaff"));
    command.args(["keys", "list"]).env_clear().current_dir(folder.path());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: cannot write the result: "), "{said}");
}

/// The log's lines about changes, without their time and the request that they belong to.
fn changes(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| Some(line.split_once("flag changed ")?.1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_changed_which_flag_in_one_line_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let running = tokio::task::block_in_place(|| started(folder.path()));
    let flags = format!("http://{}/api/projects/1/feature_flags/", running.address("address"));
    let http = reqwest::Client::new();
    let sent = async |method: http::Method, path: &str, body: serde_json::Value| {
        let request = http.request(method, format!("{flags}{path}")).bearer_auth(KEY).json(&body);
        request.header("x-request-id", "deploy-7").send().await.unwrap().status().as_u16()
    };
    let (post, patch) = (http::Method::POST, http::Method::PATCH);
    assert_eq!(sent(post.clone(), "", json!({"key": "checkout"})).await, 201);
    let body = json!({"active": false, "name": "Secret plan", "evaluation_contexts": ["web"]});
    assert_eq!(sent(patch.clone(), "1/", body).await, 200);
    assert_eq!(sent(patch.clone(), "1/", json!({"filters": 1})).await, 400);
    assert_eq!(sent(post.clone(), "1/enable/", json!({})).await, 200);
    let body = json!({"ids": [1], "action": "set", "tags": ["a"]});
    assert_eq!(sent(post, "bulk_update_tags/", body).await, 200);
    assert_eq!(sent(patch, "1/", json!({"deleted": true})).await, 200);
    let (.., log) = tokio::task::block_in_place(|| running.terminate());
    let line = |operation: &str, fields: &str| {
        format!(
            "actor=\"admin@flagstaff.local\" project.id=1 operation=\"{operation}\" \
             flag.key=\"checkout\" fields=\"{fields}\""
        )
    };
    let wanted = [
        line("created", ""),
        line("updated", "name,active,evaluation_contexts"),
        line("updated", "active,performed_rollback"),
        line("updated", "tags"),
        line("deleted", "deleted"),
    ];
    assert_eq!(changes(&log), wanted, "{log}");
    let told = log.lines().find(|line| line.contains("flag changed")).unwrap();
    assert!(told.contains("request.id=\"deploy-7\""), "{told}");
    assert!(!log.contains("Secret plan"), "{log}");
}
