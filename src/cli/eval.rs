//! `flagstaff eval`: asks the engine, with the reason.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, services};
use crate::{
    engine::Properties,
    model::error::{Code, Error},
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
    /// Without a database: JSON lines on stdin
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(eval: Eval, database_url: &str) -> Result<ExitCode, Failure> {
    if eval.offline {
        return Err(Error::unimplemented("`flagstaff eval --offline`").into());
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
        .evaluate_one(&snapshot, &key, &asked, &Scene::default())
        .await
        .ok_or_else(|| missing(format!("active flag `{key}` in project {project}")))?;
    println!(
        "{}",
        json!({
            "key": key,
            "enabled": outcome.enabled,
            "variant": outcome.variant,
            "payload": outcome.payload,
            "reason": {
                "code": outcome.reason.code(),
                "condition_index": outcome.condition_index,
                "description": outcome.description(),
            },
        })
    );
    Ok(ExitCode::SUCCESS)
}

/// `key=json`; a value that is no JSON is text, so that shells need fewer quotes.
fn property(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form key=json")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}
