//! How many persons or groups a condition would reach (management-api 5).

use flagstaff::wire::v1::{
    ConditionGroup, GetUserBlastRadiusRequest, PropertyFilter, PropertyOperator, PropertyType,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, edges::Failure, grpc::said};

both_databases! {
    persons_are_counted_by_every_kind_of_property,
    groups_are_counted_by_their_own_properties,
    the_count_is_the_one_that_evaluation_comes_to,
    what_is_no_condition_is_refused,
    grpc_counts_alike,
}

async fn asked(service: &Service, body: Value) -> (u16, Value) {
    service.rest(Method::POST, &format!("{FLAGS}user_blast_radius/"), body).await
}

async fn reach(service: &Service, properties: Value) -> (i64, i64) {
    let condition = json!({"properties": properties, "rollout_percentage": 5});
    counted(service, json!({"condition": condition, "group_type_index": null})).await
}

/// What is affected and what there is, under either pair of names.
async fn counted(service: &Service, body: Value) -> (i64, i64) {
    let (status, answer) = asked(service, body).await;
    assert_eq!(status, 200, "{answer}");
    let [affected, total] = ["affected", "total"].map(|name| answer[name].as_i64().unwrap());
    assert_eq!(
        answer,
        json!({"users_affected": affected, "total_users": total, "affected": affected, "total": total})
    );
    (affected, total)
}

fn is(key: &str, operator: &str, value: Value) -> Value {
    json!({"key": key, "type": "person", "operator": operator, "value": value})
}

/// Four persons: two pros, one of whom is listed; and one of another project.
async fn people(service: &Service) {
    for (id, name, properties) in [
        (1001, "ann", json!({"plan": "pro", "seats": 9})),
        (1002, "bob", json!({"plan": "pro"})),
        (1003, "cat", json!({"plan": "free", "seats": "12"})),
        (1004, "dan", json!({})),
    ] {
        service.stored_person(id, &[name], &properties).await;
    }
    service
        .execute("UPDATE person SET created_at = '2020-01-01T00:00:00+00:00' WHERE id = 1004")
        .await;
    let (other, _) = service.new_project("Other");
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    service.person(other, uuid, "eve", r#"{"plan": "pro"}"#).await;
    service.cohort(1, 1, true, "{}").await;
    service.member(1, 1002).await;
    service.reload().await;
}

async fn persons_are_counted_by_every_kind_of_property(service: &Service) {
    assert_eq!(reach(service, json!([])).await, (0, 0));
    people(service).await;
    let listed =
        |operator: &str| json!({"key": "id", "type": "cohort", "operator": operator, "value": 1});
    let old = json!({"key": "created_at", "type": "person_metadata", "operator": "is_date_before",
        "value": "2021-01-01"});
    let cases = [
        ("nothing asked", json!([]), 4),
        ("a value", json!([is("plan", "exact", json!("pro"))]), 2),
        ("one of several", json!([is("plan", "exact", json!(["pro", "free"]))]), 3),
        ("not a value, nothing included", json!([is("plan", "is_not", json!("pro"))]), 2),
        (
            "two at once",
            json!([is("plan", "exact", json!("pro")), is("seats", "is_set", json!(""))]),
            1,
        ),
        ("a number, sent as text or not", json!([is("seats", "gte", json!("9"))]), 2),
        ("an id", json!([is("distinct_id", "exact", json!("dan"))]), 1),
        ("members", json!([listed("in")]), 1),
        ("others", json!([listed("not_in")]), 3),
        ("a column of the row", json!([old]), 1),
    ];
    for (name, properties, affected) in cases {
        assert_eq!(reach(service, properties).await, (affected, 4), "{name}");
    }
}

async fn groups_are_counted_by_their_own_properties(service: &Service) {
    service.group_type(0, "company").await;
    service.group_type(1, "team").await;
    for (index, key, size) in [(0, "acme", 9), (0, "tiny", 1), (1, "blue", 9)] {
        service.stored_group(index, key, &json!({"size": size})).await;
    }
    service.reload().await;
    let big = json!([{"key": "size", "type": "group", "group_type_index": 0, "operator": "gt", "value": "5"}]);
    let named =
        json!([{"key": "$group_key", "type": "group", "operator": "exact", "value": "tiny"}]);
    let cases =
        [(json!([]), 0, (2, 2)), (big, 0, (1, 2)), (named, 0, (1, 2)), (json!([]), 4, (0, 0))];
    for (properties, index, expected) in cases {
        let body = json!({"condition": {"properties": properties}, "group_type_index": index});
        assert_eq!(counted(service, body.clone()).await, expected, "{body}");
    }
}

async fn the_count_is_the_one_that_evaluation_comes_to(service: &Service) {
    let seeded = 2_500;
    let uuid = match service.is_on_postgres() {
        true => "gen_random_uuid()",
        false => "randomblob(16)",
    };
    let now = "'2026-01-01T00:00:00+00:00'";
    service
        .execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {seeded}) \
             INSERT INTO person (project_id, uuid, properties, created_at, updated_at) \
             SELECT 1, {uuid}, '{{\"n\": ' || i || '}}', {now}, {now} FROM n; \
             INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
             SELECT 1, id, 'p-' || id FROM person"
        ))
        .await;
    let properties = json!([is("n", "gt", json!("1200")), is("n", "lte", json!("2100"))]);
    assert_eq!(reach(service, properties.clone()).await, (900, seeded), "more than one page");
    let filters = json!({"groups": [{"properties": properties, "rollout_percentage": 100}]});
    service.create(json!({"key": "some", "filters": filters})).await;
    let mut on = 0;
    for n in [1, 1200, 1201, 2100, 2101] {
        let query = format!("SELECT 'p-' || id FROM person WHERE properties = '{{\"n\": {n}}}'");
        let id = service.stored(&query).await.unwrap();
        let answer = service.flags_for(&json!({"distinct_id": id})).await;
        on += i64::from(answer["flags"]["some"]["enabled"] == true);
    }
    assert_eq!(on, 2);
}

async fn what_is_no_condition_is_refused(service: &Service) {
    people(service).await;
    let missing = Failure::rule("Missing condition for which to get blast radius");
    let of = |detail: &str| Failure::field("condition", "invalid_input", detail);
    let pattern = json!([{"key": "plan", "type": "person", "operator": "regex", "value": "["}]);
    let kind = json!([{"key": "plan", "type": "event", "value": "x"}]);
    let cohort = json!([{"key": "id", "type": "cohort", "operator": "in", "value": 999}]);
    let cases = [
        (json!({}), missing.clone()),
        (json!({"condition": null}), missing.clone()),
        (
            json!({"condition": {"properties": {}}}),
            of("groups[0].properties must be a list, got dict"),
        ),
        (
            json!({"condition": {"properties": pattern}}),
            of("groups[0].properties[0].value: invalid regex pattern"),
        ),
        (
            json!({"condition": {"properties": kind}}),
            of("The condition cannot be evaluated: a filter has an unknown type"),
        ),
        (
            json!({"condition": {"properties": cohort}}),
            of(
                "The condition cannot be evaluated: The flag refers to a cohort that does not exist",
            ),
        ),
        (
            json!({"condition": {}, "group_type_index": "x"}),
            Failure::field("group_type_index", "invalid_input", "A valid integer is required."),
        ),
    ];
    for (body, expected) in cases {
        let (status, answer) = asked(service, body.clone()).await;
        assert_eq!(Failure::of_rest(status, &answer), expected, "{body}");
    }
    let status = service.flags().get_user_blast_radius(GetUserBlastRadiusRequest::default()).await;
    let status = status.unwrap_err();
    assert_eq!(Failure::of_grpc(&status), missing);
    assert_eq!(said(&status, "http_status").as_deref(), Some("400"));
}

async fn grpc_counts_alike(service: &Service) {
    people(service).await;
    let property = PropertyFilter {
        key: "plan".into(),
        r#type: PropertyType::Person.into(),
        operator: PropertyOperator::Exact.into(),
        value: Some(prost_types::Value::from("pro")),
        ..Default::default()
    };
    let condition = ConditionGroup {
        properties: vec![property],
        rollout_percentage: Some(0.0),
        ..Default::default()
    };
    let request = GetUserBlastRadiusRequest { condition: Some(condition), ..Default::default() };
    let answer = service.flags().get_user_blast_radius(request).await.unwrap().into_inner();
    assert_eq!((answer.users_affected, answer.total_users), (2, 4));
}
