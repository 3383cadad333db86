//! How the cost of a call grows with what a project holds and a call asks.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use load_bench::ask::{Ask, Protocol, Told};

use crate::{Settings, drive::Callers, process::Process, rows::median, stage::Stage};

/// Measures and prints all growth tables.
pub(crate) async fn run(settings: &Settings) {
    println!("\n## How cost grows\n");
    println!("| what grows | to | CPU µs a call |");
    println!("|---|---|---|");
    for flags in [10, 100, 1_000, 10_000] {
        let stage = Stage::new(1, flags).await;
        let one = Ask::evaluate_flag(1, "flag-1", Told::Properties);
        print("flags, one asked", flags, &stage.service, one, settings).await;
        let all = Ask::evaluate_flags();
        print("flags, all asked", flags, &stage.service, all, settings).await;
        let json = Ask::flags();
        print("flags, all asked over REST", flags, &stage.service, json, settings).await;
    }
    for conditions in [1, 10, 100] {
        let stage = Stage::with(&[unmet(conditions)], 1, 1).await;
        let ask = Ask::evaluate_flag(1, "flag-1", Told::Properties);
        print("conditions of a flag", conditions, &stage.service, ask, settings).await;
    }
    for projects in [1, 100, 10_000] {
        let stage = Stage::new(projects, 20).await;
        let ask = Ask::evaluate_flag(projects as u64, "flag-1", Told::Properties);
        print("projects", projects, &stage.service, ask, settings).await;
    }
    batches(settings).await;
}

/// A batch's figure is a decision's, in decisions a second of one core.
async fn batches(settings: &Settings) {
    println!(
        "\n| subjects of a batch, 10 flags | CPU ms a call | decisions/s of a core | wanted |"
    );
    println!("|---|---|---|---|");
    let stage = Stage::new(1, 10).await;
    for subjects in [1, 10, 100, 1_000, 10_000] {
        let ask = Ask::batch(subjects);
        let micros = cpu_of_one(&stage.service, ask, settings).await;
        let decisions = (subjects * 10) as f64 / micros;
        let wanted = if subjects == 10_000 { "≥ 1.5 M" } else { "" };
        println!("| {subjects} | {:.2} | {decisions:.2} M | {wanted} |", micros / 1e3);
    }
}

async fn print(what: &str, size: usize, service: &Process, ask: Ask, settings: &Settings) {
    let ask = Arc::new(ask);
    let mut callers = Callers::connect(ask.protocol, service.address).await;
    callers.closed(&ask, settings.turn() / 2).await;
    let micros = cpu(service, &mut callers, &ask, settings.turn()).await;
    println!("| {what} | {size} | {micros:.1} |");
}

/// Calls one after the other, so that none waits for the memory of many.
async fn cpu_of_one(service: &Process, ask: Ask, settings: &Settings) -> f64 {
    let ask = Arc::new(ask);
    let mut callers = Callers::one(Protocol::Grpc, service.address).await;
    callers.closed(&ask, settings.turn() / 2).await;
    let mut turns = Vec::new();
    for _ in 0..settings.pairs {
        turns.push(cpu(service, &mut callers, &ask, settings.turn()).await);
    }
    median(turns)
}

/// Microseconds of the server's processor time a call.
async fn cpu(service: &Process, callers: &mut Callers, ask: &Arc<Ask>, time: Duration) -> f64 {
    let before = service.cpu();
    let answered = callers.closed(ask, time).await;
    service.cpu().saturating_sub(before).as_secs_f64() * 1e6 / answered.nanos.len() as f64
}

/// A flag of so many conditions, of which only the last is met.
fn unmet(conditions: usize) -> Value {
    let condition = |at| {
        let plan = if at == conditions { "pro" } else { "another" };
        let plan = json!({"key": "plan", "type": "person", "operator": "exact", "value": plan});
        json!({"properties": [plan], "rollout_percentage": 100})
    };
    json!({"groups": (1..=conditions).map(condition).collect::<Vec<_>>()})
}
