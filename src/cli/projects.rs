//! `flagstaff projects`: make and list projects.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Failure, services, terminal::print_json};

/// What to do with projects.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Projects {
    /// Make a project; its secret is shown this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// Show all projects, without secrets
    List,
}

pub(super) async fn run(command: Projects, database_url: &str) -> Result<ExitCode, Failure> {
    let services = services(database_url).await?;
    match command {
        Projects::Create { name } => {
            let created = services.create_operators_project(&name).await?;
            let project = created.project;
            print_json(&json!({
                "id": project.id,
                "name": project.name,
                "organization_id": project.organization_id,
                "api_token": project.api_token,
                "secret_api_token": created.secret.reveal(),
            }))?;
        }
        Projects::List => {
            let projects = services.list_operators_projects().await?;
            let shown = projects.iter().map(|project| {
                json!({
                    "id": project.id,
                    "name": project.name,
                    "organization_id": project.organization_id,
                    "api_token": project.api_token,
                })
            });
            print_json(&shown.collect::<Value>())?;
        }
    }
    services.store.clone().close().await;
    Ok(ExitCode::SUCCESS)
}
