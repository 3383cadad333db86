//! How soon a change is known everywhere, and what it costs to be told:
//! a replica on PostgreSQL, and ten thousand who watch it.
//!
//! This program changes a flag in the database, as another replica would, and
//! is all of the clients. PostgreSQL as for the tests: `TEST_DATABASE_URL`, or
//! its server binaries, of which it starts a private instance.

mod bare;
mod changes;
mod crowd;
#[path = "../../../../tests/it/support/postgres.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the tests use more of it, and stop when it cannot go on"
)]
mod postgres;

use std::time::{Duration, Instant};

use flagstaff::wire::v1::{
    EvaluateFlagRequest, EvaluationSubject, evaluation_service_client::EvaluationServiceClient,
};
use http::Method;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::{Request, transport::Channel};

use load_bench::{
    ask::{Ask, Protocol},
    flags::{FLAGS, KEY},
};

use crate::{client::Link, process::Process};
use bare::Bare;
use changes::Changes;
use crowd::Crowd;

/// Streams, and the connections that they are on.
const CROWDS: [(usize, usize); 3] = [(100, 1), (1_000, 10), (10_000, 100)];
const CHANGES: usize = 200;
/// Each waits up to a second.
const UNANNOUNCED: usize = 30;
const DROPPED: usize = 1_000;
/// Connections to the database that may have come meanwhile.
const SPARE: usize = 5;
/// How often. What the allocator keeps for the next ones it keeps after the first rounds.
const ROUNDS: usize = 20;
/// Before a replica is asked once more: so much too long may be measured, and more would be if it
/// and the one who asks kept the processors busy.
const ASK_AGAIN: Duration = Duration::from_micros(500);
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints all of it.
pub(crate) async fn run() {
    println!("\n## How soon a change is known\n");
    let Some(database) = postgres::fresh_database().await else {
        println!("Not measured: there is no PostgreSQL.");
        return;
    };
    let replica = Process::service_on(&database.url, &[]);
    let mut admin = Link::open(Protocol::Rest, replica.address).await;
    let everyone = json!({"key": "flag-1", "filters": {"groups": [{"rollout_percentage": 100}]}});
    admin.call(Ask::admin(Method::POST, FLAGS, &everyone).request(0)).await;
    let changes = Changes::open(&database.url).await;
    let bare = Bare::listen(&database.url).await;
    println!("| what | measured: p50, p99, most | wanted |\n|---|---|---|");
    replicas(&replica, &changes, &bare).await;
    drop((bare, replica));
    for (streams, connections) in CROWDS {
        // A new one each time, so that none has room left from an earlier crowd.
        let replica = fresh(&database.url).await;
        watchers(&replica, &changes, streams, connections).await;
    }
    come_and_gone(&fresh(&database.url).await).await;
}

/// A replica that has answered once.
async fn fresh(url: &str) -> Process {
    let replica = Process::service_on(url, &[]);
    version(&mut EvaluationServiceClient::new(connection(&replica).await)).await;
    replica
}

fn row(what: &str, measured: &str, wanted: &str) {
    println!("| {what} | {measured} | {wanted} |");
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

/// Waits for what comes for certain.
async fn sure<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes within a minute")
}

/// From a commit until another replica answers with the change; and until a bare listener of this
/// program's own hears of it, which is what PostgreSQL and the machine take of that.
async fn replicas(replica: &Process, changes: &Changes, bare: &Bare) {
    let mut evaluation = EvaluationServiceClient::new(connection(replica).await);
    for (announced, rounds, wanted) in
        [(true, CHANGES, "p50 ≤ 5 ms, p99 ≤ 50 ms"), (false, UNANNOUNCED, "≤ 1.2 s")]
    {
        let (mut taken, mut heard) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // So that rounds begin anywhere between two looks at the revisions.
            sleep(Duration::from_millis(3 + 37 * (round as u64 % 27))).await;
            let committed = changes.commit(announced).await;
            let seen = sure(async {
                while version(&mut evaluation).await < committed.revision {
                    sleep(ASK_AGAIN).await;
                }
                Instant::now()
            });
            taken.push(seen.await - committed.at);
            if announced {
                heard.push(sure(bare.heard(committed.revision)).await - committed.at);
            }
        }
        let how = if announced { "announced" } else { "NOTIFY suppressed" };
        row(&format!("commit → evaluated by another replica, {how}"), &spread(taken), wanted);
        if announced {
            row("commit → heard by a bare listener, in the same rounds", &spread(heard), "");
        }
    }
}

/// The version of the flag that decides now.
async fn version(evaluation: &mut EvaluationServiceClient<Channel>) -> i64 {
    let subject = EvaluationSubject { distinct_id: "x".into(), ..Default::default() };
    let request = authorized(EvaluateFlagRequest {
        flag_key: "flag-1".into(),
        subject: Some(subject),
        only_use_override_person_properties: true,
        ..Default::default()
    });
    let answer = evaluation.evaluate_flag(request).await.expect("an answer").into_inner();
    answer.flag.and_then(|flag| flag.metadata).expect("a flag").version
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {KEY}").parse().expect("ASCII");
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// Once it has started.
async fn connection(replica: &Process) -> Channel {
    let address = Channel::from_shared(format!("http://{}", replica.address)).expect("an address");
    sure(async {
        loop {
            match address.connect().await {
                Ok(channel) => return channel,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

/// Many streams: what they cost, when the last of them has heard, and how they come back.
async fn watchers(replica: &Process, changes: &Changes, streams: usize, connections: usize) {
    let before = replica.resident();
    let crowd = Crowd::open(replica, streams, connections, None).await;
    crowd.reached(changes.revision().await).await;
    let opened = replica.resident();
    let (mut taken, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..CHANGES {
        let spent = replica.cpu();
        let committed = changes.commit(true).await;
        taken.push(crowd.reached(committed.revision).await - committed.at);
        sleep(Duration::from_millis(50)).await;
        cpu.push(replica.cpu().saturating_sub(spent));
    }
    let what = format!("commit → last of {streams} streams on {connections} connections");
    row(&what, &spread(taken), "p99 ≤ 250 ms");
    row(&format!("CPU of telling {streams}"), &spread(cpu), "");
    let each =
        |now: u64| format!("{:.1} kB", now.saturating_sub(before) as f64 / 1e3 / streams as f64);
    row("memory a stream, when told all", &each(opened), "≤ 12 kB");
    let after = each(replica.resident());
    row(&format!("memory a stream, after {CHANGES} changes"), &after, "≤ 12 kB");

    let revision = changes.revision().await;
    drop(crowd);
    until_left(replica, QUIET).await;
    for (what, from) in [("at their revision", Some(revision)), ("with nothing", None)] {
        let began = Instant::now();
        let crowd = Crowd::open(replica, streams, connections, from).await;
        let last = crowd.reached(revision).await;
        row(&format!("{streams} reconnect at once, {what}"), &millis(last - began), "≤ 5 s");
        drop(crowd);
        until_left(replica, QUIET).await;
    }
}

/// More files than a replica has open without connections of clients.
const QUIET: usize = 50;

/// What stays of connections that come and go.
async fn come_and_gone(replica: &Process) {
    let kilobytes = |bytes: u64| bytes / 1_000;
    for round in 1..=ROUNDS {
        let (files, memory) = (replica.files(), kilobytes(replica.resident()));
        let crowd = Crowd::open(replica, DROPPED, DROPPED, None).await;
        crowd.reached(0).await;
        let open = replica.files();
        drop(crowd);
        until_left(replica, files + SPARE).await;
        let (left, after) = (replica.files(), kilobytes(replica.resident()));
        if [1, ROUNDS / 2, ROUNDS].contains(&round) {
            row(
                &format!("{DROPPED} connections opened and dropped, round {round}"),
                &format!("{files} → {open} → {left} files, {memory} → {after} kB"),
                "as before",
            );
        }
    }
}

/// Waits until the connections of clients are closed.
async fn until_left(replica: &Process, most_files: usize) {
    sure(async {
        while replica.files() > most_files {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
