//! Every check and every normalisation of filters in management-api 3.4 and 3.5, on both edges.

use flagstaff::wire::v1::{
    ConditionGroup, CreateFeatureFlagRequest, FeatureFlagInput, Filters, Multivariate, Variant,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    directory::{nested, plan},
    edges::{EDGES, Failure, Write},
    grpc::keyed,
    rest::send,
};

both_databases! {
    a_wrong_shape_is_refused_with_the_message_of_its_check,
    a_property_that_flags_cannot_use_is_refused,
    the_earlier_of_two_failing_checks_is_reported,
    an_infinite_percentage_is_refused_however_it_comes,
    only_a_creation_must_bring_a_condition,
    a_flag_reads_only_live_active_flags_of_its_project,
    no_way_leads_from_a_flag_back_to_itself,
    early_access_knows_no_groups,
    a_broken_pattern_that_is_stored_may_stay,
    what_python_accepts_is_accepted,
    half_a_megabyte_is_the_most,
    what_is_stored_is_normalised_wherever_it_shows,
    a_number_is_compared_with_a_number,
    legacy_members_become_those_of_today_on_every_write,
    stored_legacy_members_are_replaced_by_updates_and_kept_by_operations,
    legacy_members_of_another_form_are_removed_with_a_warning,
    filters_without_groups_change_nothing_but_on_put,
}

fn refused(code: &str, detail: &str) -> Failure {
    Failure::field("filters", code, detail)
}

fn invalid(detail: &str) -> Failure {
    refused("invalid_input", detail)
}

fn with(property: Value) -> Value {
    json!({"groups": [{"properties": [property]}]})
}

fn person(operator: &str, value: Value) -> Value {
    with(json!({"key": "k", "type": "person", "operator": operator, "value": value}))
}

fn cohort(operator: &str, value: Value) -> Value {
    with(json!({"key": "id", "type": "cohort", "operator": operator, "value": value}))
}

fn reads(key: impl Into<Value>) -> Value {
    let key: Value = key.into();
    with(json!({"key": key, "type": "flag", "operator": "flag_evaluates_to", "value": true}))
}

fn variants(list: Value) -> Value {
    json!({"groups": [{}], "multivariate": {"variants": list}})
}

/// Both edges refuse these filters for a new flag and for one that exists.
async fn refuses(service: &Service, id: i64, filters: &Value, expected: &Failure) {
    let body = json!({"key": "wanted", "filters": filters});
    service.refuses(Write::Create, &body, expected).await;
    service.refuses(Write::Patch(id), &json!({"filters": filters}), expected).await;
}

async fn a_wrong_shape_is_refused_with_the_message_of_its_check(service: &Service) {
    let (id, _) = service.create(json!({"key": "steady"})).await;
    let group = |body: Value| json!({"groups": [body]});
    let share = "multivariate.variants[0].rollout_percentage";
    let sum = invalid("Invalid variant definitions: Variant rollout percentages must sum to 100.");
    let cases = [
        // 1
        (json!([]), refused("not_a_dict", "Expected a dictionary of items but got type \"list\".")),
        (json!("x"), refused("not_a_dict", "Expected a dictionary of items but got type \"str\".")),
        // 3
        (
            json!({"groups": [{}], "aggregation_group_type_index": true}),
            invalid("aggregation_group_type_index must be an integer or null, got bool"),
        ),
        // 4
        (
            json!({"groups": [{}], "early_exit": 1}),
            invalid("early_exit must be a boolean or null, got int"),
        ),
        // 5
        (
            group(json!({"variant": 1.5})),
            invalid("groups[0].variant must be a string or null, got float"),
        ),
        // 6
        (
            group(json!({"rollout_percentage": "50"})),
            invalid("groups[0].rollout_percentage must be a number or null, got str"),
        ),
        (
            group(json!({"rollout_percentage": true})),
            invalid("groups[0].rollout_percentage must be a number or null, got bool"),
        ),
        (
            json!({"groups": [{}, {"rollout_percentage": 100.5}]}),
            invalid("groups[1].rollout_percentage must be between 0 and 100, got 100.5"),
        ),
        (
            group(json!({"rollout_percentage": -1})),
            invalid("groups[0].rollout_percentage must be between 0 and 100, got -1"),
        ),
        // 7
        (
            group(json!({"aggregation_group_type_index": []})),
            invalid("groups[0].aggregation_group_type_index must be an integer or null, got list"),
        ),
        (
            with(json!({"key": "k", "type": "person", "group_type_index": "0"})),
            invalid("groups[0].properties[0].group_type_index must be an integer or null, got str"),
        ),
        // 9
        (variants(json!([{"key": "a"}])), invalid(&format!("{share} must be a number, got null"))),
        (
            variants(json!([{"key": "a", "rollout_percentage": "x"}])),
            invalid(&format!("{share} must be a number, got str")),
        ),
        (
            variants(json!([{"key": "a", "rollout_percentage": 101}])),
            invalid(&format!("{share} must be between 0 and 100, got 101")),
        ),
        // 16
        (variants(json!([{"key": "a", "rollout_percentage": 99.999}])), sum.clone()),
        (
            variants(json!([{"key": "a", "rollout_percentage": 70.1},
                {"key": "b", "rollout_percentage": 15.3},
                {"key": "c", "rollout_percentage": 14.600_000_01}])),
            sum,
        ),
        // 17
        (
            group(json!({"variant": "gone"})),
            invalid("Filters are not valid (variant override does not exist)"),
        ),
        // 27 to 30
        (
            json!({"groups": [{}], "payloads": []}),
            invalid("Payloads must be passed as a dictionary"),
        ),
        (
            json!({"groups": [{}], "payloads": {"true": "{"}}),
            invalid("Payload value is not valid JSON"),
        ),
        (
            json!({"groups": [{}], "payloads": {"true": "1"},
                "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}}),
            invalid("Payload keys must match a variant key for multivariate flags"),
        ),
        (
            json!({"groups": [{}], "payloads": {"a": "1"}}),
            invalid("Payload keys must be 'true' for boolean flags"),
        ),
    ];
    for (filters, expected) in &cases {
        refuses(service, id, filters, expected).await;
    }
    let null = json!({"filters": null});
    let expected = refused("null", "This field may not be null.");
    service.refuses(Write::Patch(id), &null, &expected).await;
    // Shapes that have no message of their own are refused all the same, and never a 500.
    let odd = [
        json!({"groups": {}}),
        json!({"groups": [1]}),
        group(json!({"properties": 1})),
        group(json!({"properties": [1]})),
        json!({"groups": [{}], "multivariate": 1}),
        json!({"groups": [{}], "multivariate": {"variants": {}}}),
        json!({"groups": [{}], "multivariate": {"variants": [1]}}),
    ];
    for filters in odd {
        let (status, error) = service.patch(id, json!({"filters": filters})).await;
        let told = (status, error["code"].clone(), error["attr"].clone());
        assert_eq!(told, (400, json!("invalid_input"), json!("filters")), "{filters}");
    }
}

async fn a_property_that_flags_cannot_use_is_refused(service: &Service) {
    let (id, _) = service.create(json!({"key": "steady"})).await;
    let behavioural = r#"{"properties": {"type": "OR", "values": [{"type": "AND", "values":
        [{"type": "behavioral", "key": "$pageview"}]}]}}"#;
    let refers = |id: i64| nested(id).to_string();
    service.cohort(1, 7, false, &plan("pro").to_string()).await;
    service.cohort(1, 8, false, behavioural).await;
    service.cohort(1, 9, false, &refers(8)).await;
    service.cohort(1, 10, true, behavioural).await;
    service.cohort(1, 11, false, &refers(10)).await;
    let (project, _) = service.new_project("Other");
    service.cohort(project, 20, true, "").await;
    let by_group = |property: Value| json!({"groups": [{"aggregation_group_type_index": 0, "properties": [property]}]});
    let by_person = invalid(
        "Filters are not valid (person-aggregated conditions can only use person, cohort, and \
         flag properties)",
    );
    let must_evaluate = invalid("Flag properties must use the 'flag_evaluates_to' operator");
    let invalid_value = |text: &str| refused("invalid_value", text);
    let missing =
        |id: &str| refused("cohort_does_not_exist", &format!("Cohort with id {id} does not exist"));
    let on_events = |id: i64| {
        let text =
            format!("Cohort 'Cohort {id}' with filters on events cannot be used in feature flags.");
        refused("behavioral_cohort_found", &text)
    };
    let mut cases = vec![
        // 8
        (
            person("regex", json!("(")),
            invalid("groups[0].properties[0].value: invalid regex pattern"),
        ),
        (
            person("not_regex", json!("a**")),
            invalid("groups[0].properties[0].value: invalid regex pattern"),
        ),
        // 11
        (with(json!({"key": "k", "value": "x"})), by_person.clone()),
        (with(json!({"key": "k", "type": "group", "group_type_index": 0})), by_person.clone()),
        (with(json!({"key": "k", "type": "event", "value": "x"})), by_person),
        // 12
        (with(json!({"key": "1", "type": "flag", "value": true})), must_evaluate.clone()),
        (
            with(json!({"key": "1", "type": "flag", "operator": "exact", "value": true})),
            must_evaluate,
        ),
        // 13
        (
            by_group(json!({"key": "k", "type": "person", "value": "x"})),
            invalid(
                "Filters are not valid (group-aggregated conditions can only use group properties)",
            ),
        ),
        // 14
        (
            by_group(json!({"key": "k", "type": "group", "group_type_index": 1, "value": "x"})),
            invalid(
                "Filters are not valid (group properties must match the condition set's group type)",
            ),
        ),
        (
            by_group(json!({"key": "k", "type": "group", "value": "x"})),
            invalid(
                "Filters are not valid (group properties must match the condition set's group type)",
            ),
        ),
        // 15
        (
            reads("beta"),
            invalid(
                "Flag dependencies must reference flag IDs (integers), not flag keys. \
                 Invalid reference: 'beta'",
            ),
        ),
        // 18, 19
        (person("nearly", json!("x")), refused("invalid_operator", "Invalid operator: nearly")),
        // 20, 21
        (cohort("in", json!(99)), missing("99")),
        (cohort("in", json!(20)), missing("20")),
        (cohort("in", json!("x")), missing("x")),
        (cohort("in", json!(8)), on_events(8)),
        (cohort("not_in", json!("9")), on_events(9)),
        // 24
        (
            person("in", json!([1])),
            refused(
                "invalid_operator",
                "The 'in' operator is only valid for cohort properties, not 'person' properties.",
            ),
        ),
        (
            person("not_in", json!([1])),
            refused(
                "invalid_operator",
                "The 'not_in' operator is only valid for cohort properties, not 'person' properties.",
            ),
        ),
    ];
    for operator in ["between", "not_between", "is_cleaned_path_exact"] {
        let text = format!("Unsupported operator for feature flags: {operator}");
        cases.push((person(operator, json!("x")), refused("unsupported_operator", &text)));
    }
    // 22
    for operator in ["is_date_exact", "is_date_after", "is_date_before"] {
        let expected = refused("invalid_date", "Invalid date value: soonish");
        cases.push((person(operator, json!("soonish")), expected));
    }
    // 23
    for operator in ["regex", "not_regex", "icontains", "not_icontains"] {
        let expected = invalid_value(&format!("Invalid value for operator {operator}: 5"));
        cases.push((person(operator, json!(5)), expected));
    }
    for operator in ["gt", "gte", "lt", "lte"] {
        let expected = invalid_value(&format!("Invalid value for operator {operator}: [5]"));
        cases.push((person(operator, json!([5])), expected));
    }
    // 25
    for kind in ["eq", "neq", "gt", "gte", "lt", "lte", "tilde", "caret", "wildcard"] {
        let operator = format!("semver_{kind}");
        let text = format!("Invalid value for operator {operator}: expected a semver string");
        cases.push((person(&operator, json!(1)), invalid_value(&text)));
        let text = format!("Invalid semver value for operator {operator}: one");
        cases.push((person(&operator, json!("one")), invalid_value(&text)));
    }
    // 26
    for operator in ["icontains_multi", "not_icontains_multi"] {
        let text = format!("{operator} operator requires a list of values");
        cases.push((person(operator, json!("a")), invalid_value(&text)));
    }
    for (filters, expected) in &cases {
        refuses(service, id, filters, expected).await;
    }
    let fine = [cohort("in", json!(7)), cohort("in", json!(10)), cohort("not_in", json!("11"))];
    for filters in fine {
        let (status, flag) = service.patch(id, json!({"filters": filters})).await;
        assert_eq!(status, 200, "{filters}: {flag}");
    }
}

async fn the_earlier_of_two_failing_checks_is_reported(service: &Service) {
    let (id, _) = service.create(json!({"key": "steady"})).await;
    let variant = |share: Value| json!({"variants": [{"key": "a", "rollout_percentage": share}]});
    let property = |operator: &str, value: Value| json!({"key": "k", "type": "person", "operator": operator, "value": value});
    let group = |body: Value| json!([body]);
    // Each value fails its own check and the next one's; a later property never goes first.
    let cases = [
        (
            json!({"aggregation_group_type_index": "x", "early_exit": 1, "groups": [{}]}),
            "aggregation_group",
        ),
        (json!({"early_exit": 1, "groups": [{"variant": 1}]}), "early_exit"),
        (json!({"groups": [{"rollout_percentage": 101}, {"variant": 1}]}), "groups[1].variant"),
        (
            json!({"groups": [{"aggregation_group_type_index": "x"}, {"rollout_percentage": 101}]}),
            "groups[1].rollout_percentage",
        ),
        (
            json!({"groups": [{"properties": [property("regex", json!("("))]},
                {"aggregation_group_type_index": "x"}]}),
            "groups[1].aggregation_group_type_index",
        ),
        (
            json!({"groups": group(json!({"properties": [property("regex", json!("("))]})),
                "multivariate": variant(json!(null))}),
            "groups[0].properties[0].value: invalid regex",
        ),
        (
            json!({"groups": group(json!({"properties": [{"key": "k", "value": "x"}]})),
                "multivariate": variant(json!(101))}),
            "multivariate.variants[0]",
        ),
        (
            json!({"groups": group(json!({"properties": [{"key": "1", "type": "flag"},
                {"key": "k", "value": "x"}]}))}),
            "Filters are not valid (person-aggregated",
        ),
        (
            json!({"groups": [{"properties": [{"key": "1", "type": "flag"}]},
                {"aggregation_group_type_index": 0, "properties": [property("exact", json!(1))]}]}),
            "Flag properties must use",
        ),
        (
            json!({"groups": [{"aggregation_group_type_index": 0,
                "properties": [{"key": "k", "type": "group", "group_type_index": 1}]},
                {"aggregation_group_type_index": 0, "properties": [property("exact", json!(1))]}]}),
            "Filters are not valid (group-aggregated",
        ),
        (
            json!({"groups": [{"properties": [{"key": "x", "type": "flag",
                "operator": "flag_evaluates_to", "value": true}]}],
                "multivariate": variant(json!(90))}),
            "Flag dependencies must reference",
        ),
        (
            json!({"groups": [{"variant": "b"}], "multivariate": variant(json!(90))}),
            "Invalid variant definitions",
        ),
        (
            json!({"groups": [{"variant": "b", "properties": [property("nearly", json!(1))]}],
                "multivariate": variant(json!(100))}),
            "Filters are not valid (variant override",
        ),
        (
            json!({"groups": [{"properties": [property("nearly", json!(1))]}], "payloads": []}),
            "Invalid operator: nearly",
        ),
        (json!({"groups": [{}], "payloads": {"false": "{"}}), "Payload value is not valid JSON"),
    ];
    for (filters, beginning) in cases {
        let (status, error) = service.patch(id, json!({"filters": filters})).await;
        let detail = error["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.starts_with(beginning), "{beginning}: {error}");
    }
}

async fn an_infinite_percentage_is_refused_however_it_comes(service: &Service) {
    let text = r#"{"key": "k", "filters": {"groups": [{"rollout_percentage": 1e999}]}}"#;
    let request = service.request(Method::POST, FLAGS).bearer_auth(&service.key);
    let request = request.header("content-type", "application/json").body(text);
    let answer = crate::support::rest::send(request).await;
    let expected = invalid("groups[0].rollout_percentage must be finite, got inf");
    assert_eq!(Failure::of_rest(answer.status, &answer.json()), expected);
    for odd in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let group = ConditionGroup { rollout_percentage: Some(odd), ..Default::default() };
        let filters = Some(Filters { groups: vec![group], ..Default::default() });
        let feature_flag = Some(FeatureFlagInput { filters, ..keyed("k") });
        let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
        let error = service.flags().create_feature_flag(request).await.unwrap_err();
        let told = Failure::of_grpc(&error);
        assert_eq!((told.status, told.attr.as_deref()), (400, Some("filters")), "{odd}");
    }
    assert_eq!(service.totals().await, (0, 0));
}

async fn only_a_creation_must_bring_a_condition(service: &Service) {
    let needed = invalid("Feature flags must have at least one condition set (group).");
    for filters in [json!({"groups": []}), json!({}), json!({"payloads": {}})] {
        let body = json!({"key": "empty", "filters": filters});
        service.refuses(Write::Create, &body, &needed).await;
    }
    let typed = FeatureFlagInput {
        filters: Some(Filters {
            multivariate: Some(Multivariate {
                variants: vec![Variant { key: "a".into(), ..Default::default() }],
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..keyed("typed")
    };
    let request = CreateFeatureFlagRequest { feature_flag: Some(typed), ..Default::default() };
    let error = service.flags().create_feature_flag(request).await.unwrap_err();
    assert_eq!(Failure::of_grpc(&error), needed, "typed filters are judged alike");
    let (id, flag) = service.create(json!({"key": "bare"})).await;
    assert_eq!(flag["filters"], json!({"groups": []}), "filters may be left out");
    let (status, flag) = service.patch(id, json!({"filters": {"groups": []}})).await;
    assert_eq!((status, &flag["filters"]["groups"]), (200, &json!([])));
}

async fn a_flag_reads_only_live_active_flags_of_its_project(service: &Service) {
    let (id, _) = service.create(json!({"key": "reader"})).await;
    let (off, _) = service.create(json!({"key": "off", "active": false})).await;
    let (gone, _) = service.create(json!({"key": "gone"})).await;
    service.patch(gone, json!({"deleted": true})).await;
    let (project, _) = service.new_project("Other");
    let path = format!("/api/projects/{project}/feature_flags/");
    let (_, theirs) = service.rest(Method::POST, &path, json!({"key": "theirs"})).await;
    let theirs = theirs["id"].as_i64().unwrap();
    let missing =
        |id: i64| invalid(&format!("Flag dependency references non-existent flag with ID {id}"));
    let disabled = invalid(&format!(
        "Cannot create dependency on disabled flag 'off' (ID: {off}). \
         Flag dependencies must reference active flags only."
    ));
    refuses(service, id, &reads(off), &disabled).await;
    refuses(service, id, &reads(999_999), &missing(999_999)).await;
    refuses(service, id, &reads(gone.to_string()), &missing(gone)).await;
    refuses(service, id, &reads(theirs), &missing(theirs)).await;
    let own = invalid("Feature flag 'reader' cannot depend on itself");
    service.refuses(Write::Patch(id), &json!({"filters": reads(id)}), &own).await;
    // A group reads no flags, so its properties are refused before they are followed.
    let by_group = json!({"groups": [{"aggregation_group_type_index": 0,
        "properties": [{"key": off, "type": "flag", "operator": "flag_evaluates_to"}]}]});
    let (_, error) = service.patch(id, json!({"filters": by_group})).await;
    assert!(error["detail"].as_str().unwrap().contains("group-aggregated"), "{error}");
}

async fn no_way_leads_from_a_flag_back_to_itself(service: &Service) {
    let (a, _) = service.create(json!({"key": "a"})).await;
    let (b, _) = service.create(json!({"key": "b", "filters": reads(a)})).await;
    let (c, _) = service.create(json!({"key": "c", "filters": reads(b)})).await;
    let (_, _) = service.create(json!({"key": "d", "filters": reads(c)})).await;
    let circular = |path: &str| invalid(&format!("Circular dependency detected: {path}"));
    let body = |id: i64| json!({"filters": reads(id)});
    service.refuses(Write::Patch(a), &body(c), &circular("a → c → b → a")).await;
    service.refuses(Write::Patch(a), &body(b), &circular("a → b → a")).await;
    service.refuses(Write::Patch(b), &body(c), &circular("b → c → b")).await;
    assert_eq!(service.patch(c, body(a)).await.0, 200, "two ways down are no circle");
}

async fn early_access_knows_no_groups(service: &Service) {
    let (id, _) = service.create(json!({"key": "early"})).await;
    let filters = json!({"groups": [{"properties": []},
        {"aggregation_group_type_index": 0, "properties": []}]});
    let body = json!({"filters": filters});
    service.link(id, "early_access", 1, "deleted").await;
    assert_eq!(service.patch(id, body.clone()).await.0, 200);
    service.link(id, "early_access", 2, "draft").await;
    let expected = invalid(
        "Cannot use group aggregation in any condition set when the flag is linked to an Early \
         Access Feature.",
    );
    service.refuses(Write::Patch(id), &body, &expected).await;
}

async fn a_broken_pattern_that_is_stored_may_stay(service: &Service) {
    let (id, _) = service.create(json!({"key": "old"})).await;
    let broken = person("regex", json!("(stored"));
    service.execute(&format!("UPDATE feature_flag SET filters = '{broken}' WHERE id = {id}")).await;
    assert_eq!(service.patch(id, json!({"filters": broken})).await.0, 200);
    let other = json!({"filters": person("regex", json!("(other"))});
    let expected = invalid("groups[0].properties[0].value: invalid regex pattern");
    service.refuses(Write::Patch(id), &other, &expected).await;
}

async fn what_python_accepts_is_accepted(service: &Service) {
    let (id, _) = service.create(json!({"key": "open"})).await;
    let shares = [70.1, 15.3, 14.6].into_iter().enumerate();
    let shares =
        shares.map(|(n, share)| json!({"key": n.to_string(), "rollout_percentage": share}));
    let cases = [
        person("regex", json!("v{x}")),
        person("regex", json!("(?P<a>x)(?P=a)")),
        person("regex", json!("(?<=a)b(?!c)")),
        person("is_date_after", json!("-7d")),
        person("is_date_exact", json!("2026-01-02")),
        person("is_date_before", json!("2026-01-02T03:04:05Z")),
        person("gt", json!("5")),
        person("semver_eq", json!("1")),
        person("semver_gte", json!("1.0")),
        person("semver_wildcard", json!("1.2.*")),
        person("icontains_multi", json!(["a", "b"])),
        person("is_set", json!("is_set")),
        person("exact", json!(["a", 1])),
        with(json!({"key": "k", "type": "person", "operator": null, "value": 5})),
        json!({"groups": [{"rollout_percentage": 0.25, "variant": null}], "early_exit": true}),
        json!({"groups": [{}], "early_exit": null, "payloads": {"true": "[1]"}}),
        variants(shares.collect()),
        variants(json!([])),
        json!({"groups": [{}], "multivariate": null}),
    ];
    for filters in cases {
        for edge in EDGES {
            let body = json!({"filters": filters});
            let outcome = service.write(edge, Write::Patch(id), &body).await.unwrap();
            assert!(outcome.is_ok(), "{edge:?} {filters}: {outcome:?}");
        }
    }
}

async fn half_a_megabyte_is_the_most(service: &Service) {
    let (id, _) = service.create(json!({"key": "big"})).await;
    let sized = |length: usize| json!({"groups": [{"description": "x".repeat(length)}]});
    let envelope = r#"{"aggregation_group_type_index":null,"groups":[{"aggregation_group_type_index":null,"description":""}]}"#;
    let most = 512 * 1024 - envelope.len();
    assert_eq!(service.patch(id, json!({"filters": sized(most)})).await.0, 200);
    let detail = format!(
        "Feature flag filters exceed maximum size of 524288. Current size: {}. \
         Please simplify conditions or reduce payload sizes.",
        512 * 1024 + 1
    );
    let body = json!({"filters": sized(most + 1)});
    service.refuses(Write::Patch(id), &body, &invalid(&detail)).await;
}

async fn what_is_stored_is_normalised_wherever_it_shows(service: &Service) {
    let (read, _) = service.create(json!({"key": "read"})).await;
    let index = "aggregation_group_type_index";
    let cases = [
        (
            json!({"groups": [{"rollout_percentage": 50}]}),
            json!({"groups": [{"rollout_percentage": 50, index: null}], index: null}),
        ),
        (
            json!({"groups": [{"properties": []}], index: 1}),
            json!({"groups": [{"properties": [], index: 1}], index: 1}),
        ),
        (
            json!({"groups": [{index: 1}, {index: 1}]}),
            json!({"groups": [{index: 1}, {index: 1}], index: 1}),
        ),
        (
            json!({"groups": [{index: 1}, {}], index: 0}),
            json!({"groups": [{index: 1}, {index: 0}], index: null}),
        ),
        (
            json!({"groups": [{index: null}], "payloads": {"true": "  1 "}}),
            json!({"groups": [{index: null}], "payloads": {"true": "  1 "}, index: null}),
        ),
        (
            json!({"groups": [{}], "payloads": {"true": null}}),
            json!({"groups": [{index: null}], "payloads": {"true": "null"}, index: null}),
        ),
        (
            json!({"groups": [{"properties": [
                {"key": "n", "type": "person", "operator": "min", "value": "1"},
                {"key": "n", "type": "person", "operator": "max", "value": "9"},
                {"key": read, "type": "flag", "operator": "flag_evaluates_to", "value": true}]}]}),
            json!({"groups": [{"properties": [
                {"key": "n", "type": "person", "operator": "gte", "value": "1"},
                {"key": "n", "type": "person", "operator": "lte", "value": "9"},
                {"key": read.to_string(), "type": "flag", "operator": "flag_evaluates_to",
                    "value": true}], index: null}], index: null}),
        ),
        (
            json!({"groups": [{"sort_key": 1.0, "properties": [{"key": "k", "type": "person",
                "value": 65, "cohort_name": "c", "more": {"a": [0.10]}}]}], "new": {"x": null}}),
            json!({"groups": [{"sort_key": 1.0, "properties": [{"key": "k", "type": "person",
                "value": 65, "cohort_name": "c", "more": {"a": [0.10]}}], index: null}],
                "new": {"x": null}, index: null}),
        ),
    ];
    for edge in EDGES {
        let (id, _) = service.create(json!({"key": format!("{edge:?}")})).await;
        for (sent, stored) in &cases {
            let body = json!({"filters": sent});
            let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
            assert_eq!(flag["filters"], *stored, "{edge:?} {sent}");
            assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1["filters"], *stored);
            let (_, rows) = service.get(&format!("{FLAGS}{id}/activity/?limit=1")).await;
            let change = &rows["results"][0]["detail"]["changes"][0];
            assert_eq!((&change["field"], &change["after"]), (&json!("filters"), stored));
        }
        let body = json!({"filters": {"groups": [{}], "payloads": {"true": {"a": 1}}}});
        let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
        let text = flag["filters"]["payloads"]["true"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"a": 1}));
        // 5: a remote configuration begins with everybody, and an update leaves it alone.
        let key = format!("remote-{edge:?}");
        let bare = json!({"key": key, "is_remote_configuration": true});
        let flag = service.write(edge, Write::Create, &bare).await.unwrap().unwrap();
        let everybody = json!({"properties": [], "rollout_percentage": 100, "variant": null,
            index: null});
        assert_eq!(flag["filters"], json!({"groups": [everybody], index: null}));
        let id = flag["id"].as_i64().unwrap();
        let some = json!({"key": format!("{key}-some"), "is_remote_configuration": true,
            "filters": {"groups": [{"rollout_percentage": 0}, {"rollout_percentage": null}, {},
                {"rollout_percentage": 30}]}});
        let flag = service.write(edge, Write::Create, &some).await.unwrap().unwrap();
        let groups = flag["filters"]["groups"].as_array().unwrap();
        let shares: Vec<_> = groups.iter().map(|group| &group["rollout_percentage"]).collect();
        assert_eq!(json!(shares), json!([100, 100, 100, 30]));
        let body = json!({"filters": {"groups": [{"rollout_percentage": 0}]}});
        let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
        assert_eq!(flag["filters"]["groups"][0]["rollout_percentage"], 0);
    }
}

async fn a_number_is_compared_with_a_number(service: &Service) {
    for edge in EDGES {
        for operator in ["gt", "gte", "lt", "lte"] {
            let key = format!("{operator}-{edge:?}");
            let body = json!({"key": key, "filters": person(operator, json!(5))});
            let flag = service.write(edge, Write::Create, &body).await.unwrap().unwrap();
            assert_eq!(flag["filters"]["groups"][0]["properties"][0]["value"], 5, "{key}");
            for (age, is_greater) in [(6, true), (4, false)] {
                let body = json!({"distinct_id": "ann", "person_properties": {"k": age}});
                let enabled = &service.flags_for(&body).await["flags"][&key]["enabled"];
                assert_eq!(*enabled, is_greater == operator.starts_with('g'), "{key} {age}");
            }
        }
    }
}

fn enrollment(key: &str) -> Value {
    json!([{"properties": [{"key": format!("$feature_enrollment/{key}"), "type": "person",
        "operator": "exact", "value": ["true"]}], "rollout_percentage": 100}])
}

async fn legacy_members_become_those_of_today_on_every_write(service: &Service) {
    let held = json!([{"properties": [], "rollout_percentage": 12.5, "variant": "holdout-7"}]);
    for edge in EDGES {
        for by_patch in [true, false] {
            let key = format!("old-{edge:?}-{by_patch}");
            let filters = json!({"groups": [{}], "super_groups": enrollment(&key),
                "holdout_groups": held});
            let made = json!({"key": key, "filters": filters});
            let flag = service.write(edge, Write::Create, &made).await.unwrap().unwrap();
            let id = flag["id"].as_i64().unwrap();
            let write = if by_patch { Write::Patch(id) } else { Write::Put(id) };
            let changed = json!({"key": key, "filters": {"groups": [{}, {}],
                "super_groups": enrollment(&key), "holdout_groups": held,
                "holdout": {"id": 1, "exclusion_percentage": 2}}});
            let after = service.write(edge, write, &changed).await.unwrap().unwrap();
            for (filters, id, share) in
                [(&flag["filters"], 7, json!(12.5)), (&after["filters"], 1, json!(2))]
            {
                assert_eq!(filters["feature_enrollment"], true);
                let holdout = json!({"id": id, "exclusion_percentage": share});
                assert_eq!(filters["holdout"], holdout, "a present member stays");
                let members = filters.as_object().unwrap();
                assert!(!members.contains_key("super_groups"), "{filters}");
                assert!(!members.contains_key("holdout_groups"), "{filters}");
            }
        }
    }
}

async fn stored_legacy_members_are_replaced_by_updates_and_kept_by_operations(service: &Service) {
    let filters =
        json!({"groups": [{}], "super_groups": enrollment("stored"), "holdout_groups": null});
    service.stored_flag(1, "stored", &filters).await;
    let id = service.stored("SELECT CAST(id AS text) FROM feature_flag WHERE key = 'stored'").await;
    let id: i64 = id.unwrap().parse().unwrap();
    for verb in ["disable", "archive", "unarchive", "enable"] {
        let (status, flag) =
            service.rest(Method::POST, &format!("{FLAGS}{id}/{verb}/"), json!({})).await;
        assert_eq!((status, &flag["filters"]["super_groups"]), (200, &enrollment("stored")));
    }
    let (_, flag) = service.patch(id, json!({"name": "new"})).await;
    let expected = json!({"groups": [{}], "feature_enrollment": true});
    assert_eq!(flag["filters"], expected, "whether the update mentions filters or not");
    let (_, fields) = service.history(id).await.remove(0);
    assert!(fields.contains(&"filters".to_owned()), "it shows as a change: {fields:?}");
}

async fn legacy_members_of_another_form_are_removed_with_a_warning(service: &Service) {
    let filters = json!({"groups": [{}], "super_groups": [{"properties": [], "rollout_percentage": 10}],
        "holdout_groups": [{"variant": "control"}]});
    let message = |name: &str, successor: &str| {
        format!(
            "The legacy member \"{name}\" has a form that \"{successor}\" cannot express: it is removed."
        )
    };
    let expected = [
        ("filters.super_groups", message("super_groups", "feature_enrollment")),
        ("filters.holdout_groups", message("holdout_groups", "holdout")),
    ];
    let body = json!({"key": "other-rest", "filters": filters});
    let request = service.request(Method::POST, FLAGS).bearer_auth(&service.key).json(&body);
    let answer = send(request.header("x-flagstaff-warnings", "true")).await.json();
    let told: Vec<_> = answer["warnings"].as_array().unwrap().iter().collect();
    for (warning, (path, message)) in told.iter().zip(&expected) {
        assert_eq!((&warning["path"], &warning["message"]), (&json!(path), &json!(message)));
    }
    assert_eq!((told.len(), answer["filters"].as_object().unwrap().len()), (2, 2), "{answer}");
    let feature_flag =
        FeatureFlagInput { filters_json: Some(filters.to_string()), ..keyed("other-grpc") };
    let request =
        CreateFeatureFlagRequest { feature_flag: Some(feature_flag), ..Default::default() };
    let made = service.flags().create_feature_flag(request).await.unwrap().into_inner();
    let told: Vec<_> = made.warnings.iter().map(|w| (w.path.as_str(), w.message.clone())).collect();
    assert_eq!(told, expected);
}

async fn filters_without_groups_change_nothing_but_on_put(service: &Service) {
    for edge in EDGES {
        let key = format!("{edge:?}");
        let filters = json!({"groups": [{"rollout_percentage": 10}]});
        let (id, made) = service.create(json!({"key": key, "filters": filters})).await;
        let body = json!({"key": key, "filters": {"payloads": {"true": "1"}, "early_exit": 7}});
        let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
        assert_eq!((&flag["filters"], &flag["version"]), (&made["filters"], &json!(2)));
        let body = json!({"key": key, "filters": {"payloads": {"true": "1"}}});
        let flag = service.write(edge, Write::Put(id), &body).await.unwrap().unwrap();
        let groups = json!({"payloads": {"true": "1"}, "groups": []});
        assert_eq!(flag["filters"], groups, "{edge:?}");
        let wrong = json!({"key": key, "filters": {"early_exit": 7}});
        let outcome = service.write(edge, Write::Put(id), &wrong).await.unwrap();
        assert_eq!(outcome.unwrap_err().detail, "early_exit must be a boolean or null, got int");
    }
}
