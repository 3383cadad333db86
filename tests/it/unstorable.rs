//! Text that no database takes or looks for, and messages that cannot be read: the caller's fault,
//! in the same words on both databases.

use bytes::Bytes;
use flagstaff::wire::v1::{ListFeatureFlagsRequest, ListGroupsRequest, ListPersonsRequest};
use http::{Method, header::CONTENT_TYPE};
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{
    FLAGS, Service,
    directory::PERSONS,
    grpc::{reason, said},
    rest::send,
};

both_databases! {
    a_nul_in_a_parameter_is_refused_wherever_it_stands,
    a_search_is_bounded,
    a_message_that_cannot_be_read_is_an_invalid_argument,
}

const NUL: &str = "null_characters_not_allowed";

async fn a_nul_in_a_parameter_is_refused_wherever_it_stands(service: &Service) {
    let id = service.create_for_everyone("a").await;
    let flag = |path: &str| format!("{FLAGS}{id}/{path}");
    let names = [
        "search",
        "key",
        "type",
        "tags",
        "excluded_tags",
        "excluded_properties",
        "order",
        "evaluation_runtime",
        "created_by_id",
        "active",
        "limit",
        "offset",
        "anything",
    ];
    let mut paths: Vec<String> = Vec::new();
    for name in names {
        paths.push(format!("{FLAGS}?{name}=a%00b"));
        paths.push(format!("{FLAGS}matching_ids/?{name}=a%00b"));
    }
    for name in ["tags", "excluded_tags", "excluded_properties"] {
        // As the text of a list, in which it is escaped.
        paths.push(format!("{FLAGS}?{name}=%5B%22a%5Cu0000b%22%5D"));
        paths.push(format!("{FLAGS}matching_ids/?{name}=%5B%22a%5Cu0000b%22%5D"));
    }
    paths.push(format!("{PERSONS}?search=a%00b"));
    for name in ["user", "activity", "scope", "item_id", "page", "start_date"] {
        paths.push(format!("{FLAGS}activity/?{name}=a%00b"));
        paths.push(flag(&format!("activity/?{name}=a%00b")));
    }
    paths.extend([
        "/api/projects/1/cohorts/?search=a%00b".to_owned(),
        flag("versions/?limit=a%00b"),
        format!("{FLAGS}my_flags/?groups=%7B%22a%22%3A%22%5Cu0000%22%7D"),
        "/api/projects/@current/feature_flags/?token=phc_%00".to_owned(),
    ]);
    for path in &paths {
        let answer = service.call(Method::GET, path, Some(&service.key), None).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.error().1, NUL, "{path}: {}", answer.text);
    }
    // In a path it names nothing that there is.
    for path in [format!("{FLAGS}%00/remote_config/"), format!("{PERSONS}%00/")] {
        let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
    }
    // Bytes that are no UTF-8 are replaced, as in a body.
    let path = format!("{PERSONS}?search=%ff%fe");
    assert_eq!(service.call(Method::GET, &path, Some(&service.key), None).await.status, 200);

    let nul = || Some("a\0b".to_owned());
    let mut directory = service.directory_as(Some(&service.key));
    let persons = ListPersonsRequest { search: nul(), ..ListPersonsRequest::default() };
    let groups = ListGroupsRequest { search: nul(), ..ListGroupsRequest::default() };
    let flags = ListFeatureFlagsRequest { search: nul(), ..ListFeatureFlagsRequest::default() };
    let refusals: [(&str, Status); 3] = [
        ("search", directory.list_persons(persons).await.unwrap_err()),
        ("search", directory.list_groups(groups).await.unwrap_err()),
        ("search", service.flags().list_feature_flags(flags).await.unwrap_err()),
    ];
    for (attr, status) in refusals {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, NUL));
        assert_eq!(said(&status, "attr").as_deref(), Some(attr));
    }
}

async fn a_search_is_bounded(service: &Service) {
    let group = json!({"event": "$groupidentify", "distinct_id": "x".repeat(400), "properties":
        {"$group_type": "company", "$group_key": "k", "$group_set": {"size": 3}}});
    service
        .ingest(&[
            group,
            json!({"event": "e", "distinct_id": "x".repeat(400), "properties": {"$set": {"a": 1}}}),
        ])
        .await;
    let mut directory = service.directory_as(Some(&service.key));
    for length in [401, 1_000, 60_000] {
        let term = "%x_".repeat(length / 3 + 1);
        if length < 50_000 {
            let path = format!("{PERSONS}?search={}", term.replace('%', "%25"));
            let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
            assert_eq!(answer.error().1, "max_length", "{length}: {}", answer.text);
        }
        let persons = ListPersonsRequest { search: Some(term.clone()), ..Default::default() };
        let groups = ListGroupsRequest { search: Some(term), ..Default::default() };
        for status in [
            directory.list_persons(persons).await.unwrap_err(),
            directory.list_groups(groups).await.unwrap_err(),
        ] {
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::InvalidArgument, "max_length")
            );
        }
    }
    let whole = format!("{PERSONS}?search={}", "x".repeat(400));
    let (status, page) = service.get(&whole).await;
    assert_eq!((status, &page["count"]), (200, &json!(1)), "{page}");

    // Lists of a filter are bounded, however they are written.
    let ids: Vec<String> = (0..1_001).map(|id| id.to_string()).collect();
    let path = format!("{FLAGS}?created_by_id={}", ids.join(","));
    let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
    assert_eq!(answer.error().1, "max_length", "{}", answer.text);
}

async fn a_message_that_cannot_be_read_is_an_invalid_argument(service: &Service) {
    let frame = |flag: u8, message: &[u8]| {
        let mut frame = vec![flag];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        frame
    };
    let cut = frame(0, &[10, 3, b'a']);
    let bodies = [
        ("a field cut short", frame(0, &[10, 200, 1, b'a'])),
        ("an unknown wire type", frame(0, &[15, 1])),
        ("text that is no UTF-8", frame(0, &[10, 2, 0xff, 0xfe])),
        ("a frame cut short", cut[..cut.len() - 1].to_vec()),
        ("a flag that is none", frame(7, &[])),
        ("no message", Vec::new()),
    ];
    let calls = [
        "/flagstaff.v1.FeatureFlagService/ListFeatureFlags",
        "/flagstaff.v1.EvaluationService/EvaluateFlags",
        "/flagstaff.v1.EvaluationService/EvaluateFlag",
        "/flagstaff.v1.EvaluationService/BatchEvaluateFlags",
        "/flagstaff.v1.DirectoryService/ListPersons",
        "/flagstaff.v1.IngestService/IngestEvents",
        "/flagstaff.v1.EvaluationService/WatchFlags",
    ];
    let client = crate::support::http_client().http2_prior_knowledge().build().unwrap();
    for call in calls {
        for (what, body) in &bodies {
            let request = client.post(service.url(call)).bearer_auth(&service.key);
            let request = request.header(CONTENT_TYPE, "application/grpc").header("te", "trailers");
            let answer = send(request.body(Bytes::from(body.clone()))).await;
            let code = answer.headers.get("grpc-status").map(|code| code.to_str().unwrap());
            assert_eq!(code, Some("3"), "{call}: {what}: {:?}", answer.headers);
        }
    }
}
