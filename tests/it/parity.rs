//! The same requests down both edges come to the same state, and to the same failures.

use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{Edge, Failure, Write},
};

/// What a step does to the flag that the first step of its name made.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Patch(&'static str),
    Put(&'static str),
    /// A flag that is not there.
    Nowhere,
}
use Step::{Create, Nowhere, Patch, Put};

fn steps() -> Vec<(Step, Value)> {
    let half =
        json!([{"key": "a", "rollout_percentage": 50.5}, {"key": "b", "rollout_percentage": 49.5}]);
    let rich = json!({"groups": [{"properties": [{"key": "age", "type": "person", "operator": "max",
        "value": "65", "label": "Age"}], "rollout_percentage": 65, "variant": "a",
        "sort_key": "x", "new": 1.0}], "multivariate": {"variants": half},
        "payloads": {"a": {"n": 1}}, "holdout": {"id": 7, "exclusion_percentage": 10}, "made_up": null});
    let seen = json!({"name": "", "key": "first", "version": 1});
    vec![
        (Create, json!({"key": "first"})),
        (Create, json!({"key": "first"})),
        (Create, json!({"key": "bad key"})),
        (Create, json!({"name": "no key"})),
        (
            Create,
            json!({"key": "rich", "name": " Rich ", "filters": rich, "tags": [" B", "a", "b"],
            "evaluation_contexts": ["Web", "app"], "rollback_conditions": [{"x": 1.50}],
            "created_at": "2026-01-02T03:04:05Z", "last_called_at": "2026-02-03T04:05:06Z",
            "bucketing_identifier": "device_id", "evaluation_runtime": "server"}),
        ),
        (
            Create,
            json!({"key": "remote", "is_remote_configuration": true,
            "_should_create_usage_dashboard": false}),
        ),
        (
            Create,
            json!({"key": "secret", "is_remote_configuration": true,
            "has_encrypted_payloads": true,
            "filters": {"groups": [{}], "payloads": {"true": "\"x\""}}}),
        ),
        (Create, json!({"key": "empty", "filters": {"groups": []}})),
        (Create, json!({"key": "k", "evaluation_runtime": "both"})),
        (Create, json!({"key": "k", "analytics_dashboards": [999_999]})),
        (Create, json!({"key": "k", "has_encrypted_payloads": true})),
        (Patch("first"), json!({"name": "Renamed", "active": false})),
        (Patch("first"), json!({"active": true, "performed_rollback": true})),
        (Patch("first"), json!({"name": "Mine", "version": 1, "original_flag": seen})),
        (Patch("first"), json!({"tags": ["x"], "version": 1, "original_flag": seen})),
        (Patch("first"), json!({"filters": rich, "tags": [], "evaluation_runtime": null})),
        (Patch("first"), json!({"filters": {"groups": [{"rollout_percentage": 101}]}})),
        (Patch("first"), json!({"filters": {"payloads": {}}})),
        (Patch("first"), json!({"filters": null})),
        (Patch("first"), json!({"name": null})),
        (Patch("first"), json!({"key": "rich"})),
        (Patch("first"), json!({"key": "second"})),
        (Put("first"), json!({"name": "no key"})),
        (Put("first"), json!({"key": "second", "filters": {"early_exit": true}})),
        (Patch("rich"), json!({"ensure_experience_continuity": true})),
        (
            Patch("rich"),
            json!({"rollback_conditions": null, "last_called_at": null,
            "evaluation_contexts": [], "bucketing_identifier": null}),
        ),
        (Patch("secret"), json!({"is_remote_configuration": false})),
        (Patch("secret"), json!({"filters": {"groups": [{}], "payloads": {"true": "{"}}})),
        (Patch("secret"), json!({"has_encrypted_payloads": false})),
        (Patch("first"), json!({"deleted": true})),
        (Create, json!({"key": "first"})),
        (Create, json!({"key": "second"})),
        (Patch("rich"), json!({"deleted": true})),
        (Patch("rich"), json!({"deleted": false, "name": "back"})),
        (Nowhere, json!({"name": "x"})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_edges_agree_on_sqlite() {
    let services = [Service::on_sqlite().await, Service::on_sqlite().await];
    agree(services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_edges_agree_on_postgres() {
    let (Some(one), Some(other)) = (Service::on_postgres().await, Service::on_postgres().await)
    else {
        return;
    };
    agree([one, other]).await;
}

async fn agree(services: [Service; 2]) {
    let [rest, grpc] = services;
    let (by_rest, by_grpc) = (told(&rest, Edge::Rest).await, told(&grpc, Edge::Grpc).await);
    for ((step, left), right) in steps().iter().zip(&by_rest).zip(&by_grpc) {
        assert_eq!(left, right, "{step:?}");
    }
    let failed = by_rest.iter().filter(|outcome| outcome.is_err()).count();
    assert!(failed > 10 && by_rest.len() - failed > 10, "{failed} of {} failed", by_rest.len());
    assert_eq!(rows(&rest).await, rows(&grpc).await, "the activity tells the same");
    assert_eq!(rest.totals().await, grpc.totals().await);
    rest.stop().await;
    grpc.stop().await;
}

async fn told(service: &Service, edge: Edge) -> Vec<Result<Value, Failure>> {
    let mut made: Vec<(String, i64)> = Vec::new();
    let mut outcomes = Vec::new();
    for (step, body) in steps() {
        let id = |name: &str| made.iter().find(|(key, _)| key == name).unwrap().1;
        let write = match step {
            Create => Write::Create,
            Patch(name) => Write::Patch(id(name)),
            Put(name) => Write::Put(id(name)),
            Nowhere => Write::Patch(999_999),
        };
        let outcome = service.write(edge, write, &body).await;
        let outcome = outcome.unwrap_or_else(|| panic!("{step:?} {body} has no message"));
        if let (Create, Ok(flag)) = (step, &outcome) {
            made.push((flag["key"].as_str().unwrap().to_owned(), flag["id"].as_i64().unwrap()));
        }
        outcomes.push(outcome.map(timeless));
    }
    outcomes
}

/// Without what differs between any two runs.
fn timeless(mut flag: Value) -> Value {
    for name in ["created_by", "last_modified_by"] {
        assert!(flag[name]["email"].is_string());
        flag[name] = flag[name]["email"].clone();
    }
    let at = flag["created_at"].as_str().unwrap();
    if !at.starts_with("2026-01-02") {
        flag["created_at"] = json!("now");
    }
    let changed = flag["updated_at"].is_string();
    flag["updated_at"] = json!(changed);
    flag
}

async fn rows(service: &Service) -> Vec<Value> {
    let (_, page) = service.get(&format!("{FLAGS}activity/?limit=1000")).await;
    let rows = page["results"].as_array().unwrap().iter();
    rows.map(|row| json!([row["activity"], row["item_id"], row["detail"], row["user"]])).collect()
}
