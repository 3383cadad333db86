//! Pages of large rows: over gRPC they are shortened by bytes and lead on by their tokens, over
//! REST they are written while they are read.

use flagstaff::wire::v1::{
    ListActivityRequest, ListCohortsRequest, ListFeatureFlagsRequest, ListGroupsRequest,
    ListPersonsRequest,
};
use http::Method;
use prost::Message;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    directory::{COHORTS, PERSONS},
};

both_databases! {
    large_persons_and_groups_are_read_page_by_page,
    large_flags_and_their_activity_are_read_page_by_page,
}

/// What clients read of one message without being told to read more.
const CLIENTS_LIMIT: usize = 4 << 20;
const LARGE: usize = 400_000;
const COUNT: usize = 6;

/// Reads a list over gRPC to its end, a page's results by their names at a time.
macro_rules! pages {
    ($client:expr, $method:ident, $request:ident { $($field:ident: $value:expr),* }, $name:expr) => {{
        let (mut pages, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = $request {
                page_size: 10_000,
                page_token: page_token.clone(),
                $($field: $value,)*
                ..$request::default()
            };
            let page = $client.$method(request).await.unwrap().into_inner();
            assert!(page.encoded_len() < CLIENTS_LIMIT, "{}", page.encoded_len());
            let total = page.total_size;
            pages.push(page.results.into_iter().map($name).collect::<Vec<String>>());
            if page.next_page_token.is_empty() {
                break (pages, total);
            }
            page_token = page.next_page_token;
        }
    }};
}

fn check((pages, total): (Vec<Vec<String>>, i64), expected: &[String]) {
    assert_eq!(total, i64::try_from(expected.len()).unwrap());
    assert!(pages.len() > 2 && pages.iter().all(|page| !page.is_empty()), "{}", pages.len());
    assert_eq!(pages.concat(), expected);
}

fn names(count: usize) -> Vec<String> {
    (0..count).rev().map(|number| format!("n-{number:02}")).collect()
}

/// A whole page over REST, checked to be JSON; the results of it.
async fn results(service: &Service, path: &str) -> Vec<Value> {
    let answer = service.call(Method::GET, path, Some(&service.key), None).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    assert!(!answer.headers.contains_key("content-length"), "it is written while it is read");
    let page = answer.json();
    assert_eq!(page["next"], Value::Null);
    page["results"].as_array().unwrap().clone()
}

async fn large_persons_and_groups_are_read_page_by_page(service: &Service) {
    let text = "x".repeat(LARGE);
    service.group_type(0, "company").await;
    for (number, name) in names(COUNT).into_iter().rev().enumerate() {
        let uuid = format!("00000000-0000-4000-8000-{number:012}");
        service.person(1, &uuid, &name, &json!({"large": text}).to_string()).await;
        service.group(1, 0, &name, &json!({"large": text}).to_string()).await;
    }
    let mut directory = service.directory_as(Some(&service.key));
    let persons = pages!(directory, list_persons, ListPersonsRequest {}, |person| {
        person.distinct_ids[0].clone()
    });
    check(persons, &names(COUNT));
    let groups = pages!(directory, list_groups, ListGroupsRequest {}, |group| group.group_key);
    check(groups, &names(COUNT));

    let found = results(service, &format!("{PERSONS}?limit=10000")).await;
    let ids: Vec<_> =
        found.iter().map(|person| person["distinct_ids"][0].as_str().unwrap()).collect();
    assert_eq!(ids, names(COUNT));
    assert!(found.iter().all(|person| person["properties"]["large"] == text.as_str()));
    // A part of them, with its links.
    let part = service.get(&format!("{PERSONS}?limit=3")).await.1;
    assert_eq!(part["count"], COUNT);
    assert_eq!(part["results"].as_array().unwrap().len(), 3);
    assert!(part["next"].as_str().unwrap().ends_with("limit=3&offset=3"), "{}", part["next"]);
    // One that is larger than a page is a page.
    let one = service.get(&format!("{PERSONS}?limit=1")).await.1;
    assert_eq!(one["results"].as_array().unwrap().len(), 1);
}

async fn large_flags_and_their_activity_are_read_page_by_page(service: &Service) {
    let text = "x".repeat(LARGE);
    for name in names(COUNT).into_iter().rev() {
        let described = |text: &str| json!({"groups": [{"properties": [], "description": text}]});
        let (id, _) = service.create(json!({"key": name, "filters": described("")})).await;
        // The activity log keeps what was before and what came after.
        let (status, _) = service.patch(id, json!({"filters": described(&text)})).await;
        assert_eq!(status, 200);
        let leaf = json!({"type": "person", "key": "plan", "operator": "exact", "value": text});
        let filters = json!({"properties": {"type": "AND", "values": [leaf]}});
        service.new_cohort(json!({"name": name, "filters": filters})).await;
    }
    let mut flags = service.flags();
    let listed = pages!(flags, list_feature_flags, ListFeatureFlagsRequest {}, |flag| flag.key);
    check(listed, &names(COUNT));
    let mut directory = service.directory_as(Some(&service.key));
    let cohorts = pages!(directory, list_cohorts, ListCohortsRequest {}, |cohort| cohort.name);
    check(cohorts, &names(COUNT));
    let rows = pages!(flags, list_activity, ListActivityRequest {}, |row| row.id);
    assert_eq!((rows.0.len() > 2, rows.0.concat().len()), (true, 2 * COUNT));

    for (path, name) in [(FLAGS, "key"), (COHORTS, "name")] {
        let found = results(service, &format!("{path}?limit=10000")).await;
        let found: Vec<_> = found.iter().map(|flag| flag[name].as_str().unwrap()).collect();
        assert_eq!(found, names(COUNT), "{path}");
    }
    let path = format!("{FLAGS}activity/?limit=10000");
    let ids: Vec<_> = results(service, &path)
        .await
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, rows.0.concat());
}
