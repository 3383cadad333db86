//! Flags that go by cohort or group read what the project has of both.

use std::time::Duration;

use flagstaff::wire::v1::{EvaluateFlagRequest, EvaluationSubject};
use http::Method;
use prost_types::{Struct, value::Kind};
use serde_json::{Value, json};

use crate::support::{
    Service,
    directory::{nested, plan},
    eventually,
};

both_databases! {
    stored_cohorts_and_group_types_decide_flags,
    a_change_of_a_cohort_decides_flags_at_once,
    a_change_of_a_nested_cohort_decides_flags_at_once,
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

/// A flag for the members of a cohort.
async fn flag_for(service: &Service, cohort: i64) {
    let member = json!({"type": "cohort", "key": "id", "value": cohort, "operator": "in"});
    flag(service, "members", json!({"properties": [member]})).await;
}

/// Whether the flag is on for somebody with this plan; both edges say the same.
async fn is_on(service: &Service, plan: &str) -> bool {
    let over_rest = asked(service, "members", json!({"person_properties": {"plan": plan}})).await;
    let value = prost_types::Value { kind: Some(Kind::StringValue(plan.into())) };
    let properties = Struct { fields: [("plan".to_owned(), value)].into() };
    let subject = EvaluationSubject {
        distinct_id: "ann".into(),
        person_properties: Some(properties),
        ..Default::default()
    };
    let request = EvaluateFlagRequest {
        flag_key: "members".into(),
        subject: Some(subject),
        ..Default::default()
    };
    let mut evaluation = service.evaluation_as(Some(&service.token));
    let over_grpc = evaluation.evaluate_flag(request).await.unwrap().into_inner().flag.unwrap();
    assert_eq!(over_rest["enabled"], over_grpc.enabled);
    over_grpc.enabled
}

async fn a_change_of_a_cohort_decides_flags_at_once(service: &Service) {
    let cohort = service.cohort_of_plan("pro").await;
    flag_for(service, cohort).await;
    for wanted in ["pro", "free", "team"] {
        service.patch_cohort(cohort, json!({"filters": plan(wanted)})).await;
        for asked in ["pro", "free", "team"] {
            assert_eq!(is_on(service, asked).await, asked == wanted, "{wanted}: {asked}");
        }
    }
}

async fn a_change_of_a_nested_cohort_decides_flags_at_once(service: &Service) {
    let inner = service.cohort_of_plan("pro").await;
    let outer = json!({"name": "outer", "filters": nested(inner)});
    let (outer, _) = service.new_cohort(outer).await;
    flag_for(service, outer).await;
    assert!(is_on(service, "pro").await && !is_on(service, "free").await);
    service.patch_cohort(inner, json!({"filters": plan("free")})).await;
    assert!(!is_on(service, "pro").await && is_on(service, "free").await);
    // A flag that is written together with a new cohort finds both.
    let another = service.cohort_of_plan("team").await;
    service.patch_cohort(outer, json!({"filters": nested(another)})).await;
    assert!(is_on(service, "team").await && !is_on(service, "free").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_cohort_through_one_replica_decides_flags_on_the_other() {
    let Some(first) = Service::on_postgres().await else { return };
    let second = first.replica().await;
    let cohort = first.cohort_of_plan("pro").await;
    flag_for(&first, cohort).await;
    for wanted in ["pro", "free", "team"] {
        second.patch_cohort(cohort, json!({"filters": plan(wanted)})).await;
        for service in [&first, &second] {
            let look = async || {
                let answer =
                    asked(service, "members", json!({"person_properties": {"plan": wanted}}));
                (answer.await["enabled"] == true).then_some(())
            };
            eventually("the flag goes by the new cohort", Duration::from_secs(2), look).await;
        }
    }
    second.stop().await;
    first.stop().await;
}
