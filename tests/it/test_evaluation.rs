//! A flag tried out on one person, now (management-api 4.4). The past is in `time_travel`.

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure},
    events::event,
};

both_databases! {
    a_question_names_one_person_in_well_formed_fields,
    somebody_unknown_is_told_under_both_names,
    each_condition_and_each_property_is_told,
    only_properties_that_the_conditions_name_are_told,
    by_person_id_no_distinct_id_is_told_and_the_smallest_decides,
    flags_that_are_off_or_deleted_are_told_as_such,
    groups_and_cohorts_take_part,
    every_reason_has_its_code,
    payloads_are_told_and_secrets_are_not,
    nothing_is_written_and_nothing_counts_as_use,
    one_credential_may_ask_240_times_a_minute,
}

const ANN: &str = "00000000-0000-4000-8000-000000000007";

fn is(key: &str, operator: &str, value: Value) -> Value {
    json!({"key": key, "type": "person", "operator": operator, "value": value})
}

async fn flag(service: &Service, key: &str, groups: Value) -> i64 {
    service.create(json!({"key": key, "filters": {"groups": groups}})).await.0
}

/// A person of two ids.
async fn ann(service: &Service) {
    let properties =
        json!({"email": "ann@example.com", "plan": "pro", "seats": 65, "secret": "of hers"});
    service.stored_person(7, &["zoe", "ann"], &properties).await;
}

async fn a_question_names_one_person_in_well_formed_fields(service: &Service) {
    ann(service).await;
    let id = service.create_for_everyone("everyones").await;
    let stock = "Datetime has wrong format. Use one of these formats instead: \
                 YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";
    let blank = |attr| Failure::field(attr, "blank", "This field may not be blank.");
    let cases = [
        (json!({}), Failure::rule("Either distinct_id or person_id must be provided")),
        (
            json!({"distinct_id": "ann", "person_id": ANN}),
            Failure::rule("Cannot provide both distinct_id and person_id"),
        ),
        (json!({"distinct_id": " "}), blank("distinct_id")),
        (json!({"person_id": ""}), blank("person_id")),
        (
            json!({"distinct_id": "ann", "timestamp": "soon"}),
            Failure::field("timestamp", "invalid_input", stock),
        ),
        (
            json!({"distinct_id": "ann", "groups": [1]}),
            Failure::field(
                "groups",
                "not_a_dict",
                "Expected a dictionary of items but got type \"list\".",
            ),
        ),
        (json!({"person_id": "ann"}), Failure::bare(400, "Invalid parameters")),
    ];
    for edge in EDGES {
        for (body, expected) in &cases {
            let Some(tried) = service.tried_as(edge, &service.key, id, body).await else {
                continue;
            };
            assert_eq!(tried.as_ref().err(), Some(expected), "{edge:?} {body}");
        }
        let absent = service.tried_as(edge, &service.key, 999, &json!({})).await.unwrap();
        assert_eq!(absent, Err(Failure::not_found()), "{edge:?}");
    }
    let path = format!("{FLAGS}{id}/test_evaluation");
    let (status, body) = service.rest(Method::POST, &path, json!({"person_id": "ann"})).await;
    assert_eq!((status, body), (400, json!({"error": "Invalid parameters"})));
}

async fn somebody_unknown_is_told_under_both_names(service: &Service) {
    let id = service.create_for_everyone("everyones").await;
    let (other, _) = service.new_project("Other");
    service.person(other, "01890a5d-ac96-774b-bcce-b302099a8057", "elsewhere", "{}").await;
    for (name, value) in [
        ("distinct_id", "nobody"),
        ("distinct_id", "elsewhere"),
        ("person_id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ] {
        let text = format!("Person not found for {name}: {value}");
        for edge in EDGES {
            let tried = service.tried_as(edge, &service.key, id, &json!({name: value})).await;
            assert_eq!(tried.unwrap(), Err(Failure::bare(404, &text)), "{edge:?}");
        }
        let path = format!("{FLAGS}{id}/test_evaluation/");
        let (status, body) = service.rest(Method::POST, &path, json!({name: value})).await;
        assert_eq!((status, body), (404, json!({"detail": text, "error": text})));
    }
}

async fn each_condition_and_each_property_is_told(service: &Service) {
    ann(service).await;
    let filters = json!({
        "groups": [
            {"properties": [is("plan", "exact", json!("free")), is("seats", "gt", json!("9"))]},
            {"properties": [is("email", "icontains", json!("@example.com"))], "rollout_percentage": 0},
            {"properties": [is("email", "icontains", json!("@example.com"))], "rollout_percentage": 100,
             "variant": "control"},
            {"properties": [is("age", "is_not_set", Value::Null)], "rollout_percentage": null},
        ],
        "multivariate": {"variants": [{"key": "control", "rollout_percentage": 0},
            {"key": "test", "rollout_percentage": 100}]},
        "payloads": {"control": "{\"color\": \"red\"}"},
    });
    let (id, _) = service.create(json!({"key": "new-checkout", "filters": filters})).await;
    for edge in EDGES {
        let mut told = service.tried(edge, id, &json!({"distinct_id": "ann"})).await;
        let conditions = told["conditions"].as_array_mut().unwrap();
        for condition in conditions {
            let explanation = condition.as_object_mut().unwrap().remove("explanation").unwrap();
            assert_ne!(explanation, "", "{edge:?}");
            for property in condition["properties"].as_array_mut().unwrap() {
                let explanation = property.as_object_mut().unwrap().remove("explanation").unwrap();
                assert_ne!(explanation, "", "{edge:?}");
            }
        }
        let property = |key: &str, operator: &str, value: Value, actual: Value, matched: bool| {
            json!({"key": key, "operator": operator, "value": value, "type": "person",
                "actual_value": actual, "matched": matched})
        };
        let email = || {
            let (value, actual) = (json!("@example.com"), json!("ann@example.com"));
            property("email", "icontains", value, actual, true)
        };
        let expected = json!({
            "flag_key": "new-checkout",
            "result": "control",
            "reason": "condition_match",
            "condition_index": 2,
            "payload": "{\"color\": \"red\"}",
            "person_properties":
                {"plan": "pro", "seats": 65, "email": "ann@example.com"},
            "evaluation_distinct_id": "ann",
            "conditions": [
                {"index": 0, "matched": false, "properties_matched": false, "rollout_percentage": 100.0,
                 "rollout_excluded": false, "variant": null, "properties": [
                    property("plan", "exact", json!("free"), json!("pro"), false),
                    property("seats", "gt", json!("9"), json!(65), true)]},
                {"index": 1, "matched": false, "properties_matched": true, "rollout_percentage": 0.0,
                 "rollout_excluded": true, "variant": null, "properties": [email()]},
                {"index": 2, "matched": true, "properties_matched": true, "rollout_percentage": 100.0,
                 "rollout_excluded": false, "variant": "control", "properties": [email()]},
                {"index": 3, "matched": false, "properties_matched": true, "rollout_percentage": 100.0,
                 "rollout_excluded": false, "variant": null, "properties": [
                    property("age", "is_not_set", Value::Null, Value::Null, true)]},
            ],
            "reason_description": "Matched condition set 3",
        });
        assert_eq!(told, expected, "{edge:?}");
        let whole = told["person_properties"].to_string();
        assert!(whole.contains("\"seats\":65"), "{edge:?}: numbers keep their text: {whole}");
    }
}

async fn only_properties_that_the_conditions_name_are_told(service: &Service) {
    let properties = json!({"plan": null, "$feature_enrollment/early": "true", "secret": "hers"});
    service.stored_person(7, &["ann"], &properties).await;
    let filters = json!({"groups": [{"properties": [is("plan", "is_set", Value::Null)]}]});
    let (plain, _) = service.create(json!({"key": "plain", "filters": filters})).await;
    let mut enrolled = filters.clone();
    enrolled["feature_enrollment"] = json!(true);
    let (early, _) = service.create(json!({"key": "early", "filters": enrolled})).await;
    let cohort = json!([{"key": "id", "type": "cohort", "operator": "in", "value": 1}]);
    let tree = json!({"type": "person", "key": "secret", "operator": "exact", "value": "hers"});
    let tree = json!({"properties": {"type": "AND", "values": [tree]}}).to_string();
    service.cohort(1, 1, false, &tree).await;
    service.reload().await;
    let listed = flag(service, "listed", json!([{"properties": cohort}])).await;
    let cases = [
        (plain, json!({"plan": null}), "condition_match"),
        (
            early,
            json!({"plan": null, "$feature_enrollment/early": "true"}),
            "super_condition_value",
        ),
        (listed, json!({}), "condition_match"),
    ];
    for edge in EDGES {
        for (id, properties, reason) in &cases {
            let told = service.tried(edge, *id, &json!({"distinct_id": "ann"})).await;
            assert_eq!(&told["person_properties"], properties, "{edge:?} {told}");
            assert_eq!(&told["reason"], reason, "{edge:?}");
        }
    }
}

async fn by_person_id_no_distinct_id_is_told_and_the_smallest_decides(service: &Service) {
    ann(service).await;
    let mine = |id: &str| json!([{"properties": [is("distinct_id", "exact", json!(id))]}]);
    let anns = flag(service, "anns", mine("ann")).await;
    let zoes = flag(service, "zoes", mine("zoe")).await;
    for edge in EDGES {
        for (body, by_ann, told) in [
            (json!({"person_id": ANN}), true, Value::Null),
            (json!({"distinct_id": "ann"}), true, json!("ann")),
            (json!({"distinct_id": "zoe"}), false, json!("zoe")),
        ] {
            for (id, expected) in [(anns, by_ann), (zoes, !by_ann)] {
                let tried = service.tried(edge, id, &body).await;
                assert_eq!(tried["result"], expected, "{edge:?} {body}");
                assert_eq!(tried["evaluation_distinct_id"], told, "{edge:?} {body}");
                let actual = &tried["conditions"][0]["properties"][0]["actual_value"];
                assert_eq!(*actual, told, "{edge:?}: a condition tells it neither");
                assert_eq!(tried["person_properties"], json!({}), "{edge:?} {body}");
            }
        }
    }
}

async fn flags_that_are_off_or_deleted_are_told_as_such(service: &Service) {
    ann(service).await;
    let off = service.create_for_everyone("off").await;
    service.patch(off, json!({"active": false})).await;
    let gone = service.create_for_everyone("gone").await;
    service.patch(gone, json!({"deleted": true})).await;
    for edge in EDGES {
        let told = service.tried(edge, off, &json!({"distinct_id": "ann"})).await;
        assert_eq!((&told["result"], &told["reason"]), (&json!(false), &json!("flag_disabled")));
        assert_eq!(told["conditions"][0]["matched"], false, "{edge:?}");
        let told = service.tried(edge, gone, &json!({"distinct_id": "ann"})).await;
        assert_eq!((&told["result"], &told["reason"]), (&json!(false), &json!("flag_not_found")));
        assert_eq!((&told["conditions"], &told["payload"]), (&json!([]), &Value::Null));
        assert_eq!(told["flag_key"], "gone", "{edge:?}");
    }
}

async fn groups_and_cohorts_take_part(service: &Service) {
    ann(service).await;
    service.group_type(0, "company").await;
    service.stored_group(0, "acme", &json!({"size": 9})).await;
    service.cohort(1, 1, true, "{}").await;
    service.member(1, 7).await;
    service.reload().await;
    let listed = json!([{"key": "id", "type": "cohort", "operator": "in", "value": 1}]);
    let member = flag(service, "member", json!([{"properties": listed}])).await;
    let big = json!([{"key": "size", "type": "group", "group_type_index": 0, "operator": "gt", "value": "5"}]);
    let filters = json!({"aggregation_group_type_index": 0, "groups": [{"properties": big}]});
    let (company, _) = service.create(json!({"key": "company", "filters": filters})).await;
    let reads = json!([{"key": member.to_string(), "type": "flag", "operator": "flag_evaluates_to", "value": true}]);
    let reader = flag(service, "reader", json!([{"properties": reads}])).await;
    let cases = [
        (member, json!({}), true, "condition_match"),
        (reader, json!({}), true, "condition_match"),
        (company, json!({}), false, "no_group_type"),
        (company, json!({"company": "acme"}), true, "condition_match"),
        (company, json!({"company": "tiny"}), false, "no_condition_match"),
        (company, json!({"team": "acme"}), false, "no_group_type"),
    ];
    for edge in EDGES {
        for (id, groups, result, reason) in &cases {
            let told =
                service.tried(edge, *id, &json!({"distinct_id": "ann", "groups": groups})).await;
            let got = (&told["result"], &told["reason"]);
            assert_eq!(got, (&json!(result), &json!(reason)), "{edge:?} {id} {groups}");
        }
        let told = service.tried(edge, reader, &json!({"distinct_id": "ann"})).await;
        assert_eq!(told["conditions"][0]["properties"][0]["actual_value"], true, "{edge:?}");
    }
}

async fn every_reason_has_its_code(service: &Service) {
    ann(service).await;
    let out = flag(service, "out", json!([{"rollout_percentage": 0}])).await;
    let miss =
        flag(service, "miss", json!([{"properties": [is("plan", "exact", json!("x"))]}])).await;
    let held = json!({"groups": [{}], "holdout": {"id": 7, "exclusion_percentage": 100}});
    let (held, _) = service.create(json!({"key": "held", "filters": held})).await;
    let lost = service.create_for_everyone("lost").await;
    let strange = service.create_for_everyone("strange").await;
    let reads = json!([{"properties": [{"key": "99999", "type": "flag", "operator": "flag_evaluates_to", "value": true}]}]);
    for (id, filters) in [(lost, json!({"groups": reads})), (strange, json!({"groups": [7]}))] {
        let sql = format!("UPDATE feature_flag SET filters = '{filters}' WHERE id = {id}");
        service.execute(&sql).await;
    }
    let cases = [
        (out, json!(false), "out_of_rollout_bound", json!(0)),
        (miss, json!(false), "no_condition_match", json!(0)),
        (held, json!("holdout-7"), "holdout_condition_value", Value::Null),
        (lost, json!(false), "missing_dependency", Value::Null),
        (strange, json!(false), "unknown", Value::Null),
    ];
    for edge in EDGES {
        for (id, result, reason, index) in &cases {
            let told = service.tried(edge, *id, &json!({"distinct_id": "ann"})).await;
            let got = (&told["result"], &told["reason"], &told["condition_index"]);
            assert_eq!(got, (result, &json!(reason), index), "{edge:?} {told}");
            assert_ne!(told["reason_description"], "", "{edge:?}");
        }
    }
}

async fn payloads_are_told_and_secrets_are_not(service: &Service) {
    ann(service).await;
    let filters =
        json!({"groups": [{"rollout_percentage": 100}], "payloads": {"true": "\"hidden\""}});
    let (id, _) = service
        .create(json!({"key": "secret", "filters": filters, "is_remote_configuration": true,
            "has_encrypted_payloads": true}))
        .await;
    let now = service.patch(id, json!({})).await.1["updated_at"].clone();
    for edge in EDGES {
        for body in [json!({"distinct_id": "ann"}), json!({"distinct_id": "ann", "timestamp": now})]
        {
            let told = service.tried(edge, id, &body).await;
            assert_eq!(told["payload"], "\"hidden\"", "{edge:?}: a personal key reads it");
            let refused = service.tried_as(edge, &service.secret, id, &body).await.unwrap();
            assert_eq!(refused.unwrap_err().status, 403, "{edge:?}");
        }
    }
}

async fn nothing_is_written_and_nothing_counts_as_use(service: &Service) {
    ann(service).await;
    let id = service.create_for_everyone("everyones").await;
    let path = format!("{FLAGS}{id}/");
    let (before, totals) = (service.get(&path).await, service.totals().await);
    for edge in EDGES {
        service.tried(edge, id, &json!({"distinct_id": "ann"})).await;
        let at = &before.1["created_at"];
        service.tried(edge, id, &json!({"distinct_id": "ann", "timestamp": at})).await;
    }
    service.ingest(&[event("anything", "ann", json!({}))]).await;
    assert_eq!(service.get(&path).await, before);
    assert_eq!(service.totals().await, totals);
    assert_eq!(service.count("usage_hour").await, 0);
    assert_eq!(service.count("hash_key_override").await, 0);
}

async fn one_credential_may_ask_240_times_a_minute(service: &Service) {
    let id = service.create_for_everyone("everyones").await;
    let path = format!("{FLAGS}{id}/test_evaluation/");
    for call in 0..240 {
        let (status, _) = service.rest(Method::POST, &path, json!({})).await;
        assert_eq!(status, 400, "{call}");
    }
    for edge in EDGES {
        let tried = service.tried_as(edge, &service.key, id, &json!({})).await.unwrap();
        let failure = tried.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (429, "throttled"), "{edge:?}");
    }
}
