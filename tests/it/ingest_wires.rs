//! Every path, shape and encoding in which SDKs send events, and what they are told.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use flagstaff::wire::v1::{Event, IngestEventsRequest};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Service,
    events::{event, with_uuid},
    rest::{Answer, send},
};

both_databases! {
    every_path_takes_events,
    every_encoding_is_read,
    every_shape_is_read,
    the_newest_wire_answers_event_by_event,
    engage_sets_properties_without_a_name,
    a_bad_event_is_named_and_the_good_ones_are_taken,
    what_cannot_be_read_stores_nothing,
    only_known_credentials_bring_events,
    browsers_may_send_from_anywhere,
    events_come_over_grpc_too,
    each_project_keeps_its_own,
}

const PATHS: [&str; 7] =
    ["/batch", "/e", "/i/v0/e", "/capture", "/track", "/i/v0/ai/batch", "/i/v1/analytics/events"];

fn set(distinct_id: &str) -> Value {
    event("$set", distinct_id, json!({"$set": {"seen": true}}))
}

async fn assert_seen(service: &Service, distinct_id: &str) {
    assert_eq!(
        service.properties_of(distinct_id).await,
        Some(json!({"seen": true})),
        "{distinct_id}"
    );
}

async fn every_path_takes_events(service: &Service) {
    for path in PATHS {
        for slash in ["", "/"] {
            let id = format!("{path}{slash}");
            let body = json!({"api_key": service.token, "batch": [set(&id)]});
            let answer = service.send_events(&id, &body).await;
            assert_eq!(answer.status, 200, "{id}: {}", answer.text);
            assert_seen(service, &id).await;
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn form(data: &str) -> Vec<u8> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("data", data).finish();
    form.into_bytes()
}

async fn every_encoding_is_read(service: &Service) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let body = |id: &str| json!({"token": service.token, "batch": [set(id)]}).to_string();
    let base64 = |id: &str| BASE64_STANDARD.encode(body(id));
    let cases = [
        ("json", "", "application/json", "", body("json").into_bytes()),
        ("untyped", "", "text/plain", "", body("untyped").into_bytes()),
        ("gzip", "", "application/json", "gzip", gzip(body("gzip").as_bytes())),
        ("deflate", "", "application/json", "deflate", zlib(body("deflate").as_bytes())),
        (
            "zstd",
            "",
            "application/json",
            "zstd",
            zstd::stream::encode_all(body("zstd").as_bytes(), 0).unwrap(),
        ),
        ("gzip-js", "?compression=gzip-js&_=1", "text/plain", "", gzip(body("gzip-js").as_bytes())),
        ("magic", "", "text/plain", "", gzip(body("magic").as_bytes())),
        ("base64", "?compression=base64", FORM, "", form(&base64("base64"))),
        ("form", "", FORM, "", form(&body("form"))),
        ("bare", "?compression=base64", "text/plain", "", base64("bare").into_bytes()),
    ];
    for (id, query, kind, encoding, bytes) in cases {
        let mut request = service.request(Method::POST, &format!("/e/{query}"));
        request = request.header("content-type", kind).body(bytes);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let answer = send(request).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"status": 1})), "{id}");
        assert_seen(service, id).await;
    }
    let beacon = service.request(Method::POST, "/e/?compression=gzip-js&beacon=1");
    let beacon = beacon.header("content-type", "text/plain").body(gzip(body("beacon").as_bytes()));
    assert_eq!(send(beacon).await.status, 204);
    assert_seen(service, "beacon").await;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("data", &base64("get"))
        .finish();
    let answer = send(service.request(Method::GET, &format!("/e/?{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_seen(service, "get").await;
}

async fn every_shape_is_read(service: &Service) {
    let token = &service.token;
    let with = |mut event: Value, name: &str| {
        event[name] = json!(token);
        event
    };
    let mut in_properties = set("properties.token");
    in_properties["properties"]["token"] = json!(token);
    let cases = [
        ("api_key", with(set("api_key"), "api_key")),
        ("token", with(set("token"), "token")),
        ("$token", with(set("$token"), "$token")),
        ("properties.token", in_properties),
        ("list", json!([with(set("list"), "token")])),
        (
            "browser",
            json!([{"event": "$set", "$set": {"seen": true},
                "properties": {"token": token, "distinct_id": "browser"}, "offset": 3}]),
        ),
        (
            "history",
            json!({"api_key": token, "historical_migration": true, "batch": [set("history")],
                "sent_at": "2026-11-23T12:00:00Z"}),
        ),
    ];
    for (id, body) in cases {
        let answer = service.send_events("/i/v0/e/?ip=1", &body).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        assert_seen(service, id).await;
    }
    let body = json!([set("query")]);
    let answer = service.send_events(&format!("/e/?token={token}"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_seen(service, "query").await;
}

async fn the_newest_wire_answers_event_by_event(service: &Service) {
    let (good, bad) =
        ("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058");
    let mut nameless = with_uuid(bad, set("v1"));
    nameless["event"] = json!("");
    let body = json!({"created_at": "2026-11-23T12:00:00Z", "batch": [
        {"event": "$set", "uuid": good, "distinct_id": "v1", "options": {},
         "timestamp": "2026-11-23T12:00:00+00:00", "properties": {"$set": {"seen": true}}},
        nameless,
    ]});
    let request = service.request(Method::POST, "/i/v1/analytics/events");
    let request = request
        .bearer_auth(&service.token)
        .header("PostHog-Sdk-Info", "posthog-python/7.91.1")
        .header("PostHog-Request-Timestamp", "2026-11-23T12:00:00+00:00");
    let answer = send(request.json(&body)).await;
    let expected = json!({"results": {
        good: {"result": "ok"},
        bad: {"result": "drop", "details": "`event` is missing"},
    }});
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_seen(service, "v1").await;
}

async fn engage_sets_properties_without_a_name(service: &Service) {
    let body = json!({"$token": service.token, "$distinct_id": "engaged", "$set": {"seen": true}});
    assert_eq!(service.send_events("/engage/", &body).await.status, 200);
    assert_seen(service, "engaged").await;
    assert_eq!(service.send_events("/e/", &body).await.status, 400, "elsewhere it needs one");
}

async fn a_bad_event_is_named_and_the_good_ones_are_taken(service: &Service) {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let events = json!([
        set("good"),
        {"event": "$set", "$set": {"seen": true}},
        {"event": "$set", "distinct_id": "x", "timestamp": "yesterday"},
        {"event": "$set", "distinct_id": "x", "uuid": "1"},
        7,
        event("x", "x", json!({"deep": deep})),
        {"event": "x", "distinct_id": "x", "token": "phc_of_somebody_else"},
        set("also good"),
    ]);
    let body = json!({"api_key": service.token, "batch": events});
    let answer = service.send_events("/batch/", &body).await;
    let expected = json!({"status": 1, "rejected": [
        {"index": 1, "reason": "`distinct_id` is missing"},
        {"index": 2, "reason": "`timestamp` is not a date and time"},
        {"index": 3, "reason": "`uuid` is not a UUID"},
        {"index": 4, "reason": "it is a int, not an object"},
        {"index": 5, "reason": "it is nested deeper than 32 levels"},
        {"index": 6, "reason": "it carries another token than the rest"},
    ]});
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_seen(service, "good").await;
    assert_seen(service, "also good").await;
    assert_eq!(service.properties_of("x").await, None);

    let body = json!({"api_key": service.token, "event": "x"});
    let answer = service.send_events("/e/", &body).await;
    let detail = "No event can be used. Event 0: `distinct_id` is missing.";
    assert_eq!(answer.error(), (400, "invalid_input".into(), detail.into()));
    assert_eq!(answer.json()["rejected"][0]["index"], 0);
}

async fn what_cannot_be_read_stores_nothing(service: &Service) {
    let post = async |bytes: Vec<u8>, encoding: Option<&str>| -> Answer {
        let request = service.request(Method::POST, "/batch/").body(bytes);
        let encoded = encoding.map(|encoding| ("content-encoding", encoding));
        let headers = encoded.into_iter().chain([("content-type", "application/json")]);
        send(headers.fold(request, |request, (name, value)| request.header(name, value))).await
    };
    let deep = "[".repeat(50_000);
    let cases: [(&[u8], Option<&str>); 7] = [
        (b"{", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"7", None),
        (br#"{"batch": {}}"#, None),
        (b"no gzip", Some("gzip")),
        (deep.as_bytes(), None),
    ];
    for (bytes, encoding) in cases {
        let answer = post(bytes.to_vec(), encoding).await;
        assert_eq!(answer.status, 400, "{:?}: {}", &bytes[..bytes.len().min(20)], answer.text);
    }
    let large = "[".repeat(100_000).into_bytes();
    assert_eq!(post(large, None).await.status, 401, "a large body without a token is not parsed");
    let empty = json!({"api_key": service.token, "batch": []});
    assert_eq!(service.send_events("/batch/", &empty).await.status, 400);
    let bomb = gzip(&vec![b' '; 21 * 1024 * 1024]);
    assert_eq!(post(bomb, Some("gzip")).await.status, 413, "it unpacks to too much");
    assert_eq!(post(vec![b' '; 21 * 1024 * 1024], None).await.status, 413);
    assert_eq!(service.count("person").await, 0);
    let large = event("x", "somebody", json!({"filling": "x".repeat(2 * 1024 * 1024)}));
    service.ingest(&[large, set("after a large one")]).await;
    assert_seen(service, "after a large one").await;
}

async fn only_known_credentials_bring_events(service: &Service) {
    for token in [json!("phc_nobody_has_this"), json!(service.key), json!(service.secret)] {
        let body = json!({"api_key": token, "batch": [set("x")]});
        let answer = service.send_events("/batch/", &body).await;
        assert_eq!((answer.status, answer.error().1.as_str()), (401, "authentication_failed"));
    }
    let body = json!({"batch": [set("x")]});
    let answer = service.send_events("/batch/", &body).await;
    assert_eq!((answer.status, answer.error().1.as_str()), (401, "not_authenticated"));
    let reader = service.new_key("--project 1 --scopes person:read");
    let refused = service.call(Method::POST, "/batch/", Some(&reader), Some(&body)).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(service.count("person").await, 0);
    let writer = service.new_key("--project 1 --scopes person:write");
    assert_eq!(service.call(Method::POST, "/batch/", Some(&writer), Some(&body)).await.status, 200);
    assert_seen(service, "x").await;
}

async fn browsers_may_send_from_anywhere(service: &Service) {
    for path in PATHS {
        let preflight = service
            .request(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let answer = send(preflight).await;
        assert_eq!(
            (answer.status, &answer.headers["access-control-allow-origin"]),
            (204, &"*".parse().unwrap())
        );
        assert_eq!(send(service.request(Method::DELETE, path)).await.status, 405);
    }
}

async fn events_come_over_grpc_too(service: &Service) {
    let of = |name: &str, id: &str, json: Option<&str>| Event {
        event: name.into(),
        distinct_id: id.into(),
        properties_json: json.map(str::to_owned),
        ..Event::default()
    };
    let ask = async |key: Option<&str>, events: Vec<Event>| {
        let request = IngestEventsRequest { project_id: "1".into(), events };
        service.ingestion_as(key).ingest_events(request).await
    };
    let events = vec![
        of("$set", "rpc", Some(r#"{"$set": {"seen": true}}"#)),
        of("", "rpc", None),
        of("$set", "rpc", Some("{")),
    ];
    let answer = ask(Some(&service.token), events).await.unwrap().into_inner();
    let rejected: Vec<_> = answer.rejected.iter().map(|r| (r.index, r.reason.as_str())).collect();
    let expected = [(1, "`event` is missing"), (2, "`properties_json` is not JSON")];
    assert_eq!((answer.accepted, &rejected[..]), (1, &expected[..]));
    assert_seen(service, "rpc").await;
    let error = ask(Some(&service.token), Vec::new()).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = ask(Some(&service.secret), vec![of("x", "x", None)]).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "a secret needs person:write");
    assert_eq!(ask(None, Vec::new()).await.unwrap_err().code(), Code::Unauthenticated);
}

async fn each_project_keeps_its_own(service: &Service) {
    let (other, token) = service.new_project("Other");
    let shared = "01890a5d-ac96-774b-bcce-b302099a8057";
    let there = json!({"api_key": token, "batch": [with_uuid(shared, set("both"))]});
    assert_eq!(service.send_events("/batch/", &there).await.status, 200);
    assert_eq!(service.properties_of("both").await, None, "not here");
    service.ingest(&[with_uuid(shared, set("both"))]).await;
    assert_seen(service, "both").await;
    assert_eq!(service.count(&format!("person WHERE project_id = {other}")).await, 1);
}
