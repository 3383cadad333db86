//! What calls cost the service, beside bare servers that read the same
//! requests and answer as many bytes; and how that grows.
//!
//! ```sh
//! cargo run --release -p load-bench                   # everything, some seven minutes
//! cargo run --release -p load-bench -- calls          # the table of calls alone
//! cargo run --release -p load-bench -- calls --row 0  # one row of it
//! cargo run --release -p load-bench -- propagation    # how soon a change is known everywhere
//! ```
//!
//! Servers are processes of their own on loopback, on SQLite unless it says so;
//! the one client program drives them in turns. What is judged is the processor time of the
//! server for one call: throughput and latency depend on what else the machine
//! does, the client included.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints, and stops when it cannot go on"
)]

mod change;
mod client;
mod drive;
mod growth;
mod process;
mod propagation;
mod rows;
mod stage;
mod twin;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

/// What to measure, and for how long.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// What to measure; everything if left out
    part: Option<Part>,
    /// Turns of the service and its twin
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only this row of the calls, counted from 0
    #[arg(long)]
    row: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Calls beside their twins
    Calls,
    /// How cost grows with flags, conditions, projects and subjects
    Growth,
    /// Evaluation while flags change
    Changes,
    /// What hearing of a change costs
    Refresh,
    /// Memory of many projects
    Memory,
    /// How soon replicas and watchers on one PostgreSQL know of a change
    Propagation,
}

impl Settings {
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn wants(&self, part: Part) -> bool {
        self.part.is_none_or(|wanted| wanted == part)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let role = arguments.first().map(String::as_str);
    if role == Some("serve") {
        return flagstaff::cli::run();
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    match role {
        Some("twin") => runtime.block_on(twin::run(&arguments[1..])),
        _ => runtime.block_on(measure(&Settings::parse())),
    }
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings) {
    if settings.wants(Part::Calls) {
        rows::run(settings).await;
    }
    if settings.wants(Part::Growth) {
        growth::run(settings).await;
    }
    if settings.wants(Part::Changes) {
        change::run(settings).await;
    }
    if settings.wants(Part::Refresh) {
        change::refresh().await;
    }
    if settings.wants(Part::Memory) {
        change::memory().await;
    }
    if settings.wants(Part::Propagation) {
        propagation::run().await;
    }
}
