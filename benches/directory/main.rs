//! What a static cohort of a million costs: how fast it fills over REST, 10,000
//! ids a call, and what its persons then cost to list, find and delete, on
//! SQLite and on PostgreSQL; and what a change of a cohort costs in a project
//! of 10,000 flags.
//!
//! ```sh
//! cargo bench --bench directory              # or: -- sqlite, -- postgres
//! ```
//!
//! PostgreSQL as for the tests: `TEST_DATABASE_URL`, or its server binaries,
//! of which it starts a private instance. It prints tables and asserts
//! nothing: these machines are shared, so figures are read, not judged.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints, and stops when it cannot go on"
)]

#[path = "../../tests/it/support/postgres.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it, their own included")]
mod postgres;
#[path = "../scale/seed.rs"]
mod seed;

use std::time::{Duration, Instant};

use clap::Parser;
use flagstaff::{config::ServeSettings, server::Server, telemetry::Telemetry};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const CALLS: usize = 100;
const IDS_A_CALL: usize = 10_000;
const ROUNDS: usize = 10;
const FLAGS: i64 = 10_000;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    serve: ServeSettings,
}

/// A running service and its admin.
struct Api {
    server: Server,
    base: String,
    key: String,
    token: String,
    client: Client,
}

impl Api {
    async fn start(url: &str) -> Self {
        let telemetry = Telemetry::quiet().expect("instruments");
        let args = ["directory", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let settings = Settings::parse_from(args).serve;
        let server = Server::start(settings, url, &telemetry).await.expect("the service starts");
        let made = server.bootstrapped.as_ref().expect("an empty database");
        let key = made.personal_api_key.reveal().to_owned();
        let token = made.project_token.reveal().to_owned();
        let base = format!("http://{}", server.address);
        Self { server, base, key, token, client: Client::new() }
    }

    /// An answer to the admin, and how long it took.
    async fn call(&self, verb: Method, path: &str, body: Option<&Value>) -> (Value, Duration) {
        let mut request =
            self.client.request(verb, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let started = Instant::now();
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        let taken = started.elapsed();
        assert!(status.is_success(), "{path}: {status} {text}");
        (serde_json::from_str(&text).unwrap_or_default(), taken)
    }

    /// The median of some rounds.
    async fn median(
        &self,
        verb: Method,
        path: &str,
        body: impl Fn(usize) -> Option<Value>,
    ) -> Duration {
        let mut taken = Vec::new();
        for round in 0..ROUNDS {
            taken.push(self.call(verb.clone(), path, body(round).as_ref()).await.1);
        }
        taken.sort_unstable();
        taken[ROUNDS / 2]
    }
}

const COHORTS: &str = "/api/projects/1/cohorts/";
const PERSONS: &str = "/api/projects/1/persons/";

#[tokio::main]
async fn main() {
    let asked = |name: &str| {
        let named: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
        named.is_empty() || named.iter().any(|argument| argument == name)
    };
    if asked("sqlite") {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("flagstaff.db").display());
        print("SQLite", million(Api::start(&url).await).await);
    }
    if asked("postgres") {
        let database = postgres::fresh_database().await.expect("PostgreSQL is needed");
        print("PostgreSQL", million(Api::start(&database.url).await).await);
        let database = postgres::fresh_database().await.expect("PostgreSQL is needed");
        let taken = beside_many_flags(Api::start(&database.url).await, &database.url).await;
        print("PostgreSQL", vec![("PATCH of a cohort beside 10,000 flags", taken)]);
    }
}

fn print(database: &str, figures: Vec<(&str, Duration)>) {
    println!("| what | {database} (ms) |");
    println!("|---|---|");
    for (name, taken) in figures {
        println!("| {name} | {:.1} |", millis(taken));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Fills a cohort with a million persons, and uses them.
async fn million(api: Api) -> Vec<(&'static str, Duration)> {
    let listed = json!({"name": "A million", "is_static": true});
    let cohort = api.call(Method::POST, COHORTS, Some(&listed)).await.0["id"].clone();
    let members = format!("{COHORTS}{cohort}/members/");
    let ids = |call: usize| -> Value {
        let from = call * IDS_A_CALL;
        json!({"distinct_ids": (from..from + IDS_A_CALL).map(|n| format!("user-{n}")).collect::<Vec<_>>()})
    };
    let mut taken = Vec::new();
    for call in 0..CALLS {
        let (done, each) = api.call(Method::POST, &members, Some(&ids(call))).await;
        assert_eq!((&done["changed"], &done["unknown"]), (&json!(10_000), &json!(10_000)));
        taken.push(each);
    }
    let mean =
        |part: &[Duration]| part.iter().sum::<Duration>() / u32::try_from(part.len()).unwrap_or(1);
    let mut figures = vec![
        ("add 10,000 new ids: mean of the first ten calls", mean(&taken[..10])),
        ("add 10,000 new ids: mean of the last ten calls", mean(&taken[CALLS - 10..])),
        ("add a million ids: all calls", taken.iter().sum()),
        ("add 10,000 who are members", api.call(Method::POST, &members, Some(&ids(50))).await.1),
        ("remove 10,000", api.call(Method::DELETE, &members, Some(&ids(50))).await.1),
        ("add 10,000 known ids", api.call(Method::POST, &members, Some(&ids(50))).await.1),
    ];
    let count =
        api.call(Method::GET, &format!("{COHORTS}{cohort}/"), None).await.0["count"].clone();
    assert_eq!(count, json!(CALLS * IDS_A_CALL));
    let lists = [
        ("list persons, first page", "?limit=100"),
        ("list persons, last page", "?limit=100&offset=999900"),
        ("person by distinct id", "?distinct_id=user-4711"),
        ("search, few hits", "?search=user-471147"),
        ("search, no hit", "?search=nobody"),
    ];
    for (name, query) in lists {
        let path = format!("{PERSONS}{query}");
        figures.push((name, api.median(Method::GET, &path, |_| None).await));
    }
    let member = json!({"type": "cohort", "key": "id", "value": cohort, "operator": "in"});
    let filters = json!({"groups": [{"properties": [member], "rollout_percentage": 100}]});
    let flag = json!({"key": "members", "filters": filters});
    api.call(Method::POST, "/api/projects/1/feature_flags/", Some(&flag)).await;
    let asked =
        |round| Some(json!({"token": api.token, "distinct_id": format!("user-{}", round * 7919)}));
    figures.push((
        "evaluate a flag for members, each asked for once",
        api.median(Method::POST, "/flags?v=2", asked).await,
    ));
    let one = api.call(Method::GET, &format!("{PERSONS}?distinct_id=user-1"), None).await.0;
    let uuid = one["results"][0]["uuid"].as_str().expect("a person").to_owned();
    figures.push((
        "delete a person",
        api.call(Method::DELETE, &format!("{PERSONS}{uuid}/"), None).await.1,
    ));
    api.server.stop().await;
    figures
}

/// A change of a cohort that a flag uses, among many.
async fn beside_many_flags(api: Api, url: &str) -> Duration {
    seed::flags(url, FLAGS).await;
    let tree = |round: usize| json!({"properties": {"type": "AND", "values": [{"key": "n", "value": round.to_string()}]}});
    let cohort = json!({"name": "Patched", "filters": tree(0)});
    let cohort = api.call(Method::POST, COHORTS, Some(&cohort)).await.0["id"].clone();
    // The seeded flags are read with the next change of the project.
    api.call(Method::PATCH, "/api/projects/1/", Some(&json!({"name": "Seeded"}))).await;
    let path = format!("{COHORTS}{cohort}/");
    let body = |round| Some(json!({"filters": tree(round + 1)}));
    let taken = api.median(Method::PATCH, &path, body).await;
    api.server.stop().await;
    taken
}
