//! `flagstaff keys`: make, list and revoke keys.

use std::{process::ExitCode, time::Duration};

use chrono::TimeDelta;
use clap::{ArgGroup, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure, services,
    terminal::{print, print_json},
};
use crate::{
    config::EncryptionKey,
    encryption,
    model::{
        api_key::ApiKey,
        caller::{CredentialKind, Reach},
        error::Error,
        fields::timestamp,
    },
    service::{Services, keys::WantedKey},
};

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a personal API key; it is shown this once
    #[command(group(ArgGroup::new("reach").required(true).args(["project", "all_projects"])))]
    Create {
        /// A project it opens; may repeat
        #[arg(long)]
        project: Vec<i64>,
        /// It opens all projects
        #[arg(long)]
        all_projects: bool,
        /// What it allows, such as `feature_flag:read,activity_log:read`, or `*`
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// Whose it is, made when new [default: the first user]
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// What people call it
        #[arg(long, default_value = "")]
        label: String,
        /// How long it holds, such as `30d` [default: until revoked]
        #[arg(long, value_parser = some_time)]
        expires: Option<Duration>,
    },
    /// Show all keys, without the keys themselves
    List,
    /// Take a key back
    Revoke {
        /// Its number, as `keys list` shows it
        id: i64,
    },
    /// Encrypt payloads anew with the newest key; the older ones must still be given
    RotateEncryption {
        /// Fernet keys, newest first [default with SQLite: the key file beside the database]
        #[arg(
            long,
            env = "FLAGSTAFF_ENCRYPTION_KEYS",
            value_delimiter = ',',
            hide_env_values = true
        )]
        encryption_keys: Vec<EncryptionKey>,
    },
}

pub(super) async fn run(command: Keys, database_url: &str) -> Result<ExitCode, Failure> {
    let services = services(database_url).await?;
    match command {
        Keys::Create { project, all_projects, scopes, user, label, expires } => {
            let reach = if all_projects { Reach::Organization } else { Reach::Projects(project) };
            let expires_at = expires.map(|after| expiry(&services, after)).transpose()?;
            let wanted = WantedKey { reach, scopes, user_email: user, label, expires_at };
            check_projects(&services, &wanted.reach).await?;
            print(services.create_operators_key(wanted).await?.secret.reveal())?;
        }
        Keys::List => {
            let keys = services.list_operators_keys().await?;
            print_json(&keys.iter().map(shown).collect())?;
        }
        Keys::Revoke { id } => {
            services.revoke_operators_key(id).await.map_err(|error| unknown(error, id))?
        }
        Keys::RotateEncryption { encryption_keys } => {
            let cipher =
                encryption::keys::require(&encryption_keys, database_url, &services.store).await?;
            let rotation = services.rotate_encryption(&cipher).await?;
            print_json(
                &json!({"rotated": rotation.rotated, "undecryptable": rotation.undecryptable}),
            )?;
            if !rotation.undecryptable.is_empty() {
                let left = rotation.undecryptable.len();
                let why = "no given key decrypts them, and they stay as they are";
                return Err(Failure::Setting(format!(
                    "--encryption-keys: the payloads of {left} flags are left: {why}"
                )));
            }
        }
    }
    services.store.clone().close().await;
    Ok(ExitCode::SUCCESS)
}

fn expiry(services: &Services, after: Duration) -> Result<chrono::DateTime<chrono::Utc>, Failure> {
    let after = TimeDelta::from_std(after).ok();
    let at = after.and_then(|after| services.clock.now().checked_add_signed(after));
    at.ok_or_else(|| Failure::Setting("--expires: the time is too far away".into()))
}

/// A key that never holds would only puzzle.
fn some_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than nothing".into()),
        Ok(time) => Ok(time),
        Err(_) => {
            Err("not a length of time; write how long the key holds, such as 30d, 12h or 1y".into())
        }
    }
}

/// Names a project that a key shall open and that is not there.
async fn check_projects(services: &Services, reach: &Reach) -> Result<(), Failure> {
    let Reach::Projects(wanted) = reach else { return Ok(()) };
    let there = services.list_operators_projects().await?;
    match wanted.iter().find(|id| !there.iter().any(|project| project.id == **id)) {
        Some(id) => Err(Failure::Setting(format!(
            "--project: there is no project {id}; `flagstaff projects list` shows all"
        ))),
        None => Ok(()),
    }
}

fn unknown(error: Error, id: i64) -> Failure {
    match error.code {
        crate::model::error::Code::NotFound => Failure::Setting(format!("there is no key {id}")),
        _ => error.into(),
    }
}

fn shown(key: &ApiKey) -> Value {
    let projects = match &key.reach {
        Reach::Organization => json!("all"),
        Reach::Projects(ids) => json!(ids),
    };
    json!({
        "id": key.id,
        "kind": match key.kind {
            CredentialKind::Personal => "personal",
            CredentialKind::ProjectSecret => "project_secret",
            CredentialKind::ProjectToken => "project_token",
        },
        "hint": key.hint,
        "label": key.label,
        "scopes": key.scopes,
        "projects": projects,
        "created_at": timestamp(key.created_at),
        "expires_at": key.expires_at.map(timestamp),
        "revoked_at": key.revoked_at.map(timestamp),
        "last_used_at": key.last_used_at.map(timestamp),
    })
}
