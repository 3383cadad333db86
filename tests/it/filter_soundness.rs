//! Filters that evaluation could not use are refused by every write, so that no flag makes the
//! answers of its project doubtful.

use flagstaff::wire::v1::{
    ConditionGroup, CreateFeatureFlagRequest, FeatureFlagInput, Filters, Holdout, PropertyFilter,
    PropertyType,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure, Write},
    grpc::said,
};

both_databases! {
    what_evaluation_cannot_read_is_refused,
    a_typed_message_is_judged_alike,
    documented_checks_come_first,
    what_is_too_large_is_measured_before_it_is_judged,
    a_flag_that_is_stored_broken_costs_itself_alone,
    what_is_stored_may_be_sent_back,
    a_version_that_cannot_be_evaluated_is_not_restored,
}

fn invalid(detail: &str) -> Failure {
    Failure::field("filters", "invalid_input", detail)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Filters that evaluation refuses, or that nobody can have meant, and what is said of them.
fn unsound() -> Vec<(Value, String)> {
    let property = |property: Value| json!({"groups": [{"properties": [property]}]});
    let holdout = |holdout: Value| json!({"groups": [{}], "holdout": holdout});
    let variants =
        |variants: Value| json!({"groups": [{}], "multivariate": {"variants": variants}});
    let key = "groups[0].properties[0].key";
    let index = "must be between -2147483648 and 2147483647, got";
    let many = "99999999999999999999";
    vec![
        (
            property(json!({"type": "person", "value": "x"})),
            format!("{key} must be a string, got null"),
        ),
        (
            property(json!({"type": "person", "key": null})),
            format!("{key} must be a string, got null"),
        ),
        (
            property(json!({"type": "person", "key": {}})),
            format!("{key} must be a string, got dict"),
        ),
        (property(json!({"type": "person", "key": ""})), format!("{key} may not be blank")),
        (holdout(json!(5)), "holdout must be an object or null, got int".into()),
        (holdout(json!({"id": null})), "holdout.id must be an integer, got null".into()),
        (
            holdout(json!({"id": 7, "exclusion_percentage": null})),
            "holdout.exclusion_percentage must be a number, got null".into(),
        ),
        (
            holdout(json!({"id": 7, "exclusion_percentage": 500})),
            "holdout.exclusion_percentage must be between 0 and 100, got 500".into(),
        ),
        (
            holdout(parsed(&format!(r#"{{"id": {many}, "exclusion_percentage": 1}}"#))),
            format!("holdout.id must be a 64-bit integer, got {many}"),
        ),
        (
            parsed(&format!(r#"{{"groups": [{{}}], "aggregation_group_type_index": {many}}}"#)),
            format!("aggregation_group_type_index {index} {many}"),
        ),
        (
            parsed(&format!(
                r#"{{"groups": [{{"properties": [
                    {{"key": "a", "type": "person", "group_type_index": -{many}}}]}}]}}"#
            )),
            format!("groups[0].properties[0].group_type_index {index} -{many}"),
        ),
        (
            variants(json!([{"key": "", "rollout_percentage": 100}])),
            "multivariate.variants[0].key may not be blank".into(),
        ),
        (
            variants(
                json!([{"key": "a", "rollout_percentage": 50}, {"key": "a", "rollout_percentage": 50}]),
            ),
            "multivariate.variants[1].key must be unique, got 'a' again".into(),
        ),
    ]
}

async fn what_evaluation_cannot_read_is_refused(service: &Service) {
    let id = service.create_for_everyone("steady").await;
    for (filters, detail) in unsound() {
        let body = json!({"key": "wanted", "filters": filters});
        service.refuses(Write::Create, &body, &invalid(&detail)).await;
        let body = json!({"key": "steady", "filters": filters});
        service.refuses(Write::Patch(id), &body, &invalid(&detail)).await;
        service.refuses(Write::Put(id), &body, &invalid(&detail)).await;
    }
    let answer = service.flags_for(&json!({"distinct_id": "somebody"})).await;
    assert_eq!(answer["errorsWhileComputingFlags"], false, "{answer}");
}

async fn a_typed_message_is_judged_alike(service: &Service) {
    let property = PropertyFilter { r#type: PropertyType::Person.into(), ..Default::default() };
    let group = ConditionGroup { properties: vec![property], ..Default::default() };
    let without_key = Filters { groups: vec![group], ..Default::default() };
    let holdout = Holdout { id: 7, exclusion_percentage: 500.0, ..Default::default() };
    let all_held_out = Filters {
        groups: vec![ConditionGroup::default()],
        holdout: Some(holdout),
        ..Default::default()
    };
    for (filters, detail) in [
        (without_key, "groups[0].properties[0].key may not be blank"),
        (all_held_out, "holdout.exclusion_percentage must be between 0 and 100, got 500"),
    ] {
        let feature_flag = Some(FeatureFlagInput {
            key: Some("typed".into()),
            filters: Some(filters),
            ..Default::default()
        });
        let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
        let status = service.flags().create_feature_flag(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, detail));
        assert_eq!(said(&status, "attr").as_deref(), Some("filters"));
    }
}

async fn documented_checks_come_first(service: &Service) {
    let filters = json!({"groups": [{"properties": [{"type": "person", "operator": "nearly"}]}],
        "holdout": 5, "payloads": []});
    let body = json!({"key": "wanted", "filters": filters});
    let failure = Failure::field("filters", "invalid_operator", "Invalid operator: nearly");
    service.refuses(Write::Create, &body, &failure).await;
    let filters = json!({"groups": [{}], "holdout": 5, "payloads": {"x": 1}});
    let body = json!({"key": "wanted", "filters": filters});
    let detail = "Payload keys must be 'true' for boolean flags";
    service.refuses(Write::Create, &body, &invalid(detail)).await;
}

async fn what_is_too_large_is_measured_before_it_is_judged(service: &Service) {
    let variants: Vec<Value> = (0..9_000)
        .map(|at| json!({"key": format!("v{at}"), "rollout_percentage": i32::from(at == 0) * 100}))
        .collect();
    let groups = vec![json!({"variant": "nobody"}); 24_000];
    let filters = json!({"groups": groups, "multivariate": {"variants": variants}});
    for edge in EDGES {
        let body = json!({"key": "large", "filters": filters});
        let Some(outcome) = service.write(edge, Write::Create, &body).await else { continue };
        let failure = outcome.unwrap_err();
        assert!(
            failure.detail.starts_with("Feature flag filters exceed maximum size of 524288."),
            "{edge:?} {failure:?}"
        );
    }
    // As many as fit are judged one by one, not each against each.
    let filters = json!({
        "groups": vec![json!({"variant": "v5999", "aggregation_group_type_index": null}); 4_000],
        "multivariate": {"variants": &filters["multivariate"]["variants"].as_array().unwrap()[..6_000]},
    });
    let (_, flag) = service.create(json!({"key": "wide", "filters": filters})).await;
    assert_eq!(flag["filters"]["groups"].as_array().unwrap().len(), 4_000);
}

/// Stores filters as no write would.
async fn store(service: &Service, id: i64, filters: &Value) {
    let text = filters.to_string().replace('\'', "''");
    let sql = format!("UPDATE feature_flag SET filters = '{text}' WHERE id = {id}");
    service.execute(&sql).await;
    service.reload().await;
}

async fn a_flag_that_is_stored_broken_costs_itself_alone(service: &Service) {
    let sound = service.create_for_everyone("sound").await;
    for (at, (filters, _)) in unsound().into_iter().enumerate() {
        let key = format!("broken-{at}");
        let id = service.create_for_everyone(&key).await;
        store(service, id, &filters).await;
        assert_eq!(service.evaluated(&service.token, "sound").await["enabled"], true, "{filters}");
        let (status, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        assert_eq!((status, &flag["filters"]), (200, &filters));
        let (status, flag) = service.patch(id, json!({"name": "again"})).await;
        assert_eq!((status, &flag["name"]), (200, &json!("again")), "{filters}");
        let repaired = json!({"filters": {"groups": [{"rollout_percentage": 100}]}});
        assert_eq!(service.patch(id, repaired).await.0, 200, "{filters}");
        assert_eq!(service.evaluated(&service.token, &key).await["enabled"], true, "{filters}");
    }
    let (status, list) = service.get(FLAGS).await;
    assert_eq!((status, &list["count"]), (200, &json!(unsound().len() + 1)), "{sound}");
}

async fn what_is_stored_may_be_sent_back(service: &Service) {
    let index = "aggregation_group_type_index";
    let broken = json!({"groups": [{index: null}], "holdout": 5, index: null});
    let id = service.create_for_everyone("older").await;
    store(service, id, &broken).await;
    let body = json!({"name": "renamed", "filters": broken});
    let (status, flag) = service.patch(id, body).await;
    assert_eq!((status, &flag["name"], &flag["filters"]), (200, &json!("renamed"), &broken));
    let other = json!({"groups": [{index: null}], "holdout": 6, index: null});
    let detail = "holdout must be an object or null, got int";
    service.refuses(Write::Patch(id), &json!({"filters": other}), &invalid(detail)).await;
}

async fn a_version_that_cannot_be_evaluated_is_not_restored(service: &Service) {
    let id = service.create_for_everyone("restored").await;
    let index = "aggregation_group_type_index";
    let broken = json!({"groups": [{index: null}], "holdout": 5, index: null});
    store(service, id, &broken).await;
    // The row of this change remembers the filters before it.
    let sound = json!({"filters": {"groups": [{"rollout_percentage": 50}]}});
    assert_eq!(service.patch(id, sound).await.0, 200);
    let before = service.get(&format!("{FLAGS}{id}/")).await;
    let path = format!("{FLAGS}{id}/restore/");
    let (status, answer) = service.rest(Method::POST, &path, json!({"version": 1})).await;
    let failure = Failure::of_rest(status, &answer);
    assert_eq!(failure, invalid("holdout must be an object or null, got int"));
    assert_eq!(service.get(&format!("{FLAGS}{id}/")).await, before);
}
