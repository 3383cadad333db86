//! Arbitrary JSON survives both edges: what was written comes back to the letter.

use flagstaff::wire::v1::{
    ConditionGroup, FeatureFlag, FeatureFlagInput, Filters, GetFeatureFlagRequest, PropertyFilter,
    UpdateFeatureFlagRequest,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    grpc::{mask, named},
    rest::send,
};

/// As normalised already, so that it comes back as it is. The order of keys is unusual, too.
/// Only an exponent has one spelling, `1e+3`.
const FILTERS: &str = r#"{"zeta":{"deep":[{"a":[null,{"b":-0.0}]}]},"groups":[{"rollout_percentage":33.33,"properties":[{"value":["65",12345678901234567890123,1e+3],"key":"n","type":"person","operator":"exact","unknown":{"x":65.0}}],"sort_key":"ü \" \\ 🦀","aggregation_group_type_index":null},{"properties":[],"rollout_percentage":65,"aggregation_group_type_index":null}],"aggregation_group_type_index":null,"big":12345678901234567890123,"tiny":0.1000}"#;

both_databases! {
    filters_come_back_to_the_letter,
    rollback_conditions_come_back_to_the_letter,
    a_typed_whole_number_is_stored_whole,
    a_typed_read_modify_write_of_the_name_changes_no_filters,
    exact_text_over_grpc_is_kept_exactly,
}

/// The text of a top-level object field in a body.
fn field_text(body: &str, field: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body[field].to_string()
}

async fn post(service: &Service, body: String) -> String {
    let request = service.request(Method::POST, FLAGS).bearer_auth(&service.key);
    let answer = send(request.header("content-type", "application/json").body(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.text
}

fn id_in(body: &str) -> i64 {
    serde_json::from_str::<Value>(body).unwrap()["id"].as_i64().unwrap()
}

async fn rest_text(service: &Service, id: i64) -> String {
    let path = format!("{FLAGS}{id}/");
    service.call(Method::GET, &path, Some(&service.key), None).await.text
}

async fn grpc_flag(service: &Service, id: i64) -> FeatureFlag {
    let request = GetFeatureFlagRequest { id, ..Default::default() };
    let answer = service.flags().get_feature_flag(request).await.unwrap();
    answer.into_inner().feature_flag.unwrap()
}

async fn update(
    service: &Service,
    id: i64,
    input: FeatureFlagInput,
    paths: &[&str],
) -> FeatureFlag {
    let request = UpdateFeatureFlagRequest {
        id,
        feature_flag: Some(input),
        update_mask: mask(paths),
        ..Default::default()
    };
    let answer = service.flags().update_feature_flag(request).await.unwrap();
    answer.into_inner().feature_flag.unwrap()
}

async fn filters_come_back_to_the_letter(service: &Service) {
    let made = post(service, format!(r#"{{"key":"exact","filters":{FILTERS}}}"#)).await;
    assert!(made.contains(FILTERS), "the answer to the write: {made}");
    let id = id_in(&made);
    assert!(rest_text(service, id).await.contains(FILTERS));
    assert_eq!(grpc_flag(service, id).await.filters_json, FILTERS);

    let half = FILTERS.replace("33.33", "50.50");
    let body = format!(r#"{{"filters":{half}}}"#);
    let path = format!("{FLAGS}{id}/");
    let request = service.request(Method::PATCH, &path).bearer_auth(&service.key);
    send(request.header("content-type", "application/json").body(body)).await;
    let path = format!("{FLAGS}{id}/activity/?limit=1");
    let row = service.call(Method::GET, &path, Some(&service.key), None).await.text;
    assert!(row.contains(&format!(r#""before":{FILTERS},"after":{half}"#)), "{row}");
}

async fn rollback_conditions_come_back_to_the_letter(service: &Service) {
    let conditions = r#"[{"n":65},65.0,12345678901234567890123,"x",null,true]"#;
    let made = post(service, format!(r#"{{"key":"rb","rollback_conditions":{conditions}}}"#)).await;
    assert_eq!(field_text(&made, "rollback_conditions"), conditions);
    let id = id_in(&made);
    let flag = grpc_flag(service, id).await;
    assert_eq!(flag.rollback_conditions_json, conditions);

    let read = FeatureFlagInput { rollback_conditions: flag.rollback_conditions, ..named("new") };
    let after = update(service, id, read, &["name", "rollback_conditions"]).await;
    assert_eq!(after.rollback_conditions_json, conditions, "written back as it was read");
    let newest = service.history(id).await.remove(0);
    assert_eq!(newest, ("updated".into(), vec!["name".into(), "version".into()]));
}

async fn a_typed_whole_number_is_stored_whole(service: &Service) {
    let (id, _) = service.create(json!({"key": "typed"})).await;
    let property = PropertyFilter {
        key: "age".into(),
        r#type: flagstaff::wire::v1::PropertyType::Person.into(),
        value: Some(prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(65.0)) }),
        ..Default::default()
    };
    let group = ConditionGroup {
        properties: vec![property],
        rollout_percentage: Some(65.0),
        ..Default::default()
    };
    let filters = Some(Filters { groups: vec![group], ..Default::default() });
    let flag =
        update(service, id, FeatureFlagInput { filters, ..Default::default() }, &["filters"]).await;
    let stored: Value = serde_json::from_str(&flag.filters_json).unwrap();
    assert_eq!(stored["groups"][0]["rollout_percentage"].to_string(), "65");
    assert_eq!(stored["groups"][0]["properties"][0]["value"].to_string(), "65");
    assert_eq!(field_text(&rest_text(service, id).await, "filters"), flag.filters_json);
}

async fn a_typed_read_modify_write_of_the_name_changes_no_filters(service: &Service) {
    let made = post(service, format!(r#"{{"key":"modified","filters":{FILTERS}}}"#)).await;
    let id = id_in(&made);
    let read = grpc_flag(service, id).await;
    let write = FeatureFlagInput { filters: read.filters, ..named("renamed") };
    let after = update(service, id, write, &["name", "filters"]).await;
    assert_eq!((after.name.as_str(), after.filters_json.as_str()), ("renamed", FILTERS));
    assert!(rest_text(service, id).await.contains(FILTERS));
    let newest = service.history(id).await.remove(0);
    assert_eq!(newest, ("updated".into(), vec!["name".into(), "version".into()]));
}

async fn exact_text_over_grpc_is_kept_exactly(service: &Service) {
    let (id, _) = service.create(json!({"key": "text"})).await;
    let input = FeatureFlagInput {
        filters_json: Some(FILTERS.into()),
        rollback_conditions_json: Some("65.0".into()),
        ..Default::default()
    };
    let flag = update(service, id, input, &[]).await;
    assert_eq!(
        (flag.filters_json.as_str(), flag.rollback_conditions_json.as_str()),
        (FILTERS, "65.0")
    );
    let body = rest_text(service, id).await;
    assert!(body.contains(FILTERS));
    assert_eq!(field_text(&body, "rollback_conditions"), "65.0");
}
