//! Tags of many flags changed at once (management-api 4.9).

use flagstaff::wire::v1::{BulkUpdateFeatureFlagTagsRequest, TagAction};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure, texts},
};

both_databases! {
    each_field_is_judged_in_order,
    tags_are_added_removed_and_set,
    what_is_not_there_is_skipped,
    a_change_has_a_row_and_no_version,
    tags_that_nothing_carries_are_removed,
    there_may_be_five_hundred,
    a_failure_half_way_changes_nothing,
}

async fn tag(service: &Service, edge: Edge, body: &Value) -> Option<Result<Value, Failure>> {
    match edge {
        Edge::Rest => {
            let path = format!("{FLAGS}bulk_update_tags/");
            let (status, answer) = service.rest(Method::POST, &path, body.clone()).await;
            Some(if status == 200 { Ok(answer) } else { Err(Failure::of_rest(status, &answer)) })
        }
        Edge::Grpc => {
            let answer = service.flags().bulk_update_feature_flag_tags(message(body)?).await;
            let answer = match answer {
                Ok(answer) => answer.into_inner(),
                Err(status) => return Some(Err(Failure::of_grpc(&status))),
            };
            let updated = answer.updated.iter().map(|f| json!({"id": f.id, "tags": f.tags}));
            let skipped = answer.skipped.iter().map(|f| json!({"id": f.id, "reason": f.reason}));
            Some(Ok(json!({"updated": updated.collect::<Vec<_>>(),
                "skipped": skipped.collect::<Vec<_>>()})))
        }
    }
}

fn message(body: &Value) -> Option<BulkUpdateFeatureFlagTagsRequest> {
    let action = match body.get("action").map(Value::as_str) {
        None => TagAction::Unspecified,
        Some(Some("add")) => TagAction::Add,
        Some(Some("remove")) => TagAction::Remove,
        Some(Some("set")) => TagAction::Set,
        Some(_) => return None,
    };
    // A message has no way to leave a list out.
    let list = |name: &str| texts(body.get(name)?);
    let action = action.into();
    Some(BulkUpdateFeatureFlagTagsRequest {
        ids: list("ids")?,
        action,
        tags: list("tags")?,
        ..Default::default()
    })
}

fn body(ids: Value, action: &str, tags: Value) -> Value {
    json!({"ids": ids, "action": action, "tags": tags})
}

async fn tags_of(service: &Service, id: i64) -> Value {
    service.get(&format!("{FLAGS}{id}/")).await.1["tags"].clone()
}

async fn each_field_is_judged_in_order(service: &Service) {
    let (id, _) = service.create(json!({"key": "kept", "tags": ["a"]})).await;
    let before = service.totals().await;
    let one = || json!([id.to_string()]);
    let ids = |count: usize| json!((1..=count).map(|id| id.to_string()).collect::<Vec<_>>());
    let tags = |count: usize| json!((0..count).map(|n| format!("t{n}")).collect::<Vec<_>>());
    let required = |attr| Failure::field(attr, "required", "This field is required.");
    let null = |attr| Failure::field(attr, "null", "This field may not be null.");
    let list = |attr, kind| {
        Failure::field(
            attr,
            "not_a_list",
            &format!("Expected a list of items but got type \"{kind}\"."),
        )
    };
    let most = |attr, count| {
        Failure::field(
            attr,
            "max_length",
            &format!("Ensure this field has no more than {count} elements."),
        )
    };
    let integer = |attr| Failure::field(attr, "invalid_input", "A valid integer is required.");
    let choice = |given: &str| {
        Failure::field("action", "invalid_choice", &format!("\"{given}\" is not a valid choice."))
    };
    let needed = |action| {
        Failure::field(
            "tags",
            "invalid_input",
            &format!("tags must not be empty for action '{action}'."),
        )
    };
    let cases = [
        (json!({"action": "add", "tags": ["x"]}), required("ids")),
        (body(json!(null), "add", json!(["x"])), null("ids")),
        (body(json!("1"), "add", json!(["x"])), list("ids", "str")),
        (
            body(json!([]), "add", json!(["x"])),
            Failure::field("ids", "empty", "This list may not be empty."),
        ),
        (body(ids(501), "add", json!(["x"])), most("ids", 500)),
        (body(json!([id.to_string(), "x"]), "add", json!(["x"])), integer("ids__1")),
        (body(json!([1.5]), "add", json!(["x"])), integer("ids__0")),
        (body(json!([true]), "add", json!(["x"])), integer("ids__0")),
        (json!({"ids": one(), "tags": ["x"]}), required("action")),
        (json!({"ids": one(), "action": null, "tags": ["x"]}), null("action")),
        (body(one(), "drop", json!(["x"])), choice("drop")),
        (body(one(), "ADD", json!(["x"])), choice("ADD")),
        (json!({"ids": one(), "action": "add"}), required("tags")),
        (body(one(), "add", json!(null)), null("tags")),
        (body(one(), "add", json!("x")), list("tags", "str")),
        (
            body(one(), "add", json!(["x", "  "])),
            Failure::field("tags__1", "blank", "This field may not be blank."),
        ),
        (
            body(one(), "add", json!([1])),
            Failure::field("tags__0", "invalid_input", "Not a valid string."),
        ),
        (
            body(one(), "add", json!(["x".repeat(256)])),
            Failure::field(
                "tags__0",
                "max_length",
                "Ensure this field has no more than 255 characters.",
            ),
        ),
        (body(one(), "add", tags(101)), most("tags", 100)),
        (body(one(), "add", json!([])), needed("add")),
        (body(one(), "remove", json!([])), needed("remove")),
        (
            body(ids(500), "set", tags(21)),
            Failure::field(
                "tags",
                "invalid_input",
                "Too many changes in one request: ids × distinct tags must not exceed 10000.",
            ),
        ),
        (
            body(json!([]), "drop", json!([])),
            Failure::field("ids", "empty", "This list may not be empty."),
        ),
        (
            body(one(), "add", json!(["nul\u{0}"])),
            Failure::field(
                "tags__0",
                "null_characters_not_allowed",
                "Null characters are not allowed.",
            ),
        ),
    ];
    for (body, expected) in cases {
        for edge in EDGES {
            let Some(answer) = tag(service, edge, &body).await else { continue };
            assert_eq!(answer, Err(expected.clone()), "{edge:?} {body}");
        }
    }
    assert_eq!((service.totals().await, tags_of(service, id).await), (before, json!(["a"])));
}

async fn tags_are_added_removed_and_set(service: &Service) {
    let (first, _) = service.create(json!({"key": "first", "tags": ["a"]})).await;
    let (second, _) = service.create(json!({"key": "second", "tags": ["b"]})).await;
    let ids = json!([first.to_string(), second.to_string(), first.to_string()]);
    let steps = [
        ("add", json!([" C ", "a"]), ["a", "c"].as_slice(), ["a", "b", "c"].as_slice()),
        ("remove", json!(["B", "c", "nowhere"]), &["a"], &["a"]),
        ("set", json!([" Z ", "z"]), &["z"], &["z"]),
        ("set", json!(["z"]), &["z"], &["z"]),
        ("set", json!([]), &[], &[]),
    ];
    for edge in EDGES {
        for (id, tags) in [(first, ["a"]), (second, ["b"])] {
            service.patch(id, json!({"tags": tags})).await;
        }
        for (action, tags, of_first, of_second) in &steps {
            let answer =
                tag(service, edge, &body(ids.clone(), action, tags.clone())).await.unwrap();
            let updated =
                json!([{"id": second, "tags": of_second}, {"id": first, "tags": of_first}]);
            assert_eq!(answer, Ok(json!({"updated": updated, "skipped": []})), "{edge:?} {action}");
            assert_eq!(tags_of(service, first).await, json!(of_first), "{edge:?} {action}");
            assert_eq!(tags_of(service, second).await, json!(of_second), "{edge:?} {action}");
        }
    }
    let numbers = body(json!([first, second.to_string()]), "add", json!(["n"]));
    let answer = tag(service, Edge::Rest, &numbers).await.unwrap().unwrap();
    assert_eq!(answer["updated"].as_array().unwrap().len(), 2, "numbers and their texts alike");
}

async fn what_is_not_there_is_skipped(service: &Service) {
    let (here, _) = service.create(json!({"key": "here"})).await;
    let (gone, _) = service.create(json!({"key": "gone"})).await;
    service.patch(gone, json!({"deleted": true})).await;
    let (other, _) = service.new_project("Other");
    let path = format!("/api/projects/{other}/feature_flags/");
    let (_, foreign) = service.rest(Method::POST, &path, json!({"key": "foreign"})).await;
    let foreign = foreign["id"].as_i64().unwrap();
    for edge in EDGES {
        let ids = [999_999, gone, here, foreign].map(|id| id.to_string());
        let answer = tag(service, edge, &body(json!(ids), "add", json!(["t"]))).await.unwrap();
        let absent = |id: i64| json!({"id": id, "reason": "Not found"});
        let expected = json!({"updated": [{"id": here, "tags": ["t"]}],
            "skipped": [absent(999_999), absent(gone), absent(foreign)]});
        assert_eq!(answer, Ok(expected), "{edge:?}");
    }
    assert_eq!(tags_of(service, gone).await, json!([]));
}

async fn a_change_has_a_row_and_no_version(service: &Service) {
    for edge in EDGES {
        let (named, before) = service
            .create(json!({"key": format!("k-{edge:?}"), "name": "Named", "tags": ["b"]}))
            .await;
        let (bare, _) =
            service.create(json!({"key": format!("bare-{edge:?}"), "tags": ["c"]})).await;
        let (_, rows) = service.totals().await;
        let ids = json!([named.to_string(), bare.to_string()]);
        tag(service, edge, &body(ids, "add", json!(["c", "a"]))).await.unwrap().unwrap();
        assert_eq!(service.totals().await.1, rows + 2);
        let (_, flag) = service.get(&format!("{FLAGS}{named}/")).await;
        assert_eq!(
            (&flag["version"], &flag["tags"]),
            (&before["version"], &json!(["a", "b", "c"]))
        );
        let (_, page) = service.get(&format!("{FLAGS}{named}/activity/")).await;
        let row = &page["results"][0];
        let change = json!({"type": "FeatureFlag", "action": "changed", "field": "tags",
            "before": ["b"], "after": ["a", "b", "c"]});
        assert_eq!(
            (&row["activity"], &row["detail"]["changes"]),
            (&json!("updated"), &json!([change]))
        );
        assert_eq!(row["detail"]["name"], "Named");
        let (_, page) = service.get(&format!("{FLAGS}{bare}/activity/")).await;
        assert_eq!(page["results"][0]["detail"]["name"], format!("bare-{edge:?}"));
        let same = body(json!([named.to_string()]), "add", json!(["a"]));
        tag(service, edge, &same).await.unwrap().unwrap();
        assert_eq!(service.totals().await.1, rows + 2, "tags that stay have no row");
    }
}

async fn tags_that_nothing_carries_are_removed(service: &Service) {
    let (a, _) = service.create(json!({"key": "a", "tags": ["shared", "own"]})).await;
    service.create(json!({"key": "b", "tags": ["shared"]})).await;
    let tags = "SELECT CAST(count(*) AS text) FROM tag";
    assert_eq!(service.stored(tags).await.as_deref(), Some("2"));
    let clear = body(json!([a.to_string()]), "set", json!([]));
    tag(service, Edge::Grpc, &clear).await.unwrap().unwrap();
    assert_eq!(service.stored(tags).await.as_deref(), Some("1"));
    assert_eq!(service.stored("SELECT name FROM tag").await.as_deref(), Some("shared"));
}

async fn there_may_be_five_hundred(service: &Service) {
    let ids = service.seed_flags(500).await;
    let names: Vec<_> = (0..20).map(|n| format!("tag-{n:02}")).collect();
    let answer =
        tag(service, Edge::Rest, &body(json!(ids), "add", json!(names))).await.unwrap().unwrap();
    let updated = answer["updated"].as_array().unwrap();
    assert_eq!(updated.len(), 500);
    assert!(updated.iter().all(|flag| flag["tags"] == json!(names)));
    let (_, tagged) = service.get(&format!("{FLAGS}?tags=%5B%22tag-19%22%5D&limit=1")).await;
    assert_eq!(tagged["count"], 500);
}

async fn a_failure_half_way_changes_nothing(service: &Service) {
    let (a, _) = service.create(json!({"key": "a", "tags": ["kept"]})).await;
    let (b, _) = service.create(json!({"key": "b"})).await;
    service.execute("ALTER TABLE activity_log RENAME TO activity_log_gone").await;
    for edge in EDGES {
        let change = body(json!([a.to_string(), b.to_string()]), "set", json!(["new"]));
        let failure = tag(service, edge, &change).await.unwrap().unwrap_err();
        assert_eq!(failure.status, 500, "{edge:?}");
    }
    service.execute("ALTER TABLE activity_log_gone RENAME TO activity_log").await;
    assert_eq!(tags_of(service, a).await, json!(["kept"]));
    assert_eq!(tags_of(service, b).await, json!([]));
    assert_eq!(
        service.stored("SELECT CAST(count(*) AS text) FROM tag").await.as_deref(),
        Some("1")
    );
}
