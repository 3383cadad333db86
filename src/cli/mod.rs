//! The command line (architecture 1), one file a command.
//!
//! What a command cannot do it says in one sentence on stderr, naming the
//! setting, with exit code 2. Results for programs are the last line on stdout.

mod eval;
mod healthcheck;
mod import;
mod keys;
mod migrate;
mod offline;
mod projects;
mod serve;
mod terminal;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    clock::Clock,
    config::{DatabaseSettings, EncryptionKey, LogSettings, ServeSettings},
    encryption::{
        Encryptor,
        keys::{KeysError, prepare},
    },
    model::error::Error,
    service::Services,
    snapshot::Snapshots,
    store::{Access, ConnectError, Store},
    telemetry::TelemetryError,
};

/// How long a command waits for what is stored of people and groups.
const PATIENCE: Duration = Duration::from_secs(10);

/// A self-hosted, PostHog-compatible feature-flag service.
#[derive(Debug, Parser)]
#[command(
    name = "flagstaff",
    version,
    about,
    override_usage = "flagstaff [serve] [OPTIONS]\n       flagstaff <COMMAND>",
    after_help = "Without a command it serves: `flagstaff serve --help` lists the settings."
)]
struct Cli {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    log: LogSettings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve(Box<ServeSettings>),
    /// Bring the database's schema up or down
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Make and list projects
    #[command(subcommand)]
    Projects(projects::Projects),
    /// Make, list and revoke keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Evaluate a flag
    Eval(eval::Eval),
    /// Recreate a PostHog project's flags here
    Import(Box<import::Import>),
    /// Ask a running service whether it is ready
    Healthcheck(healthcheck::Healthcheck),
}

/// Why a command failed: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A setting is bad; the text names it.
    #[error("{0}")]
    Setting(String),
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// Telemetry could not be started.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The operation itself failed.
    #[error("{}", explained(.0))]
    Operation(#[from] Error),
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Setting(text) => Self::Setting(text),
            KeysError::Store(error) => Self::Operation(error),
        }
    }
}

impl Failure {
    /// The same failure, told with the file where another program keeps the database locked.
    fn of_database(self, database_url: &str) -> Self {
        let is_locked = matches!(&self, Self::Operation(error) if error.causes().contains("database is locked"));
        match Store::sqlite_file(database_url).filter(|_| is_locked) {
            Some(file) => Self::Setting(format!(
                "--database-url (FLAGSTAFF_DATABASE_URL): another program keeps the database file `{}` \
                 locked; try again once it is done, or stop it",
                file.display()
            )),
            None => self,
        }
    }
}

/// Callers of the network see no causes; the operator does.
fn explained(error: &Error) -> String {
    let named = error.attr.as_ref().map(|attr| format!("{attr}: ")).unwrap_or_default();
    match error.causes() {
        causes if causes.is_empty() => format!("{named}{error}"),
        causes => format!("{named}{error} ({causes})"),
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse_from(with_default_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => return refused(&named(error)),
    };
    match execute(cli) {
        Ok(code) => code,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    terminal::print_note(format_args!("error: {}", terminal::escaped(&failure.to_string())));
    ExitCode::from(2)
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Setting(format!("cannot start threads: {error}")))?;
    let Cli { database, log, command } = cli;
    runtime.block_on(async {
        let database = &database.database_url;
        let done = match command {
            Command::Serve(settings) => serve::run(*settings, database, &log).await,
            Command::Migrate(command) => migrate::run(command, database).await,
            Command::Projects(command) => projects::run(command, database).await,
            Command::Keys(command) => keys::run(command, database).await,
            Command::Eval(command) => eval::run(command, database).await,
            Command::Import(command) => import::run(*command, database).await,
            Command::Healthcheck(command) => healthcheck::run(&command).await,
        };
        done.map_err(|failure| failure.of_database(database))
    })
}

/// `flagstaff` alone, or with settings only, is `flagstaff serve`.
fn with_default_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    let asked = ["help", "-h", "--help", "-V", "--version"];
    let says =
        |arg: &OsString| arg.to_str().is_some_and(|a| names.contains(&a) || asked.contains(&a));
    let mentions_command = args.iter().skip(1).any(says);
    let begins_with_word = args.get(1).is_some_and(|arg| !arg.to_string_lossy().starts_with('-'));
    if !mentions_command && !begins_with_word {
        args.insert(1.min(args.len()), "serve".into());
    }
    args
}

/// Help goes to stdout; a bad argument or variable is one line on stderr.
fn refused(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let help = error.to_string();
            let printed = terminal::print(help.trim_end());
            return printed.map_or_else(|failure| fail(&failure), |()| ExitCode::SUCCESS);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            terminal::print_note(error.to_string().trim_end());
        }
        _ => {
            let text = error.to_string();
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let sentence: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
            let sentence = sentence.join(" ");
            let sentence = sentence.trim_end_matches(" For more information, try '--help'.");
            terminal::print_note(terminal::escaped(sentence));
        }
    }
    ExitCode::from(2)
}

/// A refusal names the setting's variable as well as its argument, and repeats no secret.
fn named(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(blamed)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let long = blamed.split(' ').next().unwrap_or_default().to_owned();
    let command = Cli::command();
    let everywhere = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let blamed = everywhere
        .chain(command.get_arguments())
        .find(|arg| arg.get_long().is_some_and(|name| long == format!("--{name}")));
    let Some(variable) = blamed.and_then(|arg| arg.get_env()) else { return error };
    let setting = format!("{long} ({})", variable.to_string_lossy());
    if blamed.is_some_and(clap::Arg::is_hide_env_values_set) {
        error.insert(ContextKind::InvalidValue, ContextValue::String("***".into()));
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(setting));
    error
}

/// The use-cases over an existing database, for commands that need no server.
async fn services(database_url: &str) -> Result<Services, Failure> {
    Ok(services_over(store(database_url).await?, Encryptor::default()))
}

/// The same, with the keys for encrypted payloads, which are made where a start would make them.
async fn services_with_keys(
    database_url: &str,
    given: &[EncryptionKey],
) -> Result<Services, Failure> {
    let store = store(database_url).await?;
    let prepared = prepare(given, database_url, &store).await?;
    Ok(services_over(store, prepared.encryptor))
}

async fn store(database_url: &str) -> Result<Store, Failure> {
    let store = Store::connect(database_url, Access::Existing).await?;
    store.require_schema().await?;
    Ok(store)
}

fn services_over(store: Store, encryptor: Encryptor) -> Services {
    // Nobody is kept waiting by a command but its operator, who would rather have the answer.
    let snapshots = Snapshots::new(store.clone()).with_patience(PATIENCE);
    Services::new(store, snapshots, Clock::system(), encryptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_is_done_without_a_word() {
        let with = |args: &[&str]| {
            with_default_command(args.iter().map(OsString::from).collect())
                .iter()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(with(&["flagstaff"]), ["flagstaff", "serve"]);
        assert_eq!(
            with(&["flagstaff", "--log", "debug"]),
            ["flagstaff", "serve", "--log", "debug"]
        );
        assert_eq!(with(&["flagstaff", "keys", "list"]), ["flagstaff", "keys", "list"]);
        assert_eq!(with(&["flagstaff", "--help"]), ["flagstaff", "--help"]);
        assert_eq!(with(&["flagstaff", "sevre"]), ["flagstaff", "sevre"]);
    }
}
