//! Connections that come and go in great number leave nothing behind.

use std::{fs, time::Duration};

use futures::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::transport::Channel;

use crate::support::{cli::Flagstaff, eventually, sqlite_url, watch::Watcher};

const KEY: &str = "phx_0123456789012345678901234567890123456789";
const PATIENCE: Duration = Duration::from_secs(30);
const MOST: usize = 1_000;

/// How many files a process has open.
fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Half as many as a process may have open, as both ends of each are counted somewhere.
fn allowed() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    soft.parse().map_or(MOST, |most: usize| MOST.min(most / 2))
}

/// Opens connections of every kind, and drops them all: silent ones, ones in the middle of a
/// request, and watchers.
async fn come_and_go(address: &str, count: usize) {
    let silent = join_all((0..count / 3).map(|_| TcpStream::connect(address))).await;
    let halfway = join_all((0..count / 3).map(|_| async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST /flags?v=2 HTTP/1.1\r\nContent-Length: 99\r\n").await.unwrap();
        stream
    }));
    let watching = join_all((0..count / 3).map(|_| async {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let mut watcher = Watcher::of(channel.connect().await.unwrap(), KEY, None).await;
        watcher.hear().await;
        watcher
    }));
    let (halfway, watching) = (halfway.await, watching.await);
    assert!(silent.iter().all(Result::is_ok));
    drop((silent, halfway, watching));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_opened_and_dropped_leave_no_file_open() {
    if !fs::exists("/proc/self/fd").unwrap() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let running = Flagstaff::new(&arguments)
        .env("FLAGSTAFF_DATABASE_URL", &sqlite_url(&folder, "flagstaff.db"))
        .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
        .start();
    let (address, process) = (running.address("address"), running.id());
    // Afterwards its connections to the database are open, and stay so.
    come_and_go(&address, 60).await;
    let mut before = open_files(process);
    let settled = async || {
        let now = open_files(process);
        (std::mem::replace(&mut before, now) == now && now < 60).then_some(now)
    };
    let before = eventually("the first are gone", PATIENCE, settled).await;
    for _ in 0..2 {
        come_and_go(&address, allowed()).await;
        // The pool of the database may have grown by a few connections of a few files each.
        let gone = async || (open_files(process) <= before + 12).then_some(());
        eventually("the rest are gone", PATIENCE, gone).await;
    }
    running.terminate();
}
