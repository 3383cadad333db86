//! Watching flags: what a watcher is told, in which order, and when it ends (architecture 7,
//! `WatchFlags` in the contract).

use flagstaff::wire::v1::{FlagsDelta, watch_flags_response::Event};
use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{FLAGS, Service, cli::Flagstaff, grpc::reason, watch::Watcher};

both_databases! {
    a_watcher_begins_with_all_there_is_and_hears_each_change,
    flags_that_leave_the_feed_are_removed,
    a_flag_that_reads_a_changed_one_is_told_again,
    a_changed_cohort_comes_with_a_snapshot_and_a_new_one_with_its_flag,
    settings_and_group_types_come_with_a_snapshot,
    many_changed_flags_come_in_one_event,
    a_large_project_comes_in_several_messages,
    a_watcher_goes_on_where_it_was,
    a_revision_that_nobody_knows_gets_a_snapshot,
    a_public_token_hears_of_revisions_alone,
    another_project_is_not_watched,
    a_watch_ends_with_its_key,
    a_watch_ends_with_its_project,
}

/// A flag for everyone whose name says how often it changed.
async fn rename(service: &Service, id: i64, name: &str) {
    let (status, answer) = service.patch(id, json!({"name": name})).await;
    assert_eq!(status, 200, "{answer}");
}

fn delta(event: Event) -> FlagsDelta {
    match event {
        Event::Delta(delta) => delta,
        other => panic!("not a delta: {other:?}"),
    }
}

async fn current(watcher: &mut Watcher, service: &Service) {
    let told = service.told_definitions().await;
    watcher.until("the feed as it is", |watcher| watcher.copy() == told).await;
}

async fn a_watcher_begins_with_all_there_is_and_hears_each_change(service: &Service) {
    let id = service.create_for_everyone("one").await;
    service.create_for_everyone("two").await;
    for key in [&service.key, &service.secret] {
        let mut watcher = service.watch(key, None).await;
        watcher.hear().await;
        assert_eq!(watcher.heard, "s");
        assert_eq!(watcher.copy(), service.told_definitions().await);

        rename(service, id, "Renamed").await;
        let told = delta(watcher.hear().await);
        let keys: Vec<_> = told.upserted.iter().map(|flag| (&*flag.key, &*flag.name)).collect();
        assert_eq!((keys, told.removed.len()), (vec![("one", "Renamed")], 0));
        let made = service.create_for_everyone(&format!("more-{}", watcher.revision)).await;
        assert_eq!(delta(watcher.hear().await).upserted[0].id, made);
        current(&mut watcher, service).await;
    }
}

async fn flags_that_leave_the_feed_are_removed(service: &Service) {
    let deleted = service.create_for_everyone("deleted").await;
    let (hidden, _) =
        service.create(json!({"key": "hidden", "is_remote_configuration": true})).await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;

    service.patch(deleted, json!({"deleted": true})).await;
    let told = delta(watcher.hear().await);
    assert_eq!((told.removed[0].id, &*told.removed[0].key), (deleted, "deleted"));
    let secret = json!({"has_encrypted_payloads": true,
        "filters": {"groups": [{}], "payloads": {"true": "\"secret\""}}});
    let (status, answer) = service.patch(hidden, secret).await;
    assert_eq!(status, 200, "{answer}");
    let told = delta(watcher.hear().await);
    assert_eq!((told.removed[0].id, told.upserted.len()), (hidden, 0));

    service.patch(deleted, json!({"deleted": false})).await;
    assert_eq!(delta(watcher.hear().await).upserted[0].id, deleted);
    current(&mut watcher, service).await;
}

async fn a_flag_that_reads_a_changed_one_is_told_again(service: &Service) {
    let base = service.create_for_everyone("base").await;
    let reads = |id: i64| {
        json!({"groups": [{"properties": [{"key": id.to_string(), "type": "flag",
            "operator": "flag_evaluates_to", "value": true}]}]})
    };
    let (middle, _) = service.create(json!({"key": "middle", "filters": reads(base)})).await;
    let (top, _) = service.create(json!({"key": "top", "filters": reads(middle)})).await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    service.patch(base, json!({"key": "renamed"})).await;
    let told = delta(watcher.hear().await);
    let ids: Vec<i64> = told.upserted.iter().map(|flag| flag.id).collect();
    assert_eq!(ids, [middle, base, top], "by key");
    assert!(told.upserted[2].filters_json.contains("renamed"), "in its chain: {told:?}");
    current(&mut watcher, service).await;
}

async fn a_changed_cohort_comes_with_a_snapshot_and_a_new_one_with_its_flag(service: &Service) {
    let tree = |plan: &str| {
        json!({"properties": {"type": "OR", "values": [{"type": "AND", "values": [
            {"key": "plan", "type": "person", "value": plan}]}]}})
    };
    let path = "/api/projects/1/cohorts/";
    let flag = service.create_for_everyone("by-cohort").await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    let body = json!({"name": "Payers", "filters": tree("pro")});
    let (status, cohort) = service.rest(Method::POST, path, body).await;
    assert_eq!(status, 201, "{cohort}");
    let told = delta(watcher.hear().await);
    assert_eq!(told, FlagsDelta::default(), "nobody goes by it yet");

    let member = json!({"key": "id", "type": "cohort", "value": cohort["id"]});
    let filters = json!({"groups": [{"properties": [member]}]});
    service.patch(flag, json!({"filters": filters})).await;
    let told = delta(watcher.hear().await);
    assert!(told.cohorts.contains_key(&cohort["id"].to_string()), "{told:?}");
    current(&mut watcher, service).await;

    let path = format!("{path}{}/", cohort["id"]);
    assert_eq!(service.rest(Method::PATCH, &path, json!({"filters": tree("team")})).await.0, 200);
    assert!(matches!(watcher.hear().await, Event::Snapshot(_)));
    current(&mut watcher, service).await;
}

async fn settings_and_group_types_come_with_a_snapshot(service: &Service) {
    service.create_for_everyone("one").await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    let strict = json!({"property_matching_version": 2});
    assert_eq!(service.rest(Method::PATCH, "/api/projects/1/", strict).await.0, 200);
    watcher.hear().await;
    assert_eq!(watcher.copy().property_matching_version, Some(2));
    let event = json!({"event": "$groupidentify", "distinct_id": "x",
        "properties": {"$group_type": "company", "$group_key": "acme", "$group_set": {}}});
    let batch = json!({"api_key": service.token, "batch": [event]});
    assert_eq!(service.call(Method::POST, "/batch/", None, Some(&batch)).await.status, 200);
    let company = |watcher: &Watcher| watcher.copy().group_type_mapping.contains_key("0");
    watcher.until("the group type", company).await;
    assert_eq!(watcher.heard, "sss");
}

async fn many_changed_flags_come_in_one_event(service: &Service) {
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(service.create_for_everyone(&format!("flag-{n}")).await);
    }
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    let body = json!({"ids": ids});
    let (status, answer) = service.rest(Method::POST, &format!("{FLAGS}bulk_delete/"), body).await;
    assert_eq!(status, 200, "{answer}");
    let told = delta(watcher.hear().await);
    let removed: Vec<i64> = told.removed.iter().map(|flag| flag.id).collect();
    assert_eq!(removed, ids);
}

async fn a_large_project_comes_in_several_messages(service: &Service) {
    service.seed_flags(1_000).await;
    service.reload().await;
    let mut watcher = service.watch(&service.secret, None).await;
    current(&mut watcher, service).await;
    assert!(watcher.heard.len() > 2 && watcher.heard.chars().all(|c| c == 's'));
}

async fn a_watcher_goes_on_where_it_was(service: &Service) {
    let id = service.create_for_everyone("one").await;
    let gone = service.create_for_everyone("gone").await;
    let mut watcher = service.watch(&service.secret, None).await;
    watcher.hear().await;
    let seen = watcher.revision;
    drop(watcher);
    rename(service, id, "Once").await;
    rename(service, id, "Twice").await;
    service.patch(gone, json!({"deleted": true})).await;

    // Nobody watches, so this comes from the change log.
    let mut back = service.watch(&service.secret, Some(seen)).await;
    let told = delta(back.hear().await);
    let names: Vec<_> = told.upserted.iter().map(|flag| &*flag.name).collect();
    assert_eq!(names, ["Twice"]);
    assert_eq!((told.removed[0].id, &*told.removed[0].key), (gone, "gone"));

    // And this from what the other one was told.
    rename(service, id, "Thrice").await;
    back.hear().await;
    let mut again = service.watch(&service.key, Some(seen)).await;
    assert_eq!(delta(again.hear().await).upserted[0].name, "Thrice");
    assert_eq!(again.revision, back.revision);

    let mut current = service.watch(&service.key, Some(back.revision)).await;
    assert!(matches!(current.hear().await, Event::Heartbeat(_)), "it missed nothing");
    rename(service, id, "Again").await;
    assert_eq!(delta(current.hear().await).upserted[0].name, "Again");
}

async fn a_revision_that_nobody_knows_gets_a_snapshot(service: &Service) {
    let id = service.create_for_everyone("one").await;
    for unknown in [-1, i64::MIN, i64::MAX, 1_000_000] {
        let mut watcher = service.watch(&service.secret, Some(unknown)).await;
        watcher.hear().await;
        assert_eq!(watcher.copy(), service.told_definitions().await, "{unknown}");
        assert!(watcher.revision < 100, "revisions go by the service's own");
        rename(service, id, &format!("After {unknown}")).await;
        watcher.hear().await;
        assert_eq!(watcher.heard, "sd", "{unknown}");
    }
}

async fn a_public_token_hears_of_revisions_alone(service: &Service) {
    let id = service.create_for_everyone("one").await;
    let mut watcher = service.watch(&service.token, None).await;
    watcher.hear().await;
    for n in 0..3 {
        rename(service, id, &n.to_string()).await;
        let before = watcher.revision;
        watcher.hear().await;
        assert_eq!(watcher.revision, before + 1);
    }
    assert_eq!(watcher.heard, "nnnn");
    assert!(watcher.copy().flags.is_empty());
    let mut again = service.watch(&service.token, Some(watcher.revision)).await;
    assert!(matches!(again.hear().await, Event::Heartbeat(_)), "it missed nothing");
}

async fn another_project_is_not_watched(service: &Service) {
    let other = service.new_project("Other").0.to_string();
    for key in [&service.token, &service.secret] {
        let error = service.try_watch(key, &other, None).await.unwrap_err();
        assert_eq!((error.code(), &*reason(&error)), (Code::PermissionDenied, "permission_denied"));
        let elsewhere = service.evaluation_as(Some(key));
        let request = flagstaff::wire::v1::GetFlagDefinitionsRequest {
            project_id: other.clone(),
            ..Default::default()
        };
        let as_elsewhere = { elsewhere }.get_flag_definitions(request).await.unwrap_err();
        if key == &service.secret {
            assert_eq!(error.message(), as_elsewhere.message());
        }
    }
    let error = service.try_watch(&service.key, "999999", None).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

fn revoke(service: &Service, label: &str) -> Flagstaff {
    let listed = service.flagstaff(&["keys", "list"]).run().last_line();
    let keys: Value = serde_json::from_str(&listed).unwrap();
    let key = keys.as_array().unwrap().iter().find(|key| key["label"] == label);
    service.flagstaff(&["keys", "revoke", &key.unwrap()["id"].to_string()])
}

async fn a_watch_ends_with_its_key(service: &Service) {
    let key = service.new_key("--project 1 --scopes feature_flag:read --label watches");
    let expiring = service.new_key("--project 1 --scopes feature_flag:read --expires 2s");
    let mut watchers = [service.watch(&key, None).await, service.watch(&expiring, None).await];
    let mut other = service.watch(&service.key, None).await;
    revoke(service, "watches").run();
    for (watcher, why) in watchers.iter_mut().zip(["revoked", "expired"]) {
        let status = watcher.end().await;
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(
            status.message(),
            format!("API key has {}.", why.replace("revoked", "been revoked"))
        );
    }
    other.hear().await;
    service.create_for_everyone("one").await;
    other.hear().await;
    assert_eq!(other.heard, "sd", "another key's watch goes on");
}

async fn a_watch_ends_with_its_project(service: &Service) {
    let (other, token) = service.new_project("Short-lived");
    let watched =
        crate::support::eventually("it is there", std::time::Duration::from_secs(5), async || {
            service.try_watch(&token, "", None).await.ok()
        });
    let mut by_token = watched.await;
    let mut by_key = service.try_watch(&service.key, &other.to_string(), None).await.unwrap();
    service
        .execute(&format!(
            "DELETE FROM api_key_project WHERE project_id = {other}; DELETE FROM project WHERE id = {other}"
        ))
        .await;
    for watcher in [&mut by_token, &mut by_key] {
        assert_eq!(watcher.end().await.code(), Code::NotFound);
    }
}
