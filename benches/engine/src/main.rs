//! Counts what the engine's cases cost under callgrind, and compares with what
//! is recorded in `budget.json`.
//!
//! ```sh
//! cargo run --release -p engine-bench              # compare
//! cargo run --release -p engine-bench -- --record  # a justified change: commit the new record
//! ```
//!
//! It fails if a case takes over 5 % more instructions than recorded, or
//! allocates more often.

use std::{error::Error, path::Path, process::ExitCode};

use bench_support::budget::Budget;
use engine_bench::cases::{Case, NAMES, PEOPLE};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json");
    Budget { names: &NAMES, rounds: PEOPLE, file: &file, measure }.run()
}

fn measure(name: &str) -> u64 {
    let case = Case::named(name);
    // What is built when first used, such as a pattern's automaton, is not the usual cost.
    (0..PEOPLE).for_each(|round| case.ask(round));
    let allocations = allocation_counter::measure(|| (0..PEOPLE).for_each(|round| case.ask(round)));
    measured_rounds(&case);
    allocations.count_total
}

#[inline(never)]
fn measured_rounds(case: &Case) {
    (0..PEOPLE).for_each(|round| case.ask(round));
}
