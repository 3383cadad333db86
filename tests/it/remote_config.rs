//! What remote-configuration flags deliver, and to whom (management-api 4.2).

use flagstaff::wire::v1::GetRemoteConfigRequest;
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure},
};

both_databases! {
    a_payload_is_delivered_by_id_and_by_key_to_every_credential,
    a_flag_that_is_off_still_delivers,
    what_has_no_payload_delivers_null,
    anything_else_is_not_found_without_a_body,
    a_key_of_digits_is_taken_for_an_id,
    an_encrypted_payload_is_clear_for_personal_keys_alone,
    a_payload_that_no_key_decrypts_is_a_failure,
    current_is_the_project_of_the_token_or_the_credential,
}

const REDACTED: &str = "\"********* (encrypted)\"";

/// What a credential is given for an id or a key; null where there is no payload.
async fn fetched(
    service: &Service,
    edge: Edge,
    key: &str,
    wanted: impl std::fmt::Display,
) -> Result<Value, Failure> {
    match edge {
        Edge::Rest => {
            let path = format!("{FLAGS}{wanted}/remote_config/");
            let answer = service.call(Method::GET, &path, Some(key), None).await;
            if answer.status == 404 {
                assert_eq!(answer.text, "", "a 404 has no body here");
            }
            match answer.status {
                200 => Ok(serde_json::from_str(&answer.text).unwrap()),
                status => Err(Failure::of_rest(status, &answer.json())),
            }
        }
        Edge::Grpc => {
            let id = wanted.to_string();
            let request = GetRemoteConfigRequest { id, ..Default::default() };
            let answer = service.flags_as(Some(key)).get_remote_config(request).await;
            answer
                .map(|answer| json!(answer.into_inner().payload_json))
                .map_err(|status| Failure::of_grpc(&status))
        }
    }
}

fn remote(key: &str, payload: Value) -> Value {
    json!({"key": key, "is_remote_configuration": true,
        "filters": {"groups": [{"rollout_percentage": 100}], "payloads": {"true": payload}}})
}

fn encrypted(key: &str, payload: &str) -> Value {
    let mut body = remote(key, json!(payload));
    body["has_encrypted_payloads"] = json!(true);
    body
}

async fn a_payload_is_delivered_by_id_and_by_key_to_every_credential(service: &Service) {
    let (id, _) = service.create(remote("config", json!("{\"a\": 1}"))).await;
    let reader = service.new_key("--project 1 --scopes feature_flag:read");
    for edge in EDGES {
        for key in [&service.key, &service.secret, &reader] {
            for wanted in [id.to_string(), "config".to_owned()] {
                let payload = fetched(service, edge, key, &wanted).await;
                assert_eq!(payload, Ok(json!("{\"a\": 1}")), "{edge:?} {wanted}");
            }
        }
        let token = fetched(service, edge, &service.token, id).await.unwrap_err();
        assert_eq!((token.status, token.code.as_str()), (403, "permission_denied"));
    }
    let path = format!("{FLAGS}config/remote_config");
    let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
    assert_eq!(answer.text, r#""{\"a\": 1}""#, "the text of the payload, as a JSON string");
}

async fn a_flag_that_is_off_still_delivers(service: &Service) {
    let (id, _) = service.create(remote("config", json!(65))).await;
    service.patch(id, json!({"active": false})).await;
    for edge in EDGES {
        assert_eq!(fetched(service, edge, &service.secret, "config").await, Ok(json!("65")));
    }
}

async fn what_has_no_payload_delivers_null(service: &Service) {
    service.create(json!({"key": "none", "is_remote_configuration": true})).await;
    let (id, _) = service.create(encrypted("lost", "1")).await;
    let bare = r#"{"groups":[],"payloads":{}}"#;
    service.execute(&format!("UPDATE feature_flag SET filters = '{bare}' WHERE id = {id}")).await;
    for edge in EDGES {
        for key in [&service.key, &service.secret] {
            for wanted in ["none", "lost"] {
                assert_eq!(fetched(service, edge, key, wanted).await, Ok(Value::Null), "{wanted}");
            }
        }
    }
}

async fn anything_else_is_not_found_without_a_body(service: &Service) {
    let (deleted, _) = service.create(remote("deleted", json!(1))).await;
    service.patch(deleted, json!({"deleted": true})).await;
    let plain = service.create_for_everyone("plain").await;
    let wanted = [
        deleted.to_string(),
        "deleted".into(),
        plain.to_string(),
        "plain".into(),
        "nowhere".into(),
        "999999".into(),
        "99999999999999999999".into(),
        "nul%00".into(),
    ];
    let absent = Failure::bare(404, "");
    for edge in EDGES {
        for wanted in &wanted {
            let answer = fetched(service, edge, &service.key, wanted).await;
            assert_eq!(answer, Err(absent.clone()), "{edge:?} {wanted}");
        }
    }
    let (other, _) = service.new_project("Other");
    service.create(remote("config", json!(1))).await;
    let path = format!("/api/projects/{other}/feature_flags/config/remote_config/");
    let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
    assert_eq!((answer.status, answer.text.as_str()), (404, ""), "another project's flag");
}

async fn a_key_of_digits_is_taken_for_an_id(service: &Service) {
    let (id, _) = service.create(remote("123456", json!("1"))).await;
    for edge in EDGES {
        let by_key = fetched(service, edge, &service.key, "123456").await;
        assert_eq!(by_key, Err(Failure::bare(404, "")), "{edge:?}");
        assert_eq!(fetched(service, edge, &service.key, id).await, Ok(json!("1")));
    }
}

async fn an_encrypted_payload_is_clear_for_personal_keys_alone(service: &Service) {
    let text = "{\"password\": \"1\"}";
    let (id, _) = service.create(encrypted("secret", text)).await;
    for edge in EDGES {
        for wanted in [id.to_string(), "secret".to_owned()] {
            let clear = fetched(service, edge, &service.key, &wanted).await;
            assert_eq!(clear, Ok(json!(text)), "{edge:?}");
            let redacted = fetched(service, edge, &service.secret, &wanted).await;
            assert_eq!(redacted, Ok(json!(REDACTED)), "{edge:?}");
        }
    }
}

async fn a_payload_that_no_key_decrypts_is_a_failure(service: &Service) {
    let (id, _) = service.create(encrypted("damaged", "1")).await;
    let damaged = r#"{"groups":[],"payloads":{"true":"gAAAAAdamaged"}}"#;
    service
        .execute(&format!("UPDATE feature_flag SET filters = '{damaged}' WHERE id = {id}"))
        .await;
    let expected = Failure {
        kind: "server_error".into(),
        code: "remote_config_decrypt_failed".into(),
        ..Failure::bare(
            500,
            "Failed to decrypt the remote config payload. Please contact support if the problem persists.",
        )
    };
    for edge in EDGES {
        assert_eq!(fetched(service, edge, &service.key, id).await, Err(expected.clone()));
        let redacted = fetched(service, edge, &service.secret, id).await;
        assert_eq!(redacted, Ok(json!(REDACTED)), "{edge:?}: who may not read needs no key");
    }
}

async fn current_is_the_project_of_the_token_or_the_credential(service: &Service) {
    service.create(remote("config", json!("1"))).await;
    let paths = [
        "/api/projects/@current/feature_flags/config/remote_config/".to_owned(),
        format!(
            "/api/projects/@current/feature_flags/config/remote_config/?token={}",
            service.token
        ),
    ];
    for path in paths {
        for key in [&service.secret, &service.key] {
            let answer = service.call(Method::GET, &path, Some(key), None).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, r#""1""#), "{path}");
        }
    }
    let unknown =
        "/api/projects/@current/feature_flags/config/remote_config/?token=phc_nobody_has_it";
    let answer = service.call(Method::GET, unknown, Some(&service.secret), None).await;
    assert_eq!(answer.status, 401, "{}", answer.text);
}
