//! `flagstaff eval`: asks the engine, with the reason.

use std::{path::PathBuf, process::ExitCode};

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::{Failure, offline, services, terminal::print_json};
use crate::{
    engine::Properties,
    model::{
        error::Code,
        json::{self, Limits},
    },
    service::evaluation::{Asked, Scene},
};

/// Whom to evaluate which flag for.
#[derive(Args, Clone, Debug)]
pub(super) struct Eval {
    /// The project
    #[arg(long, required_unless_present = "offline")]
    project: Option<i64>,
    /// The flag's key
    #[arg(long, required_unless_present = "offline")]
    flag: Option<String>,
    /// Whom to evaluate it for
    #[arg(long, required_unless_present = "offline")]
    distinct_id: Option<String>,
    /// A person property, `key=json`; may repeat
    #[arg(long, value_parser = property)]
    property: Vec<(String, Value)>,
    /// Without a database: JSON lines on stdin, `{"definitions": …, "request": …}` or requests alone
    #[arg(long, conflicts_with_all = ["project", "flag", "distinct_id", "property"])]
    offline: bool,
    /// Definitions for all lines: a file with the body of `GET /flags/definitions`
    #[arg(long)]
    definitions: Option<PathBuf>,
    /// When it is, as RFC 3339 such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_parser = instant)]
    now: Option<DateTime<Utc>>,
}

pub(super) async fn run(eval: Eval, database_url: &str) -> Result<ExitCode, Failure> {
    if eval.offline {
        return offline::run(eval.definitions.as_deref(), eval.now);
    }
    if eval.definitions.is_some() || eval.now.is_some() {
        return Err(Failure::Setting("--definitions and --now are for --offline".into()));
    }
    let services = services(database_url).await?;
    let (project, key) = (eval.project.unwrap_or_default(), eval.flag.unwrap_or_default());
    let missing = |what: String| Failure::Setting(format!("there is no {what}"));
    let snapshot = services.snapshots.get(project).await.map_err(|error| match error.code {
        Code::NotFound => missing(format!("project {project}")),
        _ => error.into(),
    })?;
    let asked = Asked {
        distinct_id: eval.distinct_id.unwrap_or_default(),
        person_properties: eval.property.into_iter().collect::<Properties>(),
        ..Asked::default()
    };
    let outcome = services
        .evaluate_one(&snapshot, key.clone(), &asked, &Scene::default())
        .await
        .ok_or_else(|| missing(format!("active flag `{key}` in project {project}")))?;
    print_json(&json!({
        "key": key,
        "enabled": outcome.enabled,
        "variant": outcome.variant,
        "payload": outcome.payload,
        "reason": {
            "code": outcome.reason.code(),
            "condition_index": outcome.condition_index,
            "description": outcome.description(),
        },
    }))?;
    Ok(ExitCode::SUCCESS)
}

/// `key=json`; a value that is no JSON is text, so that shells need fewer quotes.
fn property(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form key=json")?;
    let value = json::parse_lenient(value, Limits::REQUEST).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let instant = DateTime::parse_from_rfc3339(text);
    instant.map(|instant| instant.to_utc()).map_err(|error| error.to_string())
}
