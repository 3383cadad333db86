//! How the management operations cost as a project grows: the same requests
//! over REST against projects of 1,000 and of 100,000 flags.
//!
//! ```sh
//! cargo bench --bench scale
//! ```
//!
//! It needs PostgreSQL as the tests do: `TEST_DATABASE_URL`, or its server
//! binaries, of which it starts a private instance. It prints one table and
//! asserts nothing: these machines are shared, so figures are read, not judged.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints, and stops when it cannot go on"
)]

mod history;
#[path = "../../tests/it/support/postgres.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it, their own included")]
mod postgres;
mod seed;
mod whole;

use std::time::{Duration, Instant};

use clap::Parser;
use flagstaff::{config::ServeSettings, server::Server, telemetry::Telemetry};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const SIZES: [i64; 2] = [1_000, 100_000];
const WARM_UP: usize = 5;
const ROUNDS: usize = 40;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    serve: ServeSettings,
}

/// What is measured: a name, and the request of one round in a project of so many flags.
struct Operation {
    name: &'static str,
    request: fn(usize, i64) -> (Method, String, Option<Value>),
}

const FLAGS: &str = "/api/projects/1/feature_flags/";

const OPERATIONS: [Operation; 20] = [
    Operation {
        name: "create",
        request: |round, _| {
            let key = format!("made-{round}");
            let filters = json!({"groups": [{"properties": [], "rollout_percentage": 50}]});
            (Method::POST, FLAGS.into(), Some(json!({"key": key, "filters": filters})))
        },
    },
    Operation {
        name: "PATCH name",
        request: |round, _| {
            let path = format!("{FLAGS}{}/", 1 + round);
            (Method::PATCH, path, Some(json!({"name": format!("Renamed {round}")})))
        },
    },
    Operation {
        name: "create, reads a flag",
        request: |round, _| {
            let key = format!("reader-{round}");
            // Any flag that is on.
            let reads = json!({"key": (11 + 10 * round).to_string(), "type": "flag",
                "operator": "flag_evaluates_to", "value": true});
            let filters = json!({"groups": [{"properties": [reads], "rollout_percentage": 50}]});
            (Method::POST, FLAGS.into(), Some(json!({"key": key, "filters": filters})))
        },
    },
    Operation {
        name: "PATCH key",
        request: |round, _| {
            let path = format!("{FLAGS}{}/", 300 + round);
            (Method::PATCH, path, Some(json!({"key": format!("renamed-{round}")})))
        },
    },
    Operation {
        name: "PATCH deleted",
        request: |round, _| {
            (Method::PATCH, format!("{FLAGS}{}/", 850 + round), Some(json!({"deleted": true})))
        },
    },
    Operation { name: "retrieve", request: |round, _| get(&format!("{}/", 500 + round)) },
    Operation { name: "list", request: |_, _| get("") },
    Operation {
        name: "list, last page",
        request: |_, size| get(&format!("?offset={}", size - 100)),
    },
    Operation { name: "active=true", request: |_, _| get("?active=true") },
    Operation { name: "active=STALE", request: |_, _| get("?active=STALE") },
    Operation {
        name: "search, one hit",
        request: |round, _| get(&format!("?search=seed-{}-x", 700 + round)),
    },
    Operation { name: "search, no hit", request: |_, _| get("?search=nowhere-to-be-found") },
    Operation { name: "search, all hit", request: |_, _| get("?search=seeded%20flag") },
    Operation { name: "type=multivariant", request: |_, _| get("?type=multivariant") },
    Operation { name: "tags", request: |_, _| get("?tags=%5B%22tag-3%22%5D") },
    Operation { name: "excluded_tags", request: |_, _| get("?excluded_tags=%5B%22tag-3%22%5D") },
    Operation { name: "key", request: |round, _| get(&format!("?key=SEED-{}-X", 700 + round)) },
    Operation {
        name: "excluded_properties",
        request: |_, _| get("?excluded_properties=%5B%22seed-7-x%22%5D"),
    },
    Operation { name: "evaluation_runtime", request: |_, _| get("?evaluation_runtime=server") },
    Operation { name: "created_by_id", request: |_, _| get("?created_by_id=1") },
];

fn get(query: &str) -> (Method, String, Option<Value>) {
    (Method::GET, format!("{FLAGS}{query}"), None)
}

#[tokio::main]
async fn main() {
    let mut columns = Vec::new();
    for size in SIZES {
        columns.push(measure(size).await);
    }
    println!(
        "| operation | 1,000 flags: p50, p95 (ms) | 100,000 flags: p50, p95 (ms) | ratio of p50 |"
    );
    println!("|---|---|---|---|");
    for ((name, small), (_, large)) in columns[0].iter().zip(&columns[1]) {
        let ratio = small
            .zip(*large)
            .map(|(small, large)| format!("{:.2}", large.0.as_secs_f64() / small.0.as_secs_f64()));
        let ratio = ratio.unwrap_or_else(|| "–".into());
        println!("| {name} | {} | {} | {ratio} |", shown(*small), shown(*large));
    }
}

fn shown(figure: Option<(Duration, Duration)>) -> String {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let figure = figure.map(|(p50, p95)| format!("{:.2}, {:.2}", millis(p50), millis(p95)));
    figure.unwrap_or_else(|| "–".into())
}

/// The median and the 95th percentile of each operation over a project of `size` flags.
async fn measure(size: i64) -> Vec<whole::Figure> {
    let database = postgres::fresh_database().await.expect("PostgreSQL is needed");
    let telemetry = Telemetry::quiet().expect("instruments");
    let start = async || {
        let args = ["scale", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let settings = Settings::parse_from(args).serve;
        Server::start(settings, &database.url, &telemetry).await.expect("the service starts")
    };
    let first = start().await;
    let made = first.bootstrapped.as_ref().expect("an empty database");
    let key = made.personal_api_key.reveal().to_owned();
    first.stop().await;
    seed::flags(&database.url, size).await;
    history::activity(&database.url, size * 10).await;
    let server = start().await;
    let base = format!("http://{}", server.address);
    let client = Client::new();
    let mut figures = Vec::new();
    for operation in &OPERATIONS {
        let figure = time(&client, &base, &key, operation, size).await;
        figures.push((operation.name, Some(figure)));
    }
    let caller = whole::Caller { client: &client, base: &base, key: &key };
    figures.extend(whole::measure(&caller, size).await);
    server.stop().await;
    figures
}

async fn time(
    client: &Client,
    base: &str,
    key: &str,
    operation: &Operation,
    size: i64,
) -> (Duration, Duration) {
    let mut taken = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let (method, path, body) = (operation.request)(round, size);
        let mut request = client.request(method, format!("{base}{path}")).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let started = Instant::now();
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}: {}", operation.name, answer.status());
        answer.bytes().await.expect("a body");
        if round >= WARM_UP {
            taken.push(started.elapsed());
        }
    }
    taken.sort_unstable();
    (taken[taken.len() / 2], taken[taken.len() * 95 / 100])
}
