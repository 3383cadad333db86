//! Help beyond the documented bodies: in a header of REST, and in the details of a gRPC status.

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    directory::COHORTS,
    edges::{Edge, Write},
    grpc::said,
    rest::send,
};

both_databases! {
    a_mistyped_word_is_answered_with_the_words_that_there_are,
    a_cohorts_operators_are_its_own,
    a_refusal_without_more_to_say_has_no_hint,
}

const OPERATORS: &str = "Operators: exact, is_not, icontains, not_icontains, icontains_multi, \
    not_icontains_multi, starts_with, not_starts_with, ends_with, not_ends_with, regex, not_regex, \
    gt, gte, lt, lte, is_set, is_not_set, is_date_exact, is_date_after, is_date_before, semver_eq, \
    semver_neq, semver_gt, semver_gte, semver_lt, semver_lte, semver_tilde, semver_caret, \
    semver_wildcard; ";
const OF_FLAGS: &str = "of cohorts: in, not_in; of flags: flag_evaluates_to.";
const OF_COHORTS: &str = "between, not_between; of cohorts: in, not_in.";

/// The sentence of a refusal, and the hint beside it.
async fn refused(service: &Service, edge: Edge, body: &Value) -> (String, Option<String>) {
    if edge == Edge::Grpc {
        let outcome = service.write_grpc(Write::Create, body).await.unwrap();
        let status = outcome.unwrap_err();
        return (status.message().to_owned(), said(&status, "hint"));
    }
    let request = service.request(Method::POST, FLAGS).bearer_auth(&service.key).json(body);
    let answer = send(request).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let hint = answer.headers.get("x-flagstaff-hint").map(|hint| hint.to_str().unwrap().to_owned());
    (answer.error().2, hint)
}

fn flag(property: Value) -> Value {
    json!({"key": "k", "filters": {"groups": [{"properties": [property]}]}})
}

fn with_operator(operator: &str) -> Value {
    flag(json!({"key": "plan", "type": "person", "operator": operator, "value": "x"}))
}

async fn a_mistyped_word_is_answered_with_the_words_that_there_are(service: &Service) {
    let by_person = "Filters are not valid (person-aggregated conditions can only use person, \
        cohort, and flag properties)";
    let by_group = "Filters are not valid (group-aggregated conditions can only use group \
        properties)";
    let groups = json!({"groups": [{"aggregation_group_type_index": 0,
        "properties": [{"key": "plan", "type": "grup", "value": "x"}]}]});
    let cases = [
        (
            with_operator("icontain"),
            "Invalid operator: icontain",
            format!("Did you mean \"icontains\"? {OPERATORS}{OF_FLAGS}"),
        ),
        (
            with_operator("sounds_like"),
            "Invalid operator: sounds_like",
            format!("{OPERATORS}{OF_FLAGS}"),
        ),
        (
            with_operator("is_cleaned_path_exact"),
            "Unsupported operator for feature flags: is_cleaned_path_exact",
            format!("{OPERATORS}{OF_FLAGS}"),
        ),
        (
            flag(json!({"key": "plan", "type": "persn", "value": "x"})),
            by_person,
            "A property's \"type\" is person, cohort or flag; it is group in condition sets with an \
             aggregation_group_type_index."
                .to_owned(),
        ),
        (
            json!({"key": "k", "filters": groups}),
            by_group,
            "A property's \"type\" is group in condition sets with an \
             aggregation_group_type_index; it is person, cohort or flag in the others."
                .to_owned(),
        ),
        (
            json!({"key": "k", "evaluation_runtime": "clients"}),
            "\"clients\" is not a valid choice.",
            "Valid choices: server, client, all.".to_owned(),
        ),
    ];
    for (body, detail, hint) in cases {
        for edge in [Edge::Rest, Edge::Grpc] {
            let told = refused(service, edge, &body).await;
            assert_eq!(told, (detail.to_owned(), Some(hint.clone())), "{edge:?} {body}");
        }
    }
}

async fn a_cohorts_operators_are_its_own(service: &Service) {
    let leaf = json!({"key": "plan", "type": "person", "operator": "betwen", "value": [1, 2]});
    let body = json!({"name": "c", "filters": {"properties": {"type": "AND", "values": [leaf]}}});
    let request = service.request(Method::POST, COHORTS).bearer_auth(&service.key).json(&body);
    let answer = send(request).await;
    assert_eq!(answer.error().2, "Invalid operator: betwen");
    let hint = answer.headers["x-flagstaff-hint"].to_str().unwrap();
    assert_eq!(hint, format!("{OPERATORS}{OF_COHORTS}"));
}

async fn a_refusal_without_more_to_say_has_no_hint(service: &Service) {
    let body = json!({"key": "not a key"});
    let detail = "Only letters, numbers, hyphens (-) & underscores (_) are allowed.";
    for edge in [Edge::Rest, Edge::Grpc] {
        let told = refused(service, edge, &body).await;
        assert_eq!(told, (detail.to_owned(), None), "{edge:?}");
    }
}
