//! What answers give away: credentials in links, hosts that are none, and secrets in caches.

use flagstaff::wire::v1::{
    CreateApiKeyRequest, CreateProjectRequest, GetRemoteConfigRequest, ProjectInput,
};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{FLAGS, Service, rest::send};

both_databases! {
    links_repeat_no_credential,
    a_host_that_is_none_is_not_repeated,
    secrets_are_neither_stored_nor_sniffed,
}

/// Lists whose second of three pages has links on both sides.
const LISTS: [&str; 5] = [
    "/api/projects/1/feature_flags/?limit=1&offset=1",
    "/api/projects/1/feature_flags/activity/?limit=1&page=2",
    "/api/projects/1/cohorts/?limit=1&offset=1",
    "/api/projects/1/persons/?limit=1&offset=1",
    "/api/projects/@current/feature_flags/?limit=1&offset=1",
];

async fn three_of_each(service: &Service) {
    service.stored_person(7, &["seven"], &json!({})).await;
    for n in 1..=3 {
        service.create(json!({"key": format!("flag-{n}")})).await;
        let cohort = json!({"name": format!("c{n}"), "is_static": true});
        service.rest(Method::POST, "/api/projects/1/cohorts/", cohort).await;
        service.stored_person(n + 10, &[&format!("p{n}")], &json!({})).await;
    }
}

async fn links_repeat_no_credential(service: &Service) {
    three_of_each(service).await;
    let (key, token) = (&service.key, &service.token);
    for path in LISTS {
        let query = format!(
            "&personal_api_key={key}&Personal_Api_Key={key}&api_key={key}&secret=phs_x&token={token}\
             &access_token=x&search2={key}"
        );
        let answer = service.call(Method::GET, &format!("{path}{query}"), None, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let page = answer.json();
        for link in [&page["next"], &page["previous"]] {
            let link = link.as_str().unwrap_or_else(|| panic!("{path}: {page}"));
            for shown in ["phx_", "phs_", "api_key", "secret", "access_token"] {
                assert!(!link.to_lowercase().contains(shown), "{shown} in {link}");
            }
        }
        for shown in [key, "phs_x"] {
            assert!(!answer.text.contains(shown), "{shown} in {}", answer.text);
        }
        // The key belongs in the header, and then the link leads on.
        let next = page["next"].as_str().unwrap();
        assert_eq!(service.call(Method::GET, next, Some(key), None).await.status, 200, "{next}");
    }
}

/// The answer to a request as it is written, head and body.
async fn raw(service: &Service, host: &str) -> String {
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "GET {FLAGS}?limit=1 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\n\r\n",
        service.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_host_that_is_none_is_not_repeated(service: &Service) {
    three_of_each(service).await;
    let hosts = [
        "evil\">",
        "evil'><script>alert(1)</script>",
        "ann:secret@evil.example",
        "evil.example/path?x=",
        "evil.example:port",
        "evil%22.example",
        "evil\\.example",
        "[evil]:80",
    ];
    for host in hosts {
        let answer = raw(service, host).await;
        assert!(!answer.contains("evil") && !answer.contains("secret@"), "{host}: {answer}");
    }
    for host in ["flags.example.com", "flags.example.com:8443", "127.0.0.1:1", "[::1]:8080"] {
        let answer = raw(service, host).await;
        assert!(answer.contains(&format!("\"next\":\"http://{host}/api/")), "{host}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_a_proxy_that_is_none_is_not_repeated() {
    let service = Service::on_sqlite_with(&["--trusted-proxies", "127.0.0.0/8,::1/128"]).await;
    three_of_each(&service).await;
    for host in ["evil\">", "ann:secret@evil.example", "evil.example/x"] {
        let request = service
            .request(Method::GET, &format!("{FLAGS}?limit=1"))
            .bearer_auth(&service.key)
            .header("x-forwarded-host", host);
        let next = send(request).await.json()["next"].clone();
        assert!(next.as_str().is_some_and(|next| !next.contains("evil")), "{host}: {next}");
    }
    service.stop().await;
}

fn guarded(headers: &HeaderMap, what: &str) {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let cache = of("cache-control").unwrap_or_default();
    assert!(cache.contains("no-store"), "{what}: cache-control is {cache:?}");
    assert_eq!(of("x-content-type-options").as_deref(), Some("nosniff"), "{what}");
}

async fn secrets_are_neither_stored_nor_sniffed(service: &Service) {
    let body = json!({"key": "secret", "is_remote_configuration": true,
        "has_encrypted_payloads": true, "filters": {"groups": [{}], "payloads": {"true": "\"hidden\""}}});
    let made = service.call(Method::POST, FLAGS, Some(&service.key), Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    guarded(&made.headers, "create");
    let id = made.json()["id"].as_i64().unwrap();
    let paths = [
        FLAGS.to_owned(),
        format!("{FLAGS}{id}/"),
        format!("{FLAGS}secret/remote_config/"),
        format!("{FLAGS}{id}/activity/"),
        "/api/projects/1/".to_owned(),
        "/api/projects/1/persons/".to_owned(),
        "/api/projects/2/".to_owned(),
        "/api/nothing/here/".to_owned(),
    ];
    for path in paths {
        for key in [Some(service.key.as_str()), Some("phx_nobody"), None] {
            let answer = service.call(Method::GET, &path, key, None).await;
            guarded(&answer.headers, &path);
        }
    }
    let mut keys = service.projects_as(Some(&service.key));
    let (project_id, scopes) = ("1".to_owned(), vec!["*".to_owned()]);
    let request = CreateApiKeyRequest { project_id, scopes, ..Default::default() };
    let key = keys.create_api_key(request).await.unwrap();
    guarded(&key.metadata().clone().into_headers(), "CreateApiKey");
    let project = ProjectInput { name: Some("New".into()), ..Default::default() };
    let project = keys.create_project(CreateProjectRequest { project: Some(project) }).await;
    guarded(&project.unwrap().metadata().clone().into_headers(), "CreateProject");
    let request = GetRemoteConfigRequest { id: "secret".into(), ..Default::default() };
    let config = service.flags().get_remote_config(request).await.unwrap();
    guarded(&config.metadata().clone().into_headers(), "GetRemoteConfig");

    // What may be kept says so itself, and is not sniffed either.
    let sniffed = |headers: &HeaderMap| !headers.contains_key("x-content-type-options");
    let subject = json!({"token": service.token, "distinct_id": "ann"});
    for (method, path, body) in [
        (Method::POST, "/flags?v=2".to_owned(), Some(&subject)),
        (Method::POST, "/decide?v=3".to_owned(), Some(&subject)),
        (Method::POST, "/e/".to_owned(), Some(&Value::Null)),
        (Method::GET, "/flags/definitions".to_owned(), None),
        (Method::GET, format!("/array/{}/config", service.token), None),
        (Method::GET, format!("/array/{}/config.js", service.token), None),
        (Method::GET, "/openapi.json".to_owned(), None),
    ] {
        let answer = service.call(method, &path, Some(&service.secret), body).await;
        assert!(!sniffed(&answer.headers), "{path}");
    }
    let path = "/flags/definitions";
    let feed = service.call(Method::GET, path, Some(&service.secret), None).await;
    assert_eq!(feed.headers["cache-control"], "private, must-revalidate");
}
