//! Persons and groups: found, paged through, shown and deleted on both edges (architecture 2).

use flagstaff::wire::v1::{
    DeletePersonRequest, GetGroupRequest, GetPersonRequest, ListGroupTypesRequest,
    ListGroupsRequest, ListPersonsRequest,
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
    a_person_is_shown_alike_on_both_edges,
    persons_are_found_by_id_and_by_text,
    persons_are_paged_through_newest_first,
    a_deleted_person_is_gone_with_all_that_is_known,
    persons_of_another_project_are_out_of_sight,
    groups_and_their_types_are_listed_and_shown,
}

/// A UUID that ends with a number.
fn uuid(n: u32) -> String {
    format!("01890a5d-ac96-774b-bcce-{n:012}")
}

async fn person(service: &Service, n: u32, id: &str, properties: Value) -> String {
    service.person(1, &uuid(n), id, &properties.to_string()).await;
    uuid(n)
}

async fn also_known_as(service: &Service, id: &str, other: &str) {
    let sql = format!(
        "INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
         SELECT project_id, person_id, '{other}' FROM person_distinct_id WHERE distinct_id = '{id}'"
    );
    service.execute(&sql).await;
}

async fn a_person_is_shown_alike_on_both_edges(service: &Service) {
    let exact = r#"{"plan":"pro","n":1.50,"deep":{"z":1,"a":[2]}}"#;
    service.person(1, &uuid(1), "zoe", exact).await;
    also_known_as(service, "zoe", "ann").await;
    let (status, shown) = service.get(&format!("{PERSONS}{}/", uuid(1))).await;
    let expected = json!({
        "id": shown["id"], "uuid": uuid(1), "distinct_ids": ["ann", "zoe"],
        "properties": serde_json::from_str::<Value>(exact).unwrap(),
        "created_at": "2026-01-01T00:00:00Z",
    });
    assert_eq!((status, &shown), (200, &expected));
    let keys: Vec<_> = shown.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "uuid", "distinct_ids", "properties", "created_at"]);
    assert_eq!(shown["properties"].to_string(), exact, "numbers and order as they came");
    let request = GetPersonRequest { uuid: uuid(1), ..Default::default() };
    let message = service.directory().get_person(request).await.unwrap().into_inner();
    let message = message.person.unwrap();
    assert_eq!(message.properties_json, exact);
    assert_eq!(message.distinct_ids, ["ann", "zoe"]);
    assert_eq!((json!(message.id), json!(message.uuid)), (shown["id"].clone(), json!(uuid(1))));
    assert_eq!(message.created_at.unwrap().seconds, 1_767_225_600);
    assert_eq!(message.properties.unwrap().fields.len(), 3);
    for nobody in [uuid(9), "nonsense".into()] {
        assert_eq!(service.get(&format!("{PERSONS}{nobody}/")).await.0, 404);
        let request = GetPersonRequest { uuid: nobody, ..Default::default() };
        let refused = service.directory().get_person(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
}

async fn persons_are_found_by_id_and_by_text(service: &Service) {
    person(service, 1, "Ann-1", json!({"email": "Ann@Example.com", "name": "Änne B"})).await;
    person(service, 2, "bob_2", json!({"email": "bob@other.org", "plan": "example"})).await;
    person(service, 3, "100%", json!({})).await;
    also_known_as(service, "100%", "EXAMPLE-device").await;
    let cases: [(&str, &[u32]); 12] = [
        ("", &[3, 2, 1]),
        ("?distinct_id=Ann-1", &[1]),
        ("?distinct_id=ann-1", &[]),
        ("?distinct_id=EXAMPLE-device", &[3]),
        ("?distinct_id=&search=", &[3, 2, 1]),
        ("?search=example", &[3, 1]),
        ("?search=ANN", &[1]),
        ("?search=%C3%84NNE", &[1]),
        ("?search=0%25", &[3]),
        ("?search=b_2", &[2]),
        ("?search=pro", &[]),
        ("?search=example&distinct_id=100%25", &[3]),
    ];
    for (query, found) in cases {
        let (status, page) = service.get(&format!("{PERSONS}{query}")).await;
        let expected: Vec<Value> = found.iter().map(|n| json!(uuid(*n))).collect();
        let uuids: Vec<Value> =
            page["results"].as_array().unwrap().iter().map(|p| p["uuid"].clone()).collect();
        assert_eq!((status, &page["count"]), (200, &json!(found.len())), "{query}");
        assert_eq!(uuids, expected, "{query}");
    }
    let request = ListPersonsRequest { search: Some("Example".into()), ..Default::default() };
    let page = service.directory().list_persons(request).await.unwrap().into_inner();
    let uuids: Vec<String> = page.results.into_iter().map(|person| person.uuid).collect();
    assert_eq!((uuids, page.total_size), (vec![uuid(3), uuid(1)], 2));
}

async fn persons_are_paged_through_newest_first(service: &Service) {
    for n in 1..=5 {
        person(service, n, &format!("p{n}"), json!({})).await;
    }
    let mut path = format!("{PERSONS}?limit=2&search=P");
    let mut seen = Vec::new();
    loop {
        let (_, page) = service.get(&path).await;
        assert_eq!(page["count"], 5);
        seen.extend(page["results"].as_array().unwrap().iter().map(|p| p["uuid"].clone()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    let newest_first: Vec<Value> = (1..=5).rev().map(|n| json!(uuid(n))).collect();
    assert_eq!(seen, newest_first);
    let (_, beyond) = service.get(&format!("{PERSONS}?offset=9&limit=2")).await;
    assert_eq!((&beyond["count"], &beyond["results"]), (&json!(5), &json!([])));

    let (mut page_token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = ListPersonsRequest { page_size: 2, page_token, ..Default::default() };
        let page = service.directory().list_persons(request).await.unwrap().into_inner();
        assert_eq!(page.total_size, 5);
        seen.extend(page.results.into_iter().map(|person| json!(person.uuid)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, newest_first);
    for (page_size, token, attr) in [(2, "after-2", "page_token"), (-1, "", "page_size")] {
        let page_token = token.to_owned();
        let request = ListPersonsRequest { page_size, page_token, ..Default::default() };
        let refused = service.directory().list_persons(request).await.unwrap_err();
        assert_eq!(Failure::of_grpc(&refused).attr.as_deref(), Some(attr));
    }
}

async fn a_deleted_person_is_gone_with_all_that_is_known(service: &Service) {
    let gone = person(service, 1, "ann", json!({"plan": "pro"})).await;
    let kept = person(service, 2, "bob", json!({})).await;
    let (one, two) = (service.static_cohort().await, service.static_cohort().await);
    service.members(Method::POST, one, &["ann", "bob"]).await;
    service.members(Method::POST, two, &["ann"]).await;
    let instant = "'2026-01-01T00:00:00+00:00'";
    service
        .execute(&format!(
            "INSERT INTO person_change \
             (project_id, person_id, kind, properties, occurred_at, recorded_at) \
             SELECT 1, person_id, 'set', '{{}}', {instant}, {instant} FROM person_distinct_id; \
             INSERT INTO hash_key_override \
             (project_id, person_id, feature_flag_key, hash_key, created_at) \
             SELECT 1, person_id, 'f', 'h', {instant} FROM person_distinct_id"
        ))
        .await;
    let path = format!("{PERSONS}{gone}/");
    let answer = service.call(Method::DELETE, &path, Some(&service.key), None).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let again = service.call(Method::DELETE, &path, Some(&service.key), None).await;
    assert_eq!(again.status, 404);
    assert_eq!(service.get(&path).await.0, 404);
    assert_eq!(service.get(&format!("{PERSONS}?distinct_id=ann")).await.1["count"], 0);
    let tables =
        ["person", "person_distinct_id", "person_change", "cohort_member", "hash_key_override"];
    for table in tables {
        let rows = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}");
        assert_eq!(service.stored(&rows).await.as_deref(), Some("1"), "{table}");
    }
    for (cohort, left) in [(one, 1), (two, 0)] {
        assert_eq!(service.get(&format!("{COHORTS}{cohort}/")).await.1["count"], left);
    }
    let request = DeletePersonRequest { uuid: kept, ..Default::default() };
    service.directory().delete_person(request.clone()).await.unwrap();
    let refused = service.directory().delete_person(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(service.get(PERSONS).await.1["count"], 0);
}

async fn persons_of_another_project_are_out_of_sight(service: &Service) {
    let mine = person(service, 1, "ann", json!({"email": "ann@x.com"})).await;
    let other = service.new_project("Other").0;
    let path = format!("/api/projects/{other}/persons/");
    for query in ["", "?distinct_id=ann", "?search=ann"] {
        assert_eq!(service.get(&format!("{path}{query}")).await.1["count"], 0, "{query}");
    }
    for verb in [Method::GET, Method::DELETE] {
        let path = format!("{path}{mine}/");
        assert_eq!(service.call(verb, &path, Some(&service.key), None).await.status, 404);
    }
    // An id that two projects know is two persons.
    service.person(other, &uuid(2), "ann", "{}").await;
    let cohort = service.static_cohort().await;
    assert_eq!(service.members(Method::POST, cohort, &["ann"]).await, (1, 0));
    let theirs = format!("{path}{}/", uuid(2));
    assert_eq!(service.get(&theirs).await.0, 200);
    service.call(Method::DELETE, &theirs, Some(&service.key), None).await;
    assert_eq!(service.get(&format!("{COHORTS}{cohort}/")).await.1["count"], 1);
}

async fn groups_and_their_types_are_listed_and_shown(service: &Service) {
    service
        .execute(
            "INSERT INTO group_type (project_id, group_type_index, name) \
             VALUES (1, 1, 'project'), (1, 0, 'company')",
        )
        .await;
    for (index, key) in [(0, "acme"), (0, "Globex"), (0, "acme-labs"), (1, "acme")] {
        service.group(1, index, key, r#"{"n":1.50}"#).await;
    }
    let mut directory = service.directory();
    let types = directory.list_group_types(ListGroupTypesRequest::default()).await.unwrap();
    let types: Vec<_> = types.into_inner().results.into_iter().map(|t| t.group_type).collect();
    assert_eq!(types, ["company", "project"]);
    let cases: [(Option<&str>, &[&str]); 4] = [
        (None, &["acme-labs", "Globex", "acme"]),
        (Some(""), &["acme-labs", "Globex", "acme"]),
        (Some("ACME"), &["acme-labs", "acme"]),
        (Some("glob"), &["Globex"]),
    ];
    for (search, keys) in cases {
        let request = ListGroupsRequest { search: search.map(str::to_owned), ..Default::default() };
        let page = directory.list_groups(request).await.unwrap().into_inner();
        let found: Vec<_> = page.results.into_iter().map(|group| group.group_key).collect();
        assert_eq!(
            (found.as_slice(), page.total_size),
            (&*keys.iter().map(ToString::to_string).collect::<Vec<_>>(), keys.len() as i64)
        );
    }
    let request = ListGroupsRequest { page_size: 2, ..Default::default() };
    let first = directory.list_groups(request.clone()).await.unwrap().into_inner();
    let request = ListGroupsRequest { page_token: first.next_page_token, ..request };
    let second = directory.list_groups(request).await.unwrap().into_inner();
    assert_eq!(
        (second.results[0].group_key.as_str(), second.next_page_token.as_str()),
        ("acme", "")
    );
    let get = |group_type_index, key: &str| GetGroupRequest {
        group_type_index,
        group_key: key.into(),
        ..Default::default()
    };
    let group = directory.get_group(get(1, "acme")).await.unwrap().into_inner().group.unwrap();
    assert_eq!((group.group_type_index, group.properties_json.as_str()), (1, r#"{"n":1.50}"#));
    let missing = directory.get_group(get(1, "Globex")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    for (index, code) in [(-1, "min_value"), (5, "max_value")] {
        let listing = ListGroupsRequest { group_type_index: index, ..Default::default() };
        let listed = directory.list_groups(listing).await.unwrap_err();
        for refused in [listed, directory.get_group(get(index, "acme")).await.unwrap_err()] {
            let failure = Failure::of_grpc(&refused);
            assert_eq!(failure.attr.as_deref(), Some("group_type_index"));
            assert_eq!((refused.code(), failure.code.as_str()), (Code::InvalidArgument, code));
        }
    }
}
