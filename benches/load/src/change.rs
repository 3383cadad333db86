//! What changes cost: those who evaluate meanwhile, and a process that hears of one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use serde_json::json;

use load_bench::{
    ask::{Ask, Protocol, Told},
    flags::FLAGS,
};

use crate::{
    Settings,
    client::Link,
    drive::{Answered, Callers},
    process::Process,
    rows::median,
    stage::Stage,
};

/// Changes a second.
const CHANGES: u32 = 100;
/// The share of what the service can do that is asked of it.
const SHARE: f64 = 0.3;

/// Evaluation at a fixed rate, with changes and without.
pub(crate) async fn run(settings: &Settings) {
    println!("\n## Changes while flags are evaluated\n");
    let stage = Stage::new(1, 1_000).await;
    let ask = Arc::new(Ask::evaluate_flag(1, "flag-501", Told::Properties));
    let mut callers = Callers::connect(Protocol::Grpc, stage.service.address).await;
    callers.closed(&ask, settings.turn() / 2).await;
    let rate = callers.closed(&ask, settings.turn() * 2).await.rate() * SHARE;
    println!("`EvaluateFlag`, 1 of 1,000, {rate:.0} calls/s (30 % of capacity):\n");
    println!(
        "| p50, p99, p99.9 ms without | with {CHANGES} changes/s | changes/s made | ratio of p99 |"
    );
    println!("|---|---|---|---|");
    let mut ratios = Vec::new();
    for pair in 0..settings.pairs {
        let time = settings.turn() * 3;
        let (mut calm, mut busy, mut made) = (Answered::default(), Answered::default(), 0);
        // Which comes first alternates.
        for with_changes in [pair % 2 == 1, pair % 2 == 0] {
            if with_changes {
                let writer = Writer::start(&stage).await;
                busy = callers.fixed(&ask, rate, time).await;
                made = writer.stop().await;
            } else {
                calm = callers.fixed(&ask, rate, time).await;
            }
        }
        let changes = f64::from(made) / time.as_secs_f64();
        let shares = [0.5, 0.99, 0.999];
        let [c50, c99, c999] = shares.map(|share| calm.percentile(share));
        let [b50, b99, b999] = shares.map(|share| busy.percentile(share));
        println!(
            "| {c50:.2}, {c99:.2}, {c999:.2} | {b50:.2}, {b99:.2}, {b999:.2} | {changes:.0} | {:.2} |",
            b99 / c99
        );
        ratios.push(b99 / c99);
    }
    println!("\nThe median ratio of p99 is {:.2}; wanted: ≤ 2.", median(ratios));
}

/// Somebody who changes flags, one after the other.
struct Writer {
    stop: Arc<AtomicBool>,
    work: tokio::task::JoinHandle<u32>,
}

impl Writer {
    async fn start(stage: &Stage) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, address) = (Arc::clone(&stop), stage.service.address);
        let work = tokio::spawn(async move {
            let mut link = Link::open(Protocol::Rest, address).await;
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / CHANGES);
            let mut made = 0;
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                link.call(change(1 + made % 100, made).request(0)).await;
                made += 1;
            }
            made
        });
        Self { stop, work }
    }

    async fn stop(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.expect("a writer that got its answers")
    }
}

/// A change that evaluation sees: another rollout each time.
fn change(flag: u32, made: u32) -> Ask {
    let groups = json!([{"properties": [], "rollout_percentage": 10 + made % 89}]);
    let body = json!({"filters": {"groups": groups}});
    Ask::admin(Method::PATCH, &format!("{FLAGS}{flag}/"), &body)
}

/// The processor time of a process that hears of one change in a project of 10,000 flags.
pub(crate) async fn refresh() {
    println!("\n## Hearing of a change\n");
    let stage = Stage::new(1, 10_000).await;
    let follower = stage.follower();
    let ask = Ask::evaluate_flag(1, "flag-1", Told::Properties);
    let mut link = Link::open(Protocol::Grpc, follower.address).await;
    link.call(ask.request(0)).await;
    let idle = idle(&follower).await;
    let (before, started) = (follower.cpu(), Instant::now());
    for made in 0..ROUNDS {
        let path = format!("{FLAGS}{}/", 1 + made);
        stage.send(Method::PATCH, &path, &rolled_out(made)).await;
        tokio::time::sleep(POLL).await;
    }
    let spent = follower.cpu().saturating_sub(before).as_secs_f64();
    let spent = spent - idle * started.elapsed().as_secs_f64();
    println!(
        "A follower of a project of 10,000 flags spends {:.2} ms of CPU on one change; wanted: < 5 ms.",
        spent * 1e3 / f64::from(ROUNDS)
    );
}

/// The share of a processor that a process takes with nothing to do.
async fn idle(process: &Process) -> f64 {
    // What a start leaves to do is not what being idle costs.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (calm, before) = (Duration::from_secs(5), process.cpu());
    tokio::time::sleep(calm).await;
    process.cpu().saturating_sub(before).as_secs_f64() / calm.as_secs_f64()
}

const ROUNDS: u32 = 15;
/// A little more than the interval at which changes in an SQLite file are looked for.
const POLL: Duration = Duration::from_millis(600);

fn rolled_out(made: u32) -> serde_json::Value {
    json!({"filters": {"groups": [{"properties": [], "rollout_percentage": 10 + made}]}})
}

/// What 10,000 projects of 20 flags take.
pub(crate) async fn memory() {
    println!("\n## Memory\n");
    println!("| projects of 20 flags | resident MB | peak MB | s to start | CPU idle |");
    println!("|---|---|---|---|---|");
    for projects in [1, 1_000, 10_000] {
        let stage = Stage::new(projects, 20).await;
        let started = Instant::now();
        let ask = Ask::evaluate_flag(projects as u64, "flag-1", Told::Properties);
        Link::open(Protocol::Grpc, stage.service.address).await.call(ask.request(0)).await;
        let started = started.elapsed().as_secs_f64();
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let [now, peak] = [stage.service.resident(), stage.service.peak()].map(megabytes);
        let idle = idle(&stage.service).await * 100.0;
        println!("| {projects} | {now:.0} | {peak:.0} | {started:.2} | {idle:.1} % |");
    }
    println!("\nWanted: < 1,200 MB for 10,000.");
}
