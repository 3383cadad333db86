//! One project's trouble stays its own, and a database that cannot be written is noticed.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use http::Method;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, TransactionTrait};
use serde_json::json;

use crate::support::{ENCRYPTION_KEY, FLAGS, Service, events::event, eventually, grpc::named};

const PATIENCE: Duration = Duration::from_secs(30);
const SMALL: [&str; 8] = [
    "--database-lock-timeout",
    "500ms",
    "--database-write-connections",
    "3",
    "--project-write-queue",
    "4",
    "--encryption-keys",
    ENCRYPTION_KEY,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_held_up_holds_up_no_other() {
    let Some(service) = Service::on_postgres_with(&SMALL).await else { return };
    let flag = service.create_for_everyone("mine").await;
    let (other, token) = service.new_project("Other");
    let flags = format!("/api/projects/{other}/feature_flags/");
    let body = json!({"key": "theirs", "filters": {"groups": [{}]}});
    let (status, theirs) = service.rest(Method::POST, &flags, body).await;
    assert_eq!(status, 201, "{theirs}");
    let theirs = format!("{flags}{}/", theirs["id"]);

    let connection = Database::connect(&service.database_url).await.unwrap();
    let held = connection.begin().await.unwrap();
    held.execute_unprepared("SELECT 1 FROM project WHERE id = 1 FOR UPDATE").await.unwrap();
    let path = format!("{FLAGS}{flag}/");
    let change = || async {
        let body = json!({"name": "Held up"});
        let answer = service.call(Method::PATCH, &path, Some(&service.key), Some(&body)).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    };
    let flood = join_all((0..60).map(|_| change()));
    let others = async {
        for n in 0..10 {
            let (status, body) =
                service.rest(Method::PATCH, &theirs, json!({"name": n.to_string()})).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(service.get(&flags).await.0, 200);
            let set = event("$identify", &format!("p{n}"), json!({"$set": {"n": n}}));
            let body = json!({"api_key": token, "batch": [set]});
            assert_eq!(service.send_events("/batch/", &body).await.status, 200);
            let shown = service.evaluated(&token, "theirs").await;
            assert_eq!(shown["enabled"], true, "{shown}");
        }
    };
    let (codes, ()) = tokio::join!(flood, others);
    let refused = codes.iter().filter(|code| *code == "overloaded").count();
    assert!(refused >= 40, "refused at once beyond the bound: {codes:?}");

    let mut client = service.flags();
    let request = flagstaff::wire::v1::UpdateFeatureFlagRequest {
        project_id: "1".into(),
        id: flag,
        feature_flag: Some(named("Held up")),
        ..Default::default()
    };
    let error = client.update_feature_flag(request).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");

    held.rollback().await.unwrap();
    let free = async || {
        let (status, _) = service.patch(flag, json!({"name": "Free"})).await;
        (status == 200).then_some(())
    };
    eventually("the project is changed again", PATIENCE, free).await;
    service.stop().await;
}

async fn many_changes_to_one_project_all_land_or_are_refused(service: &Service) {
    let flag = service.create_for_everyone("busy").await;
    let changes = (0..60).map(|n| {
        let changed = service.patch(flag, json!({"name": n.to_string()}));
        changed.map(|(status, _)| status)
    });
    let statuses = join_all(changes).await;
    let landed = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!(landed + refused, statuses.len(), "{statuses:?}");
    assert!(landed > 0);
    let (_, shown) = service.get(&format!("{FLAGS}{flag}/")).await;
    assert_eq!(shown["version"], landed + 1, "each change that landed counts, and no other");
}

both_databases!(many_changes_to_one_project_all_land_or_are_refused);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_noticed() {
    let Some(service) = Service::on_postgres().await else { return };
    let flag = service.create_for_everyone("one").await;
    assert_eq!(service.readiness().await.1["writable"], true);
    let name = service.stored("SELECT current_database()").await.unwrap();
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name LIKE 'flagstaff%'";
    // One session, from before it takes no writes.
    let mut options = ConnectOptions::new(&service.database_url);
    options.max_connections(1);
    let connection = Database::connect(options).await.unwrap();
    let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on");
    connection.execute_unprepared(&set).await.unwrap();
    connection.execute_unprepared(terminate).await.unwrap();
    let noticed = async || (service.readiness().await.1["writable"] == false).then_some(());
    eventually("nobody wrote, and it is noticed", PATIENCE, noticed).await;
    assert_eq!(service.evaluated(&service.token, "one").await["enabled"], true);
    let (status, body) = service.patch(flag, json!({"name": "Two"})).await;
    assert_eq!(status, 503, "{body}");

    let reset = format!("ALTER DATABASE \"{name}\" RESET default_transaction_read_only");
    connection.execute_unprepared(&reset).await.unwrap();
    connection.execute_unprepared(terminate).await.unwrap();
    let back = async || (service.readiness().await.1["writable"] == true).then_some(());
    eventually("it can be written again", PATIENCE, back).await;
    let (status, body) = service.patch(flag, json!({"name": "Two"})).await;
    assert_eq!(status, 200, "{body}");
    connection.close().await.unwrap();
    service.stop().await;
}
