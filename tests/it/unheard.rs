//! What was changed through one replica counts on the others within a moment, though no
//! announcement reaches them: cohorts, people and keys, as flags do (`watch_replicas`).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{FLAGS, Service, events::event, eventually};

/// 1.2 s, and the rest for a busy machine.
const BOUND: Duration = Duration::from_secs(3);

/// Two replicas that hear nothing of each other, and the service whose database it is.
async fn two() -> Option<[Service; 3]> {
    let first = Service::on_postgres().await?;
    first.suppress_announcements().await;
    Some([first.replica().await, first.replica().await, first])
}

async fn stop(services: [Service; 3]) {
    for service in services {
        service.stop().await;
    }
}

/// Waits until a person has a flag, or has it not.
async fn seen(service: &Service, key: &str, enabled: bool) {
    let look = async || {
        let answer = service.flags_for(&json!({"distinct_id": "ann"})).await;
        (answer["flags"][key]["enabled"] == enabled).then_some(())
    };
    eventually(&format!("{key} is {enabled}"), BOUND, look).await;
}

fn pro() -> Value {
    json!({"key": "plan", "type": "person", "operator": "exact", "value": "pro"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_person_counts_everywhere() {
    let Some(services) = two().await else { return };
    let [here, there, _] = &services;
    let filters = json!({"groups": [{"properties": [pro()]}]});
    here.create(json!({"key": "pros", "filters": filters})).await;
    for plan in ["free", "pro", "free"] {
        here.ingest(&[event("$set", "ann", json!({"$set": {"plan": plan}}))]).await;
        seen(here, "pros", plan == "pro").await;
        seen(there, "pros", plan == "pro").await;
    }
    stop(services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cohort_counts_everywhere() {
    let Some(services) = two().await else { return };
    let [here, there, _] = &services;
    let tree = |value: &str| {
        let mut leaf = pro();
        leaf["value"] = value.into();
        json!({"properties": {"type": "OR", "values": [{"type": "AND", "values": [leaf]}]}})
    };
    here.ingest(&[event("$set", "ann", json!({"$set": {"plan": "pro"}}))]).await;
    let path = "/api/projects/1/cohorts/";
    let body = json!({"name": "Payers", "filters": tree("pro")});
    let (status, cohort) = here.rest(Method::POST, path, body).await;
    assert_eq!(status, 201, "{cohort}");
    let member = json!({"key": "id", "type": "cohort", "value": cohort["id"]});
    let filters = json!({"groups": [{"properties": [member]}]});
    here.create(json!({"key": "payers", "filters": filters})).await;
    let path = format!("{path}{}/", cohort["id"]);
    for plan in ["pro", "team", "pro"] {
        let (status, _) = here.rest(Method::PATCH, &path, json!({"filters": tree(plan)})).await;
        assert_eq!(status, 200);
        seen(here, "payers", plan == "pro").await;
        seen(there, "payers", plan == "pro").await;
    }
    stop(services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_opens_nothing_anywhere_though_nobody_is_told() {
    let Some(services) = two().await else { return };
    revoked_everywhere(&services).await;
    stop(services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_opens_nothing_on_any_replica() {
    let Some(first) = Service::on_postgres().await else { return };
    let services = [first.replica().await, first.replica().await, first];
    revoked_everywhere(&services).await;
    stop(services).await;
}

async fn revoked_everywhere([here, there, _]: &[Service; 3]) {
    let request = flagstaff::wire::v1::CreateApiKeyRequest {
        project_id: "1".into(),
        scopes: vec!["feature_flag:read".into()],
        ..Default::default()
    };
    let made = here.projects_as(Some(&here.key)).create_api_key(request).await.unwrap();
    let made = made.into_inner();
    let (id, key) = (made.api_key.unwrap().id, made.token);
    let status =
        async |service: &Service| service.call(Method::GET, FLAGS, Some(&key), None).await.status;
    let mut watchers = Vec::new();
    for service in [here, there] {
        assert_eq!(status(service).await, 200, "it is remembered");
        let mut watcher = service.watch(&key, None).await;
        watcher.hear().await;
        watchers.push(watcher);
    }
    let request =
        flagstaff::wire::v1::RevokeApiKeyRequest { project_id: "1".into(), api_key_id: id };
    here.projects_as(Some(&here.key)).revoke_api_key(request).await.unwrap();
    assert_eq!(status(here).await, 401, "at once where it was revoked");
    let refused = async || (status(there).await == 401).then_some(());
    eventually("it is refused elsewhere", BOUND, refused).await;
    for mut watcher in watchers {
        let end = tokio::time::timeout(BOUND, watcher.end()).await.unwrap();
        assert_eq!(end.code(), Code::Unauthenticated);
    }
}
