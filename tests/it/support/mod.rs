//! What the tests stand on: a running [`Service`] with its own database, the built command
//! line, and waiting for conditions instead of for time.

pub(crate) mod cli;
pub(crate) mod directory;
pub(crate) mod edges;
pub(crate) mod events;
pub(crate) mod grpc;
pub(crate) mod http2;
pub(crate) mod operations;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod rest;
pub(crate) mod rows;
pub(crate) mod target;
pub(crate) mod tried;
pub(crate) mod usage;
pub(crate) mod varied;
pub(crate) mod watch;

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use flagstaff::{
    clock::Clock,
    config::ServeSettings,
    server::Server,
    store::{Access, Store},
    telemetry::Telemetry,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use cli::Flagstaff;

/// The flags of the first project.
pub(crate) const FLAGS: &str = "/api/projects/1/feature_flags/";

/// What services on PostgreSQL encrypt payloads with; those on SQLite make a key of their own.
pub(crate) const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Returns how many of something a test uses: `full` in the long run (`.ci/long`), else `short`.
pub(crate) fn size(short: usize, full: usize) -> usize {
    match postgres::setting("FLAGSTAFF_LONG_TESTS").is_some_and(|value| value == "1") {
        true => full,
        false => short,
    }
}

/// Makes each named test two: one on SQLite, one on PostgreSQL where there is one.
///
/// A test is an `async fn` that is given a running [`Service`] on a database of its own.
macro_rules! both_databases {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::support::Service;

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let service = Service::on_sqlite().await;
                super::$name(&service).await;
                service.stop().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let Some(service) = Service::on_postgres().await else { return };
                super::$name(&service).await;
                service.stop().await;
            }
        }
    )+};
}

/// What keeps the database there for as long as a service runs on it.
#[derive(Debug)]
#[expect(dead_code, reason = "held to be dropped")]
enum Home {
    Folder(TempDir),
    Database(postgres::Database),
    /// Somebody else's, who lives longer.
    Elsewhere,
}

/// A service in this process, freshly bootstrapped.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) database_url: String,
    /// The public token of project 1, `phc_…`.
    pub(crate) token: String,
    /// The secret of project 1, `phs_…`.
    pub(crate) secret: String,
    /// A personal key of scope `*` for all projects, `phx_…`.
    pub(crate) key: String,
    http: reqwest::Client,
    channel: Channel,
    server: Server,
    _home: Home,
}

impl Service {
    pub(crate) async fn on_sqlite() -> Self {
        Self::on_sqlite_with(&[]).await
    }

    /// A service on this file, which is made.
    pub(crate) async fn on_file(file: std::path::PathBuf) -> Self {
        let url = format!("sqlite://{}?mode=rwc", file.display());
        Self::start(url, Home::Elsewhere, &[]).await
    }

    /// As [`Self::on_sqlite`], with these settings.
    pub(crate) async fn on_sqlite_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder, "flagstaff.db");
        Self::start(url, Home::Folder(folder), arguments).await
    }

    /// `None` where there is no PostgreSQL.
    pub(crate) async fn on_postgres() -> Option<Self> {
        Self::on_postgres_with(&["--encryption-keys", ENCRYPTION_KEY]).await
    }

    /// As [`Self::on_postgres`], with these settings and no key to encrypt with.
    pub(crate) async fn on_postgres_with(arguments: &[&str]) -> Option<Self> {
        let database = migrated_postgres().await?;
        let url = database.url.clone();
        Some(Self::start(url, Home::Database(database), arguments).await)
    }

    /// A service on a PostgreSQL of its own, which can be stopped; `None` where there is none.
    pub(crate) async fn on_own_postgres() -> Option<(Self, postgres::Instance)> {
        Self::on_own_postgres_with(&[]).await
    }

    /// A service on PostgreSQL by way of a proxy, with these settings; `None` where there is none.
    pub(crate) async fn behind_proxy(arguments: &[&str]) -> Option<(Self, proxy::Proxy)> {
        let database = migrated_postgres().await?;
        let proxy = proxy::Proxy::to(&database.url).await;
        let (direct, proxied) = (database.url.clone(), proxy.url(&database.url));
        let mut service = Self::start(proxied, Home::Database(database), arguments).await;
        // What the test itself looks up is not in the way.
        service.database_url = direct;
        Some((service, proxy))
    }

    /// As [`Self::on_own_postgres`], with these settings.
    pub(crate) async fn on_own_postgres_with(
        arguments: &[&str],
    ) -> Option<(Self, postgres::Instance)> {
        let instance = postgres::own_instance().await?;
        migrate(instance.url()).await;
        let url = instance.url().to_owned();
        Some((Self::start(url, Home::Elsewhere, arguments).await, instance))
    }

    async fn start(database_url: String, home: Home, arguments: &[&str]) -> Self {
        let server = server(&database_url, arguments).await;
        let made = server.bootstrapped.as_ref().expect("the database was empty");
        let token = made.project_token.reveal().to_owned();
        let secret = made.project_secret.reveal().to_owned();
        let key = made.personal_api_key.reveal().to_owned();
        Self::of(server, database_url, home, [token, secret, key])
    }

    /// Another service on the same database, to be stopped before this one.
    pub(crate) async fn replica(&self) -> Self {
        // Beside an embedded database there is a key file.
        let keys: &[&str] = match self.is_on_postgres() {
            true => &["--encryption-keys", ENCRYPTION_KEY],
            false => &[],
        };
        let server = server(&self.database_url, keys).await;
        let secrets = [self.token.clone(), self.secret.clone(), self.key.clone()];
        Self::of(server, self.database_url.clone(), Home::Elsewhere, secrets)
    }

    /// As [`Self::replica`], with this clock.
    pub(crate) async fn replica_at(&self, clock: Clock) -> Self {
        let telemetry = Telemetry::quiet().unwrap();
        let server = Server::start_at(clock, settings(&[]), &self.database_url, &telemetry).await;
        let secrets = [self.token.clone(), self.secret.clone(), self.key.clone()];
        Self::of(server.unwrap(), self.database_url.clone(), Home::Elsewhere, secrets)
    }

    fn of(server: Server, database_url: String, home: Home, secrets: [String; 3]) -> Self {
        let [token, secret, key] = secrets;
        let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        Self {
            address: server.address,
            database_url,
            token,
            secret,
            key,
            http: http_client().build().unwrap(),
            channel: channel.connect_lazy(),
            server,
            _home: home,
        }
    }

    /// What is measured, as Prometheus reads it.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.server.ops_address);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Where probes and metrics are served.
    pub(crate) fn ops_address(&self) -> SocketAddr {
        self.server.ops_address
    }

    pub(crate) async fn stop(self) {
        drop((self.http, self.channel));
        self.server.stop().await;
    }

    /// The status and the body of `/readyz`.
    pub(crate) async fn readiness(&self) -> (u16, serde_json::Value) {
        let path = format!("http://{}/readyz", self.server.ops_address);
        let answer = self.call(http::Method::GET, &path, None, None).await;
        (answer.status, answer.json())
    }

    /// A gauge of `/metrics`; 0 before it was first set.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
    }

    /// Whether the service says that it answers from memory alone.
    pub(crate) async fn is_stale(&self) -> bool {
        let path = format!("http://{}/readyz", self.server.ops_address);
        self.call(http::Method::GET, &path, None, None).await.json()["stale"] == true
    }

    /// A counter of `/metrics`; 0 before it first counted.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let path = format!("http://{}/metrics", self.server.ops_address);
        let text = self.call(http::Method::GET, &path, None, None).await.text;
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
    }

    /// The command line on this service's database.
    pub(crate) fn flagstaff(&self, arguments: &[&str]) -> Flagstaff {
        Flagstaff::new(arguments).env("FLAGSTAFF_DATABASE_URL", &self.database_url)
    }

    /// A key made by the command line, such as `--project 1 --scopes feature_flag:read`.
    pub(crate) fn new_key(&self, arguments: &str) -> String {
        let words: Vec<_> = arguments.split_whitespace().collect();
        self.flagstaff(&[&["keys", "create"], &words[..]].concat()).run().last_line()
    }

    /// A further project made by the command line: its id and its public token.
    pub(crate) fn new_project(&self, name: &str) -> (i64, String) {
        let said = self.flagstaff(&["projects", "create", "--name", name]).run().last_line();
        let project: serde_json::Value = serde_json::from_str(&said).unwrap();
        (project["id"].as_i64().unwrap(), project["api_token"].as_str().unwrap().to_owned())
    }
}

/// A client over HTTP, to be finished. It could speak TLS, and is not built without knowing how.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    // The first test of the process installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// The settings of `serve`, read as the command line reads them.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    serve: ServeSettings,
}

async fn server(database_url: &str, arguments: &[&str]) -> Server {
    let telemetry = Telemetry::quiet().unwrap();
    Server::start(settings(arguments), database_url, &telemetry).await.unwrap()
}

/// Settings of a service on free ports.
fn settings(arguments: &[&str]) -> ServeSettings {
    let ports = ["flagstaff", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    Arguments::parse_from([&ports[..], arguments].concat()).serve
}

/// A database of the newest schema, without a project; `None` where there is no PostgreSQL.
pub(crate) async fn migrated_postgres() -> Option<postgres::Database> {
    postgres::migrated_database(migrate).await
}

/// The one way in which databases are prepared, so that one template serves every test.
async fn migrate(database_url: &str) {
    let store = Store::connect(database_url, Access::Create).await.unwrap();
    store.migrate_up().await.unwrap();
    store.close().await;
}

pub(crate) fn sqlite_url(folder: &TempDir, file: &str) -> String {
    format!("sqlite://{}?mode=rwc", folder.path().join(file).display())
}

/// The time by the system's clock, which the service under test goes by as well.
#[expect(
    clippy::disallowed_methods,
    reason = "a service that is started as by users has no other clock"
)]
pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// Looks until there is something to see.
///
/// # Panics
///
/// If there is not in time.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let looking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        loop {
            looks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    let seen = tokio::time::timeout(within, looking).await;
    seen.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}
