//! Opens a database: which file or server, with what pools and time-outs.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use sea_orm::sqlx::{
    self, ConnectOptions as _, Connection,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Reachability, Store,
    pool::{Pool, Probe, Trust},
    settings::PoolSettings,
    sqlite_file,
    sqlite_file::OpenFile,
    write_queue::WriteQueue,
};

/// Readers of a database file that lists and other reads share, and those of evaluation and keys.
const SQLITE_READERS: u32 = 4;
const SQLITE_FACTS_READERS: u32 = 2;

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
    /// There is no such SQLite file, and the URL does not say that one may be made.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): unable to open database file `{}`: there is none; \
         `sqlite://{}?mode=rwc` makes one", .0.display(), .0.display()
    )]
    NotMade(PathBuf),
    /// The folder of a SQLite file is not there.
    #[error(
        "--database-url (FLAGSTAFF_DATABASE_URL): unable to open database file `{}`: \
         there is no folder `{}`", .file.display(), .folder.display()
    )]
    NoFolder {
        /// The file.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// SQLite does not open a file.
    #[error("--database-url (FLAGSTAFF_DATABASE_URL): cannot open the database file `{}`: {why}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        why: String,
    },
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

/// The pools of a store, by what is read or written.
struct Pools {
    write: Pool,
    read: Pool,
    facts: Pool,
    follow: Pool,
    probe: Probe,
}

impl Store {
    /// Opens the database at `url`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], each a sentence that names the setting. No password is repeated in it.
    pub async fn connect(url: &str, access: Access) -> Result<Self, ConnectError> {
        Self::connect_with(url, access, &PoolSettings::default()).await
    }

    /// As [`Store::connect`], with these pools and time limits.
    ///
    /// # Errors
    ///
    /// As [`Store::connect`].
    pub async fn connect_with(
        url: &str,
        access: Access,
        settings: &PoolSettings,
    ) -> Result<Self, ConnectError> {
        if url.starts_with("sqlite:") {
            return connect_sqlite(url, access, settings).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return connect_postgres(url, settings).await;
        }
        Err(ConnectError::Url(without_password(url), String::new()))
    }

    fn of(pools: Pools, reachable: Reachability, url: &str, settings: &PoolSettings) -> Self {
        let Pools { write, read, facts, follow, probe } = pools;
        let queue = || WriteQueue::new(settings.project_queue, settings.statement_timeout * 2);
        Self {
            write,
            read,
            facts,
            follow,
            probe,
            url: url.to_owned(),
            reachable,
            project_queue: queue(),
            persons_queue: queue(),
        }
    }

    /// The file of an embedded database; `None` for a server or memory.
    #[must_use]
    pub fn sqlite_file(url: &str) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(url).ok()?;
        let file = options.get_filename().to_path_buf();
        (url.starts_with("sqlite:") && !in_memory(url)).then_some(file)
    }
}

async fn connect_sqlite(
    url: &str,
    access: Access,
    settings: &PoolSettings,
) -> Result<Store, ConnectError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| ConnectError::Url(url.to_owned(), format!(" ({error})")))?;
    let file = options.get_filename().to_path_buf();
    let in_memory = in_memory(url);
    if access == Access::Existing && !in_memory && !file.exists() {
        return Err(ConnectError::Missing(file));
    }
    let is_created = access == Access::Create && url.contains("mode=rwc");
    if !in_memory {
        check_place(&file, is_created)?;
    }
    if is_created && !in_memory {
        sqlite_file::create_private(&file);
    }
    let options = sqlite_options(options, settings);
    let pool =
        |connections| Pool::sqlite(options.clone(), connections, in_memory, settings.limits());
    let write = pool(1);
    let refused = |error| ConnectError::File { file: file.clone(), why: reason(&error) };
    write.open_one().await.map_err(refused)?;
    let pools = match in_memory {
        // An in-memory database lives in its one connection.
        true => Pools {
            read: write.clone(),
            facts: write.clone(),
            follow: write.clone(),
            probe: Probe::File(write.clone()),
            write,
        },
        false => {
            sqlite_file::warn_if_wide(&file);
            let (read, facts) = (pool(SQLITE_READERS), pool(SQLITE_FACTS_READERS));
            Pools { follow: read.clone(), probe: Probe::File(facts.clone()), write, read, facts }
        }
    };
    // The file is there by now.
    let reachable = Reachability::of(Store::sqlite_file(url).and_then(OpenFile::at));
    Ok(Store::of(pools, reachable, url, settings))
}

/// Checks that a file is there, or can be made where it shall be.
fn check_place(file: &Path, is_created: bool) -> Result<(), ConnectError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        let (file, folder) = (file.to_owned(), folder.to_owned());
        return Err(ConnectError::NoFolder { file, folder });
    }
    match is_created || file.exists() {
        true => Ok(()),
        false => Err(ConnectError::NotMade(file.to_owned())),
    }
}

fn in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

fn sqlite_options(options: SqliteConnectOptions, settings: &PoolSettings) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged survives a power cut, not only a crash.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.lock_timeout)
        .disable_statement_logging()
}

async fn connect_postgres(url: &str, settings: &PoolSettings) -> Result<Store, ConnectError> {
    refused_at_once(url, settings).await?;
    let options = |name: &str| postgres_options(url, name, settings);
    let (trust, reachable) = (Trust::default(), Reachability::default());
    let (long, short) = (settings.limits(), settings.short_limits());
    let pool = |name, connections, limits| {
        Ok(Pool::postgres(options(name)?, connections, limits, &trust, &reachable))
    };
    let pools = Pools {
        write: pool("flagstaff", settings.write_connections, long)?,
        read: pool("flagstaff read", settings.read_connections, long)?,
        facts: pool("flagstaff facts", settings.facts_connections, short)?,
        follow: pool("flagstaff follow", settings.follow_connections, long)?,
        probe: Probe::server(options("flagstaff watch")?, short, &trust),
    };
    Ok(Store::of(pools, reachable, url, settings))
}

/// The server ends what takes too long as well, so that it does not work on for nobody and no lock
/// outlives a replica that died.
fn postgres_options(
    url: &str,
    name: &str,
    settings: &PoolSettings,
) -> Result<PgConnectOptions, ConnectError> {
    let limit = |limit: std::time::Duration| limit.as_millis().max(1).to_string();
    Ok(parsed(url)?.application_name(name).disable_statement_logging().options([
        ("statement_timeout", limit(settings.statement_timeout)),
        ("lock_timeout", limit(settings.lock_timeout)),
        ("idle_in_transaction_session_timeout", limit(settings.statement_timeout * 2)),
    ]))
}

fn parsed(url: &str) -> Result<PgConnectOptions, ConnectError> {
    let refused = |why: &str| {
        let reserved = "in the user and the password, `@` is written as %40, `:` as %3A, `/` as %2F, \
                        `?` as %3F, `#` as %23 and `%` as %25";
        ConnectError::Url(without_password(url), format!(" ({why}; {reserved})"))
    };
    // What stands behind it is no part of the address, which so were another one.
    if url.contains('#') {
        return Err(refused("it holds a `#`"));
    }
    PgConnectOptions::from_str(url).map_err(|error| refused(&error.to_string()))
}

/// One plain connection first: a pool would try again until its time-out, and then name that
/// rather than the cause.
async fn refused_at_once(url: &str, settings: &PoolSettings) -> Result<(), ConnectError> {
    let options = parsed(url)?;
    let absent = |why: String| ConnectError::Absent { address: address(&options), why };
    let refused = |error: sqlx::Error| match error {
        sqlx::Error::Database(error) if !is_starting(error.code().as_deref()) => {
            ConnectError::Unreachable(error.message().to_owned())
        }
        sqlx::Error::Database(error) => absent(error.message().to_owned()),
        sqlx::Error::Io(error) => absent(error.to_string()),
        error => ConnectError::Unreachable(error.to_string()),
    };
    match tokio::time::timeout(settings.timeout, options.connect()).await {
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

/// The innermost cause, which is what the operator can act on.
fn reason(error: &sqlx::Error) -> String {
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
