//! Which flags a list holds, in what order and in which pieces (management-api 3.7).

use flagstaff::wire::v1::{ListFeatureFlagsRequest, ListMatchingFeatureFlagIdsRequest};
use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, edges::Failure};

both_databases! {
    each_parameter_narrows_the_list_on_both_edges,
    a_search_takes_the_term_literally_and_a_space_loosely,
    a_search_is_bounded,
    a_list_is_never_behind_what_was_written_anywhere,
    a_page_can_begin_anywhere_in_either_direction,
    stale_flags_are_those_that_nobody_misses,
    a_list_comes_in_the_wanted_order,
    an_order_by_no_stored_field_is_refused,
    links_carry_the_other_parameters,
    odd_pages_fall_back_to_the_defaults,
    internal_flags_are_left_out,
    matching_ids_are_for_those_who_may_edit,
}

/// The keys of a list, sorted.
async fn listed(service: &Service, query: &[(&str, &str)]) -> Vec<String> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let (status, page) = service.get(&format!("{FLAGS}?{query}")).await;
    assert_eq!(status, 200, "{query}: {page}");
    let mut keys = keys(&page);
    assert_eq!(page["count"], keys.len(), "{query}");
    let (_, matching) = service.get(&format!("{FLAGS}matching_ids/?{query}")).await;
    let mut ids: Vec<_> =
        page["results"].as_array().unwrap().iter().map(|f| f["id"].as_i64().unwrap()).collect();
    let mut matched: Vec<_> =
        matching["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    ids.sort_unstable();
    matched.sort_unstable();
    assert_eq!((&matched, &matching["total"]), (&ids, &json!(ids.len())), "{query:?}");
    // Other orders than the default are the database's, which knows the same filters.
    let (_, by_id) = service.get(&format!("{FLAGS}?{query}&order=id")).await;
    let by_id = by_id["results"].as_array().unwrap().iter().map(|f| f["id"].as_i64().unwrap());
    assert_eq!(by_id.collect::<Vec<_>>(), ids, "{query:?} in another order");
    keys.sort();
    keys
}

fn keys(page: &Value) -> Vec<String> {
    let results = page["results"].as_array().unwrap();
    results.iter().map(|flag| flag["key"].as_str().unwrap().to_owned()).collect()
}

/// The same list as a message asks for it, sorted.
async fn listed_grpc(service: &Service, request: ListFeatureFlagsRequest) -> Vec<String> {
    let matching = ListMatchingFeatureFlagIdsRequest {
        active: request.active.clone(),
        created_by_ids: request.created_by_ids.clone(),
        search: request.search.clone(),
        key: request.key.clone(),
        r#type: request.r#type.clone(),
        evaluation_runtime: request.evaluation_runtime.clone(),
        excluded_properties: request.excluded_properties.clone(),
        tags: request.tags.clone(),
        excluded_tags: request.excluded_tags.clone(),
        has_evaluation_contexts: request.has_evaluation_contexts,
        archived: request.archived,
        ..Default::default()
    };
    let page = service.flags().list_feature_flags(request).await.unwrap().into_inner();
    let mut ids: Vec<_> = page.results.iter().map(|flag| flag.id).collect();
    let answer = service.flags().list_matching_feature_flag_ids(matching).await.unwrap();
    let mut matched = answer.into_inner().ids;
    ids.sort_unstable();
    matched.sort_unstable();
    assert_eq!(matched, ids);
    let mut keys: Vec<_> = page.results.into_iter().map(|flag| flag.key).collect();
    keys.sort();
    keys
}

async fn seed(service: &Service) {
    let half =
        json!([{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]);
    let flags = [
        json!({"key": "plain", "tags": ["web", "old"]}),
        json!({"key": "off", "active": false, "tags": ["web"], "evaluation_runtime": "server"}),
        json!({"key": "many", "filters": {"groups": [{}], "multivariate": {"variants": half}},
            "evaluation_runtime": "client", "tags": ["app"]}),
        json!({"key": "none", "filters": {"groups": [{}], "multivariate": {"variants": []}}}),
        json!({"key": "config", "is_remote_configuration": true, "evaluation_contexts": ["web"]}),
        json!({"key": "tested"}),
    ];
    for flag in flags {
        let (id, made) = service.create(flag).await;
        if made["key"] == "tested" {
            service.link(id, "experiment", 1, "deleted").await;
        }
    }
    let (gone, _) = service.create(json!({"key": "gone", "tags": ["web"]})).await;
    service.patch(gone, json!({"deleted": true})).await;
    let (project, _) = service.new_project("Other");
    let path = format!("/api/projects/{project}/feature_flags/");
    service.rest(Method::POST, &path, json!({"key": "theirs", "tags": ["web"]})).await;
}

async fn each_parameter_narrows_the_list_on_both_edges(service: &Service) {
    seed(service).await;
    let me = service.get(FLAGS).await.1["results"][0]["created_by"]["id"].as_i64().unwrap();
    let all = "config many none off plain tested";
    let on = "config many none plain tested";
    let (one, comma, list) = (me.to_string(), format!("999, x,{me}"), format!("[999, \"{me}\"]"));
    let request = ListFeatureFlagsRequest::default;
    let texts = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        ("no_such_parameter", "1", all, Some(request())),
        ("active", "true", on, Some(ListFeatureFlagsRequest { active: text("true"), ..request() })),
        ("active", "TRUE", on, None),
        (
            "active",
            "false",
            "off",
            Some(ListFeatureFlagsRequest { active: text("false"), ..request() }),
        ),
        ("active", "whatever", "off", None),
        (
            "created_by_id",
            &one,
            all,
            Some(ListFeatureFlagsRequest { created_by_ids: vec![me], ..request() }),
        ),
        (
            "created_by_id",
            &comma,
            all,
            Some(ListFeatureFlagsRequest { created_by_ids: vec![999, me], ..request() }),
        ),
        ("created_by_id", &list, all, None),
        (
            "created_by_id",
            "999",
            "",
            Some(ListFeatureFlagsRequest { created_by_ids: vec![999], ..request() }),
        ),
        ("created_by_id", "nobody", all, None),
        (
            "key",
            "PLAIN",
            "plain",
            Some(ListFeatureFlagsRequest { key: text("Plain"), ..request() }),
        ),
        ("key", "plai", "", Some(ListFeatureFlagsRequest { key: text("plai"), ..request() })),
        (
            "type",
            "boolean",
            "config none off plain tested",
            Some(ListFeatureFlagsRequest { r#type: text("boolean"), ..request() }),
        ),
        (
            "type",
            "multivariant",
            "many",
            Some(ListFeatureFlagsRequest { r#type: text("multivariant"), ..request() }),
        ),
        (
            "type",
            "experiment",
            "tested",
            Some(ListFeatureFlagsRequest { r#type: text("experiment"), ..request() }),
        ),
        (
            "type",
            "remote_config",
            "config",
            Some(ListFeatureFlagsRequest { r#type: text("remote_config"), ..request() }),
        ),
        (
            "type",
            "other",
            all,
            Some(ListFeatureFlagsRequest { r#type: text("other"), ..request() }),
        ),
        (
            "evaluation_runtime",
            "server",
            "off",
            Some(ListFeatureFlagsRequest { evaluation_runtime: text("server"), ..request() }),
        ),
        ("evaluation_runtime", "all", "config none plain tested", None),
        (
            "excluded_properties",
            "[\"plain\", \"off\", \"x\"]",
            "config many none tested",
            Some(ListFeatureFlagsRequest {
                excluded_properties: texts(&["plain", "off"]),
                ..request()
            }),
        ),
        ("excluded_properties", "plain", all, None),
        (
            "tags",
            "[\"app\", \"old\"]",
            "many plain",
            Some(ListFeatureFlagsRequest { tags: texts(&["app", "old"]), ..request() }),
        ),
        (
            "tags",
            "[\"unknown\"]",
            "",
            Some(ListFeatureFlagsRequest { tags: texts(&["unknown"]), ..request() }),
        ),
        ("tags", "web", all, None),
        (
            "excluded_tags",
            "[\"web\"]",
            "config many none tested",
            Some(ListFeatureFlagsRequest { excluded_tags: texts(&["web"]), ..request() }),
        ),
        ("excluded_tags", "{", all, None),
        (
            "has_evaluation_contexts",
            "yes",
            "config",
            Some(ListFeatureFlagsRequest { has_evaluation_contexts: Some(true), ..request() }),
        ),
        ("has_evaluation_contexts", "1", "config", None),
        (
            "has_evaluation_contexts",
            "no",
            "many none off plain tested",
            Some(ListFeatureFlagsRequest { has_evaluation_contexts: Some(false), ..request() }),
        ),
    ];
    for (name, value, expected, request) in cases {
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(listed(service, &[(name, value)]).await, expected, "{name}={value}");
        if let Some(request) = request {
            assert_eq!(listed_grpc(service, request).await, expected, "{name}={value} over gRPC");
        }
    }
    let both = [("active", "true"), ("tags", "[\"web\"]")];
    assert_eq!(listed(service, &both).await, ["plain"], "all that is given must hold");
}

async fn a_search_takes_the_term_literally_and_a_space_loosely(service: &Service) {
    let flags = [
        ("new-flow", ""),
        ("new_flow_2", ""),
        ("newflow", "100% of it"),
        ("other", "A New \t Flow"),
        ("under_score", ""),
        ("back", "a\\b"),
        ("named", "\u{c9}t\u{e9}"),
    ];
    for (key, name) in flags {
        service.create(json!({"key": key, "name": name})).await;
    }
    let (tested, _) = service.create(json!({"key": "tested"})).await;
    service.link(tested, "experiment", 7, "draft").await;
    service.execute("UPDATE flag_link SET name = 'Big_Red-Button'").await;
    let (past, _) = service.create(json!({"key": "past"})).await;
    service.link(past, "experiment", 8, "deleted").await;
    let cases = [
        ("NEW", "new-flow new_flow_2 newflow other"),
        ("new flow", "new-flow new_flow_2 other"),
        ("  new   FLOW ", "new-flow new_flow_2 other"),
        ("new-flow", "new-flow"),
        ("new_flow", "new_flow_2"),
        ("w_f", "new_flow_2"),
        ("100%", "newflow"),
        ("%", "newflow"),
        ("1%t", ""),
        ("_", "new_flow_2 tested under_score"),
        ("a\\b", "back"),
        ("\u{e9}T\u{c9}", "named"),
        ("red-butt", "tested"),
        ("big red button", "tested"),
        ("link 8", ""),
        ("nothing", ""),
    ];
    for (term, expected) in cases {
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(listed(service, &[("search", term)]).await, expected, "{term:?}");
        let request = ListFeatureFlagsRequest { search: Some(term.into()), ..Default::default() };
        assert_eq!(listed_grpc(service, request).await, expected, "{term:?} over gRPC");
    }
}

async fn a_list_is_never_behind_what_was_written_anywhere(service: &Service) {
    let other = service.replica().await;
    seed(service).await;
    let queries = [
        "",
        "archived=true",
        "active=true",
        "search=name",
        "search=plain",
        "key=anew",
        "tags=%5B%22web%22%5D",
        "excluded_tags=%5B%22web%22%5D",
        "type=boolean",
        "has_evaluation_contexts=true",
        "evaluation_runtime=server",
    ];
    let agree = async |step: usize| {
        for reader in [service, &other] {
            for query in queries {
                let listed = async |order: &str| {
                    let (_, page) = reader.get(&format!("{FLAGS}?{query}&order={order}")).await;
                    let mut keys = keys(&page);
                    assert_eq!(page["count"], keys.len(), "step {step}, {query}");
                    keys.sort();
                    keys
                };
                let (held, stored) = (listed("-created_at").await, listed("key").await);
                assert_eq!(held, stored, "step {step}, {query}");
            }
        }
    };
    agree(0).await;
    let (id, _) = service.create(json!({"key": "late", "tags": ["web", "new"]})).await;
    let changes = [
        json!({"name": "A name"}),
        json!({"key": "anew"}),
        json!({"tags": []}),
        json!({"tags": ["web"], "active": false, "evaluation_runtime": "server"}),
        json!({"evaluation_contexts": ["web"]}),
        json!({"filters": {"groups": [{}], "multivariate": {"variants": [
            {"key": "a", "rollout_percentage": 100}]}}}),
        json!({"archived": true}),
        json!({"archived": false}),
        json!({"deleted": true}),
        json!({"deleted": false}),
        json!({"created_at": "2020-01-01T00:00:00Z"}),
        json!({"deleted": true}),
    ];
    for (step, change) in (1..).zip(changes) {
        agree(step).await;
        let writer = if step % 2 == 0 { service } else { &other };
        let (status, told) = writer.patch(id, change).await;
        assert_eq!(status, 200, "step {step}: {told}");
    }
    // The deleted flag gives way, for good.
    other.create(json!({"key": "anew", "created_at": "2021-01-01T00:00:00Z"})).await;
    agree(99).await;
    other.stop().await;
}

async fn a_page_can_begin_anywhere_in_either_direction(service: &Service) {
    for (key, year) in [("b", 2021), ("d", 2023), ("a", 2020), ("c", 2022), ("e", 2023)] {
        let at = format!("{year}-01-01T00:00:00Z");
        service.create(json!({"key": key, "created_at": at})).await;
    }
    let cases = [
        ("limit=2", "ed"),
        ("limit=2&offset=1", "dc"),
        ("offset=3", "ba"),
        ("offset=9", ""),
        ("order=created_at&limit=3", "abc"),
        ("order=created_at&offset=3", "de"),
    ];
    for (query, expected) in cases {
        let (_, page) = service.get(&format!("{FLAGS}?{query}")).await;
        assert_eq!(
            (keys(&page).concat().as_str(), &page["count"]),
            (expected, &json!(5)),
            "{query}"
        );
    }
}

async fn a_search_is_bounded(service: &Service) {
    service.create(json!({"key": "one"})).await;
    let (longest, longer) = ("\u{e9}".repeat(200), "x".repeat(201));
    assert_eq!(listed(service, &[("search", &format!("  {longest} "))]).await, [""; 0]);
    let paths =
        [format!("{FLAGS}?search={longer}"), format!("{FLAGS}matching_ids/?search={longer}")];
    for path in paths {
        let (status, error) = service.get(&path).await;
        assert_eq!((status, &error["type"]), (400, &json!("validation_error")));
        assert_eq!(error["detail"], "Search term cannot exceed 200 characters");
    }
    let request = ListFeatureFlagsRequest { search: Some(longer), ..Default::default() };
    let error = service.flags().list_feature_flags(request).await.unwrap_err();
    assert_eq!(error.message(), "Search term cannot exceed 200 characters");
}

async fn stale_flags_are_those_that_nobody_misses(service: &Service) {
    let (old, young) = ("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
    let two = |a: i64| {
        json!({"variants": [{"key": "a", "rollout_percentage": a},
            {"key": "b", "rollout_percentage": 100 - a}]})
    };
    let full = json!([{"rollout_percentage": 100, "properties": []}]);
    let some = json!([{"rollout_percentage": 100,
        "properties": [{"key": "k", "type": "person", "value": "x"}]}]);
    let forced = json!([{"rollout_percentage": 100, "variant": "a"}]);
    // Key, filters, created, called, is listed, is stale by itself.
    let cases = [
        ("full", Some(json!({"groups": full})), old, None, true, true),
        ("any-full", Some(json!({"groups": [some[0], full[0]]})), old, None, true, true),
        ("implied", Some(json!({"groups": [{}]})), old, None, false, false),
        ("half", Some(json!({"groups": [{"rollout_percentage": 50}]})), old, None, false, false),
        ("targeted", Some(json!({"groups": some})), old, None, false, false),
        ("shared", Some(json!({"groups": full, "multivariate": two(50)})), old, None, false, false),
        ("won", Some(json!({"groups": full, "multivariate": two(100)})), old, None, true, true),
        ("forced", Some(json!({"groups": forced, "multivariate": two(50)})), old, None, true, true),
        ("young", Some(json!({"groups": full})), young, None, false, false),
        ("called", Some(json!({"groups": full})), old, Some(young), false, false),
        ("forgotten", Some(json!({"groups": some})), old, Some(old), true, true),
        ("bare", None, old, None, false, true),
    ];
    let mut expected = Vec::new();
    for (key, filters, created_at, called, is_listed, is_stale) in cases {
        let mut body = json!({"key": key, "created_at": created_at, "last_called_at": called});
        if let Some(filters) = filters {
            body["filters"] = filters;
        }
        let (_, flag) = service.create(body).await;
        let status = if is_stale { "STALE" } else { "ACTIVE" };
        assert_eq!(flag["status"], status, "{key}");
        expected.extend(is_listed.then_some(key));
    }
    let off = json!({"key": "off", "created_at": old, "active": false,
        "filters": {"groups": [{"rollout_percentage": 100}]}});
    service.create(off).await;
    expected.sort_unstable();
    assert_eq!(listed(service, &[("active", "STALE")]).await, expected);
    let request = ListFeatureFlagsRequest { active: Some("STALE".into()), ..Default::default() };
    assert_eq!(listed_grpc(service, request).await, expected);
    assert_eq!(listed(service, &[("active", "stale")]).await, ["off"], "only in capitals");
}

async fn a_list_comes_in_the_wanted_order(service: &Service) {
    let at = |day: u32| format!("2026-01-{day:02}T00:00:00Z");
    let flags = [
        json!({"key": "b", "name": "3", "created_at": at(1), "last_called_at": at(9)}),
        json!({"key": "a", "name": "1", "created_at": at(3), "evaluation_runtime": "client"}),
        json!({"key": "c", "name": "2", "created_at": at(2), "last_called_at": at(8), "active": false}),
    ];
    for flag in flags {
        service.create(flag).await;
    }
    let cases = [
        ("", "acb"),
        ("created_at", "bca"),
        ("-created_at", "acb"),
        ("key", "abc"),
        ("-key", "cba"),
        ("name", "acb"),
        ("-name", "bca"),
        ("id", "bac"),
        ("-id", "cab"),
        ("last_called_at", "cba"),
        ("active", "cba"),
    ];
    for (order, expected) in cases {
        let (_, page) = service.get(&format!("{FLAGS}?order={order}")).await;
        let ordered = keys(&page).concat();
        match order {
            // Ties are broken by number, in one direction or the other.
            "active" => assert!(ordered.starts_with('c'), "{order}"),
            _ => assert_eq!(ordered, expected, "{order}"),
        }
        let request = ListFeatureFlagsRequest { order: Some(order.into()), ..Default::default() };
        let page = service.flags().list_feature_flags(request).await.unwrap().into_inner();
        let same: Vec<_> = page.results.into_iter().map(|flag| flag.key).collect();
        assert_eq!(same.concat(), ordered, "{order} over gRPC");
    }
    // Any stored field will do (3.7, order; the fields are those of 3.1).
    let stored = [
        "deleted",
        "version",
        "updated_at",
        "created_by",
        "created_by_id",
        "last_modified_by",
        "ensure_experience_continuity",
        "rollback_conditions",
        "performed_rollback",
        "usage_dashboard",
        "has_enriched_analytics",
        "is_remote_configuration",
        "has_encrypted_payloads",
        "evaluation_runtime",
        "bucketing_identifier",
        "filters",
    ];
    for field in stored {
        for order in [field.to_owned(), format!("-{field}")] {
            let (status, page) = service.get(&format!("{FLAGS}?order={order}")).await;
            assert_eq!((status, &page["count"]), (200, &json!(3)), "{order}");
        }
    }
}

async fn an_order_by_no_stored_field_is_refused(service: &Service) {
    for order in ["nonsense", "--key", "search_text", "-", "key,name"] {
        let (status, error) = service.get(&format!("{FLAGS}?order={order}")).await;
        let told = Failure::of_rest(status, &error);
        let blamed = (told.status, told.kind.as_str(), told.attr.as_deref());
        assert_eq!(blamed, (400, "validation_error", Some("order")), "{order}");
        let request = ListFeatureFlagsRequest { order: Some(order.into()), ..Default::default() };
        let error = service.flags().list_feature_flags(request).await.unwrap_err();
        assert_eq!(Failure::of_grpc(&error), told, "{order}");
    }
}

async fn links_carry_the_other_parameters(service: &Service) {
    for n in 0..5 {
        service.create(json!({"key": format!("k-{n}"), "tags": ["a&b"]})).await;
    }
    let query = "tags=%5B%22a%26b%22%5D&search=k%20&order=key&made_up=%C3%A9&limit=2&offset=2";
    let (_, page) = service.get(&format!("{FLAGS}?{query}")).await;
    assert_eq!((keys(&page), &page["count"]), (vec!["k-2".into(), "k-3".into()], &json!(5)));
    let wanted = |link: &Value| {
        let link = link.as_str().unwrap();
        assert!(link.starts_with("http://"), "{link} is absolute");
        reqwest::Url::parse(link).unwrap().query_pairs().into_owned().collect::<Vec<_>>()
    };
    for (link, offset) in [("next", Some("4")), ("previous", None)] {
        let pairs = wanted(&page[link]);
        let said =
            |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let kept = (said("tags"), said("search"), said("order"), said("made_up"), said("limit"));
        assert_eq!(kept, (Some("[\"a&b\"]"), Some("k "), Some("key"), Some("\u{e9}"), Some("2")));
        assert_eq!(said("offset"), offset, "{link}");
    }
    let (_, last) = service.get(page["next"].as_str().unwrap()).await;
    assert_eq!((keys(&last), &last["next"]), (vec!["k-4".into()], &Value::Null));
    let (_, first) = service.get(page["previous"].as_str().unwrap()).await;
    assert_eq!((keys(&first).len(), &first["previous"]), (2, &Value::Null));
    let (_, beyond) = service.get(&format!("{FLAGS}?offset=50")).await;
    assert_eq!((&beyond["results"], &beyond["count"]), (&json!([]), &json!(5)));
}

async fn odd_pages_fall_back_to_the_defaults(service: &Service) {
    for n in 0..101 {
        let body = json!({"key": format!("k{n}"), "_should_create_usage_dashboard": false});
        service.create(body).await;
    }
    let cases = [
        ("", 100),
        ("limit=x", 100),
        ("limit=0", 100),
        ("limit=-1", 100),
        ("limit=1.5", 100),
        ("limit=99999999999999999999999", 100),
        ("offset=x", 100),
        ("offset=-1", 100),
        ("offset=99", 2),
        ("limit=1000", 101),
    ];
    for (query, expected) in cases {
        let (status, page) = service.get(&format!("{FLAGS}?{query}")).await;
        let got = (status, page["results"].as_array().unwrap().len());
        assert_eq!(got, (200, expected), "{query}");
    }
}

async fn internal_flags_are_left_out(service: &Service) {
    service.create(json!({"key": "shown"})).await;
    let (id, _) = service.create(json!({"key": "hidden"})).await;
    service.execute(&format!("UPDATE feature_flag SET internal = true WHERE id = {id}")).await;
    assert_eq!(listed(service, &[]).await, ["shown"]);
}

async fn matching_ids_are_for_those_who_may_edit(service: &Service) {
    let (id, _) = service.create(json!({"key": "one"})).await;
    let path = format!("{FLAGS}matching_ids");
    let reader = service.new_key("--project 1 --scopes feature_flag:read");
    let answer = service.call(Method::GET, &path, Some(&reader), None).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"ids": [], "total": 0})));
    assert_eq!(service.get(&path).await, (200, json!({"ids": [id], "total": 1})));
}
