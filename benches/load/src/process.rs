//! A server in a process of its own, and what the kernel says that it has used.

use std::{
    ffi::OsStr,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use load_bench::flags;

/// Ticks of `/proc/<pid>/stat` in a second, on every Linux.
const TICKS: u64 = 100;

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Process {
    /// The service, on an SQLite file. Unless another program is named by
    /// `FLAGSTAFF_LOAD_SERVICE`, it is this very program in another role, so it is built as its
    /// twins are. Whoever connects is answered once it has started.
    pub(crate) fn service(database: &Path, more: &[&str]) -> Self {
        Self::service_on(&format!("sqlite://{}?mode=rwc", database.display()), more)
    }

    /// The same on any database.
    pub(crate) fn service_on(url: &str, more: &[&str]) -> Self {
        let address = free();
        let listen = address.to_string();
        let own = ["serve", "--listen", &listen, "--ops-listen", "127.0.0.1:0"];
        let rest = ["--rate-limits", "off", "--log", "warn", "--database-url", url];
        let arguments = own.iter().chain(&rest).chain(more);
        #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
        let program = std::env::var_os("FLAGSTAFF_LOAD_SERVICE").map_or_else(itself, PathBuf::from);
        Self { address, child: spawn(program, arguments) }
    }

    /// A bare server of this kind that answers with the bytes of a file.
    pub(crate) fn twin(kind: &str, answer: &Path) -> Self {
        let address = free();
        let listen = address.to_string();
        let arguments: [&OsStr; 4] =
            ["twin".as_ref(), kind.as_ref(), listen.as_ref(), answer.as_os_str()];
        Self { address, child: spawn(itself(), arguments) }
    }

    /// Time on a processor so far, of all threads.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu_of_threads().unwrap_or_else(|| self.cpu_in_ticks())
    }

    /// In nanoseconds, where the kernel counts them.
    fn cpu_of_threads(&self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let spent = |thread: fs::DirEntry| {
            // A thread may end while its folder is being looked at.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok())
        };
        let nanos: u64 = threads.flatten().filter_map(spent).sum();
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    fn cpu_in_ticks(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }

    /// The most memory that was ever resident, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that is resident now, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Open file descriptors.
    pub(crate) fn files(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.expect("the server runs").count()
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn itself() -> PathBuf {
    std::env::current_exe().expect("this program's file")
}

fn spawn<S: AsRef<OsStr>>(program: PathBuf, arguments: impl IntoIterator<Item = S>) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    command.env("FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN", flags::TOKEN);
    command.env("FLAGSTAFF_BOOTSTRAP_PROJECT_SECRET", flags::SECRET);
    command.env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", flags::KEY);
    command.spawn().expect("a process")
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
