//! Changes are seen by every process on the database, and by the one that made them at once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, eventually};

const PATIENCE: Duration = Duration::from_secs(2);

both_databases! {
    a_project_made_by_the_command_line_is_served,
    a_writer_reads_its_own_writes,
    a_setting_of_the_project_is_seen_at_once,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_through_one_replica_is_evaluated_by_the_other() {
    let Some(first) = Service::on_postgres().await else { return };
    let second = first.replica().await;
    let id = first.create_for_everyone("shared").await;
    seen(&second, "shared", 1).await;
    second.patch(id, json!({"name": "through the other"})).await;
    seen(&first, "shared", 2).await;
    for version in 3..10 {
        first.patch(id, json!({"name": version.to_string()})).await;
        seen(&second, "shared", version).await;
    }
    first.patch(id, json!({"deleted": true})).await;
    let gone = async || second.evaluated(&second.token, "shared").await.is_null().then_some(());
    eventually("the flag is gone from the other", PATIENCE, gone).await;
    second.stop().await;
    first.stop().await;
}

/// Waits until a service evaluates a flag at a version.
async fn seen(service: &Service, key: &str, version: i64) {
    let look = async || {
        let flag = service.evaluated(&service.token, key).await;
        (flag["metadata"]["version"] == version).then_some(())
    };
    eventually(&format!("{key} is seen at version {version}"), PATIENCE, look).await;
}

async fn a_project_made_by_the_command_line_is_served(service: &Service) {
    let (id, token) = service.new_project("Made outside");
    let look = async || {
        let body = json!({"token": token, "distinct_id": "x"});
        let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
        (answer.status == 200).then_some(())
    };
    eventually("its token evaluates", PATIENCE, look).await;
    let path = format!("/api/projects/{id}/feature_flags/");
    let everyone = json!({"key": "here", "filters": {"groups": [{"rollout_percentage": 100}]}});
    assert_eq!(service.rest(Method::POST, &path, everyone).await.0, 201);
    assert_eq!(service.evaluated(&token, "here").await["enabled"], true);
    assert_eq!(service.evaluated(&service.token, "here").await, Value::Null);
}

async fn a_writer_reads_its_own_writes(service: &Service) {
    let id = service.create_for_everyone("own").await;
    assert_eq!(service.evaluated(&service.token, "own").await["metadata"]["version"], 1);
    for version in 2..30 {
        service.patch(id, json!({"active": true})).await;
        let flag = service.evaluated(&service.token, "own").await;
        assert_eq!(flag["metadata"]["version"], version);
    }
    assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1["version"], 29);
}

async fn a_setting_of_the_project_is_seen_at_once(service: &Service) {
    let wanted = json!({"name": "Renamed", "timezone": "Europe/Berlin", "feature_flag_limit": 1});
    let (status, project) = service.rest(Method::PATCH, "/api/projects/1/", wanted.clone()).await;
    assert_eq!(status, 200);
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(project[field], *value, "{field}");
    }
    assert_eq!(service.get("/api/projects/1").await, (200, project));
    service.create_for_everyone("the-one").await;
    let (status, error) = service.rest(Method::POST, FLAGS, json!({"key": "too-many"})).await;
    let detail = "Maximum of 1 feature flags allowed per team. \
                  Please delete unused flags or contact support to increase this limit.";
    assert_eq!((status, &error["detail"], &error["attr"]), (400, &json!(detail), &Value::Null));
}
