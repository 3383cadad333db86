//! Bad input is refused as documented, and a refusal writes nothing.

use flagstaff::wire::v1::{CreateFeatureFlagRequest, FeatureFlagInput, UpdateFeatureFlagRequest};
use http::Method;
use prost_types::{ListValue, Struct, Value as Wire, value::Kind};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    FLAGS, Service,
    grpc::{keyed, named, reason},
    rest::{Answer, send},
};

both_databases! {
    a_body_that_is_no_json_object_writes_nothing,
    a_wrong_type_writes_nothing,
    an_oversized_body_writes_nothing,
    nesting_beyond_the_limit_writes_nothing,
    a_nul_character_writes_nothing,
    an_unknown_content_type_writes_nothing,
    forms_are_read_as_bodies,
    ids_that_name_nothing_are_not_found,
    bad_messages_over_grpc_write_nothing,
}

/// A flag that each test fails to change.
struct Untouched {
    id: i64,
    flag: Value,
    totals: (i64, i64),
}

impl Untouched {
    async fn make(service: &Service) -> Self {
        let (id, flag) = service.create(json!({"key": "untouched", "name": "before"})).await;
        Self { id, flag, totals: service.totals().await }
    }

    fn path(&self) -> String {
        format!("{FLAGS}{}/", self.id)
    }

    async fn assert_untouched(&self, service: &Service, after: &str) {
        assert_eq!(service.get(&self.path()).await, (200, self.flag.clone()), "{after}");
        assert_eq!(service.totals().await, self.totals, "{after}");
    }
}

async fn write(service: &Service, method: Method, path: &str, kind: &str, body: &[u8]) -> Answer {
    let request = service.request(method, path).bearer_auth(&service.key);
    send(request.header("content-type", kind).body(body.to_vec())).await
}

async fn json_text(service: &Service, method: Method, path: &str, body: &str) -> Answer {
    write(service, method, path, "application/json", body.as_bytes()).await
}

async fn a_body_that_is_no_json_object_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    let cases = [
        ("{", "parse_error"),
        (r#"{"key": "new", "name": NaN}"#, "parse_error"),
        (r#"{"key": "new", "name": Infinity}"#, "parse_error"),
        (r#"{"key": "new"} {}"#, "parse_error"),
        ("{'key': 'new'}", "parse_error"),
        ("[1]", "invalid_input"),
        ("\"new\"", "invalid_input"),
        ("null", "invalid_input"),
    ];
    for (body, code) in cases {
        for (method, path) in [(Method::POST, FLAGS), (Method::PATCH, &flag.path())] {
            let answer = json_text(service, method, path, body).await;
            let (status, got, detail) = answer.error();
            assert_eq!((status, got.as_str()), (400, code), "{body}: {}", answer.text);
            assert_eq!(code == "parse_error", detail.starts_with("JSON parse error - "), "{body}");
        }
    }
    let broken = b"{\"key\": \"\xff\xfe\"}";
    let answer = write(service, Method::POST, FLAGS, "application/json", broken).await;
    assert_eq!(answer.error().1, "parse_error");
    flag.assert_untouched(service, "broken bodies").await;
}

async fn a_wrong_type_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    let cases = [
        (json!({"key": null}), "null", "key"),
        (json!({"key": ["x"]}), "invalid_input", "key"),
        (json!({"key": ""}), "blank", "key"),
        (json!({"key": "a b"}), "invalid_key", "key"),
        (json!({"key": "x".repeat(401)}), "max_length", "key"),
        (json!({"name": null}), "null", "name"),
        (json!({"name": {}}), "invalid_input", "name"),
        (json!({"filters": null}), "null", "filters"),
        (json!({"filters": []}), "not_a_dict", "filters"),
        (json!({"filters": {"groups": 7}}), "invalid_input", "filters"),
        (json!({"filters": {"groups": [{"rollout_percentage": 101}]}}), "invalid_input", "filters"),
        (json!({"filters": {"groups": [{"rollout_percentage": "5"}]}}), "invalid_input", "filters"),
        (json!({"active": "maybe"}), "invalid_input", "active"),
        (json!({"deleted": null}), "null", "deleted"),
        (json!({"version": "x"}), "invalid_input", "version"),
        (json!({"tags": "x"}), "not_a_list", "tags"),
        (json!({"tags": [1]}), "invalid_input", "tags"),
        (json!({"evaluation_contexts": null}), "null", "evaluation_contexts"),
        (json!({"evaluation_runtime": "both"}), "invalid_choice", "evaluation_runtime"),
        (json!({"bucketing_identifier": 5}), "invalid_choice", "bucketing_identifier"),
        (json!({"last_called_at": "yesterday"}), "invalid_input", "last_called_at"),
    ];
    for (mut body, code, attr) in cases {
        let (status, error) = service.patch(flag.id, body.clone()).await;
        assert_eq!((status, &error["code"], &error["attr"]), (400, &json!(code), &json!(attr)));
        assert_eq!(error["type"], "validation_error", "{error}");
        body["key"] = body.get("key").cloned().unwrap_or_else(|| json!("new"));
        let (status, error) = service.rest(Method::POST, FLAGS, body).await;
        assert_eq!((status, &error["code"], &error["attr"]), (400, &json!(code), &json!(attr)));
    }
    let several = json!({"active": 7, "name": null, "tags": 5});
    assert_eq!(service.patch(flag.id, several).await.1["attr"], "name", "the first one alone");
    flag.assert_untouched(service, "wrong types").await;
}

async fn an_oversized_body_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    let large = json!({"name": "x".repeat(1024 * 1024)});
    assert_eq!(service.patch(flag.id, large.clone()).await.0, 413);
    let fitting = "x".repeat(1024 * 1024 - 100);
    let (status, _) =
        service.rest(Method::POST, FLAGS, json!({"key": "a b", "name": fitting})).await;
    assert_eq!(status, 400, "a body below the limit is read");

    let input = named(large["name"].as_str().unwrap());
    let request =
        UpdateFeatureFlagRequest { id: flag.id, feature_flag: Some(input), ..Default::default() };
    let error = service.flags().update_feature_flag(request).await.unwrap_err();
    let code = error.code();
    assert!(matches!(code, Code::ResourceExhausted | Code::OutOfRange), "{error:?}");
    flag.assert_untouched(service, "oversized bodies").await;
}

/// A JSON array in an array, so many times, as text.
fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

async fn nesting_beyond_the_limit_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    for levels in [32, 100, 100_000] {
        let body = format!(r#"{{"rollback_conditions": {}}}"#, nested(levels));
        let answer = json_text(service, Method::PATCH, &flag.path(), &body).await;
        let (status, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (400, "parse_error"), "{levels}");
    }
    let inputs = [
        FeatureFlagInput { rollback_conditions: Some(wire(33)), ..Default::default() },
        FeatureFlagInput { rollback_conditions_json: Some(nested(33)), ..Default::default() },
        FeatureFlagInput {
            original_flag: Some(Struct { fields: [("a".into(), wire(33))].into() }),
            ..Default::default()
        },
        FeatureFlagInput { filters_json: Some(nested(50_000)), ..Default::default() },
    ];
    for input in inputs {
        let request = UpdateFeatureFlagRequest {
            id: flag.id,
            feature_flag: Some(input),
            ..Default::default()
        };
        let error = service.flags().update_feature_flag(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    }
    flag.assert_untouched(service, "deep nesting").await;

    let body = format!(r#"{{"rollback_conditions": {}}}"#, nested(31));
    let answer = json_text(service, Method::PATCH, &flag.path(), &body).await;
    assert_eq!(answer.status, 200, "32 levels in all are fine: {}", answer.text);
}

fn wire(levels: usize) -> Wire {
    (0..levels).fold(Wire::default(), |inner, _| Wire {
        kind: Some(Kind::ListValue(ListValue { values: vec![inner] })),
    })
}

async fn a_nul_character_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    let bodies = [
        json!({"key": "a\0b"}),
        json!({"name": "a\0b"}),
        json!({"filters": {"groups": [{"description": "a\0b"}]}}),
        json!({"filters": {"groups": [], "a\0b": 1}}),
        json!({"rollback_conditions": [["a\0b"]]}),
        json!({"tags": ["a\0b"]}),
        json!({"evaluation_contexts": ["a\0b"]}),
    ];
    for mut body in bodies {
        assert_eq!(service.patch(flag.id, body.clone()).await.0, 400, "{body}");
        body["key"] = body.get("key").cloned().unwrap_or_else(|| json!("new"));
        assert_eq!(service.rest(Method::POST, FLAGS, body.clone()).await.0, 400, "{body}");
    }
    flag.assert_untouched(service, "NUL characters").await;
}

async fn an_unknown_content_type_writes_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    for kind in ["text/plain", "application/xml", "text/html; charset=utf-8", "image/png"] {
        let answer = write(service, Method::PATCH, &flag.path(), kind, br#"{"name": "x"}"#).await;
        let (status, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (415, "unsupported_media_type"), "{kind}");
    }
    flag.assert_untouched(service, "other content types").await;
}

async fn forms_are_read_as_bodies(service: &Service) {
    let form = "application/x-www-form-urlencoded";
    let body = b"key=formed&active=False&name=A+name&filters=%7B%22groups%22%3A%5B%7B%7D%5D%7D";
    let answer = write(service, Method::POST, FLAGS, form, body).await;
    let flag = answer.json();
    assert_eq!(
        (answer.status, &flag["key"], &flag["active"]),
        (201, &json!("formed"), &json!(false))
    );
    let group = json!({"aggregation_group_type_index": null});
    assert_eq!((&flag["name"], &flag["filters"]["groups"]), (&json!("A name"), &json!([group])));

    let multipart =
        "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nOther\r\n--x--\r\n";
    let path = format!("{FLAGS}{}/", flag["id"]);
    let kind = "multipart/form-data; boundary=x";
    let changed = write(service, Method::PATCH, &path, kind, multipart.as_bytes()).await.json();
    assert_eq!((&changed["name"], &changed["active"]), (&json!("Other"), &json!(false)));
}

async fn ids_that_name_nothing_are_not_found(service: &Service) {
    let flag = Untouched::make(service).await;
    let not_found = json!({"type": "invalid_request", "code": "not_found",
        "detail": "Not found.", "attr": null});
    for id in ["999999", "0", "untouched", "-1", "1.0", "99999999999999999999999", "%00", "1x"] {
        for method in [Method::GET, Method::PATCH, Method::PUT] {
            let path = format!("{FLAGS}{id}/");
            let got = service.rest(method, &path, json!({"key": "k", "name": "x"})).await;
            assert_eq!(got, (404, not_found.clone()), "{id}");
        }
        let path = format!("{FLAGS}{id}/activity/");
        assert_eq!(service.get(&path).await, (404, not_found.clone()), "{id}");
    }
    for path in ["/api/projects/x/feature_flags/", "/api/projects/999999/feature_flags/", "/api/x"]
    {
        assert_eq!(service.get(path).await, (404, not_found.clone()), "{path}");
    }
    flag.assert_untouched(service, "unknown ids").await;
}

async fn bad_messages_over_grpc_write_nothing(service: &Service) {
    let flag = Untouched::make(service).await;
    let not_finite = Wire { kind: Some(Kind::NumberValue(f64::NAN)) };
    let cases = [
        (FeatureFlagInput::default(), "required"),
        (keyed("a b"), "invalid_key"),
        (keyed("a\0b"), "null_characters_not_allowed"),
        (FeatureFlagInput { filters_json: Some("{".into()), ..keyed("new") }, "parse_error"),
        (FeatureFlagInput { filters_json: Some("[]".into()), ..keyed("new") }, "not_a_dict"),
        (
            FeatureFlagInput {
                filters_json: Some("{}".into()),
                filters: Some(Default::default()),
                ..keyed("new")
            },
            "invalid_input",
        ),
        (
            FeatureFlagInput { rollback_conditions: Some(not_finite), ..keyed("new") },
            "invalid_input",
        ),
        (
            FeatureFlagInput { evaluation_runtime: Some("both".into()), ..keyed("new") },
            "invalid_choice",
        ),
    ];
    for (input, expected) in cases {
        let request =
            CreateFeatureFlagRequest { feature_flag: Some(input.clone()), ..Default::default() };
        let error = service.flags().create_feature_flag(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{input:?}");
        assert_eq!(reason(&error), expected, "{input:?}");
    }
    flag.assert_untouched(service, "bad messages").await;
}
