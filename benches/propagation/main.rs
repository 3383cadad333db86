//! How soon a change is known everywhere, and what it costs to be told:
//! replicas on one PostgreSQL, and ten thousand who watch one of them.
//!
//! ```sh
//! cargo bench --bench propagation
//! ```
//!
//! The replicas are processes of their own, built for release; this program
//! changes a flag in the database, as a replica would, and is all of the clients.
//! PostgreSQL as for the tests: `TEST_DATABASE_URL`, or its server binaries, of
//! which it starts a private instance. It prints one table and asserts nothing:
//! these machines are shared, so figures are read, not judged.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench prints, and stops when it cannot go on"
)]

mod changes;
#[path = "../../tests/it/support/cli.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
mod cli;
mod crowd;
#[path = "../../tests/it/support/postgres.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it, their own included")]
mod postgres;
mod process;
#[path = "../scale/seed.rs"]
mod seed;

use std::time::{Duration, Instant};

use changes::Changes;
use crowd::Crowd;
use process::Replica;

const FLAGS: i64 = 50;
const WATCHERS: usize = 10_000;
const CONNECTIONS: usize = 100;
const CHANGES: usize = 200;
/// Each waits up to a second.
const UNANNOUNCED: usize = 30;
const DROPPED: usize = 1_000;

fn row(what: &str, measured: &str, target: &str) {
    println!("| {what} | {measured} | {target} |");
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// The middle and the 99th of a hundred, and the longest.
fn spread(mut taken: Vec<Duration>) -> String {
    taken.sort_unstable();
    let at = |hundredth: usize| taken[(taken.len() * hundredth / 100).min(taken.len() - 1)];
    format!("{}, {}, {}", millis(at(50)), millis(at(99)), millis(at(100)))
}

#[tokio::main]
async fn main() {
    let database = postgres::fresh_database().await.expect("PostgreSQL is needed");
    // The first start makes the schema and the project.
    drop(Replica::start(&database.url));
    seed::flags(&database.url, FLAGS).await;
    let changes = Changes::open(&database.url).await;
    let replica = Replica::start(&database.url);
    println!("| what | measured (p50, p99, most) | target |\n|---|---|---|");
    replicas(&replica, &changes).await;
    watchers(&replica, &changes).await;
    connections(&replica).await;
}

/// From the commit until another replica answers with the change.
async fn replicas(replica: &Replica, changes: &Changes) {
    let mut evaluation = replica.evaluation().await;
    for (announced, rounds, target) in
        [(true, CHANGES, "5 ms, 50 ms"), (false, UNANNOUNCED, "≤ 1.2 s")]
    {
        let mut taken = Vec::new();
        for round in 0..rounds {
            // So that rounds begin anywhere between two looks at the revisions.
            tokio::time::sleep(Duration::from_millis(3 + 37 * (round as u64 % 27))).await;
            let began = Instant::now();
            let version = changes.commit(announced).await;
            while evaluation.version().await != version {}
            taken.push(began.elapsed());
        }
        let how = if announced { "announced" } else { "NOTIFY suppressed" };
        row(&format!("commit → evaluated by another replica, {how}"), &spread(taken), target);
    }
}

/// Ten thousand streams: what they cost, when the last of them has heard, and how they come back.
async fn watchers(replica: &Replica, changes: &Changes) {
    let before = replica.memory();
    let crowd = Crowd::open(replica, WATCHERS, CONNECTIONS, None).await;
    crowd.reached(changes.revision().await).await;
    let opened = replica.memory();
    let mut taken = Vec::new();
    for _ in 0..CHANGES {
        let began = Instant::now();
        changes.commit(true).await;
        let last = crowd.reached(changes.revision().await).await;
        taken.push(last - began);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let what = format!("commit → last of {WATCHERS} streams on {CONNECTIONS} connections");
    row(&what, &spread(taken), "p99 ≤ 250 ms");
    let each =
        |now: u64| format!("{:.1} kB", (now.saturating_sub(before)) as f64 / WATCHERS as f64);
    row("memory a stream, when told all", &each(opened), "≤ 12 kB");
    row(&format!("memory a stream, after {CHANGES} changes"), &each(replica.memory()), "≤ 12 kB");

    let revision = changes.revision().await;
    drop(crowd);
    replica.until_quiet(20).await;
    for (what, from) in [("at their revision", Some(revision)), ("with nothing", None)] {
        let began = Instant::now();
        let crowd = Crowd::open(replica, WATCHERS, CONNECTIONS, from).await;
        let last = crowd.reached(revision).await;
        row(&format!("{WATCHERS} reconnect at once, {what}"), &millis(last - began), "≤ 5 s");
        drop(crowd);
        replica.until_quiet(20).await;
    }
}

/// What stays of connections that come and go.
async fn connections(replica: &Replica) {
    for round in 1..=3 {
        let (files, memory) = (replica.files(), replica.memory());
        let crowd = Crowd::open(replica, DROPPED, DROPPED, None).await;
        crowd.reached(0).await;
        let open = replica.files();
        drop(crowd);
        replica.until_quiet(files + 5).await;
        let measured = format!(
            "{files} → {open} → {} files, {} → {} kB",
            replica.files(),
            memory,
            replica.memory()
        );
        row(
            &format!("{DROPPED} connections opened and dropped, round {round}"),
            &measured,
            "as before",
        );
    }
}
