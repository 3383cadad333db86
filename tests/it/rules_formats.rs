//! Flags whose filters are in another format than condition sets: no write makes one, and one that
//! is stored does no harm (rules-v2 2, 6.5, 8.1).

use flagstaff::wire::v1::{
    BulkUpdateFeatureFlagTagsRequest, CreateFeatureFlagRequest, DeleteFeatureFlagRequest,
    DisableFeatureFlagRequest, FeatureFlagInput, Filters, TagAction,
};
use http::Method;
use prost_types::{Struct, Value as Wire, value::Kind};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure, Write},
    grpc::{keyed, reason},
    watch::Watcher,
};

both_databases! {
    no_write_names_a_format,
    a_stored_flag_of_another_format_can_be_disabled_and_deleted,
    operations_refuse_a_stored_flag_of_another_format,
    nothing_new_depends_on_a_flag_of_another_format,
    such_flags_and_what_depends_on_them_are_in_no_feed,
    one_such_flag_fails_alone,
}

fn reserved() -> Failure {
    let detail = "The key \"version\" is reserved in filters.";
    Failure::field("filters", "reserved_config_version", detail)
}

fn unsupported() -> Failure {
    let detail = "This feature flag is stored in a rules format that is not supported. \
        It can only be disabled or deleted.";
    Failure { code: "unsupported_config_version".into(), ..Failure::rule(detail) }
}

fn versions() -> [Value; 7] {
    [json!(1), json!(2), json!(2.0), json!(3), json!("2"), json!(true), json!(null)]
}

/// A flag as an earlier version or a backup left it, and its number.
async fn stored(service: &Service, key: &str, filters: &Value) -> i64 {
    service.stored_flag(1, key, filters).await;
    let query = format!("SELECT CAST(id AS text) FROM feature_flag WHERE key = '{key}'");
    service.stored(&query).await.unwrap().parse().unwrap()
}

fn rules() -> Value {
    json!({"version": 2, "return_type": "boolean", "default_value": false, "rules": []})
}

async fn no_write_names_a_format(service: &Service) {
    let (id, _) = service.create(json!({"key": "steady"})).await;
    for version in versions() {
        for filters in
            [json!({"version": version, "groups": [{}]}), json!({"version": version, "rules": []})]
        {
            let body = json!({"key": "steady-too", "filters": filters});
            service.refuses(Write::Create, &body, &reserved()).await;
            service.refuses(Write::Patch(id), &json!({"filters": filters}), &reserved()).await;
            let body = json!({"key": "steady", "filters": filters});
            service.refuses(Write::Put(id), &body, &reserved()).await;
        }
    }
    let two = Wire { kind: Some(Kind::NumberValue(2.0)) };
    let extra = Some(Struct { fields: [("version".to_owned(), two)].into() });
    let filters = Some(Filters { extra, ..Default::default() });
    let feature_flag = Some(FeatureFlagInput { filters, ..keyed("typed") });
    let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
    let error = service.flags().create_feature_flag(request).await.unwrap_err();
    let told = (error.code(), reason(&error));
    assert_eq!(told, (Code::InvalidArgument, "reserved_config_version".to_owned()));
}

async fn a_stored_flag_of_another_format_can_be_disabled_and_deleted(service: &Service) {
    for (at, filters) in
        [rules(), json!({"version": 3}), json!({"version": "1", "groups": [{}]})].iter().enumerate()
    {
        for edge in EDGES {
            let id = stored(service, &format!("stored-{at}-{edge:?}"), filters).await;
            let refused = [
                json!({"name": "x", "version": 1}),
                json!({"active": false}),
                json!({"active": false, "version": 1, "name": "x"}),
                json!({"active": true, "version": 1}),
                json!({"deleted": false, "version": 1}),
                json!({"filters": {"groups": [{}]}, "version": 1}),
            ];
            for body in refused {
                service.refuses(Write::Patch(id), &body, &unsupported()).await;
            }
            let named = json!({"filters": {"version": 2}, "version": 1});
            service.refuses(Write::Patch(id), &named, &reserved()).await;
            let off = json!({"active": false, "version": 1});
            let flag = service.write(edge, Write::Patch(id), &off).await.unwrap().unwrap();
            assert_eq!((&flag["active"], &flag["version"]), (&json!(false), &json!(2)));
            assert_eq!(flag["filters"], *filters, "the filters stay as they are");
            let stale = Failure {
                status: 409,
                kind: "server_error".into(),
                code: "conflict".into(),
                ..Failure::rule(
                    "This feature flag has changed since version 1; it is now at version 2. \
                     Nothing was written. Please refresh and try again.",
                )
            };
            let gone = |version: i64| json!({"deleted": true, "version": version});
            service.refuses(Write::Patch(id), &gone(1), &stale).await;
            service
                .execute(&format!("UPDATE feature_flag SET active = true WHERE id = {id}"))
                .await;
            let flag = service.write(edge, Write::Patch(id), &gone(2)).await.unwrap().unwrap();
            let state = (&flag["deleted"], &flag["active"], &flag["filters"]);
            assert_eq!(state, (&json!(true), &json!(false), filters), "a deletion disables it too");
        }
    }
    let id = stored(service, "by-rpc", &rules()).await;
    let request = DeleteFeatureFlagRequest { id, ..Default::default() };
    let gone = service.flags().delete_feature_flag(request).await.unwrap().into_inner();
    assert!(gone.feature_flag.unwrap().deleted);
    let id = stored(service, "in-bulk", &rules()).await;
    let path = format!("{FLAGS}bulk_delete/");
    let (status, body) = service.rest(Method::POST, &path, json!({"ids": [id]})).await;
    assert_eq!((status, &body["deleted"][0]["id"]), (200, &json!(id)), "{body}");
    assert_eq!(body["deleted"][0]["rollout_state"], "partial");
}

async fn operations_refuse_a_stored_flag_of_another_format(service: &Service) {
    let id = stored(service, "stored", &rules()).await;
    for verb in ["enable", "disable", "archive", "unarchive"] {
        let path = format!("{FLAGS}{id}/{verb}/");
        let (status, body) = service.rest(Method::POST, &path, json!({})).await;
        assert_eq!(Failure::of_rest(status, &body), unsupported(), "{verb}");
    }
    let request = DisableFeatureFlagRequest { id, ..Default::default() };
    let error = service.flags().disable_feature_flag(request).await.unwrap_err();
    assert_eq!(Failure::of_grpc(&error), unsupported());
    let body = json!({"ids": [id], "action": "add", "tags": ["x"]});
    let (_, told) = service.rest(Method::POST, &format!("{FLAGS}bulk_update_tags/"), body).await;
    let skipped = json!([{"id": id, "reason": "Unsupported rules format"}]);
    assert_eq!(told, json!({"updated": [], "skipped": skipped}));
    let request = BulkUpdateFeatureFlagTagsRequest {
        ids: vec![id.to_string()],
        action: TagAction::Add.into(),
        tags: vec!["x".into()],
        ..Default::default()
    };
    let told = service.flags().bulk_update_feature_flag_tags(request).await.unwrap().into_inner();
    assert_eq!(
        (told.updated.len(), told.skipped[0].reason.as_str()),
        (0, "Unsupported rules format")
    );
}

fn reads(id: i64) -> Value {
    json!({"groups": [{"properties": [{"key": id.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true}], "rollout_percentage": 100}]})
}

async fn nothing_new_depends_on_a_flag_of_another_format(service: &Service) {
    let id = stored(service, "stored", &rules()).await;
    let body = json!({"key": "reader", "filters": reads(id)});
    let detail = format!(
        "Cannot create dependency on flag 'stored' (ID: {id}), which is stored in a rules format \
         that is not supported."
    );
    let expected = Failure::field("filters", "unsupported_dependency_config_version", &detail);
    service.refuses(Write::Create, &body, &expected).await;
    let id = stored(service, "first-format", &json!({"version": 1, "groups": [{}]})).await;
    for edge in EDGES {
        let body = json!({"key": format!("reader-{edge:?}"), "filters": reads(id)});
        assert!(service.write(edge, Write::Create, &body).await.unwrap().is_ok());
    }
}

/// The keys of the flags and the ids of the cohorts of both forms of the feed, and of the message.
async fn feeds(service: &Service) -> Vec<(Vec<String>, Vec<String>)> {
    let mut feeds = Vec::new();
    let own = format!("{FLAGS}local_evaluation?send_cohorts");
    for path in ["/flags/definitions".to_owned(), own] {
        let answer = service.call(Method::GET, &path, Some(&service.secret), None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let feed = answer.json();
        let flags = feed["flags"].as_array().unwrap().iter();
        let keys = flags.map(|flag| flag["key"].as_str().unwrap().to_owned()).collect();
        feeds.push((keys, feed["cohorts"].as_object().unwrap().keys().cloned().collect()));
    }
    let told = service.told_definitions().await;
    let keys = told.flags.iter().map(|flag| flag.key.clone()).collect();
    feeds.push((keys, told.cohorts.keys().cloned().collect()));
    feeds
}

async fn such_flags_and_what_depends_on_them_are_in_no_feed(service: &Service) {
    let (own, shared) =
        (service.cohort_of_plan("own").await, service.cohort_of_plan("shared").await);
    let base = service.create_for_everyone("base").await;
    let member = |id: i64| json!({"type": "cohort", "key": "id", "value": id, "operator": "in"});
    let with = |mut filters: Value, cohort: i64| {
        filters["groups"][0]["properties"].as_array_mut().unwrap().push(member(cohort));
        filters
    };
    let (middle, _) =
        service.create(json!({"key": "middle", "filters": with(reads(base), own)})).await;
    let last = json!({"key": "last", "filters": with(reads(middle), shared)});
    service.create(last).await;
    let plain = json!({"groups": [{"properties": [], "rollout_percentage": 100}]});
    let (steady, _) =
        service.create(json!({"key": "steady", "filters": with(plain, shared)})).await;
    let mut watcher = service.watch(&service.secret, None).await;
    hear_until(&mut watcher, &["base", "last", "middle", "steady"]).await;

    // As a restored backup leaves it; the write beside it makes the service look.
    let filters = rules().to_string();
    let statement = format!("UPDATE feature_flag SET filters = '{filters}' WHERE id = {base}");
    service.execute(&statement).await;
    service.patch(steady, json!({"name": "seen"})).await;
    service.reload().await;
    for feed in feeds(service).await {
        assert_eq!(feed, (vec!["steady".to_owned()], vec![shared.to_string()]));
    }
    hear_until(&mut watcher, &["steady"]).await;

    let mut fresh = service.watch(&service.secret, None).await;
    hear_until(&mut fresh, &["steady"]).await;
}

/// Takes over events until the watcher holds just these flags.
async fn hear_until(watcher: &mut Watcher, keys: &[&str]) {
    let holds = |watcher: &Watcher| {
        let flags = watcher.copy().flags;
        flags.iter().map(|flag| flag.key.as_str()).eq(keys.iter().copied())
    };
    watcher.until(&format!("just {keys:?}"), holds).await;
}

async fn one_such_flag_fails_alone(service: &Service) {
    service.create_for_everyone("good").await;
    let unread = json!({"version": "2", "groups": [{"rollout_percentage": 100}]});
    stored(service, "unread", &unread).await;
    let old = json!({"version": 1.0, "groups": [{"rollout_percentage": 100}]});
    stored(service, "old", &old).await;
    service.reload().await;
    let answer = service.flags_for(&json!({"distinct_id": "ann"})).await;
    assert_eq!(answer["errorsWhileComputingFlags"], true);
    let flag = |key: &str| {
        let flag = &answer["flags"][key];
        (flag["enabled"] == true, flag["failed"] == true)
    };
    let told = ["good", "old", "unread"].map(flag);
    assert_eq!(told, [(true, false), (true, false), (false, true)]);
}
