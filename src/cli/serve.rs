//! `flagstaff serve`: runs the service until it is told to stop.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, terminal::print};
use crate::{
    auth::Secret,
    config::{
        BOOTSTRAP_PERSONAL_API_KEY, BOOTSTRAP_PROJECT_SECRET, BOOTSTRAP_PROJECT_TOKEN,
        BootstrapSettings, LogSettings, ServeSettings,
    },
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
    let chosen = settings.bootstrap.clone();
    let telemetry = Telemetry::start(log, settings.otlp_endpoint.as_deref())?;
    // Before anything is waited for: the first process of a container is stopped by nothing else.
    let mut signals = StopSignals::listen()?;
    let started = tokio::select! {
        started = Server::start(settings, database_url, &telemetry) => started.map_err(failure)?,
        () = signals.next() => {
            tracing::info!("stopped while starting");
            telemetry.stop();
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Some(made) = &started.bootstrapped {
        announce(made, &chosen)?;
    }
    tracing::info!(address = %started.address, ops.address = %started.ops_address, "serving");
    signals.next().await;
    tracing::info!("stopping");
    // A second signal ends the shutdown delay: somebody waits at a terminal.
    started.stop_now_if(signals.next()).await;
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

/// Prints the credentials of the first start, once: afterwards only hashes of the secrets are
/// stored. A value that the operator chose is not repeated.
fn announce(made: &Bootstrapped, chosen: &BootstrapSettings) -> Result<(), Failure> {
    let shown = |made: &Secret, chosen: &Option<Secret>, variable: &str| match chosen {
        Some(_) => format!("(from {variable})"),
        None => made.reveal().to_owned(),
    };
    let token = shown(&made.project_token, &chosen.project_token, BOOTSTRAP_PROJECT_TOKEN);
    let secret = shown(&made.project_secret, &chosen.project_secret, BOOTSTRAP_PROJECT_SECRET);
    let key = shown(&made.personal_api_key, &chosen.personal_api_key, BOOTSTRAP_PERSONAL_API_KEY);
    print(format_args!(
        "project id: {}\nproject token: {token}\nproject secret: {secret}\npersonal api key: {key}",
        made.project_id
    ))
}

/// SIGTERM from an orchestrator and SIGINT from a terminal.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, Failure> {
        let handler = |kind| {
            let refused = |error| Failure::Setting(format!("cannot handle signals: {error}"));
            signal(kind).map_err(refused)
        };
        Ok(Self {
            terminate: handler(SignalKind::terminate())?,
            interrupt: handler(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
