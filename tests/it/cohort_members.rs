//! Who is in a static cohort, and how many (architecture 2).

use std::collections::BTreeSet;

use flagstaff::wire::v1::{
    AddCohortMembersRequest, CohortInput, CreateCohortRequest, RemoveCohortMembersRequest,
};
use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Service,
    directory::{COHORTS, PERSONS},
    edges::Failure,
};

both_databases! {
    members_come_and_go_and_are_counted,
    two_ids_of_one_person_count_once,
    bad_lists_change_nothing_on_either_edge,
    only_a_live_static_cohort_takes_members,
    concurrent_calls_keep_the_count_exact,
    full_lists_are_taken_in_one_call,
    full_lists_of_the_longest_ids_are_taken_on_both_edges,
    whoever_comes_or_goes_is_evaluated_so_at_once,
}

async fn count(service: &Service, cohort: i64) -> Value {
    service.get(&format!("{COHORTS}{cohort}/")).await.1["count"].clone()
}

/// How many rows there are, whatever the count says.
async fn rows(service: &Service, cohort: i64) -> String {
    let query = format!(
        "SELECT CAST(COUNT(*) AS TEXT) FROM cohort_member \
         WHERE project_id = 1 AND cohort_id = {cohort}"
    );
    service.stored(&query).await.unwrap()
}

async fn members_come_and_go_and_are_counted(service: &Service) {
    let cohort = service.static_cohort().await;
    let (add, remove) = (Method::POST, Method::DELETE);
    assert_eq!(service.members(add.clone(), cohort, &["a", "b", "b", " c "]).await, (3, 3));
    assert_eq!(service.members(add.clone(), cohort, &["b", "d"]).await, (1, 1));
    assert_eq!(service.members(remove.clone(), cohort, &["a", "nobody"]).await, (1, 1));
    assert_eq!(service.members(remove, cohort, &["a"]).await, (0, 0));
    assert_eq!((count(service, cohort).await, rows(service, cohort).await), (json!(3), "3".into()));
    let (_, found) = service.get(&format!("{PERSONS}?distinct_id=%20c%20")).await;
    assert_eq!(found["count"], 1, "spaces belong to an id");
    assert_eq!(found["results"][0]["distinct_ids"], json!([" c "]));
    let (_, nobody) = service.get(&format!("{PERSONS}?distinct_id=nobody")).await;
    assert_eq!(nobody["count"], 0, "nobody is made in order to be removed");

    let distinct_ids = vec!["a".to_owned(), "e".to_owned()];
    let request = AddCohortMembersRequest {
        cohort_id: cohort,
        distinct_ids: distinct_ids.clone(),
        ..Default::default()
    };
    let done = service.directory().add_cohort_members(request).await.unwrap().into_inner();
    assert_eq!((done.changed, done.unknown), (2, 1));
    let request =
        RemoveCohortMembersRequest { cohort_id: cohort, distinct_ids, ..Default::default() };
    let done = service.directory().remove_cohort_members(request).await.unwrap().into_inner();
    assert_eq!((done.changed, done.unknown), (2, 0));
    assert_eq!(count(service, cohort).await, 3);
}

async fn two_ids_of_one_person_count_once(service: &Service) {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    service.person(1, uuid, "one", "{}").await;
    service
        .execute(
            "INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
             SELECT project_id, person_id, 'two' FROM person_distinct_id WHERE distinct_id = 'one'",
        )
        .await;
    let cohort = service.static_cohort().await;
    assert_eq!(service.members(Method::POST, cohort, &["one", "two", "three"]).await, (2, 1));
    assert_eq!(service.members(Method::POST, cohort, &["two"]).await, (0, 0));
    assert_eq!(service.members(Method::DELETE, cohort, &["two", "one"]).await, (1, 0));
    assert_eq!((count(service, cohort).await, rows(service, cohort).await), (json!(1), "1".into()));
}

async fn bad_lists_change_nothing_on_either_edge(service: &Service) {
    let cohort = service.static_cohort().await;
    let path = format!("{COHORTS}{cohort}/members/");
    let many: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let cases = [
        (json!({}), "distinct_ids", "required", "This field is required."),
        (json!({"distinct_ids": null}), "distinct_ids", "null", "This field may not be null."),
        (
            json!({"distinct_ids": "a"}),
            "distinct_ids",
            "not_a_list",
            "Expected a list of items but got type \"str\".",
        ),
        (json!({"distinct_ids": []}), "distinct_ids", "empty", "This list may not be empty."),
        (
            json!({"distinct_ids": many}),
            "distinct_ids",
            "max_length",
            "Ensure this field has no more than 10000 elements.",
        ),
        (
            json!({"distinct_ids": ["a", {}]}),
            "distinct_ids__1",
            "invalid_input",
            "Not a valid string.",
        ),
        (json!({"distinct_ids": [""]}), "distinct_ids__0", "blank", "This field may not be blank."),
        (
            json!({"distinct_ids": ["a\u{0}"]}),
            "distinct_ids__0",
            "null_characters_not_allowed",
            "Null characters are not allowed.",
        ),
    ];
    for (body, attr, code, detail) in cases {
        let expected = Failure::field(attr, code, detail);
        for verb in [Method::POST, Method::DELETE] {
            let (status, answer) = service.rest(verb.clone(), &path, body.clone()).await;
            assert_eq!(Failure::of_rest(status, &answer), expected, "{verb} {code}");
        }
        let texts: Option<Vec<String>> = body["distinct_ids"]
            .as_array()
            .and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect());
        let Some(distinct_ids) = texts else { continue };
        let request =
            AddCohortMembersRequest { cohort_id: cohort, distinct_ids, ..Default::default() };
        let refused = service.directory().add_cohort_members(request).await.unwrap_err();
        assert_eq!(Failure::of_grpc(&refused), expected);
    }
    assert_eq!(rows(service, cohort).await, "0");
    assert_eq!(service.get(PERSONS).await.1["count"], 0);
}

async fn only_a_live_static_cohort_takes_members(service: &Service) {
    let dynamic = service.cohort_of_plan("pro").await;
    let deleted = service.static_cohort().await;
    service.patch_cohort(deleted, json!({"deleted": true})).await;
    let body = json!({"distinct_ids": ["a"]});
    let cases = [
        (dynamic, "Only static cohorts have listed members."),
        (deleted, "This cohort has been deleted. Restore it before changing its members."),
    ];
    for (cohort, detail) in cases {
        for verb in [Method::POST, Method::DELETE] {
            let path = format!("{COHORTS}{cohort}/members/");
            let (status, error) = service.rest(verb, &path, body.clone()).await;
            assert_eq!(Failure::of_rest(status, &error), Failure::rule(detail));
        }
    }
    let missing = format!("{COHORTS}999999/members/");
    assert_eq!(service.rest(Method::POST, &missing, body).await.0, 404);
    assert_eq!(service.get(PERSONS).await.1["count"], 0, "a refused call makes nobody");
}

async fn concurrent_calls_keep_the_count_exact(service: &Service) {
    let cohort = service.static_cohort().await;
    let add = async |from: usize| {
        let ids: Vec<String> = (from..from + 40).map(|n| format!("p{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        service.members(Method::POST, cohort, &ids).await
    };
    // Each overlaps the next by half.
    let calls = (0..8).map(|call| add(call * 20));
    let done = futures::future::join_all(calls).await;
    let changed: i64 = done.iter().map(|(changed, _)| changed).sum();
    let unknown: i64 = done.iter().map(|(_, unknown)| unknown).sum();
    assert_eq!((changed, unknown), (180, 180), "each person became a member once: {done:?}");
    let delete = async |n: usize| {
        let (_, found) = service.get(&format!("{PERSONS}?distinct_id=p{n}")).await;
        let uuid = found["results"][0]["uuid"].as_str().unwrap().to_owned();
        service.call(Method::DELETE, &format!("{PERSONS}{uuid}/"), Some(&service.key), None).await
    };
    let remove =
        async |n: usize| service.members(Method::DELETE, cohort, &[&format!("p{n}")]).await;
    let deletions = futures::future::join_all((0..20).map(delete));
    let removals = futures::future::join_all((10..30).map(remove));
    let (deleted, _) = tokio::join!(deletions, removals);
    assert!(deleted.iter().all(|answer| answer.status == 204));
    assert_eq!(rows(service, cohort).await, "150");
    assert_eq!(count(service, cohort).await, 150);
}

async fn full_lists_are_taken_in_one_call(service: &Service) {
    let cohort = service.static_cohort().await;
    let ids: Vec<String> = (0..10_000).map(|n| format!("person-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(service.members(Method::POST, cohort, &ids).await, (10_000, 10_000));
    assert_eq!(service.members(Method::POST, cohort, &ids).await, (0, 0));
    let (_, people) = service.get(&format!("{PERSONS}?limit=10000")).await;
    let people: BTreeSet<i64> =
        people["results"].as_array().unwrap().iter().map(|p| p["id"].as_i64().unwrap()).collect();
    assert_eq!(people.len(), 10_000);
    assert_eq!(service.members(Method::DELETE, cohort, &ids).await, (10_000, 0));
    assert_eq!((count(service, cohort).await, rows(service, cohort).await), (json!(0), "0".into()));
}

async fn full_lists_of_the_longest_ids_are_taken_on_both_edges(service: &Service) {
    let cohort = service.static_cohort().await;
    let distinct_ids: Vec<String> = (0..10_000).map(|n| format!("{n:0>400}")).collect();
    let ids: Vec<&str> = distinct_ids.iter().map(String::as_str).collect();
    assert_eq!(service.members(Method::POST, cohort, &ids).await, (10_000, 10_000));
    assert_eq!(service.members(Method::DELETE, cohort, &ids).await, (10_000, 0));
    let request = AddCohortMembersRequest {
        cohort_id: cohort,
        distinct_ids: distinct_ids.clone(),
        ..Default::default()
    };
    let done = service.directory().add_cohort_members(request).await.unwrap().into_inner();
    assert_eq!((done.changed, done.unknown), (10_000, 0));
    let request =
        RemoveCohortMembersRequest { cohort_id: cohort, distinct_ids, ..Default::default() };
    let done = service.directory().remove_cohort_members(request).await.unwrap().into_inner();
    assert_eq!((done.changed, done.unknown), (10_000, 0));
    // Other calls keep their limit.
    let large = json!({"name": "x".repeat(2 << 20)});
    let (status, _) = service.rest(Method::POST, COHORTS, large).await;
    assert_eq!(status, 413);
    let cohort = Some(CohortInput { description: Some("x".repeat(2 << 20)), ..Default::default() });
    let request = CreateCohortRequest { cohort, ..Default::default() };
    let error = service.directory().create_cohort(request).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
}

/// Whether the flag for members is on for somebody.
async fn is_on(service: &Service, id: &str) -> bool {
    let body = json!({"token": service.token, "distinct_id": id});
    let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
    answer.json()["flags"]["members"]["enabled"] == true
}

async fn whoever_comes_or_goes_is_evaluated_so_at_once(service: &Service) {
    let cohort = service.static_cohort().await;
    let member = json!({"type": "cohort", "key": "id", "value": cohort, "operator": "in"});
    let filters = json!({"groups": [{"properties": [member], "rollout_percentage": 100}]});
    service.create(json!({"key": "members", "filters": filters})).await;
    for _ in 0..3 {
        assert!(!is_on(service, "ann").await);
        service.members(Method::POST, cohort, &["ann", "bob"]).await;
        assert!(is_on(service, "ann").await && is_on(service, "bob").await);
        service.members(Method::DELETE, cohort, &["ann"]).await;
        assert!(!is_on(service, "ann").await && is_on(service, "bob").await);
    }
    let (_, bob) = service.get(&format!("{PERSONS}?distinct_id=bob")).await;
    let path = format!("{PERSONS}{}/", bob["results"][0]["uuid"].as_str().unwrap());
    service.call(Method::DELETE, &path, Some(&service.key), None).await;
    assert!(!is_on(service, "bob").await, "a person who is gone is no member");
    let many: Vec<String> = (0..2_000).map(|n| format!("p{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(!is_on(service, "p7").await);
    service.members(Method::POST, cohort, &many).await;
    assert!(is_on(service, "p7").await, "too many to be announced by name");
}
