//! How long the engine takes, and how often it allocates.
//!
//! ```sh
//! cargo bench -p engine-bench
//! ```
//!
//! Figures to read, not to judge: what is judged are the instructions that
//! `engine-budget` counts.

use divan::{AllocProfiler, Bencher};
use engine_bench::cases::{Case, NAMES, PEOPLE};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = NAMES)]
fn ask(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    (0..PEOPLE).for_each(|round| case.ask(round));
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        case.ask(round);
    });
}
