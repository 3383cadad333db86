//! Counts what the engine's cases cost under callgrind, and compares with what
//! is recorded in `budget.json`.
//!
//! ```sh
//! cargo run --release -p engine-bench              # compare
//! cargo run --release -p engine-bench -- --record  # a justified change: commit the new record
//! ```
//!
//! It fails if a case takes over 5 % more instructions than recorded, or
//! allocates more often. Counts hold for the software SHA-1: callgrind emulates
//! no SHA instructions and hides them from the processor's features, which
//! `sha1` looks at when it runs.

#![expect(clippy::print_stdout, reason = "a report")]

mod callgrind;

use std::{error::Error, path::PathBuf, process::ExitCode};

use engine_bench::cases::{Case, NAMES, PEOPLE};
use serde_json::{Map, Value, json};

use callgrind::Cost;

/// How far above its record a case may be.
const TOLERANCE: f64 = 0.05;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", name] => {
            measure(name);
            Ok(ExitCode::SUCCESS)
        }
        [] => compare(),
        ["--record"] => record(),
        _ => Err("usage: engine-budget [--record]".into()),
    }
}

/// Runs in a process of its own, where callgrind counts [`measured_rounds`] alone.
/// Prints how often as many rounds allocate.
fn measure(name: &str) {
    let case = Case::named(name);
    // What is built when first used, such as a pattern's automaton, is not the usual cost.
    (0..PEOPLE).for_each(|round| case.ask(round));
    let allocations = allocation_counter::measure(|| (0..PEOPLE).for_each(|round| case.ask(round)));
    println!("{}", allocations.count_total);
    measured_rounds(&case);
}

#[inline(never)]
fn measured_rounds(case: &Case) {
    (0..PEOPLE).for_each(|round| case.ask(round));
}

fn compare() -> Result<ExitCode, Box<dyn Error>> {
    let budget: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(file())?)?;
    let mut is_kept = true;
    println!(
        "{:<16}{:>14}{:>10}{:>8}{:>14}",
        "case", "instructions", "recorded", "%", "allocations"
    );
    for name in NAMES {
        let cost = callgrind::cost(name)?;
        let known = budget.get(name).and_then(Cost::from_json);
        let verdict = known.map_or("not recorded", |known| verdict(cost, known));
        is_kept &= matches!(verdict, "" | "less: record it");
        let known = known.unwrap_or(cost);
        let change = 100.0 * (cost.instructions / known.instructions - 1.0);
        println!(
            "{name:<16}{:>14.0}{:>10.0}{change:>+8.1}{:>14} {verdict}",
            cost.instructions, known.instructions, cost.allocations
        );
    }
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(cost: Cost, known: Cost) -> &'static str {
    if cost.instructions > known.instructions * (1.0 + TOLERANCE) {
        "TOO MANY INSTRUCTIONS"
    } else if cost.allocations > known.allocations {
        "TOO MANY ALLOCATIONS"
    } else if cost.instructions < known.instructions * (1.0 - TOLERANCE) {
        "less: record it"
    } else {
        ""
    }
}

fn record() -> Result<ExitCode, Box<dyn Error>> {
    let mut budget = Map::new();
    for name in NAMES {
        let cost = callgrind::cost(name)?;
        let instructions = cost.instructions.round() as u64;
        budget.insert(
            name.to_owned(),
            json!({"instructions": instructions, "allocations": cost.allocations}),
        );
    }
    std::fs::write(file(), serde_json::to_string_pretty(&budget)? + "\n")?;
    println!("recorded in {}", file().display());
    Ok(ExitCode::SUCCESS)
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("budget.json")
}
