//! The activity log: pages, totals, filters (management-api 4.6).

use flagstaff::wire::v1::{ListActivityRequest, ListFeatureFlagActivityRequest};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::Failure,
    grpc::{reason, said},
    rest::told,
};

both_databases! {
    pages_follow_links_newest_first_and_totals_count_all,
    limits_and_pages_are_whole_numbers_from_one,
    a_page_past_the_end_is_empty_and_leads_back,
    rows_of_one_instant_are_told_apart_by_their_ids,
    filters_narrow_rows_totals_and_links,
    a_filter_that_is_wrong_is_named,
    tokens_lead_on_while_rows_are_written,
    a_flag_that_is_gone_for_good_keeps_its_rows_in_the_project,
    an_empty_log_is_an_empty_page,
    a_row_has_the_documented_fields,
    ciphertext_is_in_no_row,
    writers_at_once_keep_the_total_and_the_order,
}

async fn page(service: &Service, query: &str) -> Value {
    let path = if query.starts_with("http") {
        query.to_owned()
    } else {
        format!("{FLAGS}activity/{query}")
    };
    let (status, page) = service.get(&path).await;
    assert_eq!(status, 200, "{page}");
    page
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["results"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Twelve rows about one flag.
async fn twelve(service: &Service) -> i64 {
    let (id, _) = service.create(json!({"key": "k"})).await;
    for edit in 1..12 {
        service.patch(id, json!({"name": format!("edit {edit}")})).await;
    }
    id
}

async fn pages_follow_links_newest_first_and_totals_count_all(service: &Service) {
    let id = twelve(service).await;
    for below in ["activity/".to_owned(), format!("{id}/activity/")] {
        let (_, first) = service.get(&format!("{FLAGS}{below}")).await;
        assert_eq!((ids(&first).len(), &first["total_count"]), (10, &json!(12)), "ten a page");
        assert_eq!(first["previous"], Value::Null);
        let next = first["next"].as_str().unwrap();
        assert_eq!(next, service.url(&format!("{FLAGS}{below}?page=2&limit=10")));
        let second = page(service, next).await;
        assert_eq!((ids(&second).len(), &second["next"]), (2, &Value::Null));
        let previous = second["previous"].as_str().unwrap();
        assert_eq!(previous, service.url(&format!("{FLAGS}{below}?page=1&limit=10")));
        assert_eq!(page(service, previous).await["results"], first["results"]);
        let (_, all) = service.get(&format!("{FLAGS}{below}?limit=50")).await;
        assert_eq!(ids(&all), [ids(&first), ids(&second)].concat());
        assert_eq!((&all["next"], &all["previous"]), (&Value::Null, &Value::Null));
        let times: Vec<_> = all["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["created_at"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        assert_eq!(told(&all["results"][11]).0, "created");
    }
}

async fn limits_and_pages_are_whole_numbers_from_one(service: &Service) {
    let id = twelve(service).await;
    let least = "Ensure this value is greater than or equal to 1.";
    let integer = "A valid integer is required.";
    let cases = [
        ("limit=0", Failure::field("limit", "min_value", least)),
        ("limit=-1", Failure::field("limit", "min_value", least)),
        ("limit=x", Failure::field("limit", "invalid_input", integer)),
        ("limit=", Failure::field("limit", "invalid_input", integer)),
        ("limit=1.5", Failure::field("limit", "invalid_input", integer)),
        ("page=0", Failure::field("page", "min_value", least)),
        ("page=x", Failure::field("page", "invalid_input", integer)),
        ("page=0&limit=0", Failure::field("limit", "min_value", least)),
    ];
    for (query, expected) in cases {
        for below in ["activity/".to_owned(), format!("{id}/activity/")] {
            let (status, body) = service.get(&format!("{FLAGS}{below}?{query}")).await;
            assert_eq!(Failure::of_rest(status, &body), expected, "{below} {query}");
        }
    }
    let request = ListActivityRequest { page_size: -1, ..Default::default() };
    let status = service.flags().list_activity(request).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), said(&status, "attr").as_deref()),
        ("min_value", Some("page_size"))
    );
    assert_eq!(
        page(service, "?limit=100000").await["total_count"],
        12,
        "more than a page is clipped"
    );
}

async fn a_page_past_the_end_is_empty_and_leads_back(service: &Service) {
    let id = twelve(service).await;
    for below in ["activity/".to_owned(), format!("{id}/activity/")] {
        for past in [3_u64, 9_223_372_036_854_775_807] {
            let (status, page) = service.get(&format!("{FLAGS}{below}?page={past}&limit=10")).await;
            assert_eq!((status, &page["results"], &page["next"]), (200, &json!([]), &Value::Null));
            let back = service.url(&format!("{FLAGS}{below}?page={}&limit=10", past - 1));
            assert_eq!((&page["previous"], &page["total_count"]), (&json!(back), &json!(12)));
        }
    }
}

async fn rows_of_one_instant_are_told_apart_by_their_ids(service: &Service) {
    let id = twelve(service).await;
    service.execute("UPDATE activity_log SET created_at = '2026-01-01T00:00:00+00:00'").await;
    let all = ids(&page(service, "?limit=50").await);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    let (first, second) = (page(service, "?limit=7").await, page(service, "?limit=7&page=2").await);
    assert_eq!([ids(&first), ids(&second)].concat(), all);
    let mut request = ListFeatureFlagActivityRequest { id, page_size: 5, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page =
            service.flags().list_feature_flag_activity(request.clone()).await.unwrap().into_inner();
        seen.extend(page.results.into_iter().map(|row| row.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, all, "by tokens too");
}

async fn filters_narrow_rows_totals_and_links(service: &Service) {
    let key = service.new_key("--all-projects --scopes * --user ann@example.com");
    let id = twelve(service).await;
    for name in ["by ann", "by ann again"] {
        let path = format!("{FLAGS}{id}/");
        let answer =
            service.call(Method::PATCH, &path, Some(&key), Some(&json!({"name": name}))).await;
        assert_eq!(answer.status, 200);
    }
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    let ann = flag["last_modified_by"]["id"].as_i64().unwrap();
    service.patch(id, json!({"deleted": true})).await;
    service.patch(id, json!({"deleted": false})).await;
    let rows = page(service, "?limit=50").await["results"].clone();
    let time = |at: usize| rows[at]["created_at"].as_str().unwrap();
    let (newer, older) = (time(3), time(6));
    let cases = [
        (format!("user={ann}"), 2),
        (format!("user_id={ann}"), 2),
        ("user=999".to_owned(), 0),
        ("activity=created".to_owned(), 1),
        ("activity=deleted".to_owned(), 1),
        ("activity=restored".to_owned(), 1),
        ("activity=updated".to_owned(), 13),
        (format!("since={newer}"), 4),
        (format!("until={newer}"), 12),
        (format!("since={older}&until={newer}"), 3),
        (format!("user={ann}&activity=updated&since={older}"), 2),
        ("user=&activity=&since=&until=".to_owned(), 16),
    ];
    for (query, count) in cases {
        for below in ["activity/".to_owned(), format!("{id}/activity/")] {
            let (_, page) = service.get(&format!("{FLAGS}{below}?limit=50&{query}")).await;
            assert_eq!((ids(&page).len(), &page["total_count"]), (count, &json!(count)), "{query}");
        }
    }
    let first = page(service, "?activity=updated&limit=10").await;
    let next = first["next"].as_str().unwrap();
    let second = page(service, next).await;
    assert_eq!((ids(&second).len(), &second["total_count"]), (3, &json!(13)), "{next}");
    let since = Some(newer.parse().unwrap());
    let request = ListActivityRequest { user_id: Some(ann), since, ..Default::default() };
    let answer = service.flags().list_activity(request).await.unwrap().into_inner();
    assert_eq!(answer.total_size, 1 + i64::from(rows[3]["user"]["email"] == "ann@example.com"));
    let activity = Some("created".into());
    let until = Some(newer.parse().unwrap());
    let request = ListFeatureFlagActivityRequest { id, activity, until, ..Default::default() };
    let answer = service.flags().list_feature_flag_activity(request).await.unwrap().into_inner();
    assert_eq!((answer.total_size, answer.results[0].activity.as_str()), (1, "created"));
}

async fn a_filter_that_is_wrong_is_named(service: &Service) {
    let stock = "Datetime has wrong format. Use one of these formats instead: \
                 YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";
    let cases = [
        ("user=ann", Failure::field("user", "invalid_input", "A valid integer is required.")),
        (
            "activity=undone",
            Failure::field("activity", "invalid_choice", "\"undone\" is not a valid choice."),
        ),
        ("since=yesterday", Failure::field("since", "invalid_input", stock)),
        ("until=1", Failure::field("until", "invalid_input", stock)),
    ];
    for (query, expected) in cases {
        let (status, body) = service.get(&format!("{FLAGS}activity/?{query}")).await;
        assert_eq!(Failure::of_rest(status, &body), expected, "{query}");
    }
    let activity = Some("undone".into());
    let request = ListActivityRequest { activity, ..Default::default() };
    let status = service.flags().list_activity(request).await.unwrap_err();
    assert_eq!(reason(&status), "invalid_choice");
    for page_token in ["after-10", "nonsense", "1-2"] {
        let request = ListActivityRequest { page_token: page_token.into(), ..Default::default() };
        let status = service.flags().list_activity(request).await.unwrap_err();
        assert_eq!(said(&status, "attr").as_deref(), Some("page_token"), "{page_token}");
    }
}

async fn tokens_lead_on_while_rows_are_written(service: &Service) {
    let id = twelve(service).await;
    let before = ids(&page(service, "?limit=50").await);
    let mut request = ListActivityRequest { page_size: 5, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = service.flags().list_activity(request.clone()).await.unwrap().into_inner();
        seen.extend(page.results.into_iter().map(|row| row.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        service.patch(id, json!({"name": format!("meanwhile {}", seen.len())})).await;
    }
    assert_eq!(seen, before, "no row twice, none left out, none that came meanwhile");
}

async fn a_flag_that_is_gone_for_good_keeps_its_rows_in_the_project(service: &Service) {
    let (id, _) = service.create(json!({"key": "again"})).await;
    service.patch(id, json!({"deleted": true})).await;
    let path = format!("{FLAGS}{id}/activity/");
    assert_eq!(service.get(&path).await.1["total_count"], 2, "softly deleted ones are told of");
    service.create(json!({"key": "again"})).await;
    let (status, body) = service.get(&path).await;
    assert_eq!(Failure::of_rest(status, &body), Failure::not_found());
    let request = ListFeatureFlagActivityRequest { id, ..Default::default() };
    let status = service.flags().list_feature_flag_activity(request).await.unwrap_err();
    assert_eq!(Failure::of_grpc(&status), Failure::not_found());
    assert_eq!(page(service, "").await["total_count"], 3);
    let (status, _) = service.get(&format!("{FLAGS}again/activity/")).await;
    assert_eq!(status, 404, "keys are no ids here");
}

async fn an_empty_log_is_an_empty_page(service: &Service) {
    let empty = json!({"results": [], "next": null, "previous": null, "total_count": 0});
    assert_eq!(page(service, "").await, empty);
    let answer =
        service.flags().list_activity(ListActivityRequest::default()).await.unwrap().into_inner();
    assert_eq!(
        (answer.results.len(), answer.next_page_token.as_str(), answer.total_size),
        (0, "", 0)
    );
}

async fn a_row_has_the_documented_fields(service: &Service) {
    let (id, _) = service.create(json!({"key": "new-checkout", "name": "original name"})).await;
    let filters = json!({"groups": [{"properties": [], "rollout_percentage": 65}]});
    service.patch(id, json!({"name": "Updated name", "filters": filters})).await;
    service
        .execute(
            "UPDATE activity_log SET user_id = NULL, is_system = true WHERE activity = 'created'",
        )
        .await;
    let page = page(service, "").await;
    let (updated, created) = (&page["results"][0], &page["results"][1]);
    let names: Vec<_> = updated.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "user", "activity", "scope", "item_id", "detail", "created_at"]);
    let change = |field: &str, before: Value, after: Value| json!({"type": "FeatureFlag", "action": "changed", "field": field, "before": before, "after": after});
    let after = json!({"groups": [{"properties": [], "rollout_percentage": 65, "aggregation_group_type_index": null}],
        "aggregation_group_type_index": null});
    let changes = [
        change("name", json!("original name"), json!("Updated name")),
        change("filters", json!({"groups": []}), after),
        change("version", json!(1), json!(2)),
    ];
    let detail = json!({"changes": changes, "trigger": null, "name": "new-checkout", "short_id": null, "type": null});
    assert_eq!(updated["detail"], detail);
    assert_eq!(
        (&updated["activity"], &updated["scope"]),
        (&json!("updated"), &json!("FeatureFlag"))
    );
    assert_eq!(updated["item_id"], id.to_string());
    let admin = json!({"first_name": "admin", "email": "admin@flagstaff.local"});
    assert_eq!(updated["user"], admin);
    let system = json!({"first_name": "System", "email": null, "is_system": true});
    assert_eq!((&created["user"], &created["detail"]["changes"]), (&system, &json!([])));
}

async fn ciphertext_is_in_no_row(service: &Service) {
    let filters =
        |text: &str| json!({"groups": [{"rollout_percentage": 100}], "payloads": {"true": text}});
    let (id, _) = service
        .create(json!({"key": "secret", "is_remote_configuration": true,
        "has_encrypted_payloads": true, "filters": filters("\"one\"")}))
        .await;
    service.patch(id, json!({"filters": filters("\"two\"")})).await;
    service.patch(id, json!({"has_encrypted_payloads": false})).await;
    let rows = page(service, "").await;
    let text = rows.to_string();
    assert!(!text.contains("gAAAA") && !text.contains("two"), "{text}");
    let changed = &rows["results"][1]["detail"]["changes"][0];
    for side in ["before", "after"] {
        assert_eq!(changed[side]["payloads"]["true"], "\"********* (encrypted)\"");
    }
    let stored = service
        .stored("SELECT CAST(count(*) AS text) FROM activity_log WHERE detail LIKE '%gAAAA%'")
        .await;
    assert_eq!(stored.as_deref(), Some("0"), "not even at rest");
}

async fn writers_at_once_keep_the_total_and_the_order(service: &Service) {
    let mut flags = Vec::new();
    for name in ["a", "b", "c", "d"] {
        flags.push(service.create(json!({"key": name})).await.0);
    }
    let write = async |id: i64| {
        for edit in 0..5 {
            service.patch(id, json!({"name": format!("{edit}")})).await;
        }
    };
    let read = async || {
        for _ in 0..10 {
            let page = page(service, "?limit=50").await;
            let (shown, total) = (ids(&page).len() as i64, page["total_count"].as_i64().unwrap());
            assert!(shown <= total, "{shown} of {total}");
        }
    };
    tokio::join!(write(flags[0]), write(flags[1]), write(flags[2]), write(flags[3]), read());
    let all = page(service, "?limit=50").await;
    assert_eq!((ids(&all).len(), &all["total_count"]), (24, &json!(24)));
    for id in flags {
        let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=50")).await;
        let versions: Vec<_> = page["results"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|row| {
                row["detail"]["changes"].as_array().unwrap().last()?["after"].as_i64()
            })
            .collect();
        assert_eq!(versions, [6, 5, 4, 3, 2], "each version once, newest first");
    }
}
