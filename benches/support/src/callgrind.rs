//! Runs one case under callgrind and reads what both wrote.

use std::{error::Error, process::Command};

use serde_json::Value;

use crate::folder::Folder;

/// What one round costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Instructions, the mean of all rounds.
    pub(crate) instructions: f64,
    /// Calls of the allocator, the mean of all rounds.
    pub(crate) allocations: f64,
}

impl Cost {
    pub(crate) fn from_json(record: &Value) -> Option<Self> {
        let number = |name: &str| record.get(name)?.as_f64();
        Some(Self { instructions: number("instructions")?, allocations: number("allocations")? })
    }
}

pub(crate) fn cost(case: &str, rounds: usize) -> Result<Cost, Box<dyn Error>> {
    let folder = Folder::new();
    let profile = folder.path().join("profile");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured_rounds*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["measure", case])
        .output()?;
    if !run.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&run.stderr)).into());
    }
    let profile = std::fs::read_to_string(profile)?;
    let instructions = instructions(&profile).filter(|counted| *counted > 0);
    let instructions = instructions.ok_or("callgrind counted nothing")?;
    let allocations: u64 = String::from_utf8(run.stdout)?.trim().parse()?;
    let mean = |counted: u64| counted as f64 / rounds as f64;
    Ok(Cost { instructions: mean(instructions), allocations: mean(allocations) })
}

fn instructions(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
