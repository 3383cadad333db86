//! The table of calls: each row a kind of request, asked in turns of the
//! service and of its bare twin.

use std::{fs, sync::Arc, time::Duration};

use http::Method;
use serde_json::json;

use load_bench::{
    ask::{self, Ask, Protocol, Told},
    flags::{self, SECRET},
};

use crate::{
    Settings,
    client::Link,
    drive::{Answered, Callers},
    process::Process,
    stage::Stage,
};

/// The tag that the twin of the definitions answers with.
pub(crate) const ETAG: &str = "W/\"00112233445566778899aabbccddeeff\"";

/// One row.
struct Row {
    name: &'static str,
    /// The least ratio wanted.
    target: f64,
    stage: Stage,
    ask: Ask,
}

/// One server of a row, with what it was measured to do.
struct Side {
    process: Process,
    callers: Callers,
    answered: Answered,
    /// Microseconds of processor time a call, one a turn.
    cpu: Vec<f64>,
    /// Calls a second, one a turn.
    rates: Vec<f64>,
}

/// Measures and prints all rows.
pub(crate) async fn run(settings: &Settings) {
    println!("\n## Calls, each beside its bare twin\n");
    println!("Behind a slash is what the twin did in the same turns.\n");
    println!(
        "| work | calls/s | p50 ms | p99 ms | p99.9 ms | peak MB | CPU µs a call | twin ÷ ours | wanted |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for number in 0..ROWS {
        if settings.row.is_none_or(|wanted| wanted == number) {
            measure(row(number).await, settings).await;
        }
    }
}

const ROWS: usize = 6;

async fn row(number: usize) -> Row {
    match number {
        0 => Row {
            name: "`EvaluateFlag`, 1 of 1,000",
            target: 0.85,
            stage: Stage::new(1, 1_000).await,
            ask: Ask::evaluate_flag(1, "flag-501", Told::Properties),
        },
        1 => Row {
            name: "`EvaluateFlags`, 50",
            target: 0.80,
            stage: Stage::new(1, 50).await,
            ask: Ask::evaluate_flags(),
        },
        2 => Row {
            name: "`/flags?v=2`, 5",
            target: 0.85,
            stage: Stage::new(1, 5).await,
            ask: Ask::flags(),
        },
        3 => Row {
            name: "`/flags?v=2`, 350",
            target: 0.60,
            stage: Stage::new(1, 350).await,
            ask: Ask::flags(),
        },
        4 => definitions().await,
        _ => stored().await,
    }
}

/// Definitions for whoever holds them already.
async fn definitions() -> Row {
    let stage = Stage::new(1, 50).await;
    let bearer = format!("Bearer {SECRET}");
    let get = |etag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", etag)];
        Ask::rest(Method::GET, "/flags/definitions", &headers, vec!["".into()])
    };
    let mut link = Link::open(Protocol::Rest, stage.service.address).await;
    let etag = link.tag_of(get("").request(0)).await;
    Row { name: "definitions, 304", target: 0.90, ask: get(&etag), stage }
}

/// What flags go by was told before, and is kept for a second.
async fn stored() -> Row {
    let stage = Stage::new(1, 1_000).await;
    for at in 0..ask::PEOPLE {
        let event = json!({"token": flags::TOKEN, "event": "$identify",
            "distinct_id": ask::id(at), "properties": {"$set": ask::properties(at)}});
        stage.post("/capture/", &event).await;
    }
    let ask = Ask::evaluate_flag(1, "flag-501", Told::Nothing);
    Row { name: "`EvaluateFlag`, stored properties, warm", target: 0.80, stage, ask }
}

async fn measure(row: Row, settings: &Settings) {
    let Row { name, target, stage, ask } = row;
    let (protocol, address) = (ask.protocol, stage.service.address);
    let answer = Link::open(protocol, address).await.call(ask.request(0)).await;
    let content = match protocol {
        Protocol::Rest => answer,
        // Without the frame's head.
        Protocol::Grpc => answer.slice(5..),
    };
    let file = stage.file("answer");
    fs::write(&file, &content).expect("room for an answer");
    let kind = if protocol == Protocol::Grpc { "grpc" } else { "rest" };
    let twin = Process::twin(kind, &file);
    let ask = Arc::new(ask);
    let Stage { service, folder: _folder } = stage;
    let mut sides = [Side::new(service, protocol).await, Side::new(twin, protocol).await];
    for side in &mut sides {
        side.callers.closed(&ask, settings.turn() / 2).await;
    }
    for pair in 0..settings.pairs {
        // Who goes first alternates too.
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for at in order {
            sides[at].turn(&ask, settings.turn()).await;
        }
    }
    let [ours, twin] = sides;
    print(name, target, ours, twin);
}

impl Side {
    async fn new(process: Process, protocol: Protocol) -> Self {
        let callers = Callers::connect(protocol, process.address).await;
        let answered = Answered::default();
        Self { process, callers, answered, cpu: Vec::new(), rates: Vec::new() }
    }

    async fn turn(&mut self, ask: &Arc<Ask>, time: Duration) {
        let before = self.process.cpu();
        let answered = self.callers.closed(ask, time).await;
        let spent = self.process.cpu().saturating_sub(before);
        self.cpu.push(spent.as_secs_f64() * 1e6 / answered.nanos.len() as f64);
        self.rates.push(answered.rate());
        self.answered.nanos.extend(answered.nanos);
    }
}

fn print(name: &str, target: f64, mut ours: Side, mut twin: Side) {
    let ratios = ours.cpu.iter().zip(&twin.cpu).map(|(ours, twin)| twin / ours).collect();
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| {
        let [ours, twin] = [&mut ours, &mut twin].map(|side| side.answered.percentile(share));
        format!("{ours:.2} / {twin:.2}")
    });
    let [peak, twins_peak] = [&ours, &twin].map(|side| side.process.peak() as f64 / 1e6);
    println!(
        "| {name} | {:.0} / {:.0} | {p50} | {p99} | {p999} | {peak:.0} / {twins_peak:.0} | {:.1} / {:.1} | {:.2} | ≥ {target:.2} |",
        median(ours.rates),
        median(twin.rates),
        median(ours.cpu),
        median(twin.cpu),
        median(ratios),
    );
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
