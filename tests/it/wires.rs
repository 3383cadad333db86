//! What clients send to `/flags`, `/decide` and `/array`, and what they are answered
//! (evaluation 4, 11, 13 and 14; client-wires 4.4).

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    rest::{Answer, send},
};

both_databases! {
    the_version_and_the_path_choose_the_shape,
    the_browsers_settings_come_when_asked_for,
    the_kind_of_program_and_the_query_choose_the_flags,
    a_browser_is_told_whether_there_are_flags,
    a_browser_is_told_that_there_are_no_surveys_and_features,
    flags_that_are_disabled_need_no_distinct_id,
}

/// Three flags: one that everybody gets, one with variants and payloads, one that nobody gets.
async fn stocked(service: &Service) {
    service.create_for_everyone("everyone").await;
    let variants = json!({
        "groups": [{"rollout_percentage": 100}],
        "multivariate": {"variants": [{"key": "blue", "rollout_percentage": 100}]},
        "payloads": {"blue": "{\"hex\": 1}"}
    });
    service.create(json!({"key": "variant", "filters": variants})).await;
    let nobody = json!({"groups": [{"properties": [
        {"key": "plan", "type": "person", "operator": "exact", "value": "none"}]}]});
    service.create(json!({"key": "nobody", "filters": nobody})).await;
    service.create(json!({"key": "inactive", "active": false})).await;
}

fn body(service: &Service) -> Value {
    json!({"token": service.token, "distinct_id": "ann"})
}

async fn post(service: &Service, path: &str, body: &Value) -> Answer {
    let answer = service.call(Method::POST, path, None, Some(body)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn the_version_and_the_path_choose_the_shape(service: &Service) {
    stocked(service).await;
    let ask = async |path: &str| post(service, path, &body(service)).await.json();

    for path in ["/flags?v=2", "/flags/?version=2", "/decide?v=4&config=false"] {
        let answer = ask(path).await;
        let top = ["errorsWhileComputingFlags", "flags", "requestId", "evaluatedAt"];
        assert_eq!(names(&answer), top, "{path}");
        assert_eq!(names(&answer["flags"]).len(), 3, "{path}");
        let record = &answer["flags"]["variant"];
        assert_eq!(names(record), ["key", "enabled", "variant", "reason", "metadata"], "{path}");
        assert_eq!(record["metadata"]["payload"], "{\"hex\": 1}");
        assert_eq!(answer["flags"]["nobody"]["enabled"], false);
    }
    for path in ["/flags?v=3", "/flags/?v=4"] {
        let answer = ask(path).await;
        let values = ["everyone", "variant", "nobody"].map(|key| &answer["flags"][key]["value"]);
        assert_eq!(values, [&json!(true), &json!("blue"), &json!(false)], "{path}");
        let metadata = &answer["flags"]["variant"]["metadata"];
        assert_eq!(metadata["config_version"], 1, "{path}");
        assert_eq!(answer["flags"]["variant"]["variant"], "blue", "what v2 says is there too");
    }
    for path in ["/flags?v=1", "/flags?v=x", "/flags?config=false", "/decide?v=3&config=false"] {
        let answer = ask(path).await;
        assert_eq!(
            answer["featureFlags"],
            json!({"everyone": true, "variant": "blue", "nobody": false}),
            "{path}"
        );
        assert_eq!(answer["featureFlagPayloads"], json!({"variant": "{\"hex\": 1}"}), "{path}");
        assert_eq!(answer["errorsWhileComputingFlags"], false, "{path}");
        assert_eq!(names(&answer).len(), 5, "{path}");
    }
    let enabled = json!({"featureFlags": {"everyone": true, "variant": "blue"}});
    assert_eq!(ask("/decide?v=2&config=false").await, enabled);
    for path in ["/decide?config=false", "/decide/?v=1&config=false"] {
        assert_eq!(ask(path).await, json!({"featureFlags": ["everyone", "variant"]}), "{path}");
    }
    let proxied = service.request(Method::POST, "/flags?v=2&config=false");
    let proxied = proxied.header("x-original-endpoint", "decide").json(&body(service));
    assert_eq!(send(proxied).await.json(), enabled);
}

async fn the_browsers_settings_come_when_asked_for(service: &Service) {
    stocked(service).await;
    let cases = [
        ("/flags", true),
        ("/flags?v=2", false),
        ("/flags?v=2&config=true", true),
        ("/flags?v=1&config=1", true),
        ("/flags?v=4&config=false", false),
        ("/flags?config=true", true),
        ("/decide", true),
        ("/decide?v=2", true),
        ("/decide?v=3", true),
        ("/decide?v=3&config=false", false),
    ];
    for (path, with_config) in cases {
        let answer = post(service, path, &body(service)).await.json();
        assert_eq!(answer["sessionRecording"] == false, with_config, "{path}: {answer}");
        assert_eq!(answer["hasFeatureFlags"] == true, with_config, "{path}");
        let compression = json!(["gzip", "gzip-js"]);
        assert_eq!(answer["supportedCompression"] == compression, with_config, "{path}");
    }
    let answer = post(service, "/flags", &body(service)).await.json();
    assert!(answer["flags"].is_object(), "without a version it is the second: {answer}");
}

async fn the_kind_of_program_and_the_query_choose_the_flags(service: &Service) {
    for (key, runtime) in [("any", "all"), ("browser", "client"), ("backend", "server")] {
        let id = service.create_for_everyone(key).await;
        service.patch(id, json!({"evaluation_runtime": runtime})).await;
    }
    service.create_for_everyone("survey-targeting-x").await;
    let ask = async |query: &str, header: (&str, &str), extra: Value| {
        let mut body = body(service);
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let request = service.request(Method::POST, &format!("/flags?v=2{query}"));
        let answer = send(request.header(header.0, header.1).json(&body)).await.json();
        let mut keys: Vec<String> =
            names(&answer["flags"]).iter().map(ToString::to_string).collect();
        keys.sort();
        keys
    };
    let nothing = || json!({});
    let python = ("user-agent", "posthog-python/7.91.1");
    let page = ("origin", "https://example.com");
    let unknown = ("user-agent", "posthog-basic/1");
    let survey = "survey-targeting-x";
    let cases = [
        ("", python, nothing(), vec!["any", "backend", survey]),
        ("", page, nothing(), vec!["any", "browser", survey]),
        ("", unknown, nothing(), vec!["any", survey]),
        ("", python, json!({"evaluation_runtime": "client"}), vec!["any", "browser", survey]),
        ("", python, json!({"evaluation_runtime": "?"}), vec!["any", "backend", "browser", survey]),
        ("&only_evaluate_survey_feature_flags=true", python, nothing(), vec![survey]),
        ("", python, json!({"flag_keys_to_evaluate": ["any", "?"]}), vec!["any"]),
        ("", python, json!({"flag_keys": null}), vec!["any", "backend", survey]),
        ("", python, json!({"disable_flags": true}), vec![]),
    ];
    for (query, header, extra, expected) in cases {
        assert_eq!(ask(query, header, extra.clone()).await, expected, "{query} {header:?} {extra}");
    }
}

async fn a_browser_is_told_whether_there_are_flags(service: &Service) {
    let config = async || {
        let path = format!("/array/{}/config", service.token);
        let answer = service.call(Method::GET, &path, None, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    assert_eq!(config().await["hasFeatureFlags"], false);
    let id = service.create_for_everyone("one").await;
    let told = config().await;
    assert_eq!((&told["hasFeatureFlags"], &told["token"]), (&json!(true), &json!(service.token)));
    service.patch(id, json!({"active": false})).await;
    assert_eq!(config().await["hasFeatureFlags"], false);

    let path = format!("/array/{}/config.js", service.token);
    let script = service.call(Method::GET, &path, None, None).await;
    assert!(script.headers["content-type"].to_str().unwrap().starts_with("text/javascript"));
    let object = format!("window._POSTHOG_REMOTE_CONFIG[\"{}\"]", service.token);
    assert!(script.text.contains(&object) && script.text.contains("\"hasFeatureFlags\":false"));
    for path in ["/array/phc_nobody_has_this/config", "/array/phc_nobody_has_this/config.js"] {
        assert_eq!(service.call(Method::GET, path, None, None).await.status, 404, "{path}");
    }
}

async fn a_browser_is_told_that_there_are_no_surveys_and_features(service: &Service) {
    let lists = [("early_access_features", "earlyAccessFeatures"), ("surveys", "surveys")];
    let help = "You can find your project token in PostHog project settings.";
    for (name, member) in lists {
        for slash in ["", "/"] {
            let path = format!("/api/{name}{slash}");
            let told = async |query: &str| {
                let path = format!("{path}{query}");
                let answer = service.call(Method::GET, &path, None, None).await;
                assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
                answer
            };
            let answer = told(&format!("?token={}", service.token)).await;
            assert_eq!((answer.status, answer.json()), (200, json!({member: []})), "{path}");
            for (query, code, problem) in [
                ("", "not_authenticated", "not provided"),
                ("?token=", "not_authenticated", "not provided"),
                ("?token=phc_nobody_has_this", "authentication_failed", "invalid"),
            ] {
                let expected = (401, code.to_owned(), format!("Project token {problem}. {help}"));
                assert_eq!(told(query).await.error(), expected, "{path}{query}");
            }
            let refused = service.call(Method::POST, &path, None, Some(&json!({}))).await;
            assert_eq!(refused.error().1, "method_not_allowed", "{path}");
        }
    }
}

async fn flags_that_are_disabled_need_no_distinct_id(service: &Service) {
    service.create_for_everyone("one").await;
    for (path, expected) in [
        ("/flags?v=1", json!({"featureFlags": {}, "featureFlagPayloads": {}})),
        ("/flags?v=2", json!({"flags": {}})),
        ("/decide?v=3", json!({"featureFlags": {}, "featureFlagPayloads": {}})),
    ] {
        let off = json!({"token": service.token, "disable_flags": true});
        let told = post(service, path, &off).await.json();
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(told[member], *value, "{path} {told}");
        }
        let on = json!({"token": service.token, "disable_flags": false});
        let answer = service.call(Method::POST, path, None, Some(&on)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (400, "distinct_id is missing"),
            "{path}"
        );
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_packed_in_any_documented_way() {
    let service = Service::on_sqlite().await;
    service.create_for_everyone("everyone").await;
    let text = body(&service).to_string();
    let base64 = BASE64_STANDARD.encode(&text);
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("data", &base64).finish();
    let lenient = text.replace('"', "'").replace('}', ", extra: NaN, }");
    let json = "application/json";
    let cases = [
        ("JSON", "", json, "", text.clone().into_bytes()),
        ("text", "", "text/plain", "", text.clone().into_bytes()),
        ("JSON5", "", json, "", lenient.into_bytes()),
        ("gzip by its header", "", json, "gzip", gzip(&text)),
        ("gzip by the query", "&compression=gzip-js", "text/plain", "", gzip(&text)),
        ("gzip by its look", "", "text/plain", "", gzip(&text)),
        ("base64", "&compression=base64", "text/plain", "", base64.into_bytes()),
        ("a form", "", "application/x-www-form-urlencoded", "", form.into_bytes()),
    ];
    for (name, query, kind, encoding, bytes) in cases {
        let mut request = service.request(Method::POST, &format!("/flags?v=2{query}"));
        request = request.header("content-type", kind);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let answer = send(request.body(bytes)).await;
        assert_eq!(answer.json()["flags"]["everyone"]["enabled"], true, "{name}: {}", answer.text);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_as_sdks_expect_it() {
    let service = Service::on_sqlite().await;
    let token = service.token.clone();
    let bomb = gzip(&" ".repeat(2 * 1024 * 1024));
    let json = "application/json";
    let no_id = json!({"token": token}).to_string();
    let unknown = json!({"token": "phc_nobody_has_this", "distinct_id": "x"}).to_string();
    let cases = [
        ("broken JSON", json, b"{".to_vec(), 400, "text/plain; charset=utf-8"),
        ("no distinct id", json, no_id.into_bytes(), 400, "text/plain; charset=utf-8"),
        ("another type", "text/css", b"{}".to_vec(), 400, "text/plain; charset=utf-8"),
        ("no token", json, br#"{"distinct_id": "x"}"#.to_vec(), 401, json),
        ("an unknown token", json, unknown.into_bytes(), 401, json),
        ("a bomb", json, bomb, 413, json),
    ];
    for (name, kind, bytes, status, answered) in cases {
        for path in ["/flags?v=2", "/decide?v=3"] {
            let request = service.request(Method::POST, path).header("content-type", kind);
            let answer = send(request.body(bytes.clone())).await;
            let said = answer.headers["content-type"].to_str().unwrap();
            assert_eq!((answer.status, said), (status, answered), "{name}: {}", answer.text);
            if status == 401 {
                assert_eq!(answer.json()["type"], "authentication_error", "{name}");
                assert_eq!(answer.json()["attr"], Value::Null, "{name}");
            }
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_verbs_have_their_documented_answers() {
    let service = Service::on_sqlite().await;
    for path in ["/flags", "/flags/", "/decide", "/decide/"] {
        let of = async |method: Method| service.call(method, path, None, None).await;
        let get = of(Method::GET).await;
        assert_eq!(get.status, 200, "{path}");
        assert_eq!(get.json()["sessionRecording"], false, "{path}: {}", get.text);
        let empty = ["flags", "featureFlags"].iter().any(|name| match &get.json()[*name] {
            Value::Object(flags) => flags.is_empty(),
            Value::Array(flags) => flags.is_empty(),
            _ => false,
        });
        assert!(empty, "{path}: {}", get.text);
        let head = of(Method::HEAD).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        let options = of(Method::OPTIONS).await;
        let allowed = options.headers["allow"].to_str().unwrap();
        assert_eq!((options.status, allowed), (204, "GET, POST, OPTIONS, HEAD"), "{path}");
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            assert_eq!(of(method).await.error().1, "method_not_allowed", "{path}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_site_may_ask_for_flags_and_for_nothing_else() {
    let service = Service::on_sqlite().await;
    let preflight = async |path: &str| {
        let request = service
            .request(Method::OPTIONS, path)
            .header("origin", "https://example.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        send(request).await
    };
    let config = format!("/array/{}/config", service.token);
    for path in ["/flags/?v=2", "/decide", &config, "/api/surveys/", "/api/early_access_features"] {
        let answer = preflight(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{path}");
        let said = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(said("access-control-allow-origin"), Some("*"), "{path}");
        let asked_for = "authorization,content-type";
        assert_eq!(said("access-control-allow-headers"), Some(asked_for), "{path}");
        assert!(said("access-control-allow-methods").unwrap().contains("POST"), "{path}");
        assert_eq!(said("access-control-allow-credentials"), None, "{path}");
    }
    let answer = post(&service, "/flags?v=2", &body(&service)).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    for path in [FLAGS, "/flags/definitions"] {
        let answer = preflight(path).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_own_id_where_that_is_a_uuid() {
    let service = Service::on_sqlite().await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (sent, kept) in [(id, true), ("not-a-uuid", false)] {
        let request = service.request(Method::POST, "/flags?v=2").header("x-request-id", sent);
        let answer = send(request.json(&body(&service))).await.json();
        assert_eq!(answer["requestId"] == sent, kept, "{answer}");
        assert!(answer["evaluatedAt"].as_i64().unwrap() > 1_700_000_000_000);
    }
    service.stop().await;
}
