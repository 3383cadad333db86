//! Encrypted payloads: stored as tokens, shown to personal keys, never given away
//! (management-api 3.9).

use http::Method;
use serde_json::{Value, json};

use flagstaff::{
    config::EncryptionKey, encryption::Encryptor, model::encrypted::Cipher, store::Store,
    wire::v1::ListFeatureFlagActivityRequest,
};

use crate::support::{
    ENCRYPTION_KEY, FLAGS, Service,
    edges::{EDGES, Failure, Write},
};

both_databases! {
    a_payload_is_stored_as_a_token_and_shown_in_clear_to_its_owners,
    a_token_never_leaves_the_service,
    an_update_keeps_replaces_or_asks_for_the_payload,
    an_encrypted_flag_needs_a_payload,
    turning_encryption_off_never_makes_a_token_readable,
    turning_encryption_on_encrypts_what_is_there,
    turning_encryption_on_hides_the_payload_wherever_it_was_readable,
    a_redacted_version_is_not_brought_back,
    clients_are_not_given_encrypted_flags,
    a_rotation_puts_every_payload_under_the_newest_key,
}

/// How every Fernet token begins.
const TOKEN: &str = "gAAAA";
const REDACTED: &str = "\"********* (encrypted)\"";

fn encrypted(key: &str, payload: &Value) -> Value {
    json!({"key": key, "is_remote_configuration": true, "has_encrypted_payloads": true,
        "filters": {"groups": [{"rollout_percentage": 100}], "payloads": {"true": payload}}})
}

fn filters(payloads: Value) -> Value {
    json!({"filters": {"groups": [{"rollout_percentage": 100}], "payloads": payloads}})
}

/// The payload as the database holds it.
async fn stored(service: &Service, id: i64) -> Option<String> {
    let row = service.stored(&format!("SELECT filters FROM feature_flag WHERE id = {id}")).await;
    let filters: Value = serde_json::from_str(&row.unwrap()).unwrap();
    filters["payloads"]["true"].as_str().map(str::to_owned)
}

fn payload(flag: &Value) -> &Value {
    &flag["filters"]["payloads"]["true"]
}

async fn a_payload_is_stored_as_a_token_and_shown_in_clear_to_its_owners(service: &Service) {
    for edge in EDGES {
        let body = encrypted(&format!("secret-{edge:?}"), &json!("{\"password\": 1}"));
        let flag = service.write(edge, Write::Create, &body).await.unwrap().unwrap();
        assert_eq!(payload(&flag), "{\"password\": 1}", "the personal key that made it reads it");
        let id = flag["id"].as_i64().unwrap();
        let token = stored(service, id).await.unwrap();
        assert!(token.starts_with(TOKEN) && !token.contains("password"), "{token}");
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1, flag);
        let (_, list) = service.get(&format!("{FLAGS}?key=secret-{edge:?}")).await;
        assert_eq!(list["results"][0], flag);
        let body = filters(json!({"true": {"password": 2}}));
        let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
        let text = payload(&flag).as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"password": 2}));
        assert_ne!(stored(service, id).await, Some(token));
    }
}

async fn a_token_never_leaves_the_service(service: &Service) {
    let body = encrypted("guarded", &json!("\"hidden\""));
    let (id, _) = service.create(body).await;
    let path = format!("{FLAGS}{id}/");
    let writes = [
        json!({"name": "x"}),
        filters(json!({"true": "\"hidden too\""})),
        json!({"filters": {"groups": [{"rollout_percentage": 20}], "payloads": {}}}),
        json!({"deleted": true}),
        json!({"deleted": false}),
        json!({"has_encrypted_payloads": false}),
        json!({"has_encrypted_payloads": true, "filters": filters(json!({"true": "\"hidden\""}))["filters"]}),
    ];
    let reader = service.new_key("--project 1 --scopes feature_flag:read,activity_log:read");
    for write in writes {
        let answer = service.call(Method::PATCH, &path, Some(&service.key), Some(&write)).await;
        assert_eq!(answer.status, 200, "{write}: {}", answer.text);
        let mut texts = vec![answer.text];
        for path in [path.clone(), FLAGS.to_owned(), format!("{path}activity/?limit=99")] {
            for key in [&service.key, &reader] {
                texts.push(service.call(Method::GET, &path, Some(key), None).await.text);
            }
        }
        let subject = json!({"token": service.token, "distinct_id": "somebody"});
        for path in ["/flags?v=2", "/decide?v=3"] {
            let answer = service.call(Method::POST, path, None, Some(&subject)).await;
            assert!(!answer.text.contains("hidden"), "{path}: {}", answer.text);
            texts.push(answer.text);
        }
        for text in texts {
            assert!(!text.contains(TOKEN), "after {write}: {text}");
        }
    }
    let rows = format!("{path}activity/?limit=99");
    let rows = service.call(Method::GET, &rows, Some(&service.key), None).await.text;
    assert!(!rows.contains("hidden") && rows.contains("(encrypted)"), "rows are redacted: {rows}");
    let kept = service.stored("SELECT detail FROM activity_log WHERE detail LIKE '%gAAAA%'").await;
    assert_eq!(kept, None, "not even in the database is a token written down twice");
    let secret = service.call(Method::GET, &path, Some(&service.secret), None).await;
    assert!(secret.status == 403 || payload(&secret.json()) == REDACTED, "{secret:?}");
}

async fn an_update_keeps_replaces_or_asks_for_the_payload(service: &Service) {
    let cases = [
        ("no filters at all", json!({"name": "x"}), "\"old\"", true),
        ("filters without payloads", json!({"filters": {"groups": [{}]}}), "\"old\"", true),
        ("payloads without one for true", filters(json!({})), "\"old\"", true),
        ("the redacted text", filters(json!({"true": REDACTED})), "\"old\"", true),
        ("the text it has", filters(json!({"true": "\"old\""})), "\"old\"", true),
        ("another text", filters(json!({"true": "\"new\""})), "\"new\"", false),
        ("another value", filters(json!({"true": 5})), "5", false),
        ("null, which is a payload", filters(json!({"true": null})), "null", false),
    ];
    for edge in EDGES {
        for (n, (name, body, expected, is_kept)) in cases.iter().enumerate() {
            let flag = encrypted(&format!("{edge:?}-{n}"), &json!("\"old\""));
            let (id, _) = service.create(flag).await;
            let before = stored(service, id).await;
            let flag = service.write(edge, Write::Patch(id), body).await.unwrap().unwrap();
            assert_eq!(payload(&flag), expected, "{edge:?} {name}");
            let after = stored(service, id).await;
            assert_eq!(after == before, *is_kept, "{edge:?} {name}: {before:?} {after:?}");
        }
    }
}

async fn an_encrypted_flag_needs_a_payload(service: &Service) {
    let needed = "An encrypted payload is required when has_encrypted_payloads is true.";
    let needed = Failure::rule(needed);
    let kind = json!({"is_remote_configuration": true, "has_encrypted_payloads": true});
    let with = |body: Value| {
        let mut all = kind.clone();
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        all
    };
    let bodies = [
        json!({"key": "none"}),
        json!({"key": "none", "filters": {"groups": [{}]}}),
        json!({"key": "none", "filters": {"groups": [{}], "payloads": {}}}),
        json!({"key": "none", "filters": {"groups": [{}], "payloads": {"true": REDACTED}}}),
    ];
    for body in bodies {
        service.refuses(Write::Create, &with(body), &needed).await;
    }
    let (id, _) = service.create(json!({"key": "plain", "is_remote_configuration": true})).await;
    let on = json!({"has_encrypted_payloads": true});
    service.refuses(Write::Patch(id), &on, &needed).await;
    service.refuses(Write::Patch(id), &with(filters(json!({}))), &needed).await;
}

async fn turning_encryption_off_never_makes_a_token_readable(service: &Service) {
    let off = |body: Value| {
        let mut body = body;
        body["has_encrypted_payloads"] = json!(false);
        body
    };
    let (id, _) = service.create(encrypted("source", &json!("\"old\""))).await;
    let token = stored(service, id).await.unwrap();
    let cases = [
        ("without filters the payload goes", json!({}), None),
        ("without payloads too", filters(json!({})), None),
        ("the redacted text goes", filters(json!({"true": REDACTED})), None),
        ("a fresh text stays", filters(json!({"true": "\"new\""})), Some("\"new\"")),
    ];
    for edge in EDGES {
        for (n, (name, body, expected)) in cases.iter().enumerate() {
            let flag = encrypted(&format!("{edge:?}-{n}"), &json!("\"old\""));
            let (id, _) = service.create(flag).await;
            let body = off(body.clone());
            let flag = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap();
            assert_eq!(payload(&flag).as_str(), *expected, "{edge:?} {name}");
            assert_eq!(stored(service, id).await.as_deref(), *expected, "{edge:?} {name}");
        }
    }
    // Its own token is no JSON text, and so no payload that could be sent back in clear.
    let body = off(filters(json!({"true": token})));
    let broken = Failure::field("filters", "invalid_input", "Payload value is not valid JSON");
    service.refuses(Write::Patch(id), &body, &broken).await;
}

async fn turning_encryption_on_encrypts_what_is_there(service: &Service) {
    for edge in EDGES {
        let body = json!({"key": format!("{edge:?}"), "is_remote_configuration": true,
            "filters": {"groups": [{}], "payloads": {"true": "\"open\""}}});
        let (id, _) = service.create(body).await;
        let on = json!({"has_encrypted_payloads": true});
        let flag = service.write(edge, Write::Patch(id), &on).await.unwrap().unwrap();
        assert_eq!(payload(&flag), "\"open\"");
        let token = stored(service, id).await.unwrap();
        assert!(token.starts_with(TOKEN), "{token}");
    }
}

/// Everything that is readable about a flag's past, as text; with a project secret as well.
async fn readable_past(service: &Service, id: i64, at: &str) -> String {
    let path = format!("{FLAGS}{id}/");
    let mut texts = String::new();
    for path in [
        path.clone(),
        format!("{path}activity/?limit=99"),
        format!("{FLAGS}activity/?limit=99"),
        format!("{path}versions/"),
        format!("{path}versions/1/"),
        format!("{path}versions/2/"),
        "/flags/definitions?send_cohorts=1".to_owned(),
        "/api/projects/1/feature_flags/local_evaluation/".to_owned(),
        "/api/projects/1/feature_flags/evaluation_reasons/?distinct_id=ann".to_owned(),
        format!("{path}dependent_flags/"),
    ] {
        let reader = service.new_key("--project 1 --scopes feature_flag:read,activity_log:read");
        // What the flag itself delivers is for personal keys; its past is for nobody.
        let own = path == format!("{FLAGS}{id}/");
        let key = if own { &service.secret } else { &reader };
        texts += &service.call(Method::GET, &path, Some(key), None).await.text;
    }
    let body = json!({"distinct_id": "ann", "timestamp": at});
    let tested = format!("{path}test_evaluation/");
    texts += &service.call(Method::POST, &tested, Some(&service.key), Some(&body)).await.text;
    let restored = json!({"version": 1});
    let restore = format!("{path}restore/");
    texts += &service.call(Method::POST, &restore, Some(&service.key), Some(&restored)).await.text;
    let request = ListFeatureFlagActivityRequest { id, page_size: 99, ..Default::default() };
    let rows = service.flags().list_feature_flag_activity(request).await.unwrap().into_inner();
    texts + &format!("{rows:?}")
}

async fn turning_encryption_on_hides_the_payload_wherever_it_was_readable(service: &Service) {
    let by_variant = json!({"groups": [{}], "payloads": {"blue": "\"sesame blue\""},
        "multivariate": {"variants": [{"key": "blue", "rollout_percentage": 100}]}});
    let other = json!({"key": "other", "is_remote_configuration": true});
    let (other, _) = service.create(other).await;
    service.patch(other, filters(json!({"true": "\"sesame of another\""}))).await;
    service.stored_person(1, &["ann"], &json!({})).await;
    for edge in EDGES {
        let body = json!({"key": format!("{edge:?}"), "filters": by_variant});
        let (id, made) = service.create(body).await;
        // 25 versions: more rows than are redacted at a time.
        for n in 0..25 {
            let mut body = filters(json!({"true": format!("\"sesame {n}\"")}));
            body["is_remote_configuration"] = json!(true);
            assert_eq!(service.patch(id, body).await.0, 200);
        }
        let at = made["created_at"].as_str().unwrap();
        let before = service.history(id).await;
        let rows = service
            .call(Method::GET, &format!("{FLAGS}{id}/activity/?limit=99"), Some(&service.key), None)
            .await
            .text;
        assert!(rows.contains("sesame 7") && rows.contains("sesame blue"), "until then they show");

        let on = json!({"has_encrypted_payloads": true});
        service.write(edge, Write::Patch(id), &on).await.unwrap().unwrap();
        let past = readable_past(service, id, at).await;
        let past = past.replace("sesame of another", "");
        assert!(!past.contains("sesame"), "{edge:?}: {past}");
        let kept = format!(
            "SELECT detail FROM activity_log WHERE item_id = '{id}' \
             AND detail LIKE '%sesame%'"
        );
        assert_eq!(service.stored(&kept).await, None, "{edge:?}");
        let after = service.history(id).await;
        assert_eq!(after[1..], before[..], "rows say what they said, but for the payload");
    }
    let kept = format!(
        "SELECT detail FROM activity_log WHERE item_id = '{other}' \
         AND detail LIKE '%sesame of another%'"
    );
    assert!(service.stored(&kept).await.is_some(), "another flag's rows are its own");
}

async fn a_redacted_version_is_not_brought_back(service: &Service) {
    let mut body = filters(json!({"true": "\"sesame\""}));
    body["key"] = json!("once-secret");
    body["is_remote_configuration"] = json!(true);
    let (id, _) = service.create(body).await;
    service.patch(id, json!({"has_encrypted_payloads": true})).await;
    let off = json!({"has_encrypted_payloads": false, "is_remote_configuration": false});
    assert_eq!(service.patch(id, off).await.0, 200);
    let (status, version) = service.get(&format!("{FLAGS}{id}/versions/1/")).await;
    assert_eq!((status, payload(&version)), (200, &json!(REDACTED)), "{version}");
    let restore = format!("{FLAGS}{id}/restore/");
    let (status, refusal) = service.rest(Method::POST, &restore, json!({"version": 1})).await;
    assert_eq!(status, 400, "{refusal}");
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!(payload(&flag), &Value::Null, "the redacted text is no payload");
}

async fn clients_are_not_given_encrypted_flags(service: &Service) {
    service.create_for_everyone("plain").await;
    let (id, _) = service.create(encrypted("secret", &json!("1"))).await;
    let answers = async |key: &str| !service.evaluated(&service.token, key).await.is_null();
    assert!(answers("plain").await && !answers("secret").await);
    service.patch(id, json!({"has_encrypted_payloads": false})).await;
    assert!(answers("secret").await, "it is a flag like others now");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_is_encrypted_and_nothing_is_written() {
    let Some(service) = Service::on_postgres_with(&[]).await else { return };
    let body = json!({"key": "plain", "is_remote_configuration": true,
        "filters": {"groups": [{}], "payloads": {"true": "1"}}});
    let (id, before) = service.create(body).await;
    for (write, body) in [
        (Write::Create, encrypted("secret", &json!("1"))),
        (Write::Patch(id), json!({"has_encrypted_payloads": true})),
    ] {
        for edge in EDGES {
            let error = service.write(edge, write, &body).await.unwrap().unwrap_err();
            assert_eq!((error.status, error.attr), (400, None));
            assert!(error.detail.contains("FLAGSTAFF_ENCRYPTION_KEYS"), "{}", error.detail);
        }
    }
    assert_eq!(service.totals().await, (1, 1));
    assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1, before);
    service.stop().await;
}

/// The key that a service encrypts with: made beside a SQLite file, given on PostgreSQL.
fn key_of(service: &Service) -> String {
    match Store::sqlite_file(&service.database_url) {
        Some(file) => std::fs::read_to_string(format!("{}.key", file.display())).unwrap(),
        None => ENCRYPTION_KEY.to_owned(),
    }
}

async fn a_rotation_puts_every_payload_under_the_newest_key(service: &Service) {
    let (id, _) = service.create(encrypted("rotated", &json!("\"hidden\""))).await;
    let (newest, old) = (EncryptionKey::generate(), key_of(service));
    let rotate = |keys: &str| {
        let command = service.flagstaff(&["keys", "rotate-encryption"]);
        command.env("FLAGSTAFF_ENCRYPTION_KEYS", keys).outcome()
    };

    let stranger = rotate(EncryptionKey::generate().reveal());
    assert_eq!(stranger.code, Some(2), "{stranger:?}");
    assert!(stranger.stdout.contains(r#"{"rotated":0,"undecryptable":["rotated"]}"#));
    let reads =
        |key: &EncryptionKey, token: &str| Encryptor::new(std::slice::from_ref(key)).decrypt(token);
    let before = stored(service, id).await.unwrap();
    assert_eq!(reads(&old.parse().unwrap(), &before).as_deref(), Some("\"hidden\""));

    let rotation = rotate(&format!("{},{old}", newest.reveal()));
    assert_eq!(rotation.stdout.trim(), r#"{"rotated":1,"undecryptable":[]}"#, "{rotation:?}");
    let after = stored(service, id).await.unwrap();
    assert_eq!(reads(&newest, &after).as_deref(), Some("\"hidden\""));
    assert_eq!(reads(&old.parse().unwrap(), &after), None);
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!(flag["version"], 1, "what the payload says has not changed");
}
