//! Finds a PostgreSQL for the tests, or starts one of their own.
//!
//! `TEST_DATABASE_URL` names the server to use; its user must be allowed to create databases.
//! Without it, and where PostgreSQL's server binaries are installed, the test process starts one
//! private instance on a free port, and takes it down with itself. With neither, each test that
//! asks is told that there is none and says on stderr that it was skipped, unless
//! `FLAGSTAFF_REQUIRE_POSTGRES=1` makes that a failure.
//!
//! A test works in a database of its own, which goes when its [`Database`] is dropped, so tests
//! neither wait for one another nor clean up after one another.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
};

use sea_orm::{ConnectOptions, ConnectionTrait, DbErr, Statement};
use tokio::{runtime, sync::OnceCell};
use uuid::Uuid;

/// Runs a private instance for as long as standard input stays open.
///
/// The arguments are the folder of PostgreSQL's binaries, then the ports to try. The one line
/// `ready PORT` says that the instance answers; any other output says why it does not.
///
/// Statics are not dropped and a killed process runs no code at all, so the end of the test process
/// is told by the one thing that is sure to happen: the system closes its end of the pipe.
/// `SIGPIPE` is ignored so that a reader who has gone cannot end the script before its clean-up.
const WATCHDOG: &str = r#"
set -eu
exec 2>&1
trap '' PIPE
trap 'exit 1' HUP INT TERM

bin=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/flagstaff-postgres.XXXXXX" || mktemp -d /tmp/flagstaff-postgres.XXXXXX)
data=$dir/data
log=$dir/log
cd "$dir"

clean_up() {
    "$bin/pg_ctl" stop --pgdata "$data" --mode immediate >/dev/null 2>&1 || true
    cd /
    rm -rf "$dir"
}
trap clean_up EXIT

fail() {
    cat "$log"
    exit 1
}

"$bin/initdb" --pgdata "$data" --username flagstaff --auth trust --no-sync \
    --encoding UTF8 --locale C >"$log" 2>&1 </dev/null || fail

# Nothing here outlives the tests, so nothing is made to survive a crash.
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
max_connections = 300
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
CONF

for port in "$@"; do
    if "$bin/pg_ctl" start --pgdata "$data" --wait --log "$log" --options "-p $port" \
        >>"$log" 2>&1 </dev/null
    then
        echo "ready $port"
        cat >/dev/null
        exit
    fi
done
fail
"#;

/// The PostgreSQL of this test process.
#[derive(Debug)]
struct Server {
    /// Names a database to connect to while creating others.
    url: String,
    /// Holds the pipe whose end takes a private instance down; `None` if the server is not ours.
    watchdog: Option<Child>,
}

/// A database of one test's own, dropped with this value.
#[derive(Debug)]
pub(crate) struct Database {
    /// The whole connection string, as `--database-url` takes it.
    pub(crate) url: String,
    name: String,
    server: &'static Server,
}

/// A PostgreSQL of one test's own, which it may stop and start again; gone when dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    server: Server,
    binaries: PathBuf,
    port: String,
    /// The folder of its files.
    data: String,
}

/// A server of the caller's own, or `None` where PostgreSQL's server is not installed.
///
/// # Panics
///
/// If it is not and `FLAGSTAFF_REQUIRE_POSTGRES=1`.
pub(crate) async fn own_instance() -> Option<Instance> {
    let Some(binaries) = binaries() else {
        let required = setting("FLAGSTAFF_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
        assert!(!required, "PostgreSQL's server is required here");
        say("skipped: PostgreSQL's server is not installed");
        return None;
    };
    let server = start(&binaries).expect("PostgreSQL starts");
    let port = server.url.rsplit([':', '/']).nth(1).unwrap_or_default().to_owned();
    let connection = sea_orm::Database::connect(&server.url).await.expect("it answers");
    let show = Statement::from_string(connection.get_database_backend(), "SHOW data_directory");
    let row = connection.query_one_raw(show).await.expect("it tells").expect("a row");
    let data = row.try_get_by_index(0).expect("a text");
    connection.close().await.expect("the connection closes");
    Some(Instance { server, binaries, port, data })
}

impl Instance {
    /// A database on it.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Stops it as a crash would: connections break, and new ones are refused.
    pub(crate) fn stop(&self) {
        self.control(&["stop", "--mode", "immediate", "--wait"]);
    }

    /// Starts it again, with what it had committed.
    pub(crate) fn start(&self) {
        self.control(&["start", "--wait", "--options", &format!("-p {}", self.port)]);
    }

    /// Stops its processes where they are, as a disk or a host does that hangs: connections stay
    /// open, and nothing is answered. They go on when the value is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        let file = fs::read_to_string(format!("{}/postmaster.pid", self.data)).expect("it runs");
        let main = file.lines().next().unwrap_or_default().to_owned();
        let frozen = Frozen(std::iter::once(main.clone()).chain(children(&main)).collect());
        frozen.signal("-STOP");
        frozen
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(self.binaries.join("pg_ctl"));
        command.args(arguments).args(["--pgdata", &self.data, "--log"]);
        command.arg(format!("{}.log", self.data)).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = ordinary_user() {
            command.uid(user).gid(group);
        }
        assert!(command.status().expect("pg_ctl runs").success(), "pg_ctl {arguments:?}");
    }
}

/// The processes of a server that stands still.
#[derive(Debug)]
pub(crate) struct Frozen(Vec<String>);

impl Frozen {
    fn signal(&self, signal: &str) {
        // Some may have ended.
        let _ = Command::new("kill").arg(signal).args(&self.0).stderr(Stdio::null()).status();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// The processes that a process started, as `/proc` tells.
fn children(of: &str) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let is_child = |id: &String| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name, which may hold anything, come the state and the parent.
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        parent == Some(of)
    };
    let names = processes.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(is_child).collect()
}

/// The server that tests use, as the URL of a database on it; started when first asked for.
///
/// # Panics
///
/// If there is none and `FLAGSTAFF_REQUIRE_POSTGRES=1`.
pub(crate) fn server() -> Option<&'static str> {
    instance().map(|server| server.url.as_str())
}

/// An empty database, or `None` where there is no PostgreSQL.
pub(crate) async fn fresh_database() -> Option<Database> {
    Some(create(instance()?, "template0").await)
}

/// A database that `migrate` has prepared, or `None` where there is no PostgreSQL.
///
/// `migrate` is given the URL of an empty database, and closes its connections to it when done. On
/// a private instance it runs once in a test process: what it made is the template of every later
/// database, which is quicker than to migrate each, and is why all callers should pass the same
/// one. On a server that is not ours it runs each time, so that no template is left behind there.
pub(crate) async fn migrated_database(migrate: impl AsyncFnOnce(&str)) -> Option<Database> {
    static TEMPLATE: OnceCell<Database> = OnceCell::const_new();

    let server = instance()?;
    let prepare = async || {
        let database = create(server, "template0").await;
        migrate(&database.url).await;
        database
    };
    if server.watchdog.is_none() {
        return Some(prepare().await);
    }
    let template = TEMPLATE.get_or_init(prepare).await;
    Some(create(server, &template.name).await)
}

impl Drop for Database {
    /// Tests get here inside their own runtime, or while they panic: hence a thread with another.
    fn drop(&mut self) {
        let server = self.server;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(server, &statement)).map_err(io::Error::other)
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => say(&format!("database {} was left behind: {error}", self.name)),
            Err(_) => say(&format!("database {} was left behind", self.name)),
        }
    }
}

/// The server, or `None` after saying that the calling test goes without.
fn instance() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();

    let reason = match SERVER.get_or_init(find_or_start) {
        Ok(server) => return Some(server),
        Err(reason) => reason,
    };
    let required = setting("FLAGSTAFF_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
    assert!(!required, "PostgreSQL is required here: {reason}");
    let test = thread::current();
    say(&format!("{}: skipped on PostgreSQL: {reason}", test.name().unwrap_or("a test")));
    None
}

fn find_or_start() -> Result<Server, String> {
    if let Some(url) = setting("TEST_DATABASE_URL") {
        return Ok(Server { url, watchdog: None });
    }
    let binaries = binaries()
        .ok_or("TEST_DATABASE_URL is not set, and PostgreSQL's server is not installed")?;
    start(&binaries)
}

/// The folder of PostgreSQL's server binaries: the one on `PATH`, else Debian's newest.
fn binaries() -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    env::split_paths(&path).chain(debian_packages()).find(|folder| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file())
    })
}

/// `/usr/lib/postgresql/VERSION/bin` for every version installed, newest first.
fn debian_packages() -> Vec<PathBuf> {
    let Ok(folders) = fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = folders
        .flatten()
        .filter_map(|folder| {
            let version = folder.file_name().to_str()?.split('.').next()?.parse().ok()?;
            Some((version, folder.path().join("bin")))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// Starts a private instance, and waits until it answers.
fn start(binaries: &Path) -> Result<Server, String> {
    let mut command = Command::new("sh");
    command
        .args(["-c", WATCHDOG, "flagstaff-postgres"])
        .arg(binaries)
        .args(free_ports().map_err(|error| format!("no free port: {error}"))?)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // An interrupt from the terminal is for the tests; the watchdog follows when they are gone.
        .process_group(0);
    if let Some((user, group)) = ordinary_user() {
        command.uid(user).gid(group);
    }
    let mut watchdog =
        command.spawn().map_err(|error| format!("PostgreSQL could not be started: {error}"))?;
    let port = ready_port(&mut watchdog)?;
    let url = format!("postgres://flagstaff@127.0.0.1:{port}/postgres");
    Ok(Server { url, watchdog: Some(watchdog) })
}

/// Reads what the watchdog says, up to the port or, failing that, to its end.
fn ready_port(watchdog: &mut Child) -> Result<String, String> {
    let output = watchdog.stdout.take().expect("standard output was asked for as a pipe");
    let mut said = vec!["PostgreSQL could not be started:".to_owned()];
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("PostgreSQL's watchdog is not heard: {error}"))?;
        match line.strip_prefix("ready ") {
            Some(port) => return Ok(port.to_owned()),
            None => said.push(line),
        }
    }
    Err(said.join("\n"))
}

/// A few ports that are free now; more than one, since another process may be quicker.
fn free_ports() -> io::Result<Vec<String>> {
    let listeners: Vec<TcpListener> =
        (0..5).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port().to_string())).collect()
}

/// The user and group to run PostgreSQL as when the tests run as root, which it refuses.
fn ordinary_user() -> Option<(u32, u32)> {
    if id(&["-u"])? != 0 {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

async fn create(server: &'static Server, template: &str) -> Database {
    let name = format!("flagstaff_test_{}", Uuid::new_v4().simple());
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    execute(server, &statement).await.expect("PostgreSQL lets the tests create databases");
    Database { url: with_database(&server.url, &name), name, server }
}

async fn execute(server: &Server, statement: &str) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(&server.url);
    options.max_connections(1).sqlx_logging(false);
    let connection = sea_orm::Database::connect(options).await?;
    let outcome = connection.execute_unprepared(statement).await;
    connection.close().await?;
    outcome.map(drop)
}

/// The same server and parameters, but another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
    let authority = address.find("://").map_or(0, |at| at + "://".len());
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    format!("{}/{name}{query}", &address[..end])
}

#[expect(clippy::disallowed_methods, reason = "these settings are for the tests, not the service")]
pub(crate) fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Writes to stderr itself, since the test runner hides what a passing test prints.
pub(crate) fn say(line: &str) {
    // There is nobody left to tell if stderr is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::{fresh_database, server, with_database};

    #[tokio::test]
    async fn a_test_database_goes_when_it_is_dropped() {
        let (Some(server), Some(database)) = (server(), fresh_database().await) else { return };
        let url = database.url.clone();
        assert_ne!(url, server);
        let connection = sea_orm::Database::connect(&url).await.expect("the database is there");
        connection.close().await.expect("the connection closes");

        drop(database);
        let error = sea_orm::Database::connect(&url).await.expect_err("the database is gone");
        assert!(error.to_string().contains("does not exist"), "{error}");
    }

    #[test]
    fn a_test_database_keeps_the_rest_of_the_url() {
        let cases = [
            ("a database", "postgres://u:p@h:1/postgres", "postgres://u:p@h:1/mine"),
            ("no database", "postgresql://h", "postgresql://h/mine"),
            ("parameters", "postgres://h/a?sslmode=disable", "postgres://h/mine?sslmode=disable"),
            ("only parameters", "postgres://h?host=/run", "postgres://h/mine?host=/run"),
        ];
        for (name, url, expected) in cases {
            assert_eq!(with_database(url, "mine"), expected, "{name}");
        }
    }
}
