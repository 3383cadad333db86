//! Fields that nothing reads: taken by default, told where that is asked for, refused where writes
//! are strict.

use flagstaff::wire::v1::{
    CohortInput, ConditionGroup, CreateCohortRequest, CreateFeatureFlagRequest, FeatureFlagInput,
    Filters, ProjectInput, UpdateFeatureFlagRequest, UpdateProjectRequest, Warning,
};
use http::Method;
use prost_types::{Struct, Value as Wire, value::Kind};
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::support::{
    FLAGS, Service,
    directory::COHORTS,
    edges::{EDGES, Failure, Write},
    grpc::reason,
    rest::{Answer, send},
};

both_databases! {
    unknown_fields_are_taken_and_told_where_asked,
    a_message_carries_its_warnings,
    a_strict_request_is_refused_with_the_nearest_name,
    a_strict_project_refuses_unless_the_request_says_otherwise,
    cohorts_and_projects_are_alike,
    what_clients_send_back_is_never_refused,
    a_header_is_true_or_false,
}

const PROJECT: &str = "/api/projects/1/";

async fn with(
    service: &Service,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let request = service.request(method, path).bearer_auth(&service.key).json(body);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request).await
}

/// A condition whose share is misspelled, so that the flag is on for everybody.
fn misspelled(key: &str) -> Value {
    json!({"key": key, "filters": {"groups": [{"properties": [], "rolout_percentage": 10}]}})
}

const SHARE: &str = "filters.groups[0].rolout_percentage";

async fn unknown_fields_are_taken_and_told_where_asked(service: &Service) {
    let (id, flag) = service.create(misspelled("silent")).await;
    assert_eq!(flag.get("warnings"), None, "as the reference");
    let asked = [("x-flagstaff-warnings", "true")];
    let answer = with(service, (Method::POST, FLAGS), &asked, &misspelled("told")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let expected = json!([{
        "path": SHARE,
        "message": "Unknown field \"rolout_percentage\": it is stored, and has no effect.",
        "suggestion": "rollout_percentage",
    }]);
    assert_eq!(answer.json()["warnings"], expected);
    let path = format!("{FLAGS}{id}/");
    for body in [json!({"actve": false}), json!({"enabled": true})] {
        let answer = with(service, (Method::PATCH, &path), &asked, &body).await;
        let warning = &answer.json()["warnings"][0];
        assert_eq!((answer.status, &warning["suggestion"]), (200, &json!("active")), "{warning}");
        assert_eq!(answer.json()["active"], true, "{body}");
    }
    let answer = with(service, (Method::PATCH, &path), &asked, &json!({"name": "x"})).await;
    assert_eq!(answer.json()["warnings"], json!([]), "asked, and nothing to tell");
    let unasked = [("x-flagstaff-warnings", "false")];
    let answer = with(service, (Method::PATCH, &path), &unasked, &json!({"actve": false})).await;
    assert_eq!((answer.status, answer.json().get("warnings")), (200, None));
}

fn text(text: &str) -> Option<FeatureFlagInput> {
    let filters = misspelled("x")["filters"].to_string();
    Some(FeatureFlagInput {
        key: Some(text.into()),
        filters_json: Some(filters),
        ..Default::default()
    })
}

fn typed(key: &str) -> Option<FeatureFlagInput> {
    let ten = Wire { kind: Some(Kind::NumberValue(10.0)) };
    let extra = Some(Struct { fields: [("rolout_percentage".into(), ten)].into() });
    let groups = vec![ConditionGroup { extra, ..Default::default() }];
    let filters = Some(Filters { groups, ..Default::default() });
    Some(FeatureFlagInput { key: Some(key.into()), filters, ..Default::default() })
}

fn share_warning() -> Warning {
    Warning {
        path: SHARE.into(),
        message: "Unknown field \"rolout_percentage\": it is stored, and has no effect.".into(),
        suggestion: Some("rollout_percentage".into()),
    }
}

async fn a_message_carries_its_warnings(service: &Service) {
    for feature_flag in [text("by-text"), typed("by-type")] {
        let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
        let made = service.flags().create_feature_flag(request).await.unwrap().into_inner();
        assert_eq!(made.warnings, [share_warning()]);
        let id = made.feature_flag.unwrap().id;
        for feature_flag in [text("again"), typed("again")] {
            let request = UpdateFeatureFlagRequest { id, feature_flag, ..Default::default() };
            let done = service.flags().update_feature_flag(request).await.unwrap().into_inner();
            assert_eq!(done.warnings, [share_warning()]);
        }
        service.patch(id, json!({"deleted": true})).await;
    }
}

fn strict<T>(message: T, value: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-flagstaff-strict", value.parse().unwrap());
    request
}

fn unknown(field: &str, path: &str, meant: &str) -> Failure {
    let detail = format!("Unknown field \"{path}\". Did you mean \"{meant}\"?");
    Failure::field(field, "unknown_field", &detail)
}

async fn a_strict_request_is_refused_with_the_nearest_name(service: &Service) {
    let before = service.totals().await;
    let header = [("x-flagstaff-strict", "true")];
    let refused = unknown("filters", SHARE, "rollout_percentage");
    let answer = with(service, (Method::POST, FLAGS), &header, &misspelled("x")).await;
    assert_eq!(Failure::of_rest(answer.status, &answer.json()), refused);
    for feature_flag in [text("x"), typed("x")] {
        let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
        let status =
            service.flags().create_feature_flag(strict(request, "true")).await.unwrap_err();
        assert_eq!(
            (status.code(), Failure::of_grpc(&status)),
            (Code::InvalidArgument, refused.clone())
        );
    }
    assert_eq!(service.totals().await, before);
    let (id, _) = service.create(json!({"key": "there"})).await;
    let path = format!("{FLAGS}{id}/");
    let before = service.get(&path).await;
    for method in [Method::PATCH, Method::PUT] {
        let body = json!({"key": "there", "actve": false});
        let answer = with(service, (method, &path), &header, &body).await;
        let refused = unknown("actve", "actve", "active");
        assert_eq!(Failure::of_rest(answer.status, &answer.json()), refused);
    }
    for feature_flag in [text("there"), typed("there")] {
        let request = UpdateFeatureFlagRequest { id, feature_flag, ..Default::default() };
        let status =
            service.flags().update_feature_flag(strict(request, "true")).await.unwrap_err();
        assert_eq!(Failure::of_grpc(&status), refused);
    }
    assert_eq!(service.get(&path).await, before);
}

async fn set_strict(service: &Service, value: bool) {
    let (status, project) =
        service.rest(Method::PATCH, PROJECT, json!({"strict_writes": value})).await;
    assert_eq!((status, &project["strict_writes"]), (200, &json!(value)));
}

async fn a_strict_project_refuses_unless_the_request_says_otherwise(service: &Service) {
    assert_eq!(service.get(PROJECT).await.1["strict_writes"], false, "at first");
    let project = Some(ProjectInput { strict_writes: Some(true), ..Default::default() });
    let request = UpdateProjectRequest { project, ..Default::default() };
    let updated = service.projects_as(Some(&service.key)).update_project(request).await.unwrap();
    assert!(updated.into_inner().project.unwrap().strict_writes);
    let refused = unknown("filters", SHARE, "rollout_percentage");
    service.refuses(Write::Create, &misspelled("x"), &refused).await;
    let lenient = [("x-flagstaff-strict", "false")];
    let answer = with(service, (Method::POST, FLAGS), &lenient, &misspelled("taken")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let request = CreateFeatureFlagRequest { feature_flag: text("too"), ..Default::default() };
    service.flags().create_feature_flag(strict(request, "false")).await.unwrap();
    set_strict(service, false).await;
    service.create(misspelled("again")).await;
}

async fn cohorts_and_projects_are_alike(service: &Service) {
    let filters = json!({"properties": {"type": "AND", "values": [
        {"type": "person", "key": "plan", "valu": "pro", "operator": "is_set"}]}});
    let body = json!({"name": "c", "filters": filters});
    let asked = [("x-flagstaff-warnings", "true")];
    let answer = with(service, (Method::POST, COHORTS), &asked, &body).await;
    let path = "filters.properties.values[0].valu";
    assert_eq!((answer.status, &answer.json()["warnings"][0]["path"]), (201, &json!(path)));
    let id = answer.json()["id"].as_i64().unwrap();
    let header = [("x-flagstaff-strict", "true")];
    for (method, target) in
        [(Method::POST, COHORTS.to_owned()), (Method::PATCH, format!("{COHORTS}{id}/"))]
    {
        let answer = with(service, (method, &target), &header, &body).await;
        let refused = unknown("filters", path, "value");
        assert_eq!(Failure::of_rest(answer.status, &answer.json()), refused);
    }
    let cohort = CohortInput {
        name: Some("c".into()),
        filters_json: Some(filters.to_string()),
        ..Default::default()
    };
    let request = CreateCohortRequest { cohort: Some(cohort), ..Default::default() };
    let made = service.directory().create_cohort(request.clone()).await.unwrap().into_inner();
    assert_eq!(made.warnings[0].path, path);
    let status = service.directory().create_cohort(strict(request, "true")).await.unwrap_err();
    assert_eq!(reason(&status), "unknown_field");
    let body = json!({"time_zone": "UTC"});
    let answer = with(service, (Method::PATCH, PROJECT), &asked, &body).await;
    assert_eq!(answer.json()["warnings"][0]["suggestion"], "timezone");
    let answer = with(service, (Method::PATCH, PROJECT), &header, &body).await;
    assert_eq!(
        Failure::of_rest(answer.status, &answer.json()),
        unknown("time_zone", "time_zone", "timezone")
    );
}

async fn what_clients_send_back_is_never_refused(service: &Service) {
    set_strict(service, true).await;
    let cohort = service.cohort_of_plan("pro").await;
    let property = json!({"key": "id", "type": "cohort", "value": cohort, "operator": "in",
        "negation": false, "label": "l", "cohort_name": "pro", "group_key_names": {}});
    let body = json!({"key": "whole", "name": "n", "active": true, "creation_context": "feature_flags",
        "_create_in_folder": "f", "_should_create_usage_dashboard": false,
        "filters": {"groups": [{"properties": [property], "rollout_percentage": 50, "variant": "a",
            "aggregation_group_type_index": null, "description": "d", "sort_key": "s"}],
            "multivariate": {"variants": [
                {"key": "a", "name": "A", "rollout_percentage": 100, "description": "v"}]},
            "payloads": {"a": "{\"unknown\": 1}"}, "holdout": {"id": 1, "exclusion_percentage": 5},
            "feature_enrollment": false, "early_exit": false, "super_groups": null,
            "holdout_groups": [{"properties": [], "rollout_percentage": 1, "variant": "holdout-1"}]}});
    for edge in EDGES {
        let Some(outcome) = service.write(edge, Write::Create, &body).await else { continue };
        let mut shown = outcome.unwrap();
        let id = shown["id"].as_i64().unwrap();
        shown["original_flag"] = shown.clone();
        for method in [Method::PATCH, Method::PUT] {
            let path = format!("{FLAGS}{id}/");
            let asked = [("x-flagstaff-warnings", "true")];
            let answer = with(service, (method, &path), &asked, &shown).await;
            assert_eq!(
                (answer.status, &answer.json()["warnings"]),
                (200, &json!([])),
                "{answer:?}"
            );
        }
        service.patch(id, json!({"deleted": true})).await;
    }
    let project = service.get(PROJECT).await.1;
    assert_eq!(service.rest(Method::PATCH, PROJECT, project).await.0, 200);
    let path = format!("{COHORTS}{cohort}/");
    let shown = service.get(&path).await.1;
    assert_eq!(service.rest(Method::PATCH, &path, shown).await.0, 200);
}

async fn a_header_is_true_or_false(service: &Service) {
    let header = [("x-flagstaff-strict", "perhaps")];
    let answer = with(service, (Method::POST, FLAGS), &header, &json!({"key": "x"})).await;
    let refused = Failure::field("x-flagstaff-strict", "invalid_input", "Must be true or false.");
    assert_eq!(Failure::of_rest(answer.status, &answer.json()), refused);
    let feature_flag = Some(FeatureFlagInput { key: Some("x".into()), ..Default::default() });
    let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
    let status = service.flags().create_feature_flag(strict(request, "perhaps")).await.unwrap_err();
    assert_eq!(Failure::of_grpc(&status), refused);
}
