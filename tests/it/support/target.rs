//! A service in a process of its own that is treated badly, and what it is seen to do meanwhile.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    cli::{Flagstaff, Running},
    http_client, sqlite_url,
};

pub(crate) const TOKEN: &str = "phc_0123456789012345678901234567890123456789";
pub(crate) const KEY: &str = "phx_0123456789012345678901234567890123456789";
/// How long any answer may take. Far more than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The service.
pub(crate) struct Target {
    running: Running,
    pub(crate) http: reqwest::Client,
    _folder: TempDir,
}

/// What others saw of the service.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Answers of `/livez`, and the longest wait for one.
    pub(crate) probes: usize,
    pub(crate) longest_probe: Duration,
    /// Answers of `/flags`, those that were 200, and the longest wait for one.
    pub(crate) calls: usize,
    pub(crate) successes: usize,
    pub(crate) longest_call: Duration,
}

impl Witness {
    /// What it saw, for whoever reads it.
    pub(crate) fn figures(&self) -> String {
        let Self { probes, longest_probe, calls, successes, longest_call } = self;
        format!(
            "{probes} probes within {longest_probe:?}, {successes} of {calls} calls answered 200 \
             within {longest_call:?}"
        )
    }
}

impl Target {
    /// Starts one with these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let running = Flagstaff::new(&[&ports, settings].concat())
            .env("FLAGSTAFF_DATABASE_URL", &sqlite_url(&folder, "flagstaff.db"))
            .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
            .env("FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN", TOKEN)
            .start();
        let http = http_client().timeout(PATIENCE).build().unwrap();
        Self { running, http, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address("address"))
    }

    /// The most memory that it ever took, in MB.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Runs an attack, and asks for `/livez` and `/flags` all the while.
    pub(crate) async fn under<T>(&self, attack: impl Future<Output = T>) -> (T, Witness) {
        let is_over = Arc::new(AtomicBool::new(false));
        let livez = format!("http://{}/livez", self.running.address("ops.address"));
        let probe = || self.http.get(&livez);
        let body = serde_json::json!({"token": TOKEN, "distinct_id": "ann"});
        let flags = self.url("/flags?v=2");
        let call = || self.http.post(&flags).json(&body);
        let attacking = async {
            let outcome = attack.await;
            is_over.store(true, Ordering::Relaxed);
            outcome
        };
        let (outcome, probes, calls) =
            tokio::join!(attacking, asked(&is_over, probe), asked(&is_over, call));
        let ((probes, answered, longest_probe), (calls, successes, longest_call)) = (probes, calls);
        assert_eq!(probes, answered, "every probe is answered");
        (outcome, Witness { probes, longest_probe, calls, successes, longest_call })
    }
}

/// Asks until it is over: how often, with what success, and the longest wait.
async fn asked(
    is_over: &AtomicBool,
    request: impl Fn() -> reqwest::RequestBuilder,
) -> (usize, usize, Duration) {
    let (mut asked, mut successes, mut longest) = (0, 0, Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = request().send().await.expect("it answers");
        longest = longest.max(began.elapsed());
        (asked, successes) = (asked + 1, successes + usize::from(answer.status() == 200));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (asked, successes, longest)
}

/// Tells figures, which are not asserted.
#[expect(clippy::print_stderr, reason = "figures are for whoever runs the test")]
pub(crate) fn tell(what: &str, figures: &impl std::fmt::Debug) {
    eprintln!("{what}: {figures:?}");
}
