//! Encryption keys that are lost, or are others than the payloads were encrypted with: nothing is
//! made anew in silence, and only what cannot be read fails.

use std::path::PathBuf;

use flagstaff::{config::EncryptionKey, store::Store};
use serde_json::{Value, json};

use crate::support::{
    FLAGS,
    cli::{Flagstaff, Outcome, Running},
    http_client, migrated_postgres, sqlite_url,
};

const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
const KEY: &str = "phx_0123456789012345678901234567890123456789";
const SETTING: &str = "FLAGSTAFF_ENCRYPTION_KEYS";

/// A database, and the keys that its payloads are encrypted with.
struct Home {
    url: String,
    /// Beside an embedded database.
    key_file: Option<PathBuf>,
}

impl Home {
    fn of(url: &str) -> Self {
        let file = Store::sqlite_file(url);
        let key_file = file.map(|file| PathBuf::from(format!("{}.key", file.display())));
        Self { url: url.to_owned(), key_file }
    }

    /// A command with these keys in the variable; with none, the key file counts.
    fn command(&self, arguments: &[&str], keys: &[&EncryptionKey]) -> Flagstaff {
        let command = Flagstaff::new(arguments)
            .env("FLAGSTAFF_DATABASE_URL", &self.url)
            .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY);
        let keys: Vec<_> = keys.iter().map(|key| key.reveal()).collect();
        if keys.is_empty() { command } else { command.env(SETTING, &keys.join(",")) }
    }

    fn serve(&self, keys: &[&EncryptionKey]) -> Running {
        self.command(&[&["serve"], &FREE_PORTS[..]].concat(), keys).start()
    }

    /// Starts that must be refused, by every command that uses the keys.
    fn refuses(&self, keys: &[&EncryptionKey], why: &str) {
        let import = ["import", "--from-url", "http://127.0.0.1:1", "--project", "1", "--key", "x"];
        for arguments in [&[&["serve"], &FREE_PORTS[..]].concat()[..], &import] {
            refused(&self.command(arguments, keys).outcome(), why);
        }
        if keys.is_empty() {
            let rotate = self.command(&["keys", "rotate-encryption"], keys).outcome();
            refused(&rotate, why);
        }
    }
}

fn refused(outcome: &Outcome, why: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{outcome:?}");
    assert!(lines[0].contains(SETTING) && lines[0].contains(why), "{why}: {outcome:?}");
}

fn secret(key: &str, payload: &str) -> Value {
    json!({"key": key, "is_remote_configuration": true, "has_encrypted_payloads": true,
        "filters": {"groups": [{"rollout_percentage": 100}], "payloads": {"true": payload}}})
}

async fn create(running: &Running, body: &Value) {
    let url = format!("http://{}{FLAGS}", running.address("address"));
    let answer = http_client().build().unwrap().post(url).bearer_auth(KEY).json(body).send().await;
    assert_eq!(answer.unwrap().status(), 201);
}

/// Status and body of what a flag delivers.
async fn delivered(running: &Running, key: &str) -> (u16, Value) {
    let url = format!("http://{}{FLAGS}{key}/remote_config/", running.address("address"));
    let answer = http_client().build().unwrap().get(url).bearer_auth(KEY).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The advice beside the answer.
async fn hint(running: &Running, key: &str) -> String {
    let url = format!("http://{}{FLAGS}{key}/remote_config/", running.address("address"));
    let answer = http_client().build().unwrap().get(url).bearer_auth(KEY).send().await.unwrap();
    answer.headers()["x-flagstaff-hint"].to_str().unwrap().to_owned()
}

async fn unreadable(running: &Running) -> String {
    let url = format!("http://{}/metrics", running.address("ops.address"));
    let text = http_client().build().unwrap().get(url).send().await.unwrap().text().await.unwrap();
    let name = "flagstaff_encrypted_payloads_unreadable";
    let line = text.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().to_owned()
}

async fn keys_are_tried_on_what_is_stored(home: &Home, first: EncryptionKey) {
    let other = EncryptionKey::generate();
    // Other keys than those of the payloads, and both together.
    home.refuses(&[&other], "the given keys decrypt none of the 1 encrypted payloads");
    let running = home.serve(&[&other, &first]);
    assert_eq!(delivered(&running, "one").await, (200, json!("\"1\"")));
    assert_eq!(unreadable(&running).await, "0");
    create(&running, &secret("two", "\"2\"")).await;
    running.terminate();

    // Some can be read: it starts, and says which cannot.
    let running = home.serve(&[&other]);
    assert_eq!(delivered(&running, "two").await, (200, json!("\"2\"")));
    let (status, body) = delivered(&running, "one").await;
    assert_eq!((status, &body["code"]), (500, &json!("remote_config_decrypt_failed")));
    assert!(hint(&running, "one").await.contains(SETTING));
    assert_eq!(unreadable(&running).await, "1");
    let (_, _, log) = running.terminate();
    assert!(log.contains("WARN") && log.contains("one (project 1)"), "{log}");
    assert!(!log.contains("two (project 1)") && !log.contains("gAAAA"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_file_is_not_replaced_while_payloads_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::of(&sqlite_url(&folder, "flags.db"));
    let file = home.key_file.clone().unwrap();
    let running = home.serve(&[]);
    create(&running, &secret("one", "\"1\"")).await;
    running.terminate();
    let first: EncryptionKey = std::fs::read_to_string(&file).unwrap().parse().unwrap();

    std::fs::remove_file(&file).unwrap();
    home.refuses(&[], "flags.db.key is missing");
    assert!(!file.exists(), "nothing is made");
    std::fs::write(&file, EncryptionKey::generate().reveal()).unwrap();
    let serve = [&["serve"], &FREE_PORTS[..]].concat();
    refused(&home.command(&serve, &[]).outcome(), "flags.db.key decrypts none of");
    std::fs::remove_file(&file).unwrap();

    keys_are_tried_on_what_is_stored(&home, first).await;
    assert!(!file.exists(), "the given keys need no file");

    // Commands that need no key do not ask for one, and what is not stored needs no old key.
    home.command(&["projects", "list"], &[]).run();
    let gone = "DELETE FROM feature_flag";
    let connection = sea_orm::Database::connect(&home.url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&connection, gone).await.unwrap();
    connection.close().await.unwrap();
    let rotated = home.command(&["keys", "rotate-encryption"], &[]).run();
    assert!(rotated.stdout.contains(r#""rotated":0"#) && !file.exists(), "{rotated:?}");
    home.serve(&[]).terminate();
    assert!(file.exists(), "a database without payloads may begin with a new key");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_open_nothing_on_a_server_database_are_refused() {
    let Some(database) = migrated_postgres().await else { return };
    let home = Home::of(&database.url);
    let first = EncryptionKey::generate();
    let running = home.serve(&[&first]);
    create(&running, &secret("one", "\"1\"")).await;
    running.terminate();
    home.refuses(&[], "no key is given for the 1 encrypted payloads");
    keys_are_tried_on_what_is_stored(&home, first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_no_key_mends_does_not_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::of(&sqlite_url(&folder, "flags.db"));
    let running = home.serve(&[]);
    create(&running, &secret("one", "\"1\"")).await;
    running.terminate();
    let damage = r#"UPDATE feature_flag SET filters = '{"groups":[],"payloads":{"true":"junk"}}'"#;
    let connection = sea_orm::Database::connect(&home.url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&connection, damage).await.unwrap();
    connection.close().await.unwrap();
    let running = home.serve(&[]);
    assert_eq!(unreadable(&running).await, "1");
    assert_eq!(delivered(&running, "one").await.0, 500);
    running.terminate();
}
