//! Many flags deleted at once (management-api 4.7).

use flagstaff::wire::v1::{BulkDeleteFeatureFlagsRequest, FeatureFlagSelection, RolloutState};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure, texts},
};

both_databases! {
    a_body_says_what_to_delete_in_exactly_one_way,
    what_is_no_flag_is_told_first_and_without_a_key,
    a_deletion_leaves_the_version_and_writes_a_row_without_changes,
    what_is_in_the_way_is_told_in_order,
    dependents_in_the_same_request_are_not_in_the_way,
    filters_choose_as_lists_do,
    a_filter_that_a_list_would_ignore_deletes_nothing,
    the_state_of_the_rollout_is_told_as_it_was,
    a_flag_of_an_experiment_gives_up_its_key,
    a_batch_is_one_change,
    a_failure_half_way_changes_nothing,
    there_may_be_very_many,
}

async fn delete(service: &Service, edge: Edge, body: &Value) -> Option<Result<Value, Failure>> {
    match edge {
        Edge::Rest => {
            let path = format!("{FLAGS}bulk_delete/");
            let (status, answer) = service.rest(Method::POST, &path, body.clone()).await;
            Some(if status == 200 { Ok(answer) } else { Err(Failure::of_rest(status, &answer)) })
        }
        Edge::Grpc => {
            let request = message(body)?;
            match service.flags().bulk_delete_feature_flags(request).await {
                Ok(answer) => Some(Ok(shaped(answer.into_inner()))),
                Err(status) => Some(Err(Failure::of_grpc(&status))),
            }
        }
    }
}

fn message(body: &Value) -> Option<BulkDeleteFeatureFlagsRequest> {
    let ids = body.get("ids").map_or(Some(Vec::new()), texts)?;
    let filters = match body.get("filters") {
        Some(filters) => Some(selection(filters)?),
        None => None,
    };
    Some(BulkDeleteFeatureFlagsRequest { ids, filters, ..Default::default() })
}

fn selection(filters: &Value) -> Option<FeatureFlagSelection> {
    let mut selection = FeatureFlagSelection::default();
    for (name, value) in filters.as_object()? {
        let text = || value.as_str().map(str::to_owned);
        match name.as_str() {
            "active" => selection.active = Some(text()?),
            "search" => selection.search = Some(text()?),
            "type" => selection.r#type = Some(text()?),
            "evaluation_runtime" => selection.evaluation_runtime = Some(text()?),
            "excluded_properties" => selection.excluded_properties = texts(value)?,
            "tags" => selection.tags = texts(value)?,
            "excluded_tags" => selection.excluded_tags = texts(value)?,
            "archived" => selection.archived = Some(value.as_bool()?),
            "has_evaluation_contexts" => selection.has_evaluation_contexts = Some(value.as_bool()?),
            "created_by_id" => selection.created_by_ids = vec![value.as_i64()?],
            _ => return None,
        }
    }
    Some(selection)
}

/// A message as REST would shape it; ids in errors are text there.
fn shaped(answer: flagstaff::wire::v1::BulkDeleteFeatureFlagsResponse) -> Value {
    let deleted = answer.deleted.iter().map(|flag| {
        let state = match flag.rollout_state() {
            RolloutState::FullyRolledOut => "fully_rolled_out",
            RolloutState::NotRolledOut => "not_rolled_out",
            RolloutState::Partial => "partial",
            RolloutState::Unspecified => "unspecified",
        };
        json!({"id": flag.id, "key": flag.key, "rollout_state": state,
            "active_variant": flag.active_variant})
    });
    let errors = answer.errors.iter().map(|error| match &error.key {
        Some(key) => {
            json!({"id": error.id.parse::<i64>().unwrap(), "key": key, "reason": error.reason})
        }
        None => json!({"id": error.id, "reason": error.reason}),
    });
    json!({"deleted": deleted.collect::<Vec<_>>(), "errors": errors.collect::<Vec<_>>()})
}

fn keys_of(deleted: &Value) -> Vec<&str> {
    deleted.as_array().unwrap().iter().map(|flag| flag["key"].as_str().unwrap()).collect()
}

async fn a_body_says_what_to_delete_in_exactly_one_way(service: &Service) {
    let (id, _) = service.create(json!({"key": "kept"})).await;
    let before = service.totals().await;
    let error = |detail: &str| Failure::bare(400, detail);
    let both = error("Provide either filters or ids, not both");
    let neither = error("Must provide either filters or ids");
    let cases = [
        (json!({"ids": [id.to_string()], "filters": {"active": "true"}}), both.clone()),
        (json!({"ids": ["x"], "filters": {"order": "key"}}), both),
        (json!({}), neither.clone()),
        (json!({"ids": [], "filters": {}}), neither.clone()),
        (json!({"ids": null, "filters": null}), neither),
        (
            json!({"filters": {"typo": 1, "order": "key", "active": "true"}}),
            error("Unknown filter keys: order, typo"),
        ),
        (
            json!({"filters": {"limit": 1, "offset": 1}}),
            error("Unknown filter keys: limit, offset"),
        ),
        (
            json!({"ids": "1"}),
            Failure::field("ids", "not_a_list", "Expected a list of items but got type \"str\"."),
        ),
        (
            json!({"filters": ["active"]}),
            Failure::field(
                "filters",
                "not_a_dict",
                "Expected a dictionary of items but got type \"list\".",
            ),
        ),
        (
            json!({"filters": {"search": "x".repeat(201)}}),
            Failure::field("search", "max_length", "Search term cannot exceed 200 characters"),
        ),
    ];
    for (body, expected) in cases {
        for edge in EDGES {
            let Some(answer) = delete(service, edge, &body).await else { continue };
            assert_eq!(answer, Err(expected.clone()), "{edge:?} {body}");
        }
    }
    assert_eq!(service.totals().await, before);
}

async fn what_is_no_flag_is_told_first_and_without_a_key(service: &Service) {
    for edge in EDGES {
        let (a, _) = service.create(json!({"key": format!("a-{edge:?}")})).await;
        let (gone, _) = service.create(json!({"key": format!("gone-{edge:?}")})).await;
        service.patch(gone, json!({"deleted": true})).await;
        let (made, _) = service.create(json!({"key": format!("internal-{edge:?}")})).await;
        service
            .execute(&format!("UPDATE feature_flag SET internal = true WHERE id = {made}"))
            .await;
        let ids = ["abc", "999999", &gone.to_string(), &a.to_string(), &made.to_string(), "abc"];
        let answer = delete(service, edge, &json!({"ids": ids})).await.unwrap().unwrap();
        let malformed = json!({"id": "abc", "reason": "Invalid flag ID format"});
        let absent = |id: &str| json!({"id": id, "reason": "Flag not found"});
        let expected = [malformed, absent("999999"), absent(ids[2]), absent(ids[4])];
        assert_eq!(answer["errors"], json!(expected), "{edge:?}");
        assert_eq!(keys_of(&answer["deleted"]), [format!("a-{edge:?}")]);
    }
    let body = json!({"ids": [1.5, true, null, 999_999, "999998"]});
    let answer = delete(service, Edge::Rest, &body).await.unwrap().unwrap();
    let ids: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|e| e["id"].clone()).collect();
    assert_eq!(json!(ids), json!([1.5, true, null, 999_999, "999998"]), "as they were given");
    let reasons: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|e| e["reason"].clone()).collect();
    assert_eq!(reasons[2], "Invalid flag ID format");
    assert_eq!(reasons[3..], ["Flag not found", "Flag not found"]);
    let (other, _) = service.new_project("Other");
    let path = format!("/api/projects/{other}/feature_flags/");
    let (_, foreign) = service.rest(Method::POST, &path, json!({"key": "foreign"})).await;
    let answer =
        delete(service, Edge::Rest, &json!({"ids": [foreign["id"]]})).await.unwrap().unwrap();
    assert_eq!(answer["errors"], json!([{"id": foreign["id"], "reason": "Flag not found"}]));
}

async fn a_deletion_leaves_the_version_and_writes_a_row_without_changes(service: &Service) {
    for edge in EDGES {
        let (id, before) =
            service.create(json!({"key": format!("gone-{edge:?}"), "tags": ["t"]})).await;
        let (flags, rows) = service.totals().await;
        let body = json!({"ids": [id.to_string(), id.to_string()]});
        let answer = delete(service, edge, &body).await.unwrap().unwrap();
        assert_eq!(answer["deleted"].as_array().unwrap().len(), 1, "an id twice counts once");
        let (_, after) = service.get(&format!("{FLAGS}{id}/")).await;
        assert_eq!((&after["deleted"], &after["status"]), (&json!(true), &json!("DELETED")));
        assert_eq!((&after["version"], &after["key"]), (&before["version"], &before["key"]));
        assert_eq!(after["tags"], before["tags"]);
        assert!(after["updated_at"].is_string(), "{after}");
        assert_eq!(after["last_modified_by"]["id"], before["created_by"]["id"]);
        assert_eq!(service.totals().await, (flags - 1, rows + 1));
        let (_, page) = service.get(&format!("{FLAGS}{id}/activity/")).await;
        assert_eq!(page["total_count"], 2);
        let row = &page["results"][0];
        assert_eq!((&row["activity"], &row["detail"]["changes"]), (&json!("deleted"), &json!([])));
        assert_eq!(row["detail"]["name"], before["key"]);
        let again =
            delete(service, edge, &json!({"ids": [id.to_string()]})).await.unwrap().unwrap();
        assert_eq!(again["deleted"], json!([]));
        assert_eq!(again["errors"][0]["reason"], "Flag not found", "already deleted");
    }
}

/// Filters that read another flag.
fn reads(id: i64) -> Value {
    let property = json!({"key": id.to_string(), "type": "flag", "operator": "flag_evaluates_to", "value": true});
    json!({"groups": [{"properties": [property], "rollout_percentage": 100}]})
}

async fn what_is_in_the_way_is_told_in_order(service: &Service) {
    let everyone = service.create_for_everyone("base").await;
    let mut readers = Vec::new();
    for name in ["e", "d", "c", "b", "a"] {
        readers.push(service.create(json!({"key": name, "filters": reads(everyone)})).await.0);
    }
    let (off, _) = service.create(json!({"key": "off", "filters": reads(everyone)})).await;
    service.patch(off, json!({"active": false})).await;
    let make = async |key: &str| service.create(json!({"key": key})).await.0;
    let (early, running, draft, replay) =
        (make("early").await, make("running").await, make("draft").await, make("replay").await);
    service.link(early, "early_access", 1, "draft").await;
    service.link(early, "experiment", 2, "running").await;
    service.link(running, "experiment", 3, "running").await;
    service.link(running, "replay", 4, "draft").await;
    service.link(draft, "survey", 5, "running").await;
    service.link(replay, "replay", 6, "draft").await;
    let depended = |ids: &[i64]| {
        format!(
            "Cannot delete because other flags depend on it: a (ID: {}), b (ID: {}), c (ID: {}), and 2 more",
            ids[4], ids[3], ids[2]
        )
    };
    for edge in EDGES {
        let ids = [replay, running, everyone, early].map(|id| id.to_string());
        let answer = delete(service, edge, &json!({"ids": ids})).await.unwrap().unwrap();
        let refused =
            |id: i64, key: &str, reason: &str| json!({"id": id, "key": key, "reason": reason});
        let expected = json!([
            refused(
                replay,
                "replay",
                "This feature flag is used in session replay settings. \
                Please remove it from replay settings before deleting."
            ),
            refused(
                running,
                "running",
                "Cannot delete a feature flag linked to running experiment(s): \"Link 3\" (ID: 3)"
            ),
            refused(everyone, "base", &depended(&readers)),
            refused(
                early,
                "early",
                "Cannot delete a feature flag that is in use with early access features"
            ),
        ]);
        assert_eq!(answer, json!({"deleted": [], "errors": expected}), "{edge:?}");
    }
    let body = json!({"ids": [draft.to_string()]});
    let answer = delete(service, Edge::Grpc, &body).await.unwrap().unwrap();
    assert_eq!(answer["errors"], json!([]), "a survey is not in the way");
}

async fn dependents_in_the_same_request_are_not_in_the_way(service: &Service) {
    for edge in EDGES {
        let make = async |key: &str, filters: Value| {
            service.create(json!({"key": format!("{key}-{edge:?}"), "filters": filters})).await.0
        };
        let everyone = json!({"groups": [{"rollout_percentage": 100}]});
        let base = make("base", everyone.clone()).await;
        let child = make("child", reads(base)).await;
        let grandchild = make("grandchild", reads(child)).await;
        let ids = json!({"ids": [base.to_string(), child.to_string()]});
        let answer = delete(service, edge, &ids).await.unwrap().unwrap();
        assert_eq!(keys_of(&answer["deleted"]), [format!("base-{edge:?}")], "{answer}");
        let reason = format!(
            "Cannot delete because other flags depend on it: grandchild-{edge:?} (ID: {grandchild})"
        );
        assert_eq!(answer["errors"][0]["reason"], reason);
        let base = make("again", everyone).await;
        let child = make("child-again", reads(base)).await;
        let ids = json!({"ids": [base.to_string(), child.to_string()]});
        let answer = delete(service, edge, &ids).await.unwrap().unwrap();
        assert_eq!(answer["deleted"].as_array().unwrap().len(), 2, "{answer}");
    }
}

async fn filters_choose_as_lists_do(service: &Service) {
    let everyone = json!({"groups": [{"rollout_percentage": 100}]});
    let variants = json!({"groups": [{"rollout_percentage": 100}],
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}});
    let makes = [
        json!({"filters": everyone, "active": false}),
        json!({"filters": everyone, "tags": ["old"]}),
        json!({"filters": variants}),
        json!({"filters": everyone, "evaluation_runtime": "server"}),
        json!({"filters": everyone, "evaluation_contexts": ["web"]}),
        json!({"filters": everyone, "name": "Needle in a stack"}),
    ];
    let choices = [
        json!({"active": "false"}),
        json!({"tags": ["old"]}),
        json!({"type": "multivariant"}),
        json!({"evaluation_runtime": "server"}),
        json!({"has_evaluation_contexts": true}),
        json!({"search": "needle in"}),
    ];
    for edge in EDGES {
        for (at, (make, choice)) in makes.iter().zip(&choices).enumerate() {
            let mut body = make.clone();
            body["key"] = json!(format!("chosen-{at}-{edge:?}"));
            service.create(body).await;
            let (kept, _) = service
                .create(json!({"key": format!("kept-{at}-{edge:?}"), "filters": everyone}))
                .await;
            let body = json!({"filters": choice});
            let answer = delete(service, edge, &body).await.unwrap().unwrap();
            assert_eq!(keys_of(&answer["deleted"]), [format!("chosen-{at}-{edge:?}")], "{choice}");
            assert_eq!(service.get(&format!("{FLAGS}{kept}/")).await.1["deleted"], false);
        }
    }
    for native in
        [json!({"active": false}), json!({"created_by_id": 999}), json!({"tags": "[\"old\"]"})]
    {
        let answer =
            delete(service, Edge::Rest, &json!({"filters": native})).await.unwrap().unwrap();
        assert_eq!(
            answer,
            json!({"deleted": [], "errors": []}),
            "{native}: nothing matches any more"
        );
    }
    let (archived, _) = service.create(json!({"key": "archived", "active": false})).await;
    service.rest(Method::POST, &format!("{FLAGS}{archived}/archive/"), json!({})).await;
    for edge in EDGES {
        let answer = delete(service, edge, &json!({"filters": {"active": "false"}})).await.unwrap();
        assert_eq!(answer.unwrap()["deleted"], json!([]), "archived ones are chosen by name alone");
    }
    let chosen = json!({"filters": {"archived": true, "excluded_tags": ["other"]}});
    let answer = delete(service, Edge::Grpc, &chosen).await.unwrap().unwrap();
    assert_eq!(keys_of(&answer["deleted"]), ["archived"]);
    let all = json!({"filters": {"excluded_properties": ["kept-0-Rest"], "active": "true"}});
    let answer = delete(service, Edge::Rest, &all).await.unwrap().unwrap();
    let keys = keys_of(&answer["deleted"]);
    assert!(keys.len() == 11 && !keys.contains(&"kept-0-Rest"), "{keys:?}");
    assert_eq!((keys[0], keys[10]), ("kept-5-Grpc", "kept-1-Rest"), "newest first");
}

async fn a_filter_that_a_list_would_ignore_deletes_nothing(service: &Service) {
    for key in ["one", "two"] {
        service.create_for_everyone(key).await;
    }
    service.create(json!({"key": "off", "active": false, "tags": ["experimental"]})).await;
    let before = (service.totals().await, service.get(FLAGS).await);
    let cases = [
        ("tags", json!({"tags": "experimental"})),
        ("tags", json!({"tags": ["experimental", null], "active": "true"})),
        ("tags", json!({"tags": ["experimental", " "]})),
        ("type", json!({"type": "multivariate"})),
        ("type", json!({"type": ""})),
        ("search", json!({"search": ""})),
        ("search", json!({"search": "  ", "archived": false})),
        ("search", json!({"search": {"key": "one"}})),
        ("active", json!({"active": null})),
        ("active", json!({"active": "enabled"})),
        ("active", json!({"active": ""})),
        ("archived", json!({"archived": "perhaps"})),
        ("has_evaluation_contexts", json!({"has_evaluation_contexts": null})),
        ("created_by_id", json!({"created_by_id": "1,x"})),
        ("created_by_id", json!({"created_by_id": [1, "x"]})),
        ("evaluation_runtime", json!({"evaluation_runtime": ""})),
        ("excluded_properties", json!({"excluded_properties": "one"})),
        ("excluded_properties", json!({"excluded_properties": ["one", ""]})),
        ("excluded_tags", json!({"excluded_tags": "experimental"})),
        ("excluded_tags", json!({"excluded_tags": ["experimental", ""], "type": "boolean"})),
    ];
    for (name, filters) in cases {
        let body = json!({"filters": filters});
        for edge in EDGES {
            let Some(answer) = delete(service, edge, &body).await else { continue };
            let expected = Failure::bare(400, &format!("Invalid value for filter: {name}"));
            assert_eq!(answer, Err(expected), "{edge:?} {body}");
        }
    }
    // An empty list of a message is one that is not given.
    let empty = json!({"filters": {"tags": []}});
    let expected = Failure::bare(400, "Invalid value for filter: tags");
    assert_eq!(delete(service, Edge::Rest, &empty).await, Some(Err(expected)));
    let expected = Failure::bare(400, "Must provide either filters or ids");
    assert_eq!(delete(service, Edge::Grpc, &empty).await, Some(Err(expected)));
    assert_eq!((service.totals().await, service.get(FLAGS).await), before);
    let (_, ids) = service.get(&format!("{FLAGS}matching_ids/?tags=experimental")).await;
    assert_eq!(ids["total"], 3, "what only reads ignores it as before");
}

async fn the_state_of_the_rollout_is_told_as_it_was(service: &Service) {
    let group = |percentage: Value| json!({"rollout_percentage": percentage});
    let two = json!({"variants": [{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]});
    let one = json!({"variants": [{"key": "test", "rollout_percentage": 100}]});
    let forced = json!({"rollout_percentage": 100, "variant": "b"});
    let full = group(json!(100));
    let cases = [
        (json!({"groups": [full]}), "fully_rolled_out", Value::Null),
        (json!({"groups": [full], "multivariate": one}), "fully_rolled_out", json!("test")),
        (json!({"groups": [forced], "multivariate": two}), "fully_rolled_out", json!("b")),
        (json!({"groups": [full], "multivariate": two}), "partial", Value::Null),
        (json!({"groups": [group(json!(0)), group(json!(0))]}), "not_rolled_out", Value::Null),
        (json!({"groups": [group(json!(0)), group(json!(1))]}), "partial", Value::Null),
        (json!({"groups": [group(Value::Null)]}), "partial", Value::Null),
    ];
    for edge in EDGES {
        for (filters, state, variant) in &cases {
            let (id, _) = service.create(json!({"key": "rolled", "filters": filters})).await;
            let body = json!({"ids": [id.to_string()]});
            let answer = delete(service, edge, &body).await.unwrap().unwrap();
            let expected = json!({"id": id, "key": "rolled", "rollout_state": state, "active_variant": variant});
            assert_eq!(answer["deleted"], json!([expected]), "{edge:?} {filters}");
        }
    }
}

async fn a_flag_of_an_experiment_gives_up_its_key(service: &Service) {
    for edge in EDGES {
        let (id, _) = service.create(json!({"key": "tested"})).await;
        service.link(id, "experiment", 7, "deleted").await;
        let body = json!({"ids": [id.to_string()]});
        let answer = delete(service, edge, &body).await.unwrap().unwrap();
        assert_eq!(keys_of(&answer["deleted"]), ["tested"], "the key it had");
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        assert_eq!(flag["key"], format!("tested:deleted:{id}"));
        let (_, page) = service.get(&format!("{FLAGS}{id}/activity/")).await;
        assert_eq!(page["results"][0]["detail"]["name"], "tested");
        let (status, restored) = service.patch(id, json!({"deleted": false})).await;
        assert_eq!(
            (status, &restored["key"]),
            (200, &json!("tested")),
            "and has again when restored"
        );
        service.patch(id, json!({"deleted": true})).await;
    }
}

async fn a_batch_is_one_change(service: &Service) {
    let revision = "SELECT CAST(revision AS text) FROM project WHERE id = 1";
    let ids = [service.create_for_everyone("one").await, service.create_for_everyone("two").await];
    assert_eq!(service.evaluated(&service.token, "one").await["enabled"], true);
    let before: i64 = service.stored(revision).await.unwrap().parse().unwrap();
    delete(service, Edge::Rest, &json!({"ids": ids})).await.unwrap().unwrap();
    assert_eq!(service.stored(revision).await, Some((before + 1).to_string()));
    for key in ["one", "two"] {
        assert_eq!(
            service.evaluated(&service.token, key).await,
            Value::Null,
            "not evaluated any more"
        );
    }
    delete(service, Edge::Rest, &json!({"ids": ids})).await.unwrap().unwrap();
    assert_eq!(service.stored(revision).await, Some((before + 1).to_string()), "nothing to change");
}

async fn a_failure_half_way_changes_nothing(service: &Service) {
    let plain = service.create_for_everyone("plain").await;
    let tested = service.create_for_everyone("tested").await;
    service.link(tested, "experiment", 1, "stopped").await;
    let (clash, _) = service.create(json!({"key": "clash"})).await;
    // The key that the deletion would give is taken, which is found out in its last statements.
    let taken =
        format!("UPDATE feature_flag SET key = 'tested:deleted:{tested}' WHERE id = {clash}");
    service.execute(&taken).await;
    let before = (service.totals().await, service.get(FLAGS).await);
    for edge in EDGES {
        let body = json!({"ids": [plain.to_string(), tested.to_string()]});
        let failure = delete(service, edge, &body).await.unwrap().unwrap_err();
        assert_eq!((failure.status, failure.detail.as_str()), (500, "A server error occurred."));
        assert_eq!((service.totals().await, service.get(FLAGS).await), before, "{edge:?}");
        assert_eq!(service.history(plain).await.len(), 1);
        assert_eq!(service.evaluated(&service.token, "plain").await["enabled"], true);
    }
}

async fn there_may_be_very_many(service: &Service) {
    let (kept, _) = service.create(json!({"key": "kept"})).await;
    let ids = service.seed_flags(4_500).await;
    let before = service.totals().await;
    let answer = delete(service, Edge::Rest, &json!({"ids": ids})).await.unwrap().unwrap();
    assert_eq!(answer["deleted"].as_array().unwrap().len(), 4_500);
    assert_eq!(service.totals().await, (before.0 - 4_500, before.1 + 4_500));
    let (_, list) = service.get(FLAGS).await;
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(kept)));
}
