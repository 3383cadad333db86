//! Logs, traces and metrics: how they start and stop, and every instrument in
//! one list. Tokens, distinct ids and property values are never recorded.

mod answered;
mod grpc_status;
mod ingest;
mod request;
mod request_id;

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Gauge, MeterProvider},
    trace::TracerProvider,
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource, metrics::SdkMeterProvider, propagation::TraceContextPropagator,
    trace::SdkTracerProvider,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use answered::Answered;
pub use ingest::IngestMetrics;

use crate::{
    config::{LogFormat, LogSettings},
    limits::RatePolicy,
};

const SERVICE: &str = "flagstaff";

/// Why telemetry could not start. The text names the setting.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("--log (FLAGSTAFF_LOG): `{0}` is not a log filter: {1}")]
    Filter(String, String),
    /// Traces cannot be sent there.
    #[error("--otlp-endpoint (FLAGSTAFF_OTLP_ENDPOINT): cannot send traces to `{0}`: {1}")]
    Endpoint(String, String),
    /// An instrument could not be made.
    #[error("metrics cannot be kept: {0}")]
    Metrics(String),
}

/// Everything that measures.
#[derive(Clone, Debug)]
pub struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
    answered: Answered,
    stale: Gauge<u64>,
    staleness: Gauge<f64>,
    writable: Gauge<u64>,
    unreadable_payloads: Gauge<u64>,
    stale_projects: Gauge<u64>,
    ingest: IngestMetrics,
}

impl Telemetry {
    /// Starts logging and, where an endpoint is given, tracing, for the whole process.
    ///
    /// # Errors
    ///
    /// [`TelemetryError`], naming the setting.
    pub fn start(log: &LogSettings, otlp_endpoint: Option<&str>) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&log.log)
            .map_err(|error| TelemetryError::Filter(log.log.clone(), error.to_string()))?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let lines = match log.log_format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let tracers = otlp_endpoint.map(tracers).transpose()?;
        let spans = tracers
            .as_ref()
            .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)));
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        // A second start in one process, as tests do, keeps the first one's logs.
        let _ = tracing_subscriber::registry().with(filter).with(lines).with(spans).try_init();
        Self::measuring(tracers)
    }

    /// Measures, and leaves logs and traces to whoever runs the process.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Metrics`].
    pub fn quiet() -> Result<Self, TelemetryError> {
        Self::measuring(None)
    }

    fn measuring(tracers: Option<SdkTracerProvider>) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
        let exporter = exporter.map_err(|error| TelemetryError::Metrics(error.to_string()))?;
        let meters =
            SdkMeterProvider::builder().with_reader(exporter).with_resource(resource()).build();
        let meter = meters.meter(SERVICE);
        Ok(Self {
            answered: Answered::new(&registry)?,
            stale: meter
                .u64_gauge("flagstaff.stale")
                .with_description(
                    "1 while the database is unreachable and answers come from memory",
                )
                .build(),
            staleness: meter
                .f64_gauge("flagstaff.staleness")
                .with_unit("s")
                .with_description("Time since the database last answered")
                .build(),
            writable: meter
                .u64_gauge("flagstaff.writable")
                .with_description("0 while the database cannot be written")
                .build(),
            unreadable_payloads: meter
                .u64_gauge("flagstaff.encrypted_payloads.unreadable")
                .with_description("Stored encrypted payloads that no key decrypts, found at start")
                .build(),
            stale_projects: meter
                .u64_gauge("flagstaff.stale_projects")
                .with_description("Projects whose last refresh from the database failed")
                .build(),
            ingest: IngestMetrics::new(&meter),
            registry,
            meters,
            tracers,
        })
    }

    /// Notes whether answers come from memory alone, and when the database last answered.
    pub(crate) fn record_stale(&self, stale: bool, staleness: Duration) {
        self.stale.record(u64::from(stale), &[]);
        self.staleness.record(staleness.as_secs_f64(), &[]);
    }

    /// Notes whether the database can be written.
    pub(crate) fn record_writable(&self, writable: bool) {
        self.writable.record(u64::from(writable), &[]);
    }

    /// Records how many stored encrypted payloads no key decrypts, as found at start.
    pub(crate) fn record_unreadable_payloads(&self, payloads: u64) {
        self.unreadable_payloads.record(payloads, &[]);
    }

    /// Notes how many projects could not be refreshed.
    pub(crate) fn record_stale_projects(&self, count: usize) {
        self.stale_projects.record(count as u64, &[]);
    }

    /// Reports how often damaged values were read from the database, by table and column.
    pub(crate) fn observe_damaged_reads(&self, reads: fn() -> Vec<(&'static str, u64)>) {
        // Registered with the meters, and kept by them.
        let _ = self
            .meters
            .meter(SERVICE)
            .u64_observable_counter("flagstaff.damaged.reads")
            .with_description("Reads of stored values that are damaged, by table and column")
            .with_callback(move |counter| {
                for (column, count) in reads() {
                    counter.observe(count, &[KeyValue::new("column", column)]);
                }
            })
            .build();
    }

    /// Tells how many queries for stored facts were begun, whenever it is asked.
    pub(crate) fn observe_facts_reads(&self, reads: Arc<AtomicU64>) {
        // Registered with the meters, and kept by them.
        let _ = self
            .meters
            .meter(SERVICE)
            .u64_observable_counter("flagstaff.facts.reads")
            .with_description("Queries for what is stored of people and groups")
            .with_callback(move |counter| counter.observe(reads.load(Ordering::Relaxed), &[]))
            .build();
    }

    /// Returns where the size of the write-ahead log is to be kept, which is measured from now on.
    pub(crate) fn observe_wal(&self) -> Arc<AtomicU64> {
        let bytes = Arc::new(AtomicU64::default());
        let observed = Arc::clone(&bytes);
        // Registered with the meters, and kept by them.
        let _ = self
            .meters
            .meter(SERVICE)
            .u64_observable_gauge("flagstaff.sqlite.wal")
            .with_unit("By")
            .with_description("The size of the write-ahead log of a SQLite database")
            .with_callback(move |gauge| gauge.observe(observed.load(Ordering::Relaxed), &[]))
            .build();
        bytes
    }

    /// Tells how often limits on rates were exceeded and how many requests were shed, whenever it
    /// is asked.
    pub(crate) fn observe_refusals(
        &self,
        policy: RatePolicy,
        shed: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let meter = self.meters.meter(SERVICE);
        // Registered with the meters, and kept by them.
        let _ = meter
            .u64_observable_counter("flagstaff.rate_limits.exceeded")
            .with_description("Calls beyond a limit on rates, by limit")
            .with_callback(move |counter| {
                for (limit, count) in policy.counts() {
                    counter.observe(count, &[KeyValue::new("limit", limit)]);
                }
            })
            .build();
        let _ = meter
            .u64_observable_counter("flagstaff.requests.shed")
            .with_description("Requests refused because the service could not keep up")
            .with_callback(move |counter| counter.observe(shed(), &[]))
            .build();
    }

    /// The instruments of ingestion.
    pub(crate) fn ingest(&self) -> IngestMetrics {
        self.ingest.clone()
    }

    /// All metrics in Prometheus' text form.
    pub(crate) fn metrics_text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sends what is still held back.
    pub fn stop(&self) {
        if let Some(Err(error)) = self.tracers.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "some traces were not sent");
        }
        if let Err(error) = self.meters.shutdown() {
            tracing::debug!(%error, "meters did not stop cleanly");
        }
    }
}

fn tracers(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Endpoint(endpoint.to_owned(), error.to_string()))?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name(SERVICE).with_attribute(version).build()
}
