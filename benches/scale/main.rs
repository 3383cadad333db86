//! How the management operations cost as a project grows: the same requests
//! over REST against projects of 1,000 and of 100,000 flags, in turn.
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
    request: fn(usize, i64) -> Request,
}

type Request = (Method, String, Option<Value>);

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

fn get(query: &str) -> Request {
    (Method::GET, format!("{FLAGS}{query}"), None)
}

#[tokio::main]
async fn main() {
    // One after the other, as each start follows the settings of one database.
    let mut projects = Vec::new();
    for size in SIZES {
        projects.push(Project::start(size).await);
    }
    println!(
        "| operation | 1,000 flags: p50, p95 (ms) | 100,000 flags: p50, p95 (ms) | ratio of p50 |"
    );
    println!("|---|---|---|---|");
    for operation in &OPERATIONS {
        let rounds = Rounds { warm_up: WARM_UP, measured: ROUNDS };
        print(operation.name, &rounds.run(&projects, operation.request).await);
    }
    whole::measure(&projects).await;
    for project in projects {
        project.server.stop().await;
    }
}

/// A row: of each project that was asked, the median and the 95th percentile.
fn print(name: &str, figures: &[Option<(Duration, Duration)>]) {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let shown = |figure: &Option<(Duration, Duration)>| match figure {
        Some((p50, p95)) => format!("{:.2}, {:.2}", millis(*p50), millis(*p95)),
        None => "–".into(),
    };
    let ratio = match figures {
        [Some(small), Some(large)] => format!("{:.2}", large.0.div_duration_f64(small.0)),
        _ => "–".into(),
    };
    let columns: Vec<String> = figures.iter().map(shown).collect();
    println!("| {name} | {} | {ratio} |", columns.join(" | "));
}

/// A service with a project of so many flags.
struct Project {
    size: i64,
    server: Server,
    client: Client,
    base: String,
    key: String,
    _database: postgres::Database,
}

impl Project {
    async fn start(size: i64) -> Self {
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
        Self { size, server, client: Client::new(), base, key, _database: database }
    }

    async fn time(&self, (method, path, body): Request) -> Duration {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let started = Instant::now();
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        let taken = started.elapsed();
        assert!(status.is_success(), "{path}: {status} {text}");
        taken
    }
}

/// How often something is measured, and how often it is done before.
#[derive(Clone, Copy)]
struct Rounds {
    warm_up: usize,
    measured: usize,
}

impl Rounds {
    /// Asks the projects in turn, so that what else the machine does meets all of them alike.
    async fn run(
        self,
        projects: &[Project],
        request: impl Fn(usize, i64) -> Request,
    ) -> Vec<Option<(Duration, Duration)>> {
        let mut taken = vec![Vec::new(); projects.len()];
        for round in 0..self.warm_up + self.measured {
            for (project, taken) in projects.iter().zip(&mut taken) {
                let time = project.time(request(round, project.size)).await;
                if round >= self.warm_up {
                    taken.push(time);
                }
            }
        }
        taken.iter_mut().map(|taken| percentiles(taken)).collect()
    }
}

fn percentiles(taken: &mut [Duration]) -> Option<(Duration, Duration)> {
    taken.sort_unstable();
    Some((*taken.get(taken.len() / 2)?, *taken.get(taken.len() * 95 / 100)?))
}
