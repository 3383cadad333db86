//! Every setting of the service: its type, unit, default and variable. Settings
//! are read once, here; a bad one is named in the refusal.

pub(crate) mod values;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use values::{address, at_least_one, connections, interval, network, public_url, time_limit};

use crate::{
    auth::{Secret, TokenKind},
    store::PoolSettings,
};

const INGESTION_BYTES: usize = 20 * 1024 * 1024;
const MANAGEMENT_BYTES: usize = 1024 * 1024;
const WAL_WARNING_BYTES: u64 = 64 * 1024 * 1024;

/// The variable that chooses the public token of the first project.
pub const BOOTSTRAP_PROJECT_TOKEN: &str = "FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN";
/// The variable that chooses the secret of the first project.
pub const BOOTSTRAP_PROJECT_SECRET: &str = "FLAGSTAFF_BOOTSTRAP_PROJECT_SECRET";
/// The variable that chooses the admin's personal key.
pub const BOOTSTRAP_PERSONAL_API_KEY: &str = "FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY";
const BODY_MEMORY_BYTES: usize = 384 * 1024 * 1024;

/// Where the data is; every command takes it.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// The database: `sqlite://FILE?mode=rwc` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(
        long,
        env = "FLAGSTAFF_DATABASE_URL",
        default_value = "sqlite://flagstaff.db?mode=rwc",
        global = true,
        hide_env_values = true
    )]
    pub database_url: String,
}

/// How many connections a replica opens to PostgreSQL, and how long it waits for its database.
#[derive(Args, Clone, Debug)]
pub struct DatabasePoolSettings {
    /// PostgreSQL: connections for changes and ingestion
    #[arg(long, env = "FLAGSTAFF_DATABASE_WRITE_CONNECTIONS", default_value = "10", value_parser = connections)]
    pub database_write_connections: u32,
    /// PostgreSQL: connections for lists and other reads of the API
    #[arg(long, env = "FLAGSTAFF_DATABASE_READ_CONNECTIONS", default_value = "5", value_parser = connections)]
    pub database_read_connections: u32,
    /// PostgreSQL: connections for keys and for what evaluation reads of people and groups
    #[arg(long, env = "FLAGSTAFF_DATABASE_FACTS_CONNECTIONS", default_value = "5", value_parser = connections)]
    pub database_facts_connections: u32,
    /// PostgreSQL: connections for reading what changed. A replica opens two more than these four
    /// together: one hears of changes, one asks whether the database is there
    #[arg(long, env = "FLAGSTAFF_DATABASE_FOLLOW_CONNECTIONS", default_value = "6", value_parser = connections)]
    pub database_follow_connections: u32,
    /// How long a connection to the database, the start of a transaction or another short answer
    /// is waited for
    #[arg(long, env = "FLAGSTAFF_DATABASE_TIMEOUT", default_value = "5s", value_parser = time_limit)]
    pub database_timeout: Duration,
    /// How long any other statement may take, and a commit; the turn to change a project is waited
    /// for twice as long
    #[arg(long, env = "FLAGSTAFF_DATABASE_STATEMENT_TIMEOUT", default_value = "15s", value_parser = time_limit)]
    pub database_statement_timeout: Duration,
    /// How long a row is waited for that another transaction holds
    #[arg(long, env = "FLAGSTAFF_DATABASE_LOCK_TIMEOUT", default_value = "5s", value_parser = time_limit)]
    pub database_lock_timeout: Duration,
    /// How many changes to one project may wait for their turn; further ones are refused at once
    #[arg(long, env = "FLAGSTAFF_PROJECT_WRITE_QUEUE", default_value_t = 500)]
    pub project_write_queue: usize,
}

impl DatabasePoolSettings {
    /// The same, as the store takes them.
    #[must_use]
    pub fn pools(&self) -> PoolSettings {
        PoolSettings {
            write_connections: self.database_write_connections,
            read_connections: self.database_read_connections,
            facts_connections: self.database_facts_connections,
            follow_connections: self.database_follow_connections,
            timeout: self.database_timeout,
            statement_timeout: self.database_statement_timeout,
            lock_timeout: self.database_lock_timeout,
            // A semaphore has no more places.
            project_queue: self.project_write_queue.min(100_000),
        }
    }
}

/// How logs are written; every command takes it.
#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// What is logged, such as `info` or `flagstaff=debug,warn`
    #[arg(
        long,
        env = "FLAGSTAFF_LOG",
        default_value = "info,sea_orm_migration=warn,sqlx=warn",
        global = true
    )]
    pub log: String,
    /// How it is written
    #[arg(long, env = "FLAGSTAFF_LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What limits on rates do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateLimitMode {
    /// Calls beyond a limit are refused.
    On,
    /// There are no limits.
    Off,
    /// Calls beyond a limit are counted, and answered.
    Count,
}

/// What `serve` is told.
#[derive(Args, Clone, Debug)]
pub struct ServeSettings {
    /// Where gRPC and REST are served
    #[arg(long, env = "FLAGSTAFF_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are served
    #[arg(long, env = "FLAGSTAFF_OPS_LISTEN", default_value = "127.0.0.1:9090", value_parser = address)]
    pub ops_listen: SocketAddr,
    /// Where clients reach the service, for links in lists [default: the request's Host]
    #[arg(long, env = "FLAGSTAFF_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// Fernet keys for encrypted payloads, newest first; with SQLite, one is made beside the
    /// database where none is given
    #[arg(long, env = "FLAGSTAFF_ENCRYPTION_KEYS", value_delimiter = ',', hide_env_values = true)]
    pub encryption_keys: Vec<EncryptionKey>,
    /// Whether limits on rates are enforced, by each replica for itself; `count` only counts how
    /// often they are exceeded
    #[arg(long, env = "FLAGSTAFF_RATE_LIMITS", default_value = "on")]
    pub rate_limits: RateLimitMode,
    /// Evaluations a second and token, each subject of a batch counted; 0 is no limit
    #[arg(long, env = "FLAGSTAFF_EVALUATION_RATE", default_value_t = 0)]
    pub evaluation_rate: u32,
    /// Events a second and token; 0 is no limit
    #[arg(long, env = "FLAGSTAFF_INGESTION_RATE", default_value_t = 0)]
    pub ingestion_rate: u32,
    /// Requests a second and address; 0 is no limit
    #[arg(long, env = "FLAGSTAFF_ADDRESS_RATE", default_value_t = 0)]
    pub address_rate: u32,
    /// How long requests may wait for a processor before some are refused with 503; 0 refuses none
    #[arg(long, env = "FLAGSTAFF_MAX_QUEUE_DELAY", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub max_queue_delay: Duration,
    /// Networks (CIDR) of proxies whose `X-Forwarded-*` headers tell the client's address (for
    /// traces) and how it reached the service (for links in lists)
    #[arg(long, env = "FLAGSTAFF_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// The largest request body in bytes [default: 20 MiB for ingestion, `BatchEvaluateFlags` and
    /// the members of cohorts, 1 MiB elsewhere]
    #[arg(long, env = "FLAGSTAFF_MAX_BODY_BYTES")]
    pub max_body_bytes: Option<usize>,
    /// The memory in bytes that all request bodies in flight may take, as sent, unpacked and
    /// parsed together; one request may take half of it
    #[arg(long, env = "FLAGSTAFF_BODY_MEMORY_BYTES", default_value_t = BODY_MEMORY_BYTES)]
    pub body_memory_bytes: usize,
    /// The most connections at a time [default: what the limit on file descriptors allows]
    #[arg(long, env = "FLAGSTAFF_MAX_CONNECTIONS", value_parser = at_least_one)]
    pub max_connections: Option<usize>,
    /// The most connections of one address at a time; 0 is no limit. Proxies that are trusted have
    /// none
    #[arg(long, env = "FLAGSTAFF_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 0)]
    pub max_connections_per_address: usize,
    /// How long a new connection may take for its TLS handshake, and then until its first request
    #[arg(long, env = "FLAGSTAFF_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = humantime::parse_duration)]
    pub handshake_timeout: Duration,
    /// How long nothing may happen on a connection of HTTP/1.1 between requests or within one
    #[arg(long, env = "FLAGSTAFF_IDLE_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub idle_timeout: Duration,
    /// How long a reader on HTTP/2 may take nothing of an answer that waits for it
    #[arg(long, env = "FLAGSTAFF_WRITE_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub write_timeout: Duration,
    /// How long a request body may take to arrive; of a stream, its next message
    #[arg(long, env = "FLAGSTAFF_BODY_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub body_timeout: Duration,
    /// How often usage is searched for views and interactions that other replicas ingested
    #[arg(long, env = "FLAGSTAFF_ENRICHMENT_INTERVAL", default_value = "30s", value_parser = interval)]
    pub enrichment_interval: Duration,
    /// The use of a flag that happened longer ago is accepted, and not counted
    #[arg(long, env = "FLAGSTAFF_USAGE_MAX_AGE", default_value = "90d", value_parser = humantime::parse_duration)]
    pub usage_max_age: Duration,
    /// How long the ids of events are remembered, so that one that is sent again counts once
    #[arg(long, env = "FLAGSTAFF_EVENT_DEDUP_WINDOW", default_value = "30d", value_parser = humantime::parse_duration)]
    pub event_dedup_window: Duration,
    /// How often those who watch flags hear from the service when nothing changes
    #[arg(long, env = "FLAGSTAFF_WATCH_HEARTBEAT", default_value = "15s", value_parser = interval)]
    pub watch_heartbeat: Duration,
    /// How long the answer to a write waits, after its commit, until this replica serves the change
    #[arg(long, env = "FLAGSTAFF_REFRESH_TIMEOUT", default_value = "5s", value_parser = humantime::parse_duration)]
    pub refresh_timeout: Duration,
    /// How long requests are still served after SIGTERM, while `/readyz` and gRPC health say no:
    /// longer than balancers take to notice
    #[arg(long, env = "FLAGSTAFF_SHUTDOWN_DELAY", default_value = "0s", value_parser = humantime::parse_duration)]
    pub shutdown_delay: Duration,
    /// How long requests may take to finish after SIGTERM and the shutdown delay
    #[arg(long, env = "FLAGSTAFF_SHUTDOWN_GRACE", default_value = "30s", value_parser = humantime::parse_duration)]
    pub shutdown_grace: Duration,
    /// How long the database may be unreachable before `/readyz` says no; 0 is for ever
    #[arg(long, env = "FLAGSTAFF_MAX_STALENESS", default_value = "0s", value_parser = humantime::parse_duration)]
    pub max_staleness: Duration,
    /// How long a start waits for a PostgreSQL server that does not answer
    #[arg(long, env = "FLAGSTAFF_DATABASE_WAIT", default_value = "0s", value_parser = humantime::parse_duration)]
    pub database_wait: Duration,
    /// From which size on the write-ahead log of a SQLite database is warned about, in bytes
    #[arg(long, env = "FLAGSTAFF_WAL_WARNING_BYTES", default_value_t = WAL_WARNING_BYTES)]
    pub wal_warning_bytes: u64,
    /// Certificate chain (PEM); with it the port speaks TLS
    #[arg(long, env = "FLAGSTAFF_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, env = "FLAGSTAFF_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Authorities (PEM) whose client certificates are demanded
    #[arg(long, env = "FLAGSTAFF_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Where traces go, such as `http://collector:4317`
    #[arg(long, env = "FLAGSTAFF_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Pools of connections and time limits.
    #[command(flatten)]
    pub pools: DatabasePoolSettings,
    /// Do not apply pending schema changes at start
    #[arg(long, env = "FLAGSTAFF_NO_MIGRATE")]
    pub no_migrate: bool,
    /// Secrets of the first start; from the environment alone.
    #[arg(skip)]
    pub bootstrap: BootstrapSettings,
}

/// Credentials chosen for the first start, from the environment alone: an argument would
/// show in the process list.
#[derive(Clone, Debug, Default)]
pub struct BootstrapSettings {
    /// The public token of the first project.
    pub project_token: Option<Secret>,
    /// The secret of the first project.
    pub project_secret: Option<Secret>,
    /// The admin's personal key.
    pub personal_api_key: Option<Secret>,
}

impl BootstrapSettings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Names the variable and what is wrong with it, never its value.
    pub fn from_env() -> Result<Self, String> {
        Ok(Self {
            project_token: chosen(BOOTSTRAP_PROJECT_TOKEN, TokenKind::Project)?,
            project_secret: chosen(BOOTSTRAP_PROJECT_SECRET, TokenKind::ProjectSecret)?,
            personal_api_key: chosen(BOOTSTRAP_PERSONAL_API_KEY, TokenKind::Personal)?,
        })
    }
}

impl BootstrapSettings {
    /// Checks that the chosen secrets are long enough for a first start. A database that has a
    /// project ignores them, so there shorter ones, chosen before, do no harm.
    ///
    /// # Errors
    ///
    /// Names the variable and what is wrong with it, never its value.
    pub fn check_strength(&self) -> Result<(), String> {
        let check = |variable: &str, secret: &Option<Secret>| match secret {
            Some(secret) => secret.check_strength().map_err(|why| format!("{variable}: {why}")),
            None => Ok(()),
        };
        check(BOOTSTRAP_PROJECT_TOKEN, &self.project_token)?;
        check(BOOTSTRAP_PROJECT_SECRET, &self.project_secret)?;
        check(BOOTSTRAP_PERSONAL_API_KEY, &self.personal_api_key)
    }
}

fn chosen(variable: &str, kind: TokenKind) -> Result<Option<Secret>, String> {
    #[expect(clippy::disallowed_methods, reason = "settings are read here")]
    let value = std::env::var(variable);
    match value {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => {
            Secret::chosen(kind, &text).map(Some).map_err(|why| format!("{variable}: {why}"))
        }
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{variable}: is not text")),
    }
}

impl ServeSettings {
    /// The largest body of ingestion, in bytes.
    #[must_use]
    pub fn ingestion_bytes(&self) -> usize {
        self.max_body_bytes.unwrap_or(INGESTION_BYTES)
    }

    /// The largest body of everything else, in bytes.
    #[must_use]
    pub fn management_bytes(&self) -> usize {
        self.max_body_bytes.unwrap_or(MANAGEMENT_BYTES)
    }
}

/// A valid Fernet key. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey(String);

impl std::str::FromStr for EncryptionKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match fernet::Fernet::new(text.trim()) {
            Some(_) => Ok(Self(text.trim().to_owned())),
            None => Err("not a Fernet key (32 bytes in url-safe base64)".into()),
        }
    }
}

impl EncryptionKey {
    /// A new one, from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(fernet::Fernet::generate_key())
    }

    /// The key itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptionKey(***)")
    }
}
