//! A stop and a start that cost no request: readiness turns first, and a database that is not there
//! yet is waited for.

use std::{
    net::TcpListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Service,
    cli::{Flagstaff, Running},
    eventually, http_client, migrated_postgres, postgres,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the readiness of a replica.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Many times as long, for a busy machine.
const DELAY: &str = "3s";

both_databases! {
    a_restart_under_load_loses_no_request,
}

/// A replica as its clients see it.
#[derive(Debug)]
struct Target {
    address: String,
    ops_address: String,
    is_ready: AtomicBool,
    answered: AtomicUsize,
}

/// Clients that send requests to the replicas that are ready, over connections that they keep.
#[derive(Debug)]
struct Load {
    targets: [Target; 2],
    body: Value,
    is_over: AtomicBool,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Load {
    /// Looks at the readiness of a replica until the end.
    async fn watch(self: Arc<Self>, at: usize) {
        let client = http_client().pool_max_idle_per_host(0).build().unwrap();
        let target = &self.targets[at];
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        while !self.is_over.load(Ordering::SeqCst) {
            looks.tick().await;
            let answer = client.get(format!("http://{}/readyz", target.ops_address)).send().await;
            let is_ready = answer.is_ok_and(|answer| answer.status() == 200);
            target.is_ready.store(is_ready, Ordering::SeqCst);
        }
    }

    /// Sends requests until the end, one after the other.
    async fn send(self: Arc<Self>, first: usize) {
        let client = http_client().build().unwrap();
        let mut at = first;
        while !self.is_over.load(Ordering::SeqCst) {
            at = (at + 1) % 2;
            let target = &self.targets[at];
            if !target.is_ready.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
                continue;
            }
            let request = client.post(format!("http://{}/flags?v=2", target.address));
            match request.json(&self.body).send().await {
                Ok(answer) if answer.status() == 200 => {
                    target.answered.fetch_add(1, Ordering::SeqCst);
                }
                Ok(answer) => self.fail(format!("{}", answer.status())),
                Err(error) => self.fail(format!("{error:?}")),
            }
        }
    }

    fn fail(&self, why: String) {
        self.failures.lock().unwrap().push(why);
    }
}

/// Two replicas in processes of their own take turns to stop and start again.
async fn a_restart_under_load_loses_no_request(service: &Service) {
    service.create_for_everyone("everyone").await;
    let start = |ports: [&str; 2]| {
        let arguments = ["--listen", ports[0], "--ops-listen", ports[1], "--shutdown-delay", DELAY];
        let key = ["--encryption-keys", crate::support::ENCRYPTION_KEY];
        service.flagstaff(&[&arguments[..], &key[..]].concat()).start()
    };
    let mut running = [0, 1].map(|_| start(["127.0.0.1:0"; 2]));
    let target = |running: &Running| Target {
        address: running.address("address"),
        ops_address: running.address("ops.address"),
        is_ready: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
    };
    let load = Arc::new(Load {
        targets: [target(&running[0]), target(&running[1])],
        body: json!({"api_key": service.token, "distinct_id": "ann"}),
        is_over: AtomicBool::new(false),
        failures: Default::default(),
    });
    let watching = [0, 1].map(|at| tokio::spawn(Arc::clone(&load).watch(at)));
    let sending = [0, 1, 0, 1].map(|first| tokio::spawn(Arc::clone(&load).send(first)));
    for at in [0, 1] {
        let answers = async || {
            let before = load.targets[at].answered.load(Ordering::SeqCst);
            (before > 20).then_some(())
        };
        eventually("it answers", PATIENCE, answers).await;
        let Target { address, ops_address, answered, .. } = &load.targets[at];
        let again = tokio::task::block_in_place(|| {
            let stopped = std::mem::replace(&mut running[at], start(["127.0.0.1:0"; 2]));
            let (status, _, log) = stopped.terminate();
            assert_eq!(status.code(), Some(0), "{log}");
            start([address, ops_address])
        });
        // The one that only held the place goes.
        drop(std::mem::replace(&mut running[at], again));
        let before = answered.load(Ordering::SeqCst);
        let answers = async || (answered.load(Ordering::SeqCst) > before + 20).then_some(());
        eventually("it answers after the restart", PATIENCE, answers).await;
    }
    load.is_over.store(true, Ordering::SeqCst);
    for task in watching.into_iter().chain(sending) {
        task.await.unwrap();
    }
    assert_eq!(*load.failures.lock().unwrap(), [""; 0]);
}

fn signal(running: &Running) {
    let id = running.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_drains_serves_and_says_so_until_a_second_signal() {
    let service = Service::on_sqlite().await;
    let arguments = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let delay = ["--shutdown-delay", "1h"];
    let running = service.flagstaff(&[&arguments[..], &delay].concat()).start();
    let (address, ops) = (running.address("address"), running.address("ops.address"));
    let flags = format!("http://{address}/flags?v=2");
    let body = json!({"api_key": service.token, "distinct_id": "ann"});
    let client = http_client().build().unwrap();
    let before = client.post(&flags).json(&body).send().await.unwrap();
    assert_eq!((before.status().as_u16(), before.headers().get("connection")), (200, None));

    signal(&running);
    let draining = async || {
        let answer = client.get(format!("http://{ops}/readyz")).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (body["status"] == "draining").then_some((status, body))
    };
    let (status, ready) = eventually("it drains", PATIENCE, draining).await;
    assert_eq!((status, &ready["stale"]), (503, &json!(false)), "{ready}");
    let answer = client.post(&flags).json(&body).send().await.unwrap();
    let connection = answer.headers().get("connection").map(|value| value.to_str().unwrap());
    assert_eq!((answer.status().as_u16(), connection), (200, Some("close")));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.connect_lazy());
    let request = tonic_health::pb::HealthCheckRequest::default();
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::NotServing);

    // The second one.
    let (status, _, log) = tokio::task::block_in_place(|| running.terminate());
    assert_eq!(status.code(), Some(0), "{log}");
    service.stop().await;
}

/// Two addresses that are free now.
fn free_addresses() -> [String; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// Starts a service that has to wait, sees it alive and not ready, and lets it go on.
async fn starts_late(url: &str, more: &[&str], goes_on: impl AsyncFnOnce()) -> Running {
    let [address, ops] = free_addresses();
    let arguments = ["--listen", &address, "--ops-listen", &ops, "--database-url", url];
    let command = Flagstaff::new(&[&arguments[..], more].concat());
    let starting = tokio::task::spawn_blocking(|| command.start());
    let client = http_client().build().unwrap();
    let answer = async |path: &str| {
        let answer = client.get(format!("http://{ops}{path}")).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };
    let (status, _) = eventually("it is alive", PATIENCE, async || answer("/livez").await).await;
    assert_eq!(status, 200);
    let (status, ready) = answer("/readyz").await.unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, &ready["status"]), (503, &json!("starting")), "{ready}");
    let refused = tokio::net::TcpStream::connect(&address).await;
    assert!(refused.is_err(), "clients should try elsewhere rather than wait");
    assert!(!starting.is_finished());

    goes_on().await;
    let running = starting.await.unwrap();
    let (status, ready) = answer("/readyz").await.unwrap();
    assert_eq!(status, 200, "{ready}");
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_at_the_start_is_waited_for() {
    let Some(postgres) = postgres::own_instance().await else { return };
    postgres.stop();
    let goes_on = async || tokio::task::block_in_place(|| postgres.start());
    let running = starts_late(postgres.url(), &["--database-wait", "1h"], goes_on).await;
    let (status, _, log) = tokio::task::block_in_place(|| running.terminate());
    assert_eq!(status.code(), Some(0), "{log}");
    let port = postgres.url().rsplit([':', '/']).nth(1).unwrap();
    assert!(log.contains(&format!("127.0.0.1:{port}")), "host and port are named: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_another_process_changes_is_waited_for() {
    let Some(database) = migrated_postgres().await else { return };
    let mut options = ConnectOptions::new(&database.url);
    options.max_connections(1);
    let other = Database::connect(options).await.unwrap();
    other.execute_unprepared("SELECT pg_advisory_lock(253388207)").await.unwrap();
    let goes_on = async || {
        let asked = async || {
            let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let waiting = Statement::from_string(DbBackend::Postgres, waiting);
            let row = other.query_one_raw(waiting).await.unwrap().unwrap();
            (row.try_get_by_index::<i64>(0).unwrap() == 1).then_some(())
        };
        eventually("it asks for the lock", PATIENCE, asked).await;
        other.close_by_ref().await.unwrap();
    };
    let running = starts_late(&database.url, &[], goes_on).await;
    let (_, _, log) = tokio::task::block_in_place(|| running.terminate());
    assert!(log.contains("waiting for another process to finish its schema changes"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stays_away_ends_the_start_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let [address, _] = free_addresses();
    let url = format!("postgres://flagstaff:hidden@{address}/x");
    let command = Flagstaff::new(&["--database-wait", "1s", "--database-url", &url])
        .within(folder.path())
        .env("FLAGSTAFF_LISTEN", "127.0.0.1:0")
        .env("FLAGSTAFF_OPS_LISTEN", "127.0.0.1:0");
    let outcome = tokio::task::block_in_place(|| command.outcome());
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let last = outcome.stderr.lines().last().unwrap();
    assert!(last.contains("--database-url") && last.contains(&address), "{last}");
    assert!(outcome.stderr.contains("waiting for the database"), "{outcome:?}");
    assert!(!outcome.stderr.contains("hidden"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_its_database_is_unready_at_the_age_that_is_set() {
    let Some((service, postgres)) =
        Service::on_own_postgres_with(&["--max-staleness", "1ms"]).await
    else {
        return;
    };
    let lenient = service.replica().await;
    let ready = async |service: &Service| {
        let (status, body) = service.readiness().await;
        (status, body["status"].clone(), body["stale"].clone())
    };
    tokio::task::block_in_place(|| postgres.stop());
    let stale = (503, json!("stale"), json!(true));
    let noticed = async || (ready(&service).await == stale).then_some(());
    eventually("the strict replica is unready", PATIENCE, noticed).await;
    let noticed =
        async || (ready(&lenient).await == (200, json!("ready"), json!(true))).then_some(());
    eventually("the lenient replica is ready and stale", PATIENCE, noticed).await;
    let age = service.metric("flagstaff_staleness_seconds").await;
    assert!(age > 0.0, "{age}");
    let (_, body) = service.readiness().await;
    assert!(body["staleness_seconds"].as_f64().unwrap() >= age, "{body}");
    tokio::task::block_in_place(|| postgres.start());
    let back = async || {
        let (_, status, stale) = ready(&lenient).await;
        (status == "ready" && stale == false).then_some(())
    };
    eventually("it is no longer stale", PATIENCE, back).await;
    lenient.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_whose_key_is_not_held_wait_for_no_database_that_is_gone() {
    let Some((service, postgres)) = Service::on_own_postgres().await else { return };
    let other = service.new_key("--project 1 --scopes *");
    let status = async |key: &str| {
        let answer = service.call(http::Method::GET, crate::support::FLAGS, Some(key), None).await;
        answer.status
    };
    assert_eq!(status(&service.key).await, 200);
    service.execute("CHECKPOINT").await;
    postgres.stop();
    let noticed = async || service.is_stale().await.then_some(());
    eventually("the database is known to be gone", PATIENCE, noticed).await;
    for token in [&other[..], "phx_never_made_never_made_never_made_never"] {
        // A pool would wait for five seconds; nothing is asked, so nothing is waited for.
        let answer = tokio::time::timeout(Duration::from_secs(2), status(token)).await;
        assert_eq!(answer, Ok(503), "{token}");
    }
    let mut flags = service.flags_as(Some(&other));
    let request = flagstaff::wire::v1::ListFeatureFlagsRequest::default();
    let answer = tokio::time::timeout(Duration::from_secs(2), flags.list_feature_flags(request));
    assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Unavailable);
    tokio::task::block_in_place(|| postgres.start());
    let back = async || (status(&other).await == 200).then_some(());
    eventually("keys are read again", PATIENCE, back).await;
    service.stop().await;
}
