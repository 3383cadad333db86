//! JSON text whose keys or escapes readers tend to misunderstand, sent in every way in which a
//! caller may send it: what is accepted comes back as it was sent, and is in nobody's way.

use flagstaff::{
    model::json::parse_stored,
    wire::v1::{
        FeatureFlagInput, GetFeatureFlagRequest, ListFeatureFlagsRequest, UpdateFeatureFlagRequest,
    },
};
use http::{Method, header::CONTENT_TYPE};
use prost_types::FieldMask;
use serde_json::{Value, json};

use crate::{
    import_source::{Source, list},
    offline::{feed, offline},
    support::{
        FLAGS, Service,
        rest::{Answer, send},
    },
};

both_databases! {
    private_markers_of_the_parser_are_keys_of_a_flag_like_others,
    private_markers_of_the_parser_are_properties_like_others,
    a_lone_surrogate_costs_one_character_or_one_event,
    what_nests_too_deeply_costs_one_event,
}

/// The keys by which the parser marks numbers and raw values among its own.
const MARKERS: [&str; 2] = ["$serde_json::private::Number", "$serde_json::private::RawValue"];

async fn post_text(service: &Service, method: Method, path: &str, text: String) -> Answer {
    let request = service.request(method, path).bearer_auth(&service.key);
    send(request.header(CONTENT_TYPE, "application/json").body(text)).await
}

async fn text_of(service: &Service, path: &str) -> String {
    let answer = service.call(Method::GET, path, Some(&service.key), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

async fn private_markers_of_the_parser_are_keys_of_a_flag_like_others(service: &Service) {
    let healthy = service.create_for_everyone("healthy").await;
    for (index, marker) in MARKERS.into_iter().enumerate() {
        for (place, value) in [r#""1""#, r#""x""#, "[1.50]"].into_iter().enumerate() {
            let key = format!("flag-{index}-{place}");
            let note = format!(r#"{{"{marker}":{value}}}"#);
            let filters = format!(r#"{{"groups":[{{"properties":[],"note":{note}}}]}}"#);
            let body =
                format!(r#"{{"key":"{key}","filters":{filters},"rollback_conditions":[{note}]}}"#);
            let made = post_text(service, Method::POST, FLAGS, body).await;
            assert_eq!(made.status, 201, "{}", made.text);
            assert_eq!(made.text.matches(&note).count(), 2, "{}", made.text);
            let id = parse_stored(&made.text).unwrap()["id"].as_i64().unwrap();
            let path = format!("{FLAGS}{id}/");
            assert_eq!(text_of(service, &path).await.matches(&note).count(), 2);

            // A message says the same, and is taken the same.
            let asked = GetFeatureFlagRequest { id, ..Default::default() };
            let flag = service.flags().get_feature_flag(asked).await.unwrap().into_inner();
            let flag = flag.feature_flag.unwrap();
            assert!(flag.filters_json.contains(&note), "{}", flag.filters_json);
            let input = FeatureFlagInput { filters: flag.filters, ..Default::default() };
            let update_mask = Some(FieldMask { paths: vec!["filters".into()] });
            let update = UpdateFeatureFlagRequest {
                id,
                feature_flag: Some(input),
                update_mask,
                ..Default::default()
            };
            service.flags().update_feature_flag(update).await.unwrap();
            let halved = filters.replace(r#""properties":[]"#, r#""rollout_percentage":50"#);
            let form = format!("filters={}", urlencoded(&halved));
            let request = service.request(Method::PATCH, &path).bearer_auth(&service.key);
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let changed = send(request.body(form)).await;
            assert_eq!(changed.status, 200, "{}", changed.text);
            assert!(text_of(service, &path).await.contains(&note));
            assert!(text_of(service, &format!("{path}activity/")).await.contains(&note));
            assert!(text_of(service, &format!("{path}versions/1/")).await.contains(&note));
        }
    }
    let listed = parse_stored(&text_of(service, FLAGS).await).unwrap();
    assert_eq!(listed["count"], 7);
    let all = ListFeatureFlagsRequest::default();
    let listed = service.flags().list_feature_flags(all).await.unwrap().into_inner();
    assert_eq!(listed.results.len(), 7);
    let feed = service.call(Method::GET, "/flags/definitions", Some(&service.secret), None).await;
    let feed = feed.text;
    assert!(MARKERS.iter().all(|marker| feed.contains(marker)), "{feed}");

    // What evaluation reads follows, here and where it is read anew.
    assert_eq!(service.patch(healthy, json!({"active": false})).await.0, 200);
    let replica = service.replica().await;
    for service in [service, &replica] {
        let answer = service.flags_for(&json!({"distinct_id": "ann"})).await;
        assert_eq!(answer["errorsWhileComputingFlags"], false, "{answer}");
        assert_eq!(answer["flags"].as_object().unwrap().len(), 6);
    }
    replica.stop().await;
}

fn urlencoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn private_markers_of_the_parser_are_properties_like_others(service: &Service) {
    let token = &service.token;
    for marker in MARKERS {
        let with_nul = format!("\\u0000{}\\u0000{}", &marker[..4], &marker[4..]);
        let texts = [
            // As text, as JSON5, as a key that is the marker once NULs are removed.
            ("text", format!(r#"{{"{marker}": "x"}}"#)),
            ("json5", format!(r#"{{'{marker}': "x",}}"#)),
            ("nul", format!(r#"{{"{with_nul}": "x"}}"#)),
            // First after another key is removed.
            ("unset", format!(r#"{{"gone": 1, "{marker}": "x"}}"#)),
        ];
        for (id, set) in texts {
            for path in ["/batch/", "/i/v0/e/"] {
                let event = format!(
                    r#"{{"event":"e","distinct_id":"{id}","properties":{{"$set":{set},
                    "$group_type":"company","$group_key":"{id}","$group_set":{set}}}}}"#
                );
                let group = event.replace(r#""event":"e""#, r#""event":"$groupidentify""#);
                let unset = format!(
                    r#"{{"event":"e","distinct_id":"{id}","properties":{{"$unset":["gone"]}}}}"#
                );
                let body = format!(r#"{{"api_key":"{token}","batch":[{event},{group},{unset}]}}"#);
                let answer = post_text(service, Method::POST, path, body).await;
                assert_eq!((answer.status, answer.json()), (200, json!({"status": 1})));
            }
            let expected = format!(r#""properties":{{"{marker}":"x"}}"#);
            let persons = format!("/api/projects/1/persons/?distinct_id={id}");
            let shown = text_of(service, &persons).await;
            assert!(shown.contains(&expected), "{id}: {shown}");
        }
        // Once more on what is stored by now, and in evaluation.
        for id in ["text", "json5", "nul", "unset"] {
            service
                .ingest(&[
                    json!({"event": "e", "distinct_id": id, "properties": {"$unset": [marker]}}),
                ])
                .await;
        }
    }
    let properties =
        json!([{"key": "a", "type": "person", "operator": "is_not_set", "value": "x"}]);
    let filters = json!({"groups": [{"properties": properties, "rollout_percentage": 100}]});
    service.create(json!({"key": "reads-persons", "filters": filters})).await;
    let answer = service.flags_for(&json!({"distinct_id": "unset"})).await;
    assert_eq!(answer["errorsWhileComputingFlags"], false, "{answer}");
    for marker in MARKERS {
        let body = format!(
            r#"{{"token":"{token}","distinct_id":"ann","person_properties":{{"{marker}":"x"}}}}"#
        );
        for body in [body.replace('"', "'"), body] {
            let answer = post_text(service, Method::POST, "/flags?v=2", body).await;
            assert_eq!(answer.json()["errorsWhileComputingFlags"], false, "{}", answer.text);
        }
    }
}

async fn a_lone_surrogate_costs_one_character_or_one_event(service: &Service) {
    let token = &service.token;
    let cut =
        json!([{"key": "bio", "type": "person", "operator": "exact", "value": "cut \u{fffd}"}]);
    service.create(json!({"key": "cut", "filters": {"groups": [{"properties": cut}]}})).await;
    service.create_for_everyone("all").await;
    for bio in [r"cut \ud83e", r"cut \uDD14"] {
        let body = format!(
            r#"{{"token":"{token}","distinct_id":"ann","person_properties":{{"bio":"{bio}"}}}}"#
        );
        for path in ["/flags?v=2", "/decide?v=4"] {
            let answer = post_text(service, Method::POST, path, body.clone()).await;
            assert_eq!(answer.json()["flags"]["cut"]["enabled"], true, "{}", answer.text);
            assert_eq!(answer.json()["flags"]["all"]["enabled"], true);
        }
        let json5 = body.replace('"', "'");
        let answer = post_text(service, Method::POST, "/flags?v=2", json5).await;
        assert_eq!(answer.json()["flags"]["cut"]["enabled"], true, "{}", answer.text);

        let event = |id: &str, bio: &str| {
            format!(
                r#"{{"event":"e","distinct_id":"{id}","properties":{{"$set":{{"bio":"{bio}"}}}}}}"#
            )
        };
        let batch = [event("whole", r"\ud83e\udd14"), event("half", bio)].join(",");
        let body = format!(r#"{{"api_key":"{token}","batch":[{batch}]}}"#);
        let answer = post_text(service, Method::POST, "/batch/", body).await;
        let reason = "it holds half of a surrogate pair, which is not text";
        let rejected = json!({"status": 1, "rejected": [{"index": 1, "reason": reason}]});
        assert_eq!((answer.status, answer.json()), (200, rejected));
        assert_eq!(service.properties_of("half").await, None);
        assert_eq!(service.properties_of("whole").await.unwrap()["bio"], "\u{1f914}");

        // Management keeps to strict JSON.
        let patched = format!(r#"{{"name":"{bio}","key":"x"}}"#);
        let answer = post_text(service, Method::POST, FLAGS, patched).await;
        assert_eq!(answer.error().1, "parse_error", "{}", answer.text);
    }
}

async fn what_nests_too_deeply_costs_one_event(service: &Service) {
    let token = &service.token;
    for levels in [40, 126, 127, 128, 129, 5_000] {
        let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let object = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        for deep in [nested, object] {
            let event = |id: &str, text: &str| {
                format!(r#"{{"event":"$set","distinct_id":"{id}","$set":{{"a":{text}}}}}"#)
            };
            let batch = [event("deep", &deep), event("flat", "1")].join(",");
            let body = format!(r#"{{"api_key":"{token}","batch":[{batch}]}}"#);
            let answer = post_text(service, Method::POST, "/batch/", body).await;
            let reason = "it is nested deeper than 32 levels";
            let rejected = json!({"status": 1, "rejected": [{"index": 0, "reason": reason}]});
            assert_eq!((answer.status, answer.json()), (200, rejected), "{levels}");
            assert_eq!(service.properties_of("flat").await.unwrap(), json!({"a": 1}));
        }
    }
}

#[test]
fn offline_evaluation_replaces_lone_surrogates_and_knows_no_markers() {
    let definitions = feed().to_string().replace(r#""pro""#, r#""cut \ud83e""#);
    assert!(definitions.contains("ud83e"));
    let request = r#"{"distinct_id":"ann","person_properties":{"plan":"cut \udd14"}}"#;
    let outcome = offline(&[], format!(r#"{{"definitions":{definitions},"request":{request}}}"#));
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(answer["flags"]["base"]["enabled"], true, "{outcome:?}");

    for marker in MARKERS {
        let request = format!(
            r#"{{"distinct_id":"ann","groups":{{}},"person_properties":{{"{marker}":"x"}}}}"#
        );
        let noted = feed().to_string().replacen(
            r#"{"groups":"#,
            &format!(r#"{{"note":{{"{marker}":"x"}},"groups":"#),
            1,
        );
        assert!(noted.contains(marker));
        let outcome = offline(&[], format!(r#"{{"definitions":{noted},"request":{request}}}"#));
        let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(answer["flags"]["base"]["enabled"], false, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_replaces_lone_surrogates_and_knows_no_markers() {
    let target = Service::on_sqlite().await;
    let mut flag = crate::import_source::plain(1, "one");
    flag["name"] = json!("CUT");
    flag["filters"]["groups"][0]["note"] = json!({"MARKER": "x"});
    let (status, wait, text) = list(&[flag], false);
    let text = text.replace("CUT", r"cut \ud83e").replace("MARKER", MARKERS[0]);
    let source = Source::answering(&[("feature_flags/", vec![(status, wait, text)])]).await;
    let outcome = source.import(&target, &["--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let listed = text_of(&target, FLAGS).await;
    assert!(listed.contains("cut \u{fffd}"), "{listed}");
    assert!(listed.contains(&format!(r#"{{"{}":"x"}}"#, MARKERS[0])), "{listed}");
    target.stop().await;
}
