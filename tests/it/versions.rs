//! A flag's earlier versions: read, listed, brought back (management-api 4.5).

use flagstaff::wire::v1::{
    GetFeatureFlagVersionRequest, ListFeatureFlagVersionsRequest, RestoreFeatureFlagVersionRequest,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure},
};

both_databases! {
    each_version_is_told_as_it_was,
    a_version_has_the_documented_fields_and_no_others,
    what_was_never_or_cannot_be_told_is_refused_in_order,
    a_missing_row_is_told_and_never_guessed_around,
    changes_without_a_version_are_passed_over,
    a_deleted_flag_keeps_its_history,
    versions_are_listed_newest_first_in_pages,
    a_version_is_brought_back_by_an_ordinary_patch,
    all_rules_of_a_patch_hold_for_a_restoration,
    a_restoration_that_names_no_version_is_refused,
    what_was_encrypted_is_neither_shown_nor_brought_back,
}

/// A version as REST shows it; of a message, what both can say.
async fn version(service: &Service, edge: Edge, id: i64, wanted: i64) -> Result<Value, Failure> {
    match edge {
        Edge::Rest => {
            let (status, body) = service.get(&format!("{FLAGS}{id}/versions/{wanted}/")).await;
            if status == 200 { Ok(body) } else { Err(Failure::of_rest(status, &body)) }
        }
        Edge::Grpc => {
            let request =
                GetFeatureFlagVersionRequest { id, version_number: wanted, ..Default::default() };
            let answer = service.flags().get_feature_flag_version(request).await;
            let version = answer.map_err(|status| Failure::of_grpc(&status))?.into_inner();
            let version = version.version.unwrap();
            let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let time = |time: Option<prost_types::Timestamp>| {
                time.map(|time| time.to_string()).map(|time| time.replace("000Z", "Z"))
            };
            Ok(json!({
                "id": version.id, "key": version.key, "name": version.name,
                "filters": json(&version.filters_json), "active": version.active,
                "deleted": version.deleted, "version": version.version,
                "rollback_conditions": json(&version.rollback_conditions_json),
                "performed_rollback": version.performed_rollback,
                "ensure_experience_continuity": version.ensure_experience_continuity,
                "has_enriched_analytics": version.has_enriched_analytics,
                "is_remote_configuration": version.is_remote_configuration,
                "has_encrypted_payloads": version.has_encrypted_payloads,
                "evaluation_runtime": version.evaluation_runtime,
                "bucketing_identifier": version.bucketing_identifier,
                "last_called_at": time(version.last_called_at),
                "created_at": time(version.created_at), "created_by": version.created_by,
                "is_historical": version.is_historical,
                "version_timestamp": time(version.version_timestamp),
                "modified_by": version.modified_by,
            }))
        }
    }
}

async fn restore(service: &Service, edge: Edge, id: i64, wanted: i64) -> Result<(), Failure> {
    match edge {
        Edge::Rest => {
            let path = format!("{FLAGS}{id}/restore/");
            let (status, body) =
                service.rest(Method::POST, &path, json!({"version": wanted})).await;
            if status == 200 { Ok(()) } else { Err(Failure::of_rest(status, &body)) }
        }
        Edge::Grpc => {
            let request = RestoreFeatureFlagVersionRequest {
                id,
                version_number: wanted,
                ..Default::default()
            };
            let answer = service.flags().restore_feature_flag_version(request).await;
            answer.map(drop).map_err(|status| Failure::of_grpc(&status))
        }
    }
}

/// The fields of a flag that its versions tell too.
const TRACKED: [&str; 17] = [
    "id",
    "key",
    "name",
    "filters",
    "active",
    "deleted",
    "version",
    "rollback_conditions",
    "performed_rollback",
    "ensure_experience_continuity",
    "has_enriched_analytics",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
    "last_called_at",
    "created_at",
];

/// What a flag or a version has in them.
fn tracked(flag: &Value) -> Value {
    TRACKED.iter().map(|name| ((*name).to_owned(), flag[name].clone())).collect()
}

async fn each_version_is_told_as_it_was(service: &Service) {
    let (id, made) = service.create(json!({"key": "first", "name": ""})).await;
    let edits = [
        json!({"name": "Named"}),
        json!({"filters": {"groups": [{"rollout_percentage": 65}]}, "active": false}),
        json!({}),
        json!({"key": "second", "evaluation_runtime": null, "rollback_conditions": [1.50]}),
        json!({"active": true, "ensure_experience_continuity": true}),
        json!({"deleted": true}),
        json!({"deleted": false, "last_called_at": "2026-01-02T03:04:05.000006Z"}),
    ];
    let mut states = vec![made];
    for edit in edits {
        let (status, flag) = service.patch(id, edit).await;
        assert_eq!(status, 200, "{flag}");
        states.push(flag);
    }
    let user = states[0]["created_by"]["id"].clone();
    for edge in EDGES {
        for (wanted, state) in (1..).zip(&states) {
            let told = version(service, edge, id, wanted).await.unwrap();
            assert_eq!(tracked(&told), tracked(state), "{edge:?} {wanted}");
            assert_eq!(told["is_historical"], wanted < states.len() as i64, "{edge:?} {wanted}");
            assert_eq!((&told["created_by"], &told["modified_by"]), (&user, &user));
            let since = if wanted == 1 { &state["created_at"] } else { &state["updated_at"] };
            assert_eq!(&told["version_timestamp"], since, "{edge:?} {wanted}");
        }
    }
}

async fn a_version_has_the_documented_fields_and_no_others(service: &Service) {
    let (id, _) = service.create(json!({"key": "k", "tags": ["t"]})).await;
    service.patch(id, json!({"name": "x"})).await;
    let told = version(service, Edge::Rest, id, 1).await.unwrap();
    let names: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let beside = ["created_by", "is_historical", "version_timestamp", "modified_by"];
    let documented: Vec<_> = TRACKED.into_iter().chain(beside).collect();
    assert_eq!(names, documented);
}

async fn what_was_never_or_cannot_be_told_is_refused_in_order(service: &Service) {
    let (id, _) = service.create(json!({"key": "k"})).await;
    service.patch(id, json!({"name": "x"})).await;
    let (remote, _) =
        service.create(json!({"key": "remote", "is_remote_configuration": true})).await;
    let (bare, _) = service.create(json!({"key": "bare"})).await;
    service.execute(&format!("UPDATE feature_flag SET version = NULL WHERE id = {bare}")).await;
    let never =
        |wanted| Failure::bare(404, &format!("Version {wanted} not found (current version is 2)"));
    let secret = "Version history is not available for remote configuration flags.";
    let cases = [
        (id, 0, never(0)),
        (id, 3, never(3)),
        (remote, 1, Failure::bare(400, secret)),
        (remote, 99, Failure::bare(400, secret)),
        (bare, 1, Failure::bare(422, "Flag has no version set")),
        (999_999, 1, Failure::not_found()),
    ];
    for (id, wanted, expected) in cases {
        for edge in EDGES {
            let told = version(service, edge, id, wanted).await;
            assert_eq!(told, Err(expected.clone()), "{edge:?} {id} {wanted}");
        }
    }
    assert_eq!(version(service, Edge::Grpc, id, -1).await, Err(never(-1)));
    let (_, body) = service.get(&format!("{FLAGS}{id}/versions/9/")).await;
    assert_eq!(
        body,
        json!({"detail": "Version 9 not found (current version is 2)"}),
        "nothing else"
    );
    let far = "99999999999999999999";
    let (status, body) = service.get(&format!("{FLAGS}{id}/versions/{far}/")).await;
    let detail = format!("Version {far} not found (current version is 2)");
    assert_eq!((status, body), (404, json!({"detail": detail})));
    for odd in ["-1", "x", "1.0", "1x"] {
        let (status, body) = service.get(&format!("{FLAGS}{id}/versions/{odd}/")).await;
        assert_eq!(Failure::of_rest(status, &body), Failure::not_found(), "{odd}");
    }
}

async fn a_missing_row_is_told_and_never_guessed_around(service: &Service) {
    let (id, _) = service.create(json!({"key": "k"})).await;
    for name in ["two", "three", "four"] {
        service.patch(id, json!({"name": name})).await;
    }
    let lose = format!("DELETE FROM activity_log WHERE item_id = '{id}' AND version = 3");
    service.execute(&lose).await;
    for edge in EDGES {
        for lost in [1, 2, 3] {
            let detail = format!("Activity log is incomplete. Cannot reconstruct version {lost}.");
            let told = version(service, edge, id, lost).await;
            assert_eq!(told, Err(Failure::bare(422, &detail)), "{edge:?} {lost}");
            let restored = restore(service, edge, id, lost).await;
            assert_eq!(restored, Err(Failure::bare(422, &detail)), "{edge:?} {lost}");
        }
        assert_eq!(version(service, edge, id, 4).await.unwrap()["name"], "four");
    }
}

async fn changes_without_a_version_are_passed_over(service: &Service) {
    let (id, _) = service.create(json!({"key": "k", "name": "first"})).await;
    service.patch(id, json!({"name": "second", "evaluation_contexts": ["web"]})).await;
    let tags = json!({"ids": [id], "action": "set", "tags": ["t"]});
    service.rest(Method::POST, &format!("{FLAGS}bulk_update_tags/"), tags).await;
    for edge in EDGES {
        assert_eq!(version(service, edge, id, 1).await.unwrap()["name"], "first");
        assert_eq!(version(service, edge, id, 2).await.unwrap()["name"], "second");
    }
}

async fn a_deleted_flag_keeps_its_history(service: &Service) {
    let (id, _) = service.create(json!({"key": "k"})).await;
    service.patch(id, json!({"deleted": true})).await;
    for edge in EDGES {
        assert_eq!(version(service, edge, id, 1).await.unwrap()["deleted"], false);
        assert_eq!(version(service, edge, id, 2).await.unwrap()["deleted"], true);
    }
}

async fn versions_are_listed_newest_first_in_pages(service: &Service) {
    let (id, made) = service.create(json!({"key": "k"})).await;
    service.patch(id, json!({"name": "x", "active": false, "evaluation_contexts": ["web"]})).await;
    service.patch(id, json!({"deleted": true})).await;
    service.patch(id, json!({"deleted": false})).await;
    let path = format!("{FLAGS}{id}/versions/");
    let (status, page) = service.get(&path).await;
    assert_eq!(
        (status, &page["count"], &page["next"], &page["previous"]),
        (200, &json!(4), &Value::Null, &Value::Null)
    );
    let line = |at: usize, names: &[&str]| -> Value {
        names.iter().map(|name| ((*name).to_owned(), page["results"][at][name].clone())).collect()
    };
    let told = ["version", "activity", "changed_fields", "is_current"];
    let expected = [
        json!({"version": 4, "activity": "restored", "changed_fields": ["deleted"], "is_current": true}),
        json!({"version": 3, "activity": "deleted", "changed_fields": ["deleted"], "is_current": false}),
        json!({"version": 2, "activity": "updated", "changed_fields": ["name", "active"], "is_current": false}),
        json!({"version": 1, "activity": "created", "changed_fields": [], "is_current": false}),
    ];
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(&line(at, &told), expected);
        assert_eq!(page["results"][at]["modified_by"], made["created_by"]["id"]);
    }
    assert_eq!(page["results"][3]["version_timestamp"], made["created_at"]);
    let (_, second) = service.get(&format!("{path}?limit=2&offset=2")).await;
    assert_eq!((&second["results"][0], &second["next"]), (&page["results"][2], &Value::Null));
    let (_, first) = service.get(second["previous"].as_str().unwrap()).await;
    assert_eq!(first["results"].as_array().unwrap()[..], page["results"].as_array().unwrap()[..2]);
    let mut request = ListFeatureFlagVersionsRequest { id, page_size: 3, ..Default::default() };
    let first =
        service.flags().list_feature_flag_versions(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token.clone();
    let second = service.flags().list_feature_flag_versions(request).await.unwrap().into_inner();
    assert_eq!((first.total_size, second.next_page_token.as_str()), (4, ""));
    let versions: Vec<_> =
        first.results.iter().chain(&second.results).map(|line| line.version).collect();
    assert_eq!(versions, [4, 3, 2, 1]);
    assert_eq!(first.results[2].changed_fields, ["name", "active"]);
    assert!(first.results[0].is_current && !first.results[1].is_current);
    let (status, body) = service.get(&format!("{FLAGS}999999/versions/")).await;
    assert_eq!(Failure::of_rest(status, &body), Failure::not_found());
}

async fn a_version_is_brought_back_by_an_ordinary_patch(service: &Service) {
    for edge in EDGES {
        let filters = json!({"groups": [{"properties": [], "rollout_percentage": 65}]});
        let key = format!("k-{edge:?}");
        let (id, made) = service
            .create(json!({"key": key, "name": "first", "filters": filters,
            "evaluation_runtime": "server", "tags": ["kept"]}))
            .await;
        let edit = json!({"key": format!("{key}-2"), "name": "second", "active": false,
            "filters": {"groups": []}, "evaluation_runtime": null, "tags": ["kept", "new"],
            "ensure_experience_continuity": true});
        service.patch(id, edit).await;
        restore(service, edge, id, 1).await.unwrap();
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        for name in
            ["name", "filters", "active", "evaluation_runtime", "ensure_experience_continuity"]
        {
            assert_eq!(flag[name], made[name], "{edge:?} {name}");
        }
        assert_eq!((&flag["version"], &flag["key"]), (&json!(3), &json!(format!("{key}-2"))));
        assert_eq!(flag["tags"], json!(["kept", "new"]), "labels have no versions");
        let (what, fields) = &service.history(id).await[0];
        let changed = [
            "name",
            "filters",
            "active",
            "version",
            "performed_rollback",
            "ensure_experience_continuity",
            "evaluation_runtime",
        ];
        assert_eq!(
            (what.as_str(), fields.as_slice()),
            ("updated", &changed.map(str::to_owned)[..])
        );
        restore(service, edge, id, 3).await.unwrap();
        let (_, fields) = &service.history(id).await[0];
        assert_eq!(fields, &["version"], "the current version again is a version of its own");
        assert_eq!(restore(service, edge, 999_999, 1).await, Err(Failure::not_found()));
    }
}

async fn all_rules_of_a_patch_hold_for_a_restoration(service: &Service) {
    let (base, _) = service.create(json!({"key": "base", "active": false})).await;
    service.patch(base, json!({"active": true})).await;
    let reads = json!({"groups": [{"properties": [{"key": base.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true}]}]});
    let (reader, _) = service.create(json!({"key": "reader", "filters": reads})).await;
    service.patch(reader, json!({"filters": {"groups": []}})).await;
    restore(service, Edge::Rest, reader, 1).await.unwrap();
    let depended = format!(
        "Cannot disable this feature flag because other flags depend on it: reader (ID: {reader}). \
         Please update or disable the dependent flags first."
    );
    for edge in EDGES {
        let before = service.totals().await;
        assert_eq!(
            restore(service, edge, base, 1).await,
            Err(Failure::rule(&depended)),
            "{edge:?}"
        );
        assert_eq!(service.totals().await, before);
    }
    service.patch(reader, json!({"filters": {"groups": []}})).await;
    service.patch(base, json!({"deleted": true})).await;
    let gone = format!("Flag dependency references non-existent flag with ID {base}");
    for edge in EDGES {
        let failure = restore(service, edge, reader, 1).await.unwrap_err();
        assert_eq!(failure, Failure::field("filters", "invalid_input", &gone), "{edge:?}");
    }
}

async fn a_restoration_that_names_no_version_is_refused(service: &Service) {
    let (id, _) = service.create(json!({"key": "k"})).await;
    let path = format!("{FLAGS}{id}/restore/");
    let integer = "A valid integer is required.";
    let cases = [
        (json!({}), Failure::field("version", "required", "This field is required.")),
        (
            json!({"version": null}),
            Failure::field("version", "null", "This field may not be null."),
        ),
        (json!({"version": "x"}), Failure::field("version", "invalid_input", integer)),
        (json!({"version": 1.5}), Failure::field("version", "invalid_input", integer)),
        (json!({"version": 2}), Failure::bare(404, "Version 2 not found (current version is 1)")),
        (json!({"version": 0}), Failure::bare(404, "Version 0 not found (current version is 1)")),
    ];
    for (body, expected) in cases {
        let (status, answer) = service.rest(Method::POST, &path, body.clone()).await;
        assert_eq!(Failure::of_rest(status, &answer), expected, "{body}");
    }
    let nowhere = Failure::bare(404, "Version 0 not found (current version is 1)");
    assert_eq!(restore(service, Edge::Grpc, id, 0).await, Err(nowhere));
    assert_eq!(service.history(id).await.len(), 1);
}

async fn what_was_encrypted_is_neither_shown_nor_brought_back(service: &Service) {
    let body = json!({"key": "secret", "is_remote_configuration": true, "has_encrypted_payloads": true,
        "filters": {"groups": [{"rollout_percentage": 100}], "payloads": {"true": "\"hidden\""}}});
    let (id, _) = service.create(body).await;
    for edge in EDGES {
        let failure = version(service, edge, id, 1).await.unwrap_err();
        assert_eq!(failure.status, 400, "{edge:?}");
    }
    let (status, plain) = service
        .patch(id, json!({"has_encrypted_payloads": false, "is_remote_configuration": false}))
        .await;
    assert_eq!(status, 200, "{plain}");
    for edge in EDGES {
        let told = version(service, edge, id, 1).await.unwrap();
        assert_eq!(told["filters"]["payloads"]["true"], "\"********* (encrypted)\"", "{edge:?}");
        let failure = restore(service, edge, id, 1).await.unwrap_err();
        assert_eq!(failure.status, 400, "{edge:?}");
        assert!(failure.detail.contains("encrypted"), "{failure:?}");
    }
}
