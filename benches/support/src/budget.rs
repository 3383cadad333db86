//! Holds what cases cost under callgrind against what is recorded.
//!
//! A bench's program runs itself once more for each case, under callgrind, as
//! `measure CASE`. There it does its rounds in a function whose name holds
//! `measured_rounds`, and only that is counted; before, it prints how often
//! as many rounds allocate. Counts hold for the software SHA-1 and SHA-256:
//! callgrind emulates no SHA instructions and hides them from the processor's
//! features, which both look at when they run.

use std::{error::Error, path::Path, process::ExitCode};

use serde_json::{Map, Value, json};

use crate::callgrind::{self, Cost};

/// How far above its record a case may be.
const TOLERANCE: f64 = 0.05;

/// A bench's cases.
#[derive(Debug)]
pub struct Budget<'a> {
    /// The names of the cases.
    pub names: &'a [&'a str],
    /// How often a case is asked when it is measured.
    pub rounds: usize,
    /// Where the record is kept.
    pub file: &'a Path,
    /// Measures one case, in a process of its own; tells how often its rounds allocate.
    pub measure: fn(&str) -> u64,
}

impl Budget<'_> {
    /// Does what the command line asks: nothing said compares, `--record` records.
    ///
    /// # Errors
    ///
    /// When callgrind or the record cannot be had.
    pub fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["measure", name] => {
                println!("{}", (self.measure)(name));
                Ok(ExitCode::SUCCESS)
            }
            [] => self.compare(),
            ["--record"] => self.record(),
            _ => Err("usage: [--record]".into()),
        }
    }

    fn compare(&self) -> Result<ExitCode, Box<dyn Error>> {
        let budget: Map<String, Value> =
            serde_json::from_str(&std::fs::read_to_string(self.file)?)?;
        let mut is_kept = true;
        println!(
            "{:<18}{:>14}{:>10}{:>8}{:>14}",
            "case", "instructions", "recorded", "%", "allocations"
        );
        for &name in self.names {
            let cost = callgrind::cost(name, self.rounds)?;
            let known = budget.get(name).and_then(Cost::from_json);
            let verdict = known.map_or("not recorded", |known| verdict(cost, known));
            is_kept &= matches!(verdict, "" | "less: record it");
            let known = known.unwrap_or(cost);
            let change = 100.0 * (cost.instructions / known.instructions - 1.0);
            println!(
                "{name:<18}{:>14.0}{:>10.0}{change:>+8.1}{:>14} {verdict}",
                cost.instructions, known.instructions, cost.allocations
            );
        }
        Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn record(&self) -> Result<ExitCode, Box<dyn Error>> {
        let mut budget = Map::new();
        for &name in self.names {
            let cost = callgrind::cost(name, self.rounds)?;
            let instructions = cost.instructions.round() as u64;
            budget.insert(
                name.to_owned(),
                json!({"instructions": instructions, "allocations": cost.allocations}),
            );
        }
        std::fs::write(self.file, serde_json::to_string_pretty(&budget)? + "\n")?;
        println!("recorded in {}", self.file.display());
        Ok(ExitCode::SUCCESS)
    }
}

fn verdict(cost: Cost, known: Cost) -> &'static str {
    if cost.instructions > known.instructions * (1.0 + TOLERANCE) {
        "TOO MANY INSTRUCTIONS"
    } else if cost.allocations.floor() > known.allocations.ceil() {
        "TOO MANY ALLOCATIONS"
    } else if cost.instructions < known.instructions * (1.0 - TOLERANCE) {
        "less: record it"
    } else {
        ""
    }
}
