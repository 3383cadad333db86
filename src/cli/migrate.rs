//! `flagstaff migrate`: the schema, up, down, or as it stands.

use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{Failure, terminal};
use crate::store::{Access, MigrationState, SetupLock, Store};

/// What to do with the schema.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Migrate {
    /// Apply what is pending; makes a SQLite file
    Up,
    /// Take back the last change, with the data in it; asks where there is a project
    Down(Down),
    /// Show each change, and whether it is applied
    Status,
}

/// How much to take back.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Down {
    /// How many changes to take back, the last ones first
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Take back all of them, and so all data
    #[arg(long, conflicts_with = "steps")]
    all: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What to do before data is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    Given,
    Ask,
    Missing,
}

pub(super) async fn run(command: Migrate, database_url: &str) -> Result<ExitCode, Failure> {
    let access = match command {
        Migrate::Up => Access::Create,
        Migrate::Down(_) | Migrate::Status => Access::Existing,
    };
    let setup = SetupLock::acquire(database_url).await;
    let store = Store::connect(database_url, access).await?;
    match command {
        Migrate::Up => store.migrate_up().await?,
        Migrate::Down(down) => take_back(&store, down).await?,
        Migrate::Status => {}
    }
    for state in store.migration_states().await? {
        let name = terminal::escaped(&state.name);
        let word = if state.applied { "applied" } else { "pending" };
        terminal::print(format_args!("{word:8} {name}"))?;
    }
    store.close().await;
    drop(setup);
    Ok(ExitCode::SUCCESS)
}

async fn take_back(store: &Store, down: Down) -> Result<(), Failure> {
    let wanted = last_applied(&store.migration_states().await?, down);
    let projects = store.project_count().await?;
    match consent(projects, down.yes, std::io::stdin().is_terminal()) {
        Consent::Given => {}
        Consent::Ask if is_confirmed(&question(projects, &wanted))? => {}
        Consent::Ask => return Err(Failure::Setting("nothing was changed".into())),
        Consent::Missing => {
            return Err(Failure::Setting(format!(
                "--yes: {} would go with {}; nothing was changed",
                of_projects(projects),
                wanted.join(", "),
            )));
        }
    }
    Ok(store.migrate_down(Some(down.steps).filter(|_| !down.all)).await?)
}

/// Returns the names of the changes that would be taken back, the newest first.
fn last_applied(states: &[MigrationState], down: Down) -> Vec<String> {
    let applied = states.iter().rev().filter(|state| state.applied);
    let most = if down.all { usize::MAX } else { down.steps as usize };
    applied.take(most).map(|state| state.name.clone()).collect()
}

/// An empty database has nothing to lose. Nobody can be asked without a terminal.
const fn consent(projects: u64, yes: bool, is_terminal: bool) -> Consent {
    match (projects, yes, is_terminal) {
        (0, _, _) | (_, true, _) => Consent::Given,
        (_, false, true) => Consent::Ask,
        (_, false, false) => Consent::Missing,
    }
}

fn question(projects: u64, wanted: &[String]) -> String {
    let changes = wanted.join("\n  ");
    format!(
        "This takes back\n  {changes}\nand what they hold of {}. Go on? [y/N] ",
        of_projects(projects)
    )
}

fn of_projects(count: u64) -> String {
    match count {
        1 => "data of 1 project".into(),
        more => format!("data of {more} projects"),
    }
}

/// Asks at the terminal; only `y` or `yes` is a yes.
fn is_confirmed(question: &str) -> Result<bool, Failure> {
    let unread = |error: std::io::Error| Failure::Setting(format!("no answer: {error}"));
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question}").and_then(|()| terminal.flush()).map_err(unread)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(unread)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_only_where_somebody_said_so() {
        let cases = [
            ("an empty database", (0, false, false), Consent::Given),
            ("a script that was told", (1, true, false), Consent::Given),
            ("a person who was told", (1, true, true), Consent::Given),
            ("a person", (3, false, true), Consent::Ask),
            ("a script", (3, false, false), Consent::Missing),
        ];
        for (name, (projects, yes, is_terminal), expected) in cases {
            assert_eq!(consent(projects, yes, is_terminal), expected, "{name}");
        }
    }

    #[test]
    fn the_last_changes_are_taken_back_first() {
        let state = |name: &str, applied| MigrationState { name: name.into(), applied };
        let states = [state("a", true), state("b", true), state("c", true), state("d", false)];
        let down = |steps, all| last_applied(&states, Down { steps, all, yes: false });
        assert_eq!(down(1, false), ["c"]);
        assert_eq!(down(2, false), ["c", "b"]);
        assert_eq!(down(9, false), ["c", "b", "a"]);
        assert_eq!(down(1, true), ["c", "b", "a"]);
    }
}
