//! Opens a database: which file or server, with what pools and time-outs.

use std::{path::PathBuf, str::FromStr, time::Duration};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr,
    sqlx::{
        self, ConnectOptions as _, Connection,
        postgres::PgConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use super::{Reachability, Store, sqlite_file, sqlite_file::OpenFile};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was used more lately than this is not asked whether it is there before it is
/// used again, which would double the way to the database and back.
const IDLE: Duration = Duration::from_secs(1);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const POSTGRES_CONNECTIONS: u32 = 20;
/// As many as one project's changes are read on at once, for two projects.
const FOLLOWING_CONNECTIONS: u32 = 6;
const SQLITE_READERS: u32 = 4;

/// What a command may do with a SQLite file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Make it, if the URL allows (`mode=rwc`): `serve` and `migrate up`.
    Create,
    /// Open what exists: every other command.
    Existing,
}

/// Why a database could not be opened. The text names the setting.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a URL of a database we know.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): `{0}` is not a sqlite:// or postgres:// URL{1}"
    )]
    Url(String, String),
    /// There is no such SQLite file, and this command makes none.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): there is no database at `{0}`; \
         `flagstaff migrate up` makes one"
    )]
    Missing(PathBuf),
    /// The database is there, its schema is not the newest.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): the database lacks schema changes; \
         `flagstaff migrate up` applies them"
    )]
    Schema,
    /// The server is not there, or not yet ready for connections. It may come by itself.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): cannot open the database at {address}: {why}"
    )]
    Absent {
        /// Host and port, or the folder of the socket.
        address: String,
        /// What the system or the server says.
        why: String,
    },
    /// The file or the server does not let us in.
    #[error("--database-url (FLAGSTAFF_DATABASE_URL): cannot open the database: {0}")]
    Unreachable(String),
}

impl Store {
    /// Opens the database at `url`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], each a sentence that names the setting. No password is repeated in it.
    pub async fn connect(url: &str, access: Access) -> Result<Self, ConnectError> {
        if url.starts_with("sqlite:") {
            return connect_sqlite(url, access).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return connect_postgres(url).await;
        }
        Err(ConnectError::Url(without_password(url), String::new()))
    }

    fn of(
        write: DatabaseConnection,
        read: DatabaseConnection,
        [watch, follow]: [DatabaseConnection; 2],
        url: &str,
    ) -> Self {
        // An embedded database has its file by now.
        let reachable = Reachability::of(Self::sqlite_file(url).and_then(OpenFile::at));
        Self { write, read, watch, follow, url: url.to_owned(), reachable }
    }

    /// The file of an embedded database; `None` for a server or memory.
    #[must_use]
    pub fn sqlite_file(url: &str) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(url).ok()?;
        let file = options.get_filename().to_path_buf();
        (url.starts_with("sqlite:") && !in_memory(url)).then_some(file)
    }
}

async fn connect_sqlite(url: &str, access: Access) -> Result<Store, ConnectError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| ConnectError::Url(url.to_owned(), format!(" ({error})")))?;
    let file = options.get_filename().to_path_buf();
    if access == Access::Existing && !in_memory(url) && !file.exists() {
        return Err(ConnectError::Missing(file));
    }
    let is_created = access == Access::Create && url.contains("mode=rwc");
    if is_created && !in_memory(url) {
        sqlite_file::create_private(&file);
    }
    let write = open(sqlite_options(url, 1)).await?;
    // An in-memory database lives in its one connection.
    let read = if in_memory(url) {
        write.clone()
    } else {
        open(sqlite_options(url, SQLITE_READERS)).await?
    };
    if !in_memory(url) {
        sqlite_file::warn_if_wide(&file);
    }
    Ok(Store::of(write, read.clone(), [read.clone(), read], url))
}

fn in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = options(url, connections);
    if in_memory(url) {
        // The data would go with its connection.
        options.max_lifetime(None).idle_timeout(None);
    }
    options.map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives a power cut, not only a crash.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
    });
    options
}

async fn connect_postgres(url: &str) -> Result<Store, ConnectError> {
    refused_at_once(url).await?;
    let pool = |name: &'static str, connections| {
        let mut options = options(url, connections);
        options.statement_timeout(STATEMENT_TIMEOUT).set_application_name(name);
        open(options)
    };
    let write = pool("flagstaff", POSTGRES_CONNECTIONS).await?;
    let watch = pool("flagstaff watch", 1).await?;
    let follow = pool("flagstaff follow", FOLLOWING_CONNECTIONS).await?;
    Ok(Store::of(write.clone(), write, [watch, follow], url))
}

/// One plain connection first: a pool would try again until its time-out, and then name that
/// rather than the cause.
async fn refused_at_once(url: &str) -> Result<(), ConnectError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| ConnectError::Url(without_password(url), format!(" ({error})")))?;
    let absent = |why: String| ConnectError::Absent { address: address(&options), why };
    let refused = |error: sqlx::Error| match error {
        sqlx::Error::Database(error) if !is_starting(error.code().as_deref()) => {
            ConnectError::Unreachable(error.message().to_owned())
        }
        sqlx::Error::Database(error) => absent(error.message().to_owned()),
        sqlx::Error::Io(error) => absent(error.to_string()),
        error => ConnectError::Unreachable(error.to_string()),
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await.map_err(refused),
        Ok(Err(error)) => Err(refused(error)),
        Err(_) => Err(absent("it did not answer in time".into())),
    }
}

/// Whether PostgreSQL refuses connections only for the moment: it starts, stops or recovers, or
/// all of its connections are taken.
fn is_starting(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("57P") || code == "53300")
}

/// Where the server is looked for.
fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire_if_idle_for(IDLE)
        .sqlx_logging(false);
    options
}

async fn open(options: ConnectOptions) -> Result<DatabaseConnection, ConnectError> {
    let opened =
        tokio::time::timeout(ACQUIRE_TIMEOUT + Duration::from_secs(1), Database::connect(options));
    match opened.await {
        Ok(connection) => connection.map_err(|error| ConnectError::Unreachable(reason(&error))),
        Err(_) => Err(ConnectError::Unreachable("it did not answer in time".into())),
    }
}

/// The innermost cause, which is what the operator can act on.
fn reason(error: &DbErr) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A URL with the password, if any, left out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_repeated() {
        assert_eq!(without_password("mysql://ann:secret@db/x"), "mysql://ann:***@db/x");
        assert_eq!(without_password("nonsense"), "nonsense");
    }

    #[test]
    fn the_file_of_an_embedded_database_is_known() {
        let file = Store::sqlite_file("sqlite://a/b.db?mode=rwc");
        assert_eq!(file.as_deref(), Some(std::path::Path::new("a/b.db")));
        assert_eq!(Store::sqlite_file("postgres://db/flagstaff"), None);
        assert_eq!(Store::sqlite_file("sqlite::memory:"), None);
    }

    #[tokio::test]
    async fn an_unknown_kind_of_database_is_named() {
        let error = Store::connect("mysql://db/x", Access::Create).await.unwrap_err();
        assert!(error.to_string().contains("--database-url"), "{error}");
        assert!(error.to_string().contains("mysql://db/x"), "{error}");
    }
}
