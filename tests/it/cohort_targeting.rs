//! Flags that go by cohort or group read what the project has of both.

use http::Method;
use serde_json::{Value, json};

use crate::support::Service;

both_databases! {
    stored_cohorts_and_group_types_decide_flags,
}

/// A flag for whom the properties say.
async fn flag(service: &Service, key: &str, group: Value) -> i64 {
    service.create(json!({"key": key, "filters": {"groups": [group]}})).await.0
}

/// What `POST /flags?v=2` answers for one flag and this subject.
async fn asked(service: &Service, key: &str, subject: Value) -> Value {
    let mut body = json!({"token": service.token, "distinct_id": "ann"});
    body.as_object_mut().unwrap().extend(subject.as_object().unwrap().clone());
    let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
    answer.json()["flags"][key].clone()
}

async fn stored_cohorts_and_group_types_decide_flags(service: &Service) {
    let tree =
        r#"{"properties":{"type":"AND","values":[{"type":"person","key":"plan","value":"pro"}]}}"#;
    service.cohort(1, 7, false, tree).await;
    let kind =
        "INSERT INTO group_type (project_id, group_type_index, name) VALUES (1, 0, 'company')";
    service.execute(kind).await;
    let members =
        json!({"properties": [{"type": "cohort", "key": "id", "value": 7, "operator": "in"}]});
    flag(service, "by-cohort", members).await;
    let companies = json!({"aggregation_group_type_index": 0, "rollout_percentage": 100});
    flag(service, "by-company", companies).await;
    // Rows that no operation wrote are seen with the next change of the project itself.
    service.rest(Method::PATCH, "/api/projects/1/", json!({"name": "Reloaded"})).await;
    for (plan, expected) in [("pro", true), ("free", false)] {
        let subject = json!({"person_properties": {"plan": plan}});
        assert_eq!(asked(service, "by-cohort", subject).await["enabled"], expected, "{plan}");
    }
    let in_company = json!({"groups": {"company": "acme"}});
    assert_eq!(asked(service, "by-company", in_company).await["enabled"], true);
    let alone = asked(service, "by-company", json!({})).await;
    assert_eq!(alone["reason"]["code"], "no_group_type", "{alone}");
}
