//! Watchers who read slowly or not at all, who hear nothing for long, and whose service stops.

use flagstaff::wire::v1::{
    CreateApiKeyRequest, RevokeApiKeyRequest, WatchFlagsRequest, watch_flags_response::Event,
};
use serde_json::json;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use crate::support::{
    Service,
    cli::Flagstaff,
    grpc::bearing,
    sqlite_url,
    watch::{Watcher, slow_channel},
};

both_databases! {
    a_slow_reader_is_told_what_it_missed_in_one,
    a_reader_who_never_reads_keeps_nobody_from_hearing,
    a_reader_whose_key_is_revoked_is_told_no_more,
    watchers_are_told_that_the_service_stops,
}

const CHANGES: i64 = 60;

async fn a_slow_reader_is_told_what_it_missed_in_one(service: &Service) {
    let flag = service.create_for_everyone("large").await;
    let mut slow = Watcher::of(slow_channel(service.address), &service.secret, None).await;
    let mut quick = service.watch(&service.secret, None).await;
    slow.hear().await;
    for change in 0..CHANGES {
        // Larger than what may be on its way unread.
        let name = format!("{change} {}", "x".repeat(70_000));
        let (status, _) = service.patch(flag, json!({"name": name})).await;
        assert_eq!(status, 200);
        quick.until_version(flag, Some(change + 2)).await;
    }
    slow.until_version(flag, Some(CHANGES + 1)).await;
    assert_eq!(slow.copy(), quick.copy());
    assert_eq!(slow.revision, quick.revision);
    assert!(slow.heard.len() < 6, "{} for {CHANGES} changes", slow.heard);
    // It goes on as before.
    service.patch(flag, json!({"name": "small"})).await;
    slow.until_version(flag, Some(CHANGES + 2)).await;
}

async fn a_reader_who_never_reads_keeps_nobody_from_hearing(service: &Service) {
    service.seed_flags(1_000).await;
    service.reload().await;
    let flag = service.create_for_everyone("one").await;
    let channel = slow_channel(service.address);
    let mut deaf = Vec::new();
    for _ in 0..20 {
        deaf.push(Watcher::of(channel.clone(), &service.secret, None).await);
    }
    let mut watcher = service.watch(&service.secret, None).await;
    for version in 2..6 {
        service.patch(flag, json!({"name": version.to_string()})).await;
        watcher.until_version(flag, Some(version)).await;
    }
    // What it began with was kept for it, as nothing much came after.
    let mut late = deaf.pop().unwrap();
    drop(deaf);
    late.until_version(flag, Some(5)).await;
    assert_eq!(late.copy(), watcher.copy());
}

async fn a_reader_whose_key_is_revoked_is_told_no_more(service: &Service) {
    service.seed_flags(3_000).await;
    service.reload().await;
    let request = CreateApiKeyRequest {
        project_id: "1".into(),
        scopes: vec!["feature_flag:read".into()],
        ..Default::default()
    };
    let mut keys = service.projects_as(Some(&service.key));
    let made = keys.create_api_key(request).await.unwrap().into_inner();
    let mut slow = Watcher::of(slow_channel(service.address), &made.token, None).await;
    slow.hear().await;
    let api_key_id = made.api_key.unwrap().id;
    keys.revoke_api_key(RevokeApiKeyRequest { project_id: "1".into(), api_key_id }).await.unwrap();
    assert_eq!(slow.end().await.code(), Code::Unauthenticated);
    assert!(slow.copy().flags.is_empty(), "in the middle of what it was told: {}", slow.heard);
}

async fn watchers_are_told_that_the_service_stops(service: &Service) {
    let replica = service.replica().await;
    let mut watchers =
        [replica.watch(&service.secret, None).await, replica.watch(&service.token, None).await];
    for watcher in &mut watchers {
        watcher.hear().await;
    }
    let stopping = tokio::spawn(replica.stop());
    for watcher in &mut watchers {
        let reached = watcher.revision;
        let last = watcher.next().await.unwrap();
        assert!(matches!(last.event, Some(Event::Shutdown(_))), "{last:?}");
        assert_eq!(last.revision, reached, "to go on from");
        assert_eq!(watcher.end().await.code(), Code::Unavailable);
    }
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_that_nothing_happened() {
    let service = Service::on_sqlite_with(&["--watch-heartbeat", "20ms"]).await;
    for key in [&service.secret, &service.token] {
        let mut watcher = service.watch(key, None).await;
        watcher.hear().await;
        let reached = watcher.revision;
        for _ in 0..3 {
            let Event::Heartbeat(heartbeat) = watcher.hear().await else {
                panic!("{}", watcher.heard)
            };
            assert!(heartbeat.sent_at.unwrap().seconds > 1_700_000_000);
            assert_eq!(watcher.revision, reached);
        }
    }
    service.stop().await;
}

const KEY: &str = "phx_0123456789012345678901234567890123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_watchers_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let running = Flagstaff::new(&arguments)
        .env("FLAGSTAFF_DATABASE_URL", &sqlite_url(&folder, "flagstaff.db"))
        .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
        // Longer than the test waits for the end of a process.
        .env("FLAGSTAFF_SHUTDOWN_GRACE", "1h")
        .start();
    let address = format!("http://{}", running.address("address"));
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut watcher = Watcher::of(channel.clone(), KEY, None).await;
    watcher.hear().await;
    let request = HealthCheckRequest { service: "flagstaff.v1.EvaluationService".into() };
    let health = HealthClient::new(channel.clone()).watch(request).await.unwrap();
    let mut health = health.into_inner();
    let serving = |answer: HealthCheckResponse| answer.status();
    assert_eq!(health.message().await.unwrap().map(serving), Some(ServingStatus::Serving));

    let stopping = tokio::task::spawn_blocking(move || running.terminate());
    assert_eq!(health.message().await.unwrap().map(serving), Some(ServingStatus::NotServing));
    assert_eq!(health.message().await.unwrap(), None, "the end");
    assert_eq!(watcher.end().await.code(), Code::Unavailable);
    assert!(watcher.heard.ends_with('t'), "{}", watcher.heard);
    let (status, _, log) = stopping.await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("grace period is over"), "{log}");
    let again = bearing(channel, KEY).watch_flags(WatchFlagsRequest::default()).await;
    assert!(again.is_err());
}
