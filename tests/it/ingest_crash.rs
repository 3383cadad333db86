//! What was acknowledged is there after SIGKILL, and counts once however often it is sent.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{
    cli::{Flagstaff, Running},
    events::{called, event, number, with_uuid},
    http_client, migrated_postgres, sqlite_url,
};

const TOKEN: &str = "phc_0123456789012345678901234567890123456789";
const KEY: &str = "phx_0123456789012345678901234567890123456789";
const BATCHES: usize = 50;
const EVENTS: usize = 1_000;

fn start(database_url: &str) -> Running {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    Flagstaff::new(&arguments)
        .env("FLAGSTAFF_DATABASE_URL", database_url)
        .env("FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN", TOKEN)
        .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
        .start()
}

/// Half properties, half calls of a flag, all told apart by the batch.
fn batch(number: usize) -> Value {
    let events = (0..EVENTS).map(|n| {
        let person = format!("person {}", n % 100);
        let event = match n % 2 {
            0 => event("$set", &person, json!({"$set": {"batch": number}})),
            _ => called("beta", &person, json!(format!("batch-{number}"))),
        };
        with_uuid(&Uuid::new_v4().to_string(), event)
    });
    json!({"api_key": TOKEN, "batch": events.collect::<Vec<_>>()})
}

/// Sends batches at once; answers which were acknowledged when `enough` were, or all are through.
async fn send(address: &str, batches: &[Value], enough: usize) -> BTreeSet<usize> {
    let client = http_client().build().unwrap();
    let mut sending = JoinSet::new();
    for (number, batch) in batches.iter().enumerate() {
        let request = client.post(format!("http://{address}/batch/")).json(batch);
        sending.spawn(async move {
            let answer = request.send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(number)
        });
    }
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < enough {
        let Some(sent) = sending.join_next().await else { break };
        acknowledged.extend(sent.unwrap());
    }
    acknowledged
}

/// The flag whose calls are counted.
async fn make_flag(address: &str) {
    let url = format!("http://{address}/api/projects/1/feature_flags/");
    let request = http_client().build().unwrap().post(url).bearer_auth(KEY);
    let answer = request.json(&json!({"key": "beta"})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

/// How much of a batch is stored: changes of persons, and calls.
async fn stored(database_url: &str, batch: usize) -> (i64, i64) {
    let changes =
        format!(r#"SELECT COUNT(*) FROM person_change WHERE properties = '{{"batch":{batch}}}'"#);
    let calls = format!("SELECT SUM(count) FROM usage_hour WHERE variant = 'batch-{batch}'");
    (number(database_url, &changes).await, number(database_url, &calls).await)
}

async fn killed_half_way(database_url: &str) {
    let half = EVENTS as i64 / 2;
    let batches: Vec<Value> = (0..BATCHES).map(batch).collect();
    let running = start(database_url);
    make_flag(&running.address("address")).await;
    let acknowledged = send(&running.address("address"), &batches, 5).await;
    running.kill();
    assert!(!acknowledged.is_empty() && acknowledged.len() < BATCHES, "{acknowledged:?}");

    let running = start(database_url);
    for number in &acknowledged {
        assert_eq!(stored(database_url, *number).await, (half, half), "batch {number}");
    }
    let again = send(&running.address("address"), &batches, BATCHES).await;
    assert_eq!(again.len(), BATCHES);
    for number in 0..BATCHES {
        assert_eq!(stored(database_url, number).await, (half, half), "batch {number}, sent again");
    }
    let events = number(database_url, "SELECT COUNT(*) FROM ingested_event").await;
    assert_eq!(events, (BATCHES * EVENTS) as i64);
    running.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    killed_half_way(&sqlite_url(&folder, "flagstaff.db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill_on_postgres() {
    let Some(database) = migrated_postgres().await else { return };
    killed_half_way(&database.url).await;
}
