//! What flags are for the one who calls (management-api 5).

use flagstaff::wire::v1::ListMyFlagsRequest;
use prost_types::value::Kind;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, edges::Failure};

both_databases! {
    every_live_flag_is_listed_newest_first_with_its_value,
    values_are_those_of_the_calling_user,
    encrypted_payloads_are_clear_for_their_owners,
    grpc_pages_what_rest_gives_at_once,
}

async fn mine(service: &Service) -> Value {
    let (status, flags) = service.get(&format!("{FLAGS}my_flags/")).await;
    assert_eq!(status, 200, "{flags}");
    flags
}

async fn every_live_flag_is_listed_newest_first_with_its_value(service: &Service) {
    assert_eq!(mine(service).await, json!([]));
    let (first, made) = service
        .create(
            json!({"key": "first", "name": "First", "tags": ["t"], "evaluation_contexts": ["web"],
            "filters": {"groups": [{"rollout_percentage": 100}]}}),
        )
        .await;
    let off = service.create_for_everyone("off").await;
    service.patch(off, json!({"active": false})).await;
    let gone = service.create_for_everyone("gone").await;
    service.patch(gone, json!({"deleted": true})).await;
    let internal = service.create_for_everyone("internal").await;
    service
        .execute(&format!("UPDATE feature_flag SET internal = true WHERE id = {internal}"))
        .await;
    let variants = json!({"groups": [{"rollout_percentage": 100}],
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}});
    service.create(json!({"key": "varied", "filters": variants})).await;
    let flags = mine(service).await;
    let told: Vec<_> = flags
        .as_array()
        .unwrap()
        .iter()
        .map(|mine| (mine["feature_flag"]["key"].as_str().unwrap(), mine["value"].clone()))
        .collect();
    assert_eq!(told, [("varied", json!("a")), ("off", json!(false)), ("first", json!(true))]);
    let expected = json!({"id": first, "team_id": 1, "name": "First", "key": "first",
        "filters": made["filters"], "deleted": false, "active": true,
        "ensure_experience_continuity": false, "version": 1, "evaluation_runtime": "all",
        "bucketing_identifier": "distinct_id", "evaluation_contexts": ["web"]});
    assert_eq!(flags[2]["feature_flag"], expected);
}

async fn values_are_those_of_the_calling_user(service: &Service) {
    let key = service.new_key("--all-projects --scopes feature_flag:read --user ann@example.com");
    for n in 0..8 {
        let half = json!({"groups": [{"rollout_percentage": 50}]});
        service.create(json!({"key": format!("half-{n}"), "filters": half})).await;
    }
    let ann = service
        .stored("SELECT distinct_id FROM \"user\" WHERE email = 'ann@example.com'")
        .await
        .unwrap();
    let path = format!("{FLAGS}my_flags/");
    let mine = service.call(http::Method::GET, &path, Some(&key), None).await.json();
    let (_, reasons) = service.get(&format!("{FLAGS}evaluation_reasons/?distinct_id={ann}")).await;
    for mine in mine.as_array().unwrap() {
        let key = mine["feature_flag"]["key"].as_str().unwrap();
        assert_eq!(mine["value"], reasons[key]["value"], "{key}");
    }
    assert_eq!(mine.as_array().unwrap().len(), 8);
    let (status, body) = service.get(&format!("{path}?groups=%5B1%5D")).await;
    let expected = Failure::field("groups", "invalid_input", "groups must be a JSON object");
    assert_eq!(Failure::of_rest(status, &body), expected);
}

async fn encrypted_payloads_are_clear_for_their_owners(service: &Service) {
    let filters =
        json!({"groups": [{"rollout_percentage": 100}], "payloads": {"true": "\"hidden\""}});
    service
        .create(json!({"key": "secret", "is_remote_configuration": true,
            "has_encrypted_payloads": true, "filters": filters}))
        .await;
    let flags = mine(service).await;
    assert_eq!(flags[0]["feature_flag"]["filters"]["payloads"]["true"], "\"hidden\"");
    assert_eq!(flags[0]["value"], true);
}

async fn grpc_pages_what_rest_gives_at_once(service: &Service) {
    for n in 0..5 {
        service.create_for_everyone(&format!("flag-{n}")).await;
    }
    let mut request = ListMyFlagsRequest { page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = service.flags().list_my_flags(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.total_size, 5);
        for mine in page.results {
            let flag = mine.feature_flag.unwrap();
            assert_eq!(mine.value.unwrap().kind, Some(Kind::BoolValue(true)));
            let filters: Value = serde_json::from_str(&flag.filters_json).unwrap();
            seen.push(json!({"id": flag.id, "key": flag.key, "filters": filters}));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let all: Vec<_> = mine(service)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|mine| &mine["feature_flag"])
        .map(|flag| json!({"id": flag["id"], "key": flag["key"], "filters": flag["filters"]}))
        .collect();
    assert_eq!(seen, all);
}
