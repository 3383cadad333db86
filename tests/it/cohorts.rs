//! The life of a cohort: its fields and rules, on both edges (architecture 2, evaluation 9).

use flagstaff::wire::v1::{CohortInput, ListCohortsRequest, UpdateCohortRequest};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    directory::{COHORTS, nested, plan, tree},
    edges::{EDGES, Failure, Write},
    grpc::mask,
};

both_databases! {
    a_cohort_is_made_shown_changed_and_deleted,
    the_first_wrong_field_is_reported,
    trees_are_judged_before_they_are_stored,
    nested_cohorts_exist_and_never_lead_back,
    a_cohort_in_use_is_not_deleted,
    a_cohort_in_use_does_not_come_to_go_by_events,
    flags_go_by_cohorts_that_are_there_and_know_no_events,
    a_rename_shows_in_flags,
    cohorts_are_listed_newest_first_and_page_by_page,
    cohorts_of_another_project_are_out_of_sight,
    a_typed_echo_keeps_the_exact_text,
    concurrent_edits_cannot_close_a_circle,
}

async fn a_cohort_is_made_shown_changed_and_deleted(service: &Service) {
    for edge in EDGES {
        let filters = json!({"properties": {"type": "OR", "values": [
            {"key": "age", "type": "person", "operator": "min", "value": 18, "label": "kept"}]}, "x": 1});
        let body = json!({"name": " Adults ", "description": "Of age", "filters": filters});
        let made = service.write_cohort(edge, Write::Create, &body).await.unwrap().unwrap();
        let id = made["id"].as_i64().unwrap();
        let mut expected = json!({
            "id": id, "name": "Adults", "description": "Of age", "is_static": false,
            "filters": filters, "count": null, "deleted": false, "created_at": made["created_at"],
        });
        expected["filters"]["properties"]["values"][0]["operator"] = json!("gte");
        assert_eq!(made, expected, "{edge:?}");
        let keys: Vec<_> = made.as_object().unwrap().keys().collect();
        assert_eq!(keys, expected.as_object().unwrap().keys().collect::<Vec<_>>());
        let rename = json!({"name": "Grown-ups"});
        let renamed = service.write_cohort(edge, Write::Patch(id), &rename).await.unwrap().unwrap();
        expected["name"] = json!("Grown-ups");
        assert_eq!(renamed, expected, "{edge:?}");
        let deleted = json!({"deleted": true});
        let gone = service.write_cohort(edge, Write::Patch(id), &deleted).await.unwrap().unwrap();
        expected["deleted"] = json!(true);
        assert_eq!(gone, expected, "{edge:?}");
        assert_eq!(service.get(COHORTS).await.1["count"], 0, "a deleted cohort is not listed");
        let back = json!({"deleted": false});
        let back = service.write_cohort(edge, Write::Patch(id), &back).await.unwrap().unwrap();
        assert_eq!(back["deleted"], false);
        service.patch_cohort(id, deleted).await;
    }
    let (_, listed) = service.new_cohort(json!({"name": "Listed", "is_static": "true"})).await;
    assert_eq!((&listed["count"], &listed["filters"]), (&json!(0), &json!({})));
}

async fn the_first_wrong_field_is_reported(service: &Service) {
    let id = service.cohort_of_plan("pro").await;
    let listed = service.static_cohort().await;
    let (create, patch) = (Write::Create, Write::Patch(id));
    let long = "x".repeat(401);
    let cases = [
        (create, json!({"filters": plan("x")}), "name", "required", "This field is required."),
        (
            create,
            json!({"name": " ", "filters": 1}),
            "name",
            "blank",
            "This field may not be blank.",
        ),
        (patch, json!({"name": null}), "name", "null", "This field may not be null."),
        (
            patch,
            json!({"name": long}),
            "name",
            "max_length",
            "Ensure this field has no more than 400 characters.",
        ),
        (patch, json!({"description": null}), "description", "null", "This field may not be null."),
        (
            patch,
            json!({"deleted": "maybe"}),
            "deleted",
            "invalid_input",
            "Must be a valid boolean.",
        ),
        (create, json!({"name": "x"}), "filters", "required", "This field is required."),
        (patch, json!({"filters": null}), "filters", "null", "This field may not be null."),
        (
            create,
            json!({"name": "x", "is_static": true, "filters": plan("x")}),
            "filters",
            "invalid_input",
            "A static cohort takes no filters; its members are listed.",
        ),
        (
            Write::Patch(listed),
            json!({"filters": plan("x")}),
            "filters",
            "invalid_input",
            "A static cohort takes no filters; its members are listed.",
        ),
        (
            patch,
            json!({"is_static": true}),
            "is_static",
            "invalid_input",
            "A cohort cannot change between static and dynamic.",
        ),
        (
            Write::Put(id),
            json!({"filters": plan("x")}),
            "name",
            "required",
            "This field is required.",
        ),
        (Write::Put(id), json!({"name": "x"}), "filters", "required", "This field is required."),
    ];
    for (write, body, attr, code, detail) in cases {
        service.refuses_cohort(write, &body, &Failure::field(attr, code, detail)).await;
    }
    let echo = json!({"is_static": false, "count": 7, "id": 99, "created_at": "x"});
    assert_eq!(service.patch_cohort(id, echo).await.0, 200, "what is not written is passed over");
    let (status, error) = service.rest(Method::POST, COHORTS, json!([1])).await;
    assert_eq!((status, &error["attr"]), (400, &json!("non_field_errors")));
}

async fn trees_are_judged_before_they_are_stored(service: &Service) {
    let leaf = |operator: &str, value: Value| {
        tree(json!({"type": "person", "key": "k", "operator": operator, "value": value}))
    };
    let cases = [
        (json!({}), "invalid_input", "properties must be an object, got NoneType"),
        (json!([]), "not_a_dict", "Expected a dictionary of items but got type \"list\"."),
        (
            json!({"properties": {"type": "NOT", "values": []}}),
            "invalid_input",
            "properties.type must be AND or OR, got NOT",
        ),
        (tree(json!(7)), "invalid_input", "properties.values[0] must be an object, got int"),
        (leaf("like", json!("x")), "invalid_operator", "Invalid operator: like"),
        (
            leaf("not_in", json!(1)),
            "invalid_operator",
            "The 'not_in' operator is only valid for cohort properties, not 'person' properties.",
        ),
        (
            leaf("regex", json!("(")),
            "invalid_input",
            "properties.values[0].value: invalid regex pattern",
        ),
        (leaf("is_date_before", json!("soon")), "invalid_date", "Invalid date value: soon"),
        (
            leaf("semver_gt", json!("one")),
            "invalid_value",
            "Invalid semver value for operator semver_gt: one",
        ),
        (
            leaf("between", json!([2, 1])),
            "invalid_value",
            "between operator requires a list of two numbers",
        ),
        (
            tree(json!({"type": "hogql", "key": "1 = 1"})),
            "invalid_input",
            "Cohorts can only use person, cohort and behavioral properties, not hogql",
        ),
        (leaf("exact", json!("a\u{0}")), "invalid_input", "Null characters are not allowed."),
    ];
    for (filters, code, detail) in cases {
        let body = json!({"name": "x", "filters": filters});
        service
            .refuses_cohort(Write::Create, &body, &Failure::field("filters", code, detail))
            .await;
    }
    let older = json!({"groups": [{"properties": [{"key": "plan", "value": "pro"}]}, {"days": 7}]});
    let events =
        tree(json!({"type": "behavioral", "key": "$pageview", "value": "performed_event"}));
    for filters in [older, events, leaf("between", json!([1, 2])), leaf("gt", json!(3))] {
        let (_, cohort) = service.new_cohort(json!({"name": "x", "filters": filters})).await;
        assert_eq!(cohort["filters"], filters);
    }
}

async fn nested_cohorts_exist_and_never_lead_back(service: &Service) {
    let inner = service.cohort_of_plan("inner").await;
    let (outer, _) = service.new_cohort(json!({"name": "outer", "filters": nested(inner)})).await;
    let (gone, _) = service.new_cohort(json!({"name": "gone", "filters": plan("x")})).await;
    service.patch_cohort(gone, json!({"deleted": true})).await;
    let elsewhere = service.new_project("Other").0;
    service.cohort(elsewhere, 5000, false, &plan("x").to_string()).await;
    for id in [gone, 5000, 999_999] {
        let detail = format!("Cohort with id {id} does not exist");
        let expected = Failure::field("filters", "cohort_does_not_exist", &detail);
        let body = json!({"name": "x", "filters": nested(id)});
        service.refuses_cohort(Write::Create, &body, &expected).await;
        service.refuses_cohort(Write::Patch(inner), &body, &expected).await;
    }
    let circular = |detail| Failure::field("filters", "invalid_input", detail);
    let own = json!({"filters": nested(inner)});
    let expected = circular("Cohort 'inner' cannot depend on itself");
    service.refuses_cohort(Write::Patch(inner), &own, &expected).await;
    let back = json!({"filters": nested(outer)});
    let expected = circular("Circular dependency detected: inner → outer → inner");
    service.refuses_cohort(Write::Patch(inner), &back, &expected).await;
    // While it was deleted, what it refers to went: it cannot come back as it is.
    service.patch_cohort(outer, json!({"deleted": true})).await;
    service.patch_cohort(inner, json!({"deleted": true})).await;
    let detail = format!("Cohort with id {inner} does not exist");
    let expected = Failure::field("filters", "cohort_does_not_exist", &detail);
    service.refuses_cohort(Write::Patch(outer), &json!({"deleted": false}), &expected).await;
}

/// A flag for the members of a cohort.
async fn flag_for(service: &Service, key: &str, cohort: i64) -> i64 {
    let member = json!({"type": "cohort", "key": "id", "value": cohort, "operator": "in"});
    let filters = json!({"groups": [{"properties": [member], "rollout_percentage": 100}]});
    service.create(json!({"key": key, "filters": filters})).await.0
}

async fn a_cohort_in_use_is_not_deleted(service: &Service) {
    let inner = service.cohort_of_plan("inner").await;
    let (outer, _) = service.new_cohort(json!({"name": "outer", "filters": nested(inner)})).await;
    let (b, a) = (flag_for(service, "b", outer).await, flag_for(service, "a", inner).await);
    service.patch(b, json!({"active": false})).await;
    let deleted = json!({"deleted": true});
    let refusal = |users: String| {
        Failure::rule(&format!(
            "Cannot delete this cohort because feature flags use it: {users}. \
             Please remove it from the flags first."
        ))
    };
    let both = refusal(format!("a (ID: {a}), b (ID: {b})"));
    service.refuses_cohort(Write::Patch(inner), &deleted, &both).await;
    service.refuses_cohort(Write::Patch(outer), &deleted, &refusal(format!("b (ID: {b})"))).await;
    service.patch(b, json!({"deleted": true})).await;
    assert_eq!(service.patch_cohort(outer, deleted.clone()).await.0, 200);
    service.refuses_cohort(Write::Patch(inner), &deleted, &refusal(format!("a (ID: {a})"))).await;
    service.patch(a, json!({"filters": {"groups": []}})).await;
    assert_eq!(service.patch_cohort(inner, deleted).await.0, 200);
}

async fn a_cohort_in_use_does_not_come_to_go_by_events(service: &Service) {
    let events = || tree(json!({"type": "behavioral", "key": "$pageview"}));
    let inner = service.cohort_of_plan("inner").await;
    let (outer, _) = service.new_cohort(json!({"name": "outer", "filters": nested(inner)})).await;
    let flag = flag_for(service, "f", outer).await;
    let detail = "Cohort 'inner' with filters on events cannot be used in feature flags.";
    let expected = Failure::field("filters", "behavioral_cohort_found", detail);
    service.refuses_cohort(Write::Patch(inner), &json!({"filters": events()}), &expected).await;
    service.patch(flag, json!({"deleted": true})).await;
    assert_eq!(service.patch_cohort(inner, json!({"filters": events()})).await.0, 200);
}

async fn flags_go_by_cohorts_that_are_there_and_know_no_events(service: &Service) {
    let events = tree(json!({"type": "behavioral", "key": "$pageview"}));
    let (behavioural, _) = service.new_cohort(json!({"name": "Viewers", "filters": events})).await;
    let through = json!({"name": "Through", "filters": nested(behavioural)});
    let (through, _) = service.new_cohort(through).await;
    let listed = service.static_cohort().await;
    let good = service.cohort_of_plan("pro").await;
    let gone = service.cohort_of_plan("gone").await;
    service.patch_cohort(gone, json!({"deleted": true})).await;
    let body = |cohort: i64| {
        let member = json!({"type": "cohort", "key": "id", "value": cohort});
        json!({"key": format!("f{cohort}"), "filters": {"groups": [{"properties": [member]}]}})
    };
    let refused = [
        (
            behavioural,
            "behavioral_cohort_found",
            "Cohort 'Viewers' with filters on events cannot be used in feature flags.",
        ),
        (
            through,
            "behavioral_cohort_found",
            "Cohort 'Through' with filters on events cannot be used in feature flags.",
        ),
        (gone, "cohort_does_not_exist", &format!("Cohort with id {gone} does not exist")),
        (999_999, "cohort_does_not_exist", "Cohort with id 999999 does not exist"),
    ];
    for (cohort, code, detail) in refused {
        let expected = Failure::field("filters", code, detail);
        service.refuses(Write::Create, &body(cohort), &expected).await;
    }
    for cohort in [listed, good] {
        service.create(body(cohort)).await;
    }
}

async fn a_rename_shows_in_flags(service: &Service) {
    let cohort = service.cohort_of_plan("pro").await;
    let flag = flag_for(service, "f", cohort).await;
    for name in ["pro", "Professionals"] {
        service.patch_cohort(cohort, json!({"name": name})).await;
        let (_, shown) = service.get(&format!("{FLAGS}{flag}/")).await;
        let property = &shown["filters"]["groups"][0]["properties"][0];
        assert_eq!(property["cohort_name"], name);
        assert_eq!(shown["version"], 1, "the flag itself has not changed");
    }
}

async fn cohorts_are_listed_newest_first_and_page_by_page(service: &Service) {
    for name in ["one", "two", "three"] {
        service.cohort_of_plan(name).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let results = page["results"].as_array().unwrap().iter();
        results.map(|cohort| cohort["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = service.get(&format!("{COHORTS}?limit=2")).await;
    assert_eq!((&first["count"], names(&first)), (&json!(3), vec!["three".into(), "two".into()]));
    let (_, second) = service.get(first["next"].as_str().unwrap()).await;
    assert_eq!((&second["next"], names(&second)), (&Value::Null, vec!["one".into()]));
    assert!(second["previous"].is_string());
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListCohortsRequest { page_size: 2, page_token, ..Default::default() };
        let page = service.directory().list_cohorts(request).await.unwrap().into_inner();
        assert_eq!(page.total_size, 3);
        seen.extend(page.results.into_iter().map(|cohort| cohort.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["three", "two", "one"]);
    let request = ListCohortsRequest { page_token: "elsewhere".into(), ..Default::default() };
    let refused = service.directory().list_cohorts(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

async fn cohorts_of_another_project_are_out_of_sight(service: &Service) {
    let id = service.cohort_of_plan("mine").await;
    let other = service.new_project("Other").0;
    let path = format!("/api/projects/{other}/cohorts/");
    assert_eq!(service.get(&path).await.1["count"], 0);
    for (verb, path) in [
        (Method::GET, format!("{path}{id}/")),
        (Method::PATCH, format!("{path}{id}/")),
        (Method::POST, format!("{path}{id}/members/")),
        (Method::DELETE, format!("{path}{id}/members/")),
        (Method::GET, format!("{COHORTS}nonsense/")),
    ] {
        let body = json!({"name": "theirs", "distinct_ids": ["a"]});
        assert_eq!(service.rest(verb.clone(), &path, body).await.0, 404, "{verb} {path}");
    }
    assert_eq!(service.get(&format!("{COHORTS}{id}/")).await.1["name"], "mine");
}

async fn a_typed_echo_keeps_the_exact_text(service: &Service) {
    let exact = r#"{"properties":{"type":"AND","values":[{"key":"n","value":1.50}]}}"#;
    let filters: Value = serde_json::from_str(exact).unwrap();
    let (cohort_id, _) = service.new_cohort(json!({"name": "x", "filters": filters})).await;
    let request = flagstaff::wire::v1::GetCohortRequest { cohort_id, ..Default::default() };
    let shown = service.directory().get_cohort(request).await.unwrap().into_inner().cohort.unwrap();
    assert_eq!(shown.filters_json, exact);
    let input =
        CohortInput { name: Some("y".into()), filters: shown.filters, ..Default::default() };
    let request = UpdateCohortRequest {
        cohort_id,
        cohort: Some(input),
        update_mask: mask(&["name", "filters"]),
        ..Default::default()
    };
    let after = service.directory().update_cohort(request).await.unwrap().into_inner();
    let after = after.cohort.unwrap();
    assert_eq!((after.name.as_str(), after.filters_json.as_str()), ("y", exact));
}

async fn concurrent_edits_cannot_close_a_circle(service: &Service) {
    let (one, two) = (service.cohort_of_plan("one").await, service.cohort_of_plan("two").await);
    for _ in 0..5 {
        let (left, right) = tokio::join!(
            service.patch_cohort(one, json!({"filters": nested(two)})),
            service.patch_cohort(two, json!({"filters": nested(one)})),
        );
        let mut statuses = [left.0, right.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{left:?} {right:?}");
        for cohort in [one, two] {
            assert_eq!(service.patch_cohort(cohort, json!({"filters": plan("x")})).await.0, 200);
        }
    }
}
