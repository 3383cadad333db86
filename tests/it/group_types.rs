//! Group types: listed, renamed, deleted.

use flagstaff::wire::v1::{
    DeleteGroupTypeRequest, GroupTypeInput, ListGroupTypesRequest, UpdateGroupTypeRequest,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Service, events::event, grpc::said};

both_databases! {
    group_types_are_listed_and_renamed,
    a_group_type_that_is_used_is_not_deleted,
    a_deleted_group_type_frees_its_index,
}

const TYPES: &str = "/api/projects/1/groups_types/";

fn group(kind: &str, key: &str) -> Value {
    let set = json!({"$group_type": kind, "$group_key": key, "$group_set": {"n": 1}});
    event("$groupidentify", "u", set)
}

async fn group_types_are_listed_and_renamed(service: &Service) {
    service.ingest(&[group("company", "acme"), group("team", "blue")]).await;
    let (status, page) = service.get(TYPES).await;
    let kind = |index: i32, name: &str, singular: Value, plural: Value| {
        json!({"group_type": name, "group_type_index": index, "name_singular": singular,
            "name_plural": plural})
    };
    let plain = |index, name| kind(index, name, Value::Null, Value::Null);
    let expected = json!({"count": 2, "next": null, "previous": null,
        "results": [plain(0, "company"), plain(1, "team")]});
    assert_eq!((status, page), (200, expected));

    let path = format!("{TYPES}0/");
    let body = json!({"name_singular": "Firm", "name_plural": "Firms", "group_type": "other"});
    let (status, renamed) = service.rest(Method::PATCH, &path, body).await;
    assert_eq!((status, &renamed), (200, &kind(0, "company", json!("Firm"), json!("Firms"))));
    let (status, error) = service.rest(Method::PATCH, &path, json!({"name_plural": []})).await;
    assert_eq!((status, &error["attr"]), (400, &json!("name_plural")), "{error}");
    for path in [format!("{TYPES}4/"), format!("{TYPES}9999999999/"), format!("{TYPES}x/")] {
        for verb in [Method::PATCH, Method::DELETE] {
            assert_eq!(service.rest(verb, &path, json!({})).await.0, 404, "{path}");
        }
    }
    let mut directory = service.directory();
    let input = GroupTypeInput { name_plural: Some("Teams".into()), ..Default::default() };
    let request = UpdateGroupTypeRequest {
        group_type_index: 1,
        group_type: Some(input),
        ..Default::default()
    };
    let renamed = directory.update_group_type(request).await.unwrap().into_inner();
    assert_eq!(renamed.group_type.unwrap().name_plural.as_deref(), Some("Teams"));
    let types = directory.list_group_types(ListGroupTypesRequest::default()).await.unwrap();
    let names: Vec<_> = types.into_inner().results.into_iter().map(|t| t.name_plural).collect();
    assert_eq!(names, [Some("Firms".to_owned()), Some("Teams".to_owned())]);
    service.ingest(&[group("company", "other")]).await;
    assert_eq!(service.count("\"group\" WHERE group_type_index = 0").await, 2, "as before");
}

async fn a_group_type_that_is_used_is_not_deleted(service: &Service) {
    service.ingest(&[group("company", "acme"), group("team", "blue")]).await;
    let filters = json!({"aggregation_group_type_index": 0, "groups": [{"properties": []}]});
    let (id, _) = service.create(json!({"key": "by-company", "filters": filters})).await;
    let path = format!("{TYPES}0/");
    let (status, refused) = service.rest(Method::DELETE, &path, json!({})).await;
    assert_eq!(status, 400, "{refused}");
    assert!(refused.to_string().contains("by-company"), "{refused}");
    let request = DeleteGroupTypeRequest::default();
    let status = service.directory().delete_group_type(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert_eq!(said(&status, "http_status").as_deref(), Some("400"));
    assert_eq!(service.count("group_type").await, 2);
    service.patch(id, json!({"deleted": true})).await;
    assert_eq!(service.rest(Method::DELETE, &path, json!({})).await.0, 204);
}

async fn a_deleted_group_type_frees_its_index(service: &Service) {
    let junk: Vec<Value> = (0..5).map(|n| group(&format!("junk {n}"), "x")).collect();
    service.ingest(&junk).await;
    let body = json!({"api_key": service.token, "batch": [group("company", "acme")]});
    assert_eq!(service.send_events("/batch/", &body).await.status, 400, "no room");
    let answer =
        service.call(Method::DELETE, &format!("{TYPES}2/"), Some(&service.key), None).await;
    assert_eq!(answer.status, 204);
    assert_eq!(service.count("\"group\" WHERE group_type_index = 2").await, 0);
    service.ingest(&[group("company", "acme")]).await;
    let types = service.get(TYPES).await.1["results"].clone();
    assert_eq!(
        (&types[2]["group_type"], &types[2]["group_type_index"]),
        (&json!("company"), &json!(2))
    );
    let filters = json!({"aggregation_group_type_index": 2, "groups": [{"properties": [
        {"key": "n", "type": "group", "group_type_index": 2, "value": [1]}]}]});
    service.create(json!({"key": "by-company", "filters": filters})).await;
    let asked = json!({"distinct_id": "u", "groups": {"company": "acme"}});
    let answer = service.flags_for(&asked).await;
    assert_eq!(answer["flags"]["by-company"]["enabled"], true, "{answer}");
}
