//! `flagstaff migrate`: the schema, up, down, or as it stands.

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;
use crate::store::{Access, Store};

/// What to do with the schema.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Migrate {
    /// Apply what is pending; makes a SQLite file
    Up,
    /// Take everything away, data included
    Down,
    /// Show each change, and whether it is applied
    Status,
}

pub(super) async fn run(command: Migrate, database_url: &str) -> Result<ExitCode, Failure> {
    let access = match command {
        Migrate::Up => Access::Create,
        Migrate::Down | Migrate::Status => Access::Existing,
    };
    let store = Store::connect(database_url, access).await?;
    match command {
        Migrate::Up => store.migrate_up().await?,
        Migrate::Down => store.migrate_down().await?,
        Migrate::Status => {}
    }
    for state in store.migration_states().await? {
        println!("{:8} {}", if state.applied { "applied" } else { "pending" }, state.name);
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
