//! The composition root: the one place that knows everyone. It opens what the
//! settings name, joins the layers, and takes it all down again in order.

mod accept;
mod addresses;
mod connections;
mod dispatch;
mod edge;
mod forwarded;
mod gather;
mod headers;
mod ops;
mod overload;
mod readiness;
mod silence;
mod starting;
mod streams;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{extract::Request, response::Response};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic_health::server::{HealthReporter, health_reporter};

use accept::App;
use addresses::AddressLimits;
use connections::ConnectionLimits;
use dispatch::Dispatch;
use edge::{Edge, Parts};
use forwarded::TrustedProxies;
use overload::LoadShedder;
use readiness::Readiness;
use silence::Timeouts;

use crate::{
    auth::Authenticator,
    clock::Clock,
    config::ServeSettings,
    encryption::keys::{self, KeysError},
    grpc,
    limits::{BodyLimits, RatePolicy},
    model::error::Error,
    rest,
    service::{
        IngestSettings, Rates, Services, Watches,
        bootstrap::{Bootstrapped, ChosenSecrets},
    },
    snapshot::{Snapshots, follow},
    store::{ConnectError, SetupLock, Store, damaged_reads},
    telemetry::Telemetry,
};

/// Why the service could not start. Nothing half-made is left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is bad; the text names it.
    #[error("{0}")]
    Setting(String),
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// The database does not do what is asked.
    #[error(transparent)]
    Operation(#[from] Error),
}

impl From<KeysError> for StartError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Setting(text) => Self::Setting(text),
            KeysError::Store(error) => Self::Operation(error),
        }
    }
}

/// A running service.
#[derive(Debug)]
pub struct Server {
    /// Where gRPC and REST are served.
    pub address: SocketAddr,
    /// Where probes and metrics are served.
    pub ops_address: SocketAddr,
    /// What the first start on an empty database made.
    pub bootstrapped: Option<Bootstrapped>,
    edge: Edge,
    store: Store,
    health: HealthReporter,
    readiness: Readiness,
    stop: CancellationToken,
    /// Probes are answered to the end, so that they see the service drain.
    ops: DropGuard,
    tasks: TaskTracker,
    /// Writes events until the last request is answered.
    event_writer: AbortHandle,
    shutdown_delay: Duration,
    grace: Duration,
}

const LISTEN: &str = "--listen (FLAGSTAFF_LISTEN)";
const OPS_LISTEN: &str = "--ops-listen (FLAGSTAFF_OPS_LISTEN)";
/// How long connections to the database may take to close.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Server {
    /// Starts the service. Probes are answered from the beginning, all else when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError`]: a bad setting, a taken port, an unreachable database.
    pub async fn start(
        settings: ServeSettings,
        database_url: &str,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        Self::start_at(Clock::system(), settings, database_url, telemetry).await
    }

    /// As [`Server::start`], with this clock.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start_at(
        clock: Clock,
        settings: ServeSettings,
        database_url: &str,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let tls = tls::acceptor(&settings)?;
        let socket = starting::reserve(settings.listen, LISTEN)?;
        let ops = starting::reserve(settings.ops_listen, OPS_LISTEN)?;
        keys::check(&settings.encryption_keys, database_url).map_err(StartError::Setting)?;
        if Store::sqlite_file(database_url).is_some_and(|file| !file.exists()) {
            // Before the file is made.
            settings.bootstrap.check_strength().map_err(StartError::Setting)?;
        }
        let readiness = Readiness::starting(settings.max_staleness);
        let ops = starting::listen(ops, settings.ops_listen, OPS_LISTEN)?;
        let ops_address = local(&ops)?;
        let timeouts = timeouts(&settings);
        let ops = serve_ops(ops, timeouts, &readiness, telemetry)?;
        // Until the database has a schema, a key and a project.
        let setup = SetupLock::acquire(database_url).await;
        let store = starting::open(&settings, database_url).await?;
        if !store.has_project().await? {
            settings.bootstrap.check_strength().map_err(StartError::Setting)?;
        }
        let keys::Prepared { encryptor, survey } =
            keys::prepare(&settings.encryption_keys, database_url, &store).await?;
        telemetry.record_unreadable_payloads(survey.unreadable());
        let snapshots = Snapshots::new(store.clone());
        telemetry.observe_facts_reads(snapshots.facts_reads());
        telemetry.observe_damaged_reads(damaged_reads);
        let stale_projects = snapshots.stale_projects();
        let authenticator = Authenticator::new(store.clone(), snapshots.clone(), clock.clone());
        let (stop, tasks) = <(CancellationToken, TaskTracker)>::default();
        let watches = Watches::new(settings.watch_heartbeat, authenticator.leases(), stop.clone());
        let ingest_settings = IngestSettings {
            usage_max_age: settings.usage_max_age,
            dedup_window: settings.event_dedup_window,
        };
        let policy = RatePolicy::new(settings.rate_limits);
        let services = Services::new(store.clone(), snapshots.clone(), clock, encryptor)
            .with_watches(watches)
            .with_ingest_settings(ingest_settings)
            .with_refresh_timeout(settings.refresh_timeout)
            .with_rate_limits(policy.clone(), rates(&settings));
        let addresses = AddressLimits::new(policy.clone(), settings.address_rate);
        let shedder = LoadShedder::new(settings.max_queue_delay);
        telemetry.observe_refusals(policy, {
            let shedder = shedder.clone();
            move || shedder.refused()
        });
        tokio::spawn(stop.clone().run_until_cancelled_owned(shedder.clone().run()));
        let bootstrapped = services.bootstrap(chosen(&settings)).await?;
        drop(setup);
        if let Err(error) = snapshots.warm().await {
            // What the first start made must still be shown; polling reads the rest.
            tracing::warn!(error = error.causes(), "not every project could be read yet");
        }
        follow(&store, &snapshots, &authenticator, &tasks, &stop);
        if let Some(wal) = store.sqlite_wal() {
            let size = telemetry.observe_wal();
            let watch = store.clone().watch_wal(wal, settings.wal_warning_bytes, size);
            tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        let event_writer = tokio::spawn(services.clone().write_events(telemetry.ingest()));
        services.mark_enriched_flags(settings.enrichment_interval, &tasks, &stop);
        services.sweep_ingested_events(&tasks, &stop);
        let (health, health_service) = health_reporter();
        let limits = grpc_limits(&settings);
        let bodies = body_limits(&settings);
        let calls = grpc::Calls::new(services.clone(), limits);
        let gate = grpc::Gate::new(bodies.clone(), limits);
        let routes = grpc::routes(services.clone(), limits, &health).await;
        let rest = rest::edge(services, rest_settings(&settings, bodies));
        let proxies = TrustedProxies::new(settings.trusted_proxies.clone());
        let edge = Edge::new(Parts {
            dispatch: Dispatch::new(
                authenticator,
                (addresses, shedder),
                rest,
                routes.add_service(health_service),
                (calls, gate),
            ),
            telemetry: telemetry.clone(),
            proxies: proxies.clone(),
        });
        let listener = starting::listen(socket, settings.listen, LISTEN)?;
        let address = local(&listener)?;
        let limits = connection_limits(&settings, proxies);
        let (stop_listening, connections) = (stop.clone(), tasks.clone());
        let listen =
            accept::Listen { tls, limits, timeouts, stop: stop_listening, tasks: connections };
        tasks.spawn(accept::run(listener, edge.clone(), listen));
        readiness.serve(store.reachability().clone(), stale_projects);
        Ok(Self {
            address,
            ops_address,
            bootstrapped,
            edge,
            store,
            health,
            readiness,
            stop,
            ops,
            tasks,
            event_writer: event_writer.abort_handle(),
            shutdown_delay: settings.shutdown_delay,
            grace: settings.shutdown_grace,
        })
    }

    /// Answers a request as if it had come over a connection of this machine.
    pub async fn answer(&self, request: Request) -> Response {
        self.edge.clone().answer(Ipv4Addr::LOCALHOST.into(), request).await
    }

    /// Stops: readiness and health turn first, and requests are served for the shutdown delay, so
    /// that balancers send them elsewhere; then no new connections are accepted, watchers are told,
    /// and what is in flight finishes within the grace period.
    pub async fn stop(self) {
        self.stop_now_if(std::future::pending()).await;
    }

    /// As [`Server::stop`]; `hurry` ends the shutdown delay.
    pub async fn stop_now_if(mut self, hurry: impl Future<Output = ()>) {
        self.readiness.drain();
        self.edge.drain();
        grpc::not_serving(&self.health).await;
        // Either way the delay is over.
        let _ = tokio::time::timeout(self.shutdown_delay, hurry).await;
        grpc::end_health_watches(&mut self.health).await;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "grace period is over, open work is cut off");
        }
        self.event_writer.abort();
        drop(self.ops);
        if tokio::time::timeout(LAST_WORDS, self.store.close()).await.is_err() {
            tracing::warn!("database connections did not close in time");
        }
    }
}

/// Serves probes and metrics until the guard is dropped.
fn serve_ops(
    listener: TcpListener,
    timeouts: Timeouts,
    readiness: &Readiness,
    telemetry: &Telemetry,
) -> Result<DropGuard, StartError> {
    let (stop, app) = (CancellationToken::new(), ops::router(readiness.clone(), telemetry.clone()));
    ops::serve(listener, app, timeouts, stop.clone())
        .map_err(|error| StartError::Setting(format!("{OPS_LISTEN}: {error}")))?;
    Ok(stop.drop_guard())
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Setting(error.to_string()))
}

fn chosen(settings: &ServeSettings) -> ChosenSecrets {
    ChosenSecrets {
        project_token: settings.bootstrap.project_token.clone(),
        project_secret: settings.bootstrap.project_secret.clone(),
        personal_api_key: settings.bootstrap.personal_api_key.clone(),
    }
}

fn grpc_limits(settings: &ServeSettings) -> grpc::Limits {
    grpc::Limits {
        message_bytes: settings.management_bytes(),
        ingestion_bytes: settings.ingestion_bytes(),
    }
}

fn rates(settings: &ServeSettings) -> Rates {
    Rates { evaluation: settings.evaluation_rate, ingestion: settings.ingestion_rate }
}

fn timeouts(settings: &ServeSettings) -> Timeouts {
    Timeouts {
        handshake: settings.handshake_timeout,
        idle: settings.idle_timeout,
        write: settings.write_timeout,
    }
}

fn connection_limits(settings: &ServeSettings, proxies: TrustedProxies) -> ConnectionLimits {
    let allowed = connections::max_connections();
    let max = settings.max_connections.unwrap_or(allowed);
    ConnectionLimits::new(max, settings.max_connections_per_address, proxies)
}

fn body_limits(settings: &ServeSettings) -> BodyLimits {
    BodyLimits::new(settings.body_memory_bytes, settings.body_timeout)
}

fn rest_settings(settings: &ServeSettings, bodies: BodyLimits) -> rest::Settings {
    rest::Settings {
        bodies,
        body_bytes: settings.management_bytes(),
        ingestion_bytes: settings.ingestion_bytes(),
        public_url: settings.public_url.clone(),
        scheme: if settings.tls_cert.is_some() { "https" } else { "http" },
    }
}
