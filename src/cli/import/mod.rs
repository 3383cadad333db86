//! `flagstaff import`: recreates a PostHog project's flags here.
//!
//! Without `--yes` it is a rehearsal: the same walk in the same transaction,
//! taken back in the end, so what it tells is what would happen. Progress goes
//! to stderr, the summary to stdout. The exit code is 0 when everything came
//! along, [`INCOMPLETE`] when something could not, and 2 when nothing was done.

mod body;
mod report;
mod source;

use std::{process::ExitCode, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    Failure, services_with_keys,
    terminal::{print, print_json, print_note},
};
use crate::{
    config::EncryptionKey,
    model::{
        error::Code,
        import::{Foreign, OnConflict, report::Report},
        project::ProjectRef,
    },
    service::{Services, import::Manner},
};
use source::Source;

/// The import was done, and something could not come along.
const INCOMPLETE: u8 = 3;

/// What to import, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct Import {
    /// Where the flags are: the address of a PostHog or of a Flagstaff, such as `https://us.posthog.com`
    #[arg(long, value_name = "URL", env = "FLAGSTAFF_IMPORT_URL")]
    from_url: reqwest::Url,
    /// The project there: its number, or `@current`
    #[arg(long, env = "FLAGSTAFF_IMPORT_PROJECT")]
    project: String,
    /// A personal API key of there, with `feature_flag:read` and `cohort:read`
    #[arg(long, env = "FLAGSTAFF_IMPORT_KEY", hide_env_values = true)]
    key: ImportKey,
    /// The project here [default: the only one]
    #[arg(long, value_name = "ID")]
    into: Option<i64>,
    /// Write; without it the import is rehearsed, and nothing is written
    #[arg(long)]
    yes: bool,
    /// Rehearse, as without `--yes`
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// What becomes of flags and cohorts that are here already
    #[arg(long, value_enum, default_value = "skip")]
    on_conflict: Conflict,
    /// Who signs the changes, made when new [default: the first user]
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// How the summary is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// How long one request to the source may take
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How often a request that came to nothing is made again
    #[arg(long, default_value_t = 5)]
    retries: u8,
    /// Fernet keys for encrypted payloads, newest first [default with SQLite: the key file beside
    /// the database]
    #[arg(long, env = "FLAGSTAFF_ENCRYPTION_KEYS", value_delimiter = ',', hide_env_values = true)]
    encryption_keys: Vec<EncryptionKey>,
}

/// A key of the source. `Debug` hides it.
#[derive(Clone)]
struct ImportKey(String);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Conflict {
    /// They stay as they are here
    Skip,
    /// They become as they are there
    Update,
    /// Nothing is imported
    Fail,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table, for people
    Text,
    /// One JSON object, for programs
    Json,
}

impl FromStr for ImportKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let key = text.trim();
        match !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(key.to_owned())),
            false => Err("not a personal API key".into()),
        }
    }
}

impl std::fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImportKey(***)")
    }
}

pub(super) async fn run(import: Import, database_url: &str) -> Result<ExitCode, Failure> {
    let services = services_with_keys(database_url, &import.encryption_keys).await?;
    let into = here(&services, import.into).await?;
    let source = Source::new(&import).map_err(Failure::Setting)?;
    let foreign = source.read().await.map_err(Failure::Setting)?;
    let report = walk(&services, &import, into, &foreign).await?;
    services.store.clone().close().await;
    match import.format {
        Format::Text => print(report::text(&report, &import, into))?,
        Format::Json => print_json(&report::json(&report, &import, into))?,
    }
    Ok(match report.is_complete() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INCOMPLETE),
    })
}

async fn walk(
    services: &Services,
    import: &Import,
    into: i64,
    foreign: &Foreign,
) -> Result<Report, Failure> {
    let manner = Manner {
        on_conflict: match import.on_conflict {
            Conflict::Skip => OnConflict::Skip,
            Conflict::Update => OnConflict::Update,
            Conflict::Fail => OnConflict::Fail,
        },
        rehearses: !import.yes,
    };
    let verb = if import.yes { "importing" } else { "rehearsing, nothing is written" };
    print_note(format_args!("{verb}: {} flags into project {into}", foreign.flags.len()));
    // A rehearsal makes nobody.
    let signer = import.user.as_deref().filter(|_| import.yes);
    let operator = services.operator(signer).await?;
    let report = services.import(&operator, &ProjectRef::Id(into), foreign, manner).await;
    report.map_err(|error| match error.code {
        Code::Conflict => Failure::Setting(format!("--on-conflict fail: {}", error.detail)),
        _ => error.into(),
    })
}

/// The project that was named, or the only one there is.
async fn here(services: &Services, named: Option<i64>) -> Result<i64, Failure> {
    let projects = services.list_operators_projects().await?;
    let refuse = |why: String| Err(Failure::Setting(format!("--into: {why}")));
    match (named, projects.as_slice()) {
        (Some(id), known) if known.iter().any(|project| project.id == id) => Ok(id),
        (Some(id), _) => refuse(format!("there is no project {id} here")),
        (None, [only]) => Ok(only.id),
        (None, []) => refuse("there is no project here yet; start `flagstaff serve` once".into()),
        (None, several) => refuse(format!("name one of the {} projects here", several.len())),
    }
}
