//! Runs one case under callgrind and reads what it wrote.

use std::{collections::HashMap, error::Error, process::Command};

use engine_bench::cases::PEOPLE;
use serde_json::Value;

/// What one question costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Instructions, the mean of all people.
    pub(crate) instructions: f64,
    /// Calls of the allocator, the mean of all people.
    pub(crate) allocations: f64,
}

impl Cost {
    pub(crate) fn from_json(record: &Value) -> Option<Self> {
        let number = |name: &str| record.get(name)?.as_f64();
        Some(Self { instructions: number("instructions")?, allocations: number("allocations")? })
    }
}

/// The functions of the C library that allocate.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

pub(crate) fn cost(case: &str) -> Result<Cost, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("profile");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured_rounds*"])
        // Costs are collected in there alone; calls are counted from the start, unless zeroed.
        .arg("--zero-before=*measured_rounds*")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["measure", case])
        .output()?;
    if !run.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&run.stderr)).into());
    }
    let profile = std::fs::read_to_string(profile)?;
    let total = |counted: u64| counted as f64 / PEOPLE as f64;
    let instructions = instructions(&profile).filter(|counted| *counted > 0);
    let instructions = instructions.ok_or("callgrind counted nothing")?;
    Ok(Cost { instructions: total(instructions), allocations: total(allocations(&profile)) })
}

fn instructions(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Sums the calls whose target is an allocator: `cfn=(7) malloc` names one, at
/// first with its name, later by number, and `calls=3 …` comes next.
fn allocations(profile: &str) -> u64 {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut called, mut total) = ("", 0);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            called = names.get(number).copied().unwrap_or_default();
        } else if let Some(calls) = line.strip_prefix("calls=")
            && ALLOCATORS.contains(&called)
        {
            let count = calls.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            total += count.unwrap_or_default();
        }
    }
    total
}
