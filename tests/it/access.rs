//! Who may do what, asked of every operation on both edges (management-api 1.1–1.3).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service, eventually,
    operations::{OPERATIONS, Operation, Verdict},
};

const PATIENCE: Duration = Duration::from_secs(5);

both_databases! {
    nobody_is_asked_for_a_credential,
    an_unknown_credential_is_refused,
    an_expired_key_is_refused,
    a_revoked_key_is_refused_by_the_running_server,
    a_key_without_the_scope_is_told_which_one,
    a_key_with_the_scope_alone_is_let_in,
    a_key_for_one_project_does_not_open_another,
    a_project_that_is_not_there_is_not_found,
    a_flag_of_another_project_is_not_found,
    project_tokens_and_secrets_do_not_manage,
    project_secrets_open_what_is_delivered_in_their_own_project_alone,
    project_tokens_and_secrets_evaluate_their_own_project_alone,
    current_is_the_project_of_the_token_or_of_the_key,
    flags_are_evaluated_for_known_tokens_alone,
}

/// The one thing that each refusal must leave as it was.
async fn everyones(service: &Service) -> i64 {
    service.people().await;
    let id = service.create_for_everyone("everyones").await;
    // So that what it delivers can be asked for as well.
    service.patch(id, json!({"is_remote_configuration": true})).await;
    id
}

/// Asks each operation, and expects the one verdict and that nothing was written.
async fn refused(service: &Service, key: Option<&str>, expected: impl Fn(Operation) -> Verdict) {
    let flag = everyones(service).await;
    let before = service.totals().await;
    for operation in OPERATIONS {
        let verdict = service.attempt(operation, key, "1", flag).await;
        let mut expected = expected(operation);
        if operation.name.starts_with("DELETE") && expected.status == 405 {
            expected.detail.clear();
        }
        assert_eq!(verdict, expected, "{operation:?}");
    }
    assert_eq!(service.totals().await, before);
}

async fn nobody_is_asked_for_a_credential(service: &Service) {
    let detail = "Authentication credentials were not provided.";
    refused(service, None, |_| Verdict::new(401, "not_authenticated", detail)).await;
    let flag = service.create(json!({"key": "another"})).await.0;
    let broken = service.request(Method::PATCH, &format!("{FLAGS}{flag}/")).body("{");
    let answer = crate::support::rest::send(broken).await;
    assert_eq!(answer.error().1, "not_authenticated", "before the body is looked at");
    let kind = &answer.json()["type"];
    assert_eq!((kind, &answer.json()["attr"]), (&json!("authentication_error"), &Value::Null));
}

async fn an_unknown_credential_is_refused(service: &Service) {
    let flag = everyones(service).await;
    let unknown = [
        "phx_0123456789012345678901234567890123456789",
        "phs_unknown_secret",
        "nonsense",
        "phc_unknown_token",
    ];
    for operation in OPERATIONS {
        for key in unknown {
            let verdict = service.attempt(operation, Some(key), "1", flag).await;
            assert_eq!(
                (verdict.status, verdict.code.as_str()),
                (401, "authentication_failed"),
                "{key} {operation:?}"
            );
        }
    }
}

async fn an_expired_key_is_refused(service: &Service) {
    let key = service.new_key("--all-projects --scopes * --expires 1s");
    until_refused(service, &key).await;
    let expected = Verdict::new(401, "authentication_failed", "API key has expired.");
    refused(service, Some(&key), |_| expected.clone()).await;
}

async fn a_revoked_key_is_refused_by_the_running_server(service: &Service) {
    let key = service.new_key("--all-projects --scopes * --label short-lived");
    let used = service.call(Method::GET, FLAGS, Some(&key), None).await;
    assert_eq!(used.status, 200, "it was good, and the server remembers it");
    service.flagstaff(&["keys", "revoke", &id_of(service, "short-lived")]).run();
    until_refused(service, &key).await;
    let expected = Verdict::new(401, "authentication_failed", "API key has been revoked.");
    refused(service, Some(&key), |_| expected.clone()).await;
}

fn id_of(service: &Service, label: &str) -> String {
    let listed = service.flagstaff(&["keys", "list"]).run().last_line();
    let keys: Value = serde_json::from_str(&listed).unwrap();
    let key = keys.as_array().unwrap().iter().find(|key| key["label"] == label);
    key.unwrap()["id"].to_string()
}

async fn until_refused(service: &Service, key: &str) {
    let look = async || {
        let answer = service.call(Method::GET, FLAGS, Some(key), None).await;
        (answer.status == 401).then_some(())
    };
    eventually("the key is refused", PATIENCE, look).await;
}

async fn a_key_without_the_scope_is_told_which_one(service: &Service) {
    let flag = everyones(service).await;
    let before = service.totals().await;
    let granted = [
        "activity_log:read,project:write,person:write,cohort:write",
        "feature_flag:read,project:read,person:read,cohort:read",
        "feature_flag:write",
    ];
    let covers = |granted: &str, wanted: &str| {
        let implied = wanted.replace(":read", ":write");
        granted.split(',').any(|scope| scope == wanted || scope == implied)
    };
    for scopes in granted {
        let key = service.new_key(&format!("--project 1 --scopes {scopes}"));
        for operation in OPERATIONS.into_iter().filter(|o| !covers(scopes, o.scope)) {
            let verdict = service.attempt(operation, Some(&key), "1", flag).await;
            let detail = format!("API key missing required scope '{}'", operation.scope);
            assert_eq!(verdict, Verdict::new(403, "permission_denied", &detail), "{operation:?}");
        }
    }
    assert_eq!(service.totals().await, before);
}

async fn a_key_with_the_scope_alone_is_let_in(service: &Service) {
    let flag = everyones(service).await;
    let let_in = async |key: &str, operation: Operation| {
        let verdict = service.attempt(operation, Some(key), "1", flag).await;
        assert!(verdict.is_let_in() && verdict.status < 500, "{operation:?}: {verdict:?}");
        assert_ne!(verdict.status, 404, "{operation:?}");
    };
    let scopes = [
        "feature_flag:read",
        "feature_flag:write",
        "activity_log:read",
        "person:read",
        "person:write",
        "cohort:read",
        "cohort:write",
        "project:read",
        "project:write",
    ];
    for scope in scopes {
        let key = service.new_key(&format!("--project 1 --scopes {scope}"));
        let wide = service.new_key(&format!("--all-projects --scopes {scope}"));
        for operation in OPERATIONS.into_iter().filter(|operation| operation.scope == scope) {
            let_in(if operation.names_a_project() { &key } else { &wide }, operation).await;
        }
    }
}

async fn a_key_for_one_project_does_not_open_another(service: &Service) {
    let (other, _) = service.new_project("Other");
    let key = service.new_key(&format!("--project {other} --scopes *"));
    let expected = Verdict::new(
        403,
        "permission_denied",
        "API key does not have access to the requested project: ID 1.",
    );
    let flag = everyones(service).await;
    let before = service.totals().await;
    for operation in OPERATIONS.into_iter().filter(|operation| operation.names_a_project()) {
        let verdict = service.attempt(operation, Some(&key), "1", flag).await;
        assert_eq!(verdict, expected, "{operation:?}");
    }
    assert_eq!(service.totals().await, before);
    let both = service.new_key(&format!("--project 1 --project {other} --scopes *"));
    for project in ["1".to_owned(), other.to_string()] {
        let path = format!("/api/projects/{project}/feature_flags/");
        assert_eq!(service.call(Method::GET, &path, Some(&both), None).await.status, 200);
    }
}

async fn a_project_that_is_not_there_is_not_found(service: &Service) {
    let flag = everyones(service).await;
    let not_found = Verdict::new(404, "not_found", "Not found.");
    for operation in OPERATIONS.into_iter().filter(|operation| operation.names_a_project()) {
        for project in ["999999", "nonsense"] {
            let verdict = service.attempt(operation, Some(&service.key), project, flag).await;
            assert_eq!(verdict, not_found, "{project} {operation:?}");
        }
    }
}

async fn a_flag_of_another_project_is_not_found(service: &Service) {
    let flag = everyones(service).await;
    let before = service.get(&format!("{FLAGS}{flag}/")).await;
    let other = service.new_project("Other").0.to_string();
    let not_found = Verdict::new(404, "not_found", "Not found.");
    for operation in OPERATIONS.into_iter().filter(|operation| operation.names_a_flag()) {
        let verdict = service.attempt(operation, Some(&service.key), &other, flag).await;
        if operation.name.starts_with("DELETE") {
            assert_eq!(verdict.status, 405, "refused whatever it names");
        } else if operation.name.contains("remote_config") {
            assert_eq!(verdict, Verdict::new(404, "", ""), "without a body");
        } else {
            assert_eq!(verdict, not_found, "{operation:?}");
        }
    }
    assert_eq!(service.get(&format!("{FLAGS}{flag}/")).await, before);
}

async fn project_tokens_and_secrets_do_not_manage(service: &Service) {
    let flag = everyones(service).await;
    let before = service.totals().await;
    let manages = |operation: &Operation| !operation.evaluates() && !operation.ingests();
    for operation in OPERATIONS.into_iter().filter(manages) {
        for key in [&service.token, &service.secret] {
            if key == &service.secret && operation.delivers() {
                continue;
            }
            for project in ["1", "@current", "999999"] {
                let verdict = service.attempt(operation, Some(key), project, flag).await;
                assert_eq!(
                    (verdict.status, verdict.code.as_str()),
                    (403, "permission_denied"),
                    "{operation:?}"
                );
            }
        }
    }
    assert_eq!(service.totals().await, before);
}

async fn project_tokens_and_secrets_evaluate_their_own_project_alone(service: &Service) {
    everyones(service).await;
    let (other, _) = service.new_project("Other");
    let detail = format!("API key does not have access to the requested project: ID {other}.");
    let elsewhere = Verdict::new(403, "permission_denied", &detail);
    for operation in OPERATIONS.into_iter().filter(|operation| operation.evaluates()) {
        for key in [&service.token, &service.secret] {
            for project in ["1", "@current", ""] {
                assert_eq!(service.attempt(operation, Some(key), project, 0).await.status, 200);
            }
            let verdict = service.attempt(operation, Some(key), &other.to_string(), 0).await;
            assert_eq!(verdict, elsewhere, "{operation:?}");
        }
    }
}

async fn project_secrets_open_what_is_delivered_in_their_own_project_alone(service: &Service) {
    let flag = everyones(service).await;
    let (other, token) = service.new_project("Other");
    let detail = format!("API key does not have access to the requested project: ID {other}.");
    let elsewhere = Verdict::new(403, "permission_denied", &detail);
    for operation in OPERATIONS.into_iter().filter(|operation| operation.delivers()) {
        for project in ["1", "@current"] {
            let verdict = service.attempt(operation, Some(&service.secret), project, flag).await;
            assert_eq!(verdict.status, 200, "{operation:?} {project}");
        }
        let other = other.to_string();
        let verdict = service.attempt(operation, Some(&service.secret), &other, flag).await;
        assert_eq!(verdict, elsewhere, "{operation:?}");
    }
    let own = &service.token;
    for (project, sent) in [("@current", &token), (&*other.to_string(), own)] {
        let path =
            format!("/api/projects/{project}/feature_flags/{flag}/remote_config/?token={sent}");
        let answer = service.call(Method::GET, &path, Some(&service.secret), None).await;
        assert_eq!(answer.error(), (403, "permission_denied".into(), detail.clone()), "{path}");
    }
}

async fn current_is_the_project_of_the_token_or_of_the_key(service: &Service) {
    let (other, token) = service.new_project("Other");
    let limited = service.new_key(&format!("--project {other} --scopes *"));
    let ask = async |key: &str, query: &str| {
        let path = format!("/api/projects/@current/{query}");
        let answer = service.call(Method::GET, &path, Some(key), None).await;
        (answer.status, answer.json())
    };
    let (one, two) = (service.token.clone(), token);
    assert_eq!(ask(&service.key, "").await.1["id"], 1, "the first, for a key to all of them");
    assert_eq!(ask(&limited, "").await.1["id"], other);
    assert_eq!(ask(&service.key, &format!("?token={two}")).await.1["id"], other);
    assert_eq!(ask(&limited, &format!("?token={two}")).await.1["id"], other);
    let (status, error) = ask(&limited, &format!("?token={one}")).await;
    let detail = "API key does not have access to the requested project: ID 1.";
    assert_eq!((status, &error["detail"]), (403, &json!(detail)));
    let (status, error) = ask(&service.key, "?token=phc_nobody_has_this").await;
    assert_eq!((status, &error["code"]), (401, &json!("authentication_failed")));
}

async fn flags_are_evaluated_for_known_tokens_alone(service: &Service) {
    everyones(service).await;
    let bodies = [
        json!({"distinct_id": "x"}),
        json!({"token": "phc_nobody_has_this", "distinct_id": "x"}),
        json!({"token": service.key, "distinct_id": "x"}),
        json!({"token": service.secret, "distinct_id": "x"}),
    ];
    for body in bodies {
        let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
        assert_eq!(answer.status, 401, "{body}: {}", answer.text);
    }
    let (_, token) = service.new_project("Other");
    let look = async || {
        let body = json!({"token": token, "distinct_id": "x"});
        let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
        (answer.status == 200).then(|| answer.json()["flags"].clone())
    };
    let flags = eventually("the new project is served", PATIENCE, look).await;
    assert_eq!(flags, json!({}), "another project's flags are not there");
}
