//! The whole life of a flag over REST (management-api 3.7, 4.6, 7).

use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, rest::told};

both_databases! {
    a_flag_is_made_with_defaults_and_one_row,
    a_flag_with_filters_is_stored_normalised,
    a_taken_key_is_refused,
    a_list_is_paged_by_its_own_links,
    a_change_counts_the_version_and_says_what_changed,
    put_needs_a_key,
    delete_is_refused_without_a_body_and_changes_nothing,
    a_deleted_flag_is_shown_by_number_and_left_out_elsewhere,
    a_key_is_free_again_after_deletion,
    a_deleted_flag_can_be_restored,
    activity_is_told_by_flag_and_by_project_newest_first,
    activity_is_paged_by_its_own_links,
    evaluation_follows_each_change_at_once,
}

async fn a_flag_is_made_with_defaults_and_one_row(service: &Service) {
    let (id, flag) = service.create(json!({"key": "fresh"})).await;
    let expected = json!({
        "key": "fresh", "name": "", "filters": {"groups": []}, "deleted": false, "active": true,
        "version": 1, "ensure_experience_continuity": false, "rollback_conditions": null,
        "performed_rollback": null, "tags": [], "evaluation_contexts": [],
        "has_enriched_analytics": false, "is_remote_configuration": false,
        "has_encrypted_payloads": false, "status": "ACTIVE", "evaluation_runtime": "all",
        "bucketing_identifier": "distinct_id", "last_called_at": null, "can_edit": true,
        "user_access_level": "editor", "experiment_set": [], "surveys": [], "features": [],
        "is_used_in_replay_settings": false,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(flag[field], *value, "{field}");
    }
    assert_eq!(flag["created_by"]["email"], flag["last_modified_by"]["email"]);
    assert!(flag["created_at"].as_str().unwrap().ends_with('Z'), "{flag}");

    let (status, page) = service.get(&format!("{FLAGS}{id}/activity")).await;
    assert_eq!((status, &page["total_count"]), (200, &json!(1)));
    let row = &page["results"][0];
    assert_eq!(told(row), ("created".into(), vec![]));
    assert_eq!((&row["scope"], &row["item_id"]), (&json!("FeatureFlag"), &json!(id.to_string())));
    let detail = json!({"changes": [], "trigger": null, "name": "fresh", "short_id": null,
        "type": null});
    assert_eq!(row["detail"], detail);
    assert_eq!(row["user"]["email"], flag["created_by"]["email"]);
}

async fn a_flag_with_filters_is_stored_normalised(service: &Service) {
    let filters = json!({"groups": [{"rollout_percentage": 50}], "payloads": {"true": {"a": 1}}});
    let (id, flag) = service.create(json!({"key": "half", "filters": filters})).await;
    let group = json!({"rollout_percentage": 50, "aggregation_group_type_index": null});
    assert_eq!(flag["filters"]["groups"], json!([group]));
    assert_eq!(flag["filters"]["aggregation_group_type_index"], Value::Null);
    let payload: Value =
        serde_json::from_str(flag["filters"]["payloads"]["true"].as_str().unwrap()).unwrap();
    assert_eq!(payload, json!({"a": 1}));
    assert_eq!(service.get(&format!("{FLAGS}{id}")).await, (200, flag));
}

async fn a_taken_key_is_refused(service: &Service) {
    service.create(json!({"key": "mine"})).await;
    let refused = json!({"type": "validation_error", "code": "unique", "attr": "key",
        "detail": "There is already a feature flag with this key."});
    let again = service.rest(Method::POST, FLAGS, json!({"key": " mine "})).await;
    assert_eq!(again, (400, refused.clone()));
    let (id, _) = service.create(json!({"key": "Mine"})).await;
    assert_eq!(service.patch(id, json!({"key": "mine"})).await, (400, refused));
    assert_eq!(service.totals().await, (2, 2));
}

async fn a_list_is_paged_by_its_own_links(service: &Service) {
    for key in ["one", "two", "three", "four", "five"] {
        service.create(json!({"key": key})).await;
    }
    let (mut seen, mut links) = (Vec::new(), Vec::new());
    let mut next = Some(service.url(&format!("{FLAGS}?limit=2&search=")));
    while let Some(url) = next {
        let (status, page) = service.get(&url).await;
        assert_eq!((status, &page["count"]), (200, &json!(5)));
        let keys = page["results"].as_array().unwrap().iter().map(|flag| flag["key"].clone());
        seen.extend(keys);
        links.push((url, page["previous"].as_str().map(str::to_owned)));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, ["five", "four", "three", "two", "one"], "newest first");
    assert_eq!(links.len(), 3);
    assert_eq!(links[0].1, None);
    for pair in links.windows(2) {
        let back = pair[1].1.clone().expect("a later page leads back");
        assert_eq!(service.get(&back).await, service.get(&pair[0].0).await);
    }
    let (_, odd) = service.get(&format!("{FLAGS}?limit=nonsense&offset=-3")).await;
    assert_eq!(odd["results"].as_array().unwrap().len(), 5, "odd numbers count as not sent");
}

async fn a_change_counts_the_version_and_says_what_changed(service: &Service) {
    let (id, made) = service.create(json!({"key": "changing"})).await;
    let (status, flag) = service.patch(id, json!({"name": "New name"})).await;
    assert_eq!((status, &flag["version"], &flag["name"]), (200, &json!(2), &json!("New name")));
    assert_eq!(flag["filters"], made["filters"]);
    assert_ne!(flag["updated_at"], made["updated_at"]);

    let (_, flag) = service.patch(id, json!({"name": "New name"})).await;
    assert_eq!(flag["version"], 3);
    let row = |activity: &str, fields: &[&str]| {
        (activity.to_owned(), fields.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let expected =
        [row("updated", &["version"]), row("updated", &["name", "version"]), row("created", &[])];
    assert_eq!(service.history(id).await, expected);

    let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=1&page=2")).await;
    let changes = json!([
        {"type": "FeatureFlag", "action": "created", "field": "name", "before": null,
            "after": "New name"},
        {"type": "FeatureFlag", "action": "changed", "field": "version", "before": 1, "after": 2},
    ]);
    assert_eq!(page["results"][0]["detail"]["changes"], changes);
}

async fn put_needs_a_key(service: &Service) {
    let (id, _) = service.create(json!({"key": "put"})).await;
    let path = format!("{FLAGS}{id}/");
    let (status, error) = service.rest(Method::PUT, &path, json!({"name": "x"})).await;
    assert_eq!((status, &error["code"], &error["attr"]), (400, &json!("required"), &json!("key")));
    let (status, flag) = service.rest(Method::PUT, &path, json!({"key": "put", "name": "x"})).await;
    assert_eq!((status, &flag["version"], &flag["name"]), (200, &json!(2), &json!("x")));
}

async fn delete_is_refused_without_a_body_and_changes_nothing(service: &Service) {
    let (id, flag) = service.create(json!({"key": "staying"})).await;
    for path in [format!("{FLAGS}{id}/"), format!("{FLAGS}{id}")] {
        let answer = service.call(Method::DELETE, &path, Some(&service.key), None).await;
        assert_eq!((answer.status, answer.text.as_str()), (405, ""));
        assert_eq!(service.get(&path).await, (200, flag.clone()));
    }
    assert_eq!(service.totals().await, (1, 1));
}

async fn a_deleted_flag_is_shown_by_number_and_left_out_elsewhere(service: &Service) {
    let id = service.create_for_everyone("leaving").await;
    assert_eq!(service.evaluated(&service.token, "leaving").await["enabled"], true);
    let (status, flag) = service.patch(id, json!({"deleted": true})).await;
    assert_eq!((status, &flag["deleted"], &flag["version"]), (200, &json!(true), &json!(2)));

    let (status, shown) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!(
        (status, &shown["status"], &shown["key"]),
        (200, &json!("DELETED"), &json!("leaving"))
    );
    let (_, list) = service.get(FLAGS).await;
    assert_eq!((&list["count"], &list["results"]), (&json!(0), &json!([])));
    assert_eq!(service.evaluated(&service.token, "leaving").await, Value::Null);
    let newest = service.history(id).await.remove(0);
    assert_eq!(newest, ("deleted".into(), vec!["deleted".into(), "version".into()]));
}

async fn a_key_is_free_again_after_deletion(service: &Service) {
    let (old, _) = service.create(json!({"key": "again"})).await;
    service.patch(old, json!({"deleted": true})).await;
    let (new, flag) = service.create(json!({"key": "again"})).await;
    assert_ne!(new, old);
    assert_eq!(flag["version"], 1);
    for path in [format!("{FLAGS}{old}/"), format!("{FLAGS}{old}/activity/")] {
        assert_eq!(service.get(&path).await.0, 404, "{path}");
    }
    let (_, activity) = service.get(&format!("{FLAGS}activity/")).await;
    assert_eq!(activity["total_count"], 3, "the project remembers the flag that is gone");
}

async fn a_deleted_flag_can_be_restored(service: &Service) {
    let id = service.create_for_everyone("back").await;
    service.patch(id, json!({"deleted": true})).await;
    let (status, flag) = service.patch(id, json!({"deleted": false})).await;
    assert_eq!((status, &flag["deleted"], &flag["version"]), (200, &json!(false), &json!(3)));
    let newest = service.history(id).await.remove(0);
    assert_eq!(newest, ("restored".into(), vec!["deleted".into(), "version".into()]));
    assert_eq!(service.get(FLAGS).await.1["count"], 1);
    assert_eq!(service.evaluated(&service.token, "back").await["enabled"], true);
}

async fn activity_is_told_by_flag_and_by_project_newest_first(service: &Service) {
    let (first, _) = service.create(json!({"key": "first"})).await;
    let (second, _) = service.create(json!({"key": "second"})).await;
    service.patch(first, json!({"active": false})).await;
    let (_, page) = service.get(&format!("{FLAGS}activity/")).await;
    let rows = page["results"].as_array().unwrap();
    let about: Vec<_> = rows.iter().map(|row| row["item_id"].as_str().unwrap()).collect();
    let (one, two) = (first.to_string(), second.to_string());
    assert_eq!(about, [one.as_str(), two.as_str(), one.as_str()]);
    assert_eq!(told(&rows[0]), ("updated".into(), vec!["active".into(), "version".into()]));
    assert_eq!(service.history(second).await, [("created".into(), vec![])]);
    assert_eq!(service.history(first).await.len(), 2);
}

async fn activity_is_paged_by_its_own_links(service: &Service) {
    let (id, _) = service.create(json!({"key": "busy"})).await;
    for name in ["a", "b", "c", "d"] {
        service.patch(id, json!({"name": name})).await;
    }
    let first = service.url(&format!("{FLAGS}{id}/activity/?limit=2"));
    let (_, page) = service.get(&first).await;
    assert_eq!((&page["total_count"], &page["previous"]), (&json!(5), &Value::Null));
    let (_, second) = service.get(page["next"].as_str().unwrap()).await;
    let (_, third) = service.get(second["next"].as_str().unwrap()).await;
    assert_eq!((&third["next"], third["results"].as_array().unwrap().len()), (&Value::Null, 1));
    assert_eq!(service.get(third["previous"].as_str().unwrap()).await.1, second);

    let (status, past) = service.get(&format!("{FLAGS}activity/?limit=2&page=9")).await;
    assert_eq!((status, &past["results"], &past["next"]), (200, &json!([]), &Value::Null));
    assert!(past["previous"].as_str().unwrap().contains("page=8"), "{past}");
    let cases = [
        ("limit=0", "min_value", "limit"),
        ("page=0", "min_value", "page"),
        ("limit=x", "invalid_input", "limit"),
        ("page=1.5", "invalid_input", "page"),
    ];
    for (query, code, attr) in cases {
        let (status, error) = service.get(&format!("{FLAGS}activity/?{query}")).await;
        assert_eq!((status, &error["code"], &error["attr"]), (400, &json!(code), &json!(attr)));
    }
}

async fn evaluation_follows_each_change_at_once(service: &Service) {
    let id = service.create_for_everyone("live").await;
    let on = service.evaluated(&service.token, "live").await;
    assert_eq!((&on["enabled"], &on["reason"]["code"]), (&json!(true), &json!("condition_match")));
    assert_eq!(on["metadata"]["id"], id);
    let nobody = json!({"groups": [{"properties": [], "rollout_percentage": 0}]});
    let variant = json!({"groups": [{"properties": []}], "payloads": {"b": "\"for b\""},
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 0},
            {"key": "b", "rollout_percentage": 100}]}});
    service.patch(id, json!({"filters": nobody})).await;
    let off = service.evaluated(&service.token, "live").await;
    assert_eq!((&off["enabled"], &off["metadata"]["version"]), (&json!(false), &json!(2)));
    assert_eq!(off["reason"]["code"], "out_of_rollout_bound");
    service.patch(id, json!({"filters": variant})).await;
    let some = service.evaluated(&service.token, "live").await;
    assert_eq!(
        (&some["variant"], &some["metadata"]["payload"]),
        (&json!("b"), &json!("\"for b\""))
    );
    service.patch(id, json!({"key": "renamed"})).await;
    assert_eq!(service.evaluated(&service.token, "live").await, Value::Null);
    assert_eq!(service.evaluated(&service.token, "renamed").await["metadata"]["version"], 4);
    service.patch(id, json!({"active": false})).await;
    assert_eq!(service.evaluated(&service.token, "renamed").await, Value::Null);
}
