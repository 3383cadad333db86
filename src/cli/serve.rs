//! `flagstaff serve`: runs the service until it is told to stop.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::{
    config::{BootstrapSettings, LogSettings, ServeSettings},
    server::{Server, StartError},
    service::bootstrap::Bootstrapped,
    telemetry::Telemetry,
};

pub(super) async fn run(
    mut settings: ServeSettings,
    database_url: &str,
    log: &LogSettings,
) -> Result<ExitCode, Failure> {
    settings.bootstrap = BootstrapSettings::from_env().map_err(Failure::Setting)?;
    let telemetry = Telemetry::start(log, settings.otlp_endpoint.as_deref())?;
    let server = Server::start(settings, database_url, &telemetry).await.map_err(failure)?;
    if let Some(made) = &server.bootstrapped {
        announce(made);
    }
    // Whoever reads that it serves may stop it at once.
    let stop = stop_signal();
    tracing::info!(address = %server.address, ops.address = %server.ops_address, "serving");
    stop.await;
    tracing::info!("stopping");
    server.stop().await;
    telemetry.stop();
    Ok(ExitCode::SUCCESS)
}

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Setting(text) => Failure::Setting(text),
        StartError::Database(error) => Failure::Database(error),
        StartError::Operation(error) => Failure::Operation(error),
    }
}

/// Shown once; afterwards only hashes of the secrets are known.
fn announce(made: &Bootstrapped) {
    println!("project id: {}", made.project_id);
    println!("project token: {}", made.project_token.reveal());
    println!("project secret: {}", made.project_secret.reveal());
    println!("personal api key: {}", made.personal_api_key.reveal());
}

/// SIGTERM from an orchestrator, SIGINT from a terminal, heard from now on.
fn stop_signal() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}
