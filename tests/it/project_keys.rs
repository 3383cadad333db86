//! Keys made, listed and revoked over gRPC: what they open, and what nobody hands on.

use flagstaff::wire::v1::{
    ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, CreateProjectRequest, ListApiKeysRequest,
    ListApiKeysResponse, ProjectInput, RevokeApiKeyRequest,
};
use http::Method;
use prost_types::Timestamp;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::{
    FLAGS, Service,
    grpc::{reason, said},
};

both_databases! {
    a_new_key_works_at_once_and_is_shown_once,
    a_key_opens_the_projects_that_it_was_made_for,
    a_bad_key_is_refused_and_nothing_is_made,
    nobody_hands_on_what_they_do_not_have,
    a_key_hands_on_no_longer_life_than_it_has,
    keys_that_open_the_project_are_listed_newest_first,
    a_key_of_other_projects_tells_nothing_of_them,
    a_revoked_key_stops_to_open,
    a_key_that_opens_more_than_the_caller_is_not_revoked,
}

fn wanted(scopes: &[&str]) -> CreateApiKeyRequest {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    CreateApiKeyRequest { project_id: "1".into(), scopes, ..Default::default() }
}

async fn create(
    service: &Service,
    key: &str,
    request: CreateApiKeyRequest,
) -> Result<CreateApiKeyResponse, Status> {
    service.projects_as(Some(key)).create_api_key(request).await.map(tonic::Response::into_inner)
}

async fn list(service: &Service, key: &str, project: &str, token: &str) -> ListApiKeysResponse {
    let (project_id, page_token) = (project.into(), token.into());
    let request = ListApiKeysRequest { project_id, page_size: 3, page_token };
    service.projects_as(Some(key)).list_api_keys(request).await.unwrap().into_inner()
}

async fn revoke(service: &Service, key: &str, project: &str, id: i64) -> Result<ApiKey, Status> {
    let request = RevokeApiKeyRequest { project_id: project.into(), api_key_id: id };
    let answer = service.projects_as(Some(key)).revoke_api_key(request).await?;
    Ok(answer.into_inner().api_key.unwrap())
}

async fn status(service: &Service, key: &str, project: i64) -> u16 {
    let path = format!("/api/projects/{project}/feature_flags/");
    service.call(Method::GET, &path, Some(key), None).await.status
}

async fn a_new_key_works_at_once_and_is_shown_once(service: &Service) {
    let in_2100 = prost_types::Timestamp { seconds: 4_102_444_800, nanos: 0 };
    let request = CreateApiKeyRequest {
        label: "Ann's".into(),
        user_email: Some("ann@example.com".into()),
        expires_at: Some(in_2100),
        ..wanted(&["feature_flag:write", "activity_log:read"])
    };
    let made = create(service, &service.key, request).await.unwrap();
    let (key, token) = (made.api_key.unwrap(), made.token);
    assert_eq!((key.kind.as_str(), key.label.as_str()), ("personal", "Ann's"));
    assert_eq!(key.scopes, ["activity_log:read", "feature_flag:write"], "sorted");
    assert_eq!((key.all_projects, key.project_ids.as_slice()), (false, &[1][..]));
    assert_eq!(key.user_email.as_deref(), Some("ann@example.com"));
    assert!(key.expires_at.is_some() && key.revoked_at.is_none() && key.last_used_at.is_none());
    assert!(token.starts_with("phx_") && key.token_hint.ends_with(&token[40..]));
    let body = json!({"key": "anns"});
    let flag = service.call(Method::POST, FLAGS, Some(&token), Some(&body)).await.json();
    assert_eq!(flag["created_by"]["email"], "ann@example.com", "changes are signed");
    let listed = list(service, &service.key, "1", "").await;
    assert!(!format!("{listed:?}").contains(&token));

    let own = create(service, &token, wanted(&["feature_flag:read"])).await.unwrap_err();
    assert_eq!(own.message(), "API key missing required scope 'project:write'");
    let own = create(service, &service.key, wanted(&["*"])).await.unwrap().api_key.unwrap();
    assert_eq!(own.user_email.as_deref(), Some("admin@flagstaff.local"), "the caller's own");
}

async fn a_key_opens_the_projects_that_it_was_made_for(service: &Service) {
    let (other, _) = service.new_project("Other");
    let (third, _) = service.new_project("Third");
    let opens = async |request: CreateApiKeyRequest| {
        let token = create(service, &service.key, request).await.unwrap().token;
        let mut open = Vec::new();
        for project in [1, other, third] {
            if status(service, &token, project).await == 200 {
                open.push(project);
            }
        }
        open
    };
    let read = || wanted(&["feature_flag:read"]);
    assert_eq!(opens(read()).await, [1]);
    let elsewhere = CreateApiKeyRequest { project_id: other.to_string(), ..read() };
    assert_eq!(opens(elsewhere).await, [other]);
    let two = CreateApiKeyRequest { additional_project_ids: vec![third, third, 1], ..read() };
    assert_eq!(opens(two).await, [1, third]);
    let all = CreateApiKeyRequest { all_projects: true, ..read() };
    assert_eq!(opens(all).await, [1, other, third]);
}

async fn a_bad_key_is_refused_and_nothing_is_made(service: &Service) {
    let before = list(service, &service.key, "1", "").await.total_size;
    let read = || wanted(&["feature_flag:read"]);
    let with_email = |email: &str| CreateApiKeyRequest { user_email: Some(email.into()), ..read() };
    let cases = [
        (wanted(&[]), "invalid_choice", "scopes"),
        (wanted(&["flags:read"]), "invalid_choice", "scopes"),
        (wanted(&["activity_log:write"]), "invalid_choice", "scopes"),
        (with_email("nobody"), "invalid_input", "user_email"),
        (with_email(" "), "blank", "user_email"),
        (with_email("a\0@b"), "null_characters_not_allowed", "user_email"),
        (CreateApiKeyRequest { label: "x".repeat(201), ..read() }, "max_length", "label"),
        (
            CreateApiKeyRequest { label: "a\0".into(), ..read() },
            "null_characters_not_allowed",
            "label",
        ),
        (
            CreateApiKeyRequest { expires_at: Some(prost_types::Timestamp::default()), ..read() },
            "invalid_input",
            "expires_at",
        ),
        (
            CreateApiKeyRequest {
                expires_at: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                ..read()
            },
            "invalid_input",
            "expires_at",
        ),
        (
            CreateApiKeyRequest { additional_project_ids: vec![999_999], ..read() },
            "does_not_exist",
            "additional_project_ids",
        ),
        (
            CreateApiKeyRequest { additional_project_ids: vec![1], all_projects: true, ..read() },
            "invalid_input",
            "additional_project_ids",
        ),
        (
            CreateApiKeyRequest { additional_project_ids: vec![1; 1000], ..read() },
            "max_length",
            "additional_project_ids",
        ),
    ];
    for (request, code, attr) in cases {
        let error = create(service, &service.key, request.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{request:?}");
        assert_eq!((reason(&error).as_str(), said(&error, "attr")), (code, Some(attr.into())));
    }
    assert_eq!(list(service, &service.key, "1", "").await.total_size, before);
}

async fn nobody_hands_on_what_they_do_not_have(service: &Service) {
    let (other, _) = service.new_project("Other");
    let key = service.new_key("--project 1 --scopes project:write,feature_flag:read");
    for scope in ["*", "feature_flag:write", "person:read"] {
        let error = create(service, &key, wanted(&["project:read", scope])).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied, "{scope}");
        assert_eq!(error.message(), format!("API key missing required scope '{scope}'"));
    }
    let read = || wanted(&["feature_flag:read"]);
    let cases = [
        CreateApiKeyRequest { all_projects: true, ..read() },
        CreateApiKeyRequest { additional_project_ids: vec![other], ..read() },
        CreateApiKeyRequest { additional_project_ids: vec![999_999], ..read() },
        CreateApiKeyRequest { project_id: other.to_string(), ..read() },
    ];
    for request in cases {
        let error = create(service, &key, request.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied, "{request:?}");
    }
    let made = create(service, &key, wanted(&["feature_flag:read", "project:read"])).await.unwrap();
    assert_eq!(status(service, &made.token, 1).await, 200);
}

async fn a_key_hands_on_no_longer_life_than_it_has(service: &Service) {
    let own = wanted(&["*"]);
    let far = Timestamp { seconds: 4_000_000_000, nanos: 0 };
    let limited = CreateApiKeyRequest { expires_at: Some(far), ..own.clone() };
    let limited = CreateApiKeyRequest { all_projects: true, ..limited };
    let maker = create(service, &service.key, limited).await.unwrap();
    assert_eq!(maker.api_key.unwrap().expires_at, Some(far), "a key without an end may set any");
    let ends = async |expires_at: Option<Timestamp>| {
        let request = CreateApiKeyRequest { expires_at, ..own.clone() };
        let made = create(service, &maker.token, request).await;
        made.map(|made| made.api_key.unwrap().expires_at)
    };
    let sooner = Timestamp { seconds: far.seconds - 1, nanos: 0 };
    assert_eq!(ends(None).await.unwrap(), Some(far), "a missing end becomes the maker's");
    assert_eq!(ends(Some(sooner)).await.unwrap(), Some(sooner));
    assert_eq!(ends(Some(far)).await.unwrap(), Some(far));
    let before = list(service, &service.key, "1", "").await.total_size;
    for later in [Timestamp { nanos: 1_000, ..far }, Timestamp { seconds: far.seconds + 1, ..far }]
    {
        let error = ends(Some(later)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        let told = (reason(&error), said(&error, "attr"));
        assert_eq!(told, ("invalid_input".into(), Some("expires_at".into())));
    }
    assert_eq!(list(service, &service.key, "1", "").await.total_size, before, "nothing is made");

    // A chain of keys ends with its first; and so does the secret of a project that it makes.
    let middle = CreateApiKeyRequest { all_projects: true, ..own.clone() };
    let middle = create(service, &maker.token, middle).await.unwrap();
    let last = create(service, &middle.token, own.clone()).await.unwrap();
    assert_eq!(last.api_key.unwrap().expires_at, Some(far));
    let project = ProjectInput { name: Some("Theirs".into()), ..Default::default() };
    let request = CreateProjectRequest { project: Some(project) };
    let made = service.projects_as(Some(&middle.token)).create_project(request).await.unwrap();
    let id = made.into_inner().project.unwrap().id.to_string();
    let keys = list(service, &service.key, &id, "").await.results;
    let secret = keys.iter().find(|key| key.kind == "project_secret").unwrap();
    assert_eq!(secret.expires_at, Some(far));
}

async fn keys_that_open_the_project_are_listed_newest_first(service: &Service) {
    let (other, _) = service.new_project("Other");
    for label in ["one", "two", "three"] {
        let request = CreateApiKeyRequest { label: label.into(), ..wanted(&["project:read"]) };
        create(service, &service.key, request).await.unwrap();
    }
    service.new_key(&format!("--project {other} --scopes * --label elsewhere"));
    let (mut labels, mut kinds, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = list(service, &service.key, "1", &token).await;
        assert_eq!(page.total_size, 5);
        kinds.extend(page.results.iter().map(|key| (key.kind.clone(), key.all_projects)));
        labels.extend(page.results.into_iter().map(|key| key.label));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(labels, ["three", "two", "one", "bootstrap", "secret of project 1"]);
    assert_eq!(kinds[3..], [("personal".into(), true), ("project_secret".into(), false)]);
    let labels: Vec<_> = list(service, &service.key, &other.to_string(), "").await.results;
    let labels: Vec<_> = labels.into_iter().map(|key| key.label).collect();
    assert_eq!(labels, ["elsewhere", &format!("secret of project {other}"), "bootstrap"]);
}

async fn a_key_of_other_projects_tells_nothing_of_them(service: &Service) {
    let (other, _) = service.new_project("Other");
    service.new_key(&format!("--project 1 --project {other} --scopes * --label both"));
    let key = service.new_key("--project 1 --scopes project:write");
    let shown = async |key: &str| {
        let listed = list(service, key, "1", "").await.results;
        listed.into_iter().find(|key| key.label == "both").unwrap().project_ids
    };
    assert_eq!(shown(&key).await, [1]);
    assert_eq!(shown(&service.key).await, [1, other]);
}

async fn a_revoked_key_stops_to_open(service: &Service) {
    let made = create(service, &service.key, wanted(&["feature_flag:read"])).await.unwrap();
    let (id, token) = (made.api_key.unwrap().id, made.token);
    assert_eq!(status(service, &token, 1).await, 200, "the server remembers it");
    let revoked = revoke(service, &service.key, "1", id).await.unwrap();
    assert!(revoked.id == id && revoked.revoked_at.is_some(), "{revoked:?}");
    assert_eq!(status(service, &token, 1).await, 401, "at once where it was revoked");
    let again = revoke(service, &service.key, "@current", id).await.unwrap();
    assert_eq!(again.revoked_at, revoked.revoked_at, "the first time stays");
    let listed = list(service, &service.key, "1", "").await.results;
    assert_eq!(listed[0].revoked_at, revoked.revoked_at, "revoked ones are listed");
    let missing = revoke(service, &service.key, "1", 999_999).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

async fn a_key_that_opens_more_than_the_caller_is_not_revoked(service: &Service) {
    let (other, _) = service.new_project("Other");
    let key = service.new_key("--project 1 --scopes project:write");
    service.new_key(&format!("--project 1 --project {other} --scopes * --label both"));
    service.new_key(&format!("--project {other} --scopes * --label other"));
    let listed: Value =
        serde_json::from_str(&service.flagstaff(&["keys", "list"]).run().last_line()).unwrap();
    let id = |label: &str| {
        let keys = listed.as_array().unwrap();
        keys.iter().find(|key| key["label"] == label).unwrap()["id"].as_i64().unwrap()
    };
    for label in ["both", "bootstrap"] {
        let error = revoke(service, &key, "1", id(label)).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied, "{label}");
    }
    let error = revoke(service, &key, "1", id("other")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "it does not open this project");
    let secret = revoke(service, &key, "1", id("secret of project 1")).await.unwrap();
    assert!(secret.revoked_at.is_some());
    let after = service.flagstaff(&["keys", "list"]).run().last_line();
    let after: Value = serde_json::from_str(&after).unwrap();
    let revoked = after.as_array().unwrap().iter().filter(|key| !key["revoked_at"].is_null());
    assert_eq!(revoked.count(), 1);
}
