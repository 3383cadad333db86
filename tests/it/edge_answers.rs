//! What the edge answers whatever is asked: HEAD, OPTIONS, paths that nobody serves, gRPC-web for
//! pages of other sites, ids of requests, and what it counts.

use std::time::Duration;

use flagstaff::{
    rest::bindings,
    wire::v1::{EvaluateFlagRequest, EvaluationSubject},
};
use http::{HeaderMap, Method};
use prost::Message;
use serde_json::json;

use crate::support::{
    FLAGS, Service, eventually,
    rest::{Answer, send},
};

const EVALUATE: &str = "/flagstaff.v1.EvaluationService/EvaluateFlag";

/// What public tokens may call.
const CLIENT_RPCS: [&str; 5] = [
    EVALUATE,
    "/flagstaff.v1.EvaluationService/EvaluateFlags",
    "/flagstaff.v1.EvaluationService/BatchEvaluateFlags",
    "/flagstaff.v1.EvaluationService/WatchFlags",
    "/flagstaff.v1.IngestService/IngestEvents",
];

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// The headers of an answer that HEAD has to repeat. Each answer has a date and an id of its own.
fn comparable(answer: &Answer) -> Vec<(String, String)> {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !["date", "x-request-id", "transfer-encoding"].contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_as_get_without_a_body() {
    let service = Service::on_sqlite().await;
    service.create_for_everyone("one").await;
    let config = format!("/array/{}/config", service.token);
    let definitions = format!("/flags/definitions?token={}", service.token);
    let old = format!("/api/feature_flag/local_evaluation?token={}", service.token);
    let key = Some(service.key.as_str());
    let cases = [
        (FLAGS, key, 200),
        (FLAGS, None, 401),
        ("/api/projects/1/feature_flags/1", key, 200),
        ("/api/projects/1/feature_flags/99/", key, 404),
        ("/api/projects/1/feature_flags/1/activity/", key, 200),
        ("/api/projects/1/feature_flags/local_evaluation/", key, 200),
        ("/api/projects/1/feature_flags/bulk_keys/", key, 405),
        ("/api/projects/1/nothing/", key, 404),
        ("/openapi.json", None, 200),
        (&old, key, 200),
        (&old, None, 401),
        (&definitions, key, 200),
        (&definitions, None, 401),
        (&config, None, 200),
        ("/array/phc_nobodys/config", None, 404),
        ("/flags", None, 200),
    ];
    for (path, key, status) in cases {
        let get = service.call(Method::GET, path, key, None).await;
        let head = service.call(Method::HEAD, path, key, None).await;
        assert_eq!((get.status, head.status), (status, status), "{path}: {}", get.text);
        assert_eq!(head.text, "", "{path}");
        if status != 405 && path != "/flags" {
            assert_eq!(comparable(&head), comparable(&get), "{path}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_names_the_verbs_of_every_management_path_and_opens_none_to_pages() {
    let service = Service::on_sqlite().await;
    let paths = bindings().into_iter().map(|binding| (binding.path, binding.method));
    let others = [
        ("/api/feature_flag/local_evaluation".to_owned(), Method::GET),
        ("/openapi.json".to_owned(), Method::GET),
    ];
    for (template, method) in paths.chain(others) {
        let path = template.replace("{project_id}", "1").replace(['{', '}'], "");
        for path in [path.clone(), format!("{path}/")] {
            if path == "/openapi.json/" {
                continue;
            }
            let request = service
                .request(Method::OPTIONS, &path)
                .header("origin", "https://example.com")
                .header("access-control-request-method", "GET");
            let answer = send(request).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
            let allowed: Vec<_> = header(&answer.headers, "allow").unwrap().split(", ").collect();
            assert!(allowed.contains(&method.as_str()), "{path}: {allowed:?}");
            assert!(allowed.contains(&"OPTIONS"), "{path}: {allowed:?}");
            let has_get = allowed.contains(&"GET");
            assert_eq!(allowed.contains(&"HEAD"), has_get, "{path}: {allowed:?}");
            assert_eq!(header(&answer.headers, "access-control-allow-origin"), None, "{path}");
        }
    }
    let refused = service.call(Method::DELETE, "/api/projects/1/cohorts/", None, None).await;
    assert_eq!(refused.error().1, "method_not_allowed");
    assert!(header(&refused.headers, "allow").unwrap().contains("POST"), "{refused:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_says_that_it_is_one_and_an_absent_flag_does_not() {
    let service = Service::on_sqlite().await;
    let hint = "This path is unknown. GET /openapi.json lists all REST paths.";
    for path in ["/", "/api", "/api/", "/api/projects/1/flags/", "/api//projects/1/", "/nowhere"] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let answer = service.call(method.clone(), path, Some(&service.key), None).await;
            let expected = json!({"type": "invalid_request", "code": "not_found",
                "detail": "Not found.", "attr": null});
            assert_eq!((answer.status, answer.json()), (404, expected), "{method} {path}");
            assert_eq!(header(&answer.headers, "x-flagstaff-hint"), Some(hint), "{method} {path}");
        }
        let head = service.call(Method::HEAD, path, None, None).await;
        assert_eq!((head.status, head.text.as_str()), (404, ""), "{path}");
    }
    let absent = service.call(Method::GET, &format!("{FLAGS}99/"), Some(&service.key), None).await;
    assert_eq!((absent.status, header(&absent.headers, "x-flagstaff-hint")), (404, None));
    let rpc = service.call(Method::POST, EVALUATE, None, Some(&json!({}))).await;
    assert_eq!(rpc.status, 404);
    assert!(header(&rpc.headers, "x-flagstaff-hint").unwrap().contains("application/grpc-web"));
    service.stop().await;
}

/// A preflight of a page, for a call over gRPC-web.
async fn preflight(service: &Service, path: &str) -> Answer {
    let request = service
        .request(Method::OPTIONS, path)
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-grpc-web");
    send(request).await
}

/// A call over gRPC-web with a message.
async fn web(service: &Service, path: &str, key: &str, message: &[u8]) -> Answer {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let request = service
        .request(Method::POST, path)
        .header("origin", "https://example.com")
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .bearer_auth(key)
        .body([&[0], &length[..], message].concat());
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// `EvaluateFlag` for somebody.
fn request(flag_key: &str) -> EvaluateFlagRequest {
    let subject = EvaluationSubject { distinct_id: "ann".into(), ..Default::default() };
    let flag_key = flag_key.to_owned();
    EvaluateFlagRequest { subject: Some(subject), flag_key, ..Default::default() }
}

fn evaluation(flag_key: &str) -> Vec<u8> {
    request(flag_key).encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_site_may_make_the_calls_of_public_tokens_over_grpc_web_and_no_others() {
    let service = Service::on_sqlite().await;
    service.create_for_everyone("on").await;
    for path in CLIENT_RPCS {
        let answer = preflight(&service, path).await;
        let said = |name: &str| header(&answer.headers, name);
        assert_eq!((answer.status, said("allow")), (200, Some("POST, OPTIONS")), "{path}");
        assert_eq!(said("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(said("access-control-allow-methods"), Some("POST, OPTIONS"), "{path}");
        let wanted = Some("authorization,content-type,x-grpc-web");
        assert_eq!(said("access-control-allow-headers"), wanted, "{path}");
        assert_eq!(said("access-control-allow-credentials"), None, "{path}");
    }
    let closed = [
        "/flagstaff.v1.EvaluationService/GetFlagDefinitions",
        "/flagstaff.v1.FeatureFlagService/ListFeatureFlags",
        "/flagstaff.v1.ProjectService/GetProject",
    ];
    for path in closed {
        let answer = preflight(&service, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(header(&answer.headers, "access-control-allow-origin"), None, "{path}");
        let answer = web(&service, path, &service.key, b"").await;
        assert_eq!(header(&answer.headers, "access-control-allow-origin"), None, "{path}");
    }
    let cases = [("on", service.token.as_str()), ("absent", &service.token), ("on", "phc_no")];
    for (flag, token) in cases {
        let answer = web(&service, EVALUATE, token, &evaluation(flag)).await;
        let said = |name: &str| header(&answer.headers, name);
        assert_eq!(said("access-control-allow-origin"), Some("*"), "{flag} {token}");
        let exposed = said("access-control-expose-headers").unwrap();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.split(", ").any(|shown| shown == name), "{name} in {exposed}");
        }
        let status = said("grpc-status").map(str::to_owned).or_else(|| {
            let (_, after) = answer.text.split_once("grpc-status:")?;
            Some(after.lines().next()?.to_owned())
        });
        let wanted = match (flag, token) {
            (_, "phc_no") => "16",
            ("on", _) => "0",
            _ => "5",
        };
        assert_eq!(status.as_deref(), Some(wanted), "{flag} {token}: {}", answer.text);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_id_of_its_request() {
    let service = Service::on_sqlite().await;
    let asked = |path: &'static str, id: Option<&'static str>| {
        let request = service.request(Method::GET, path);
        let request = match id {
            Some(id) => request.header("x-request-id", id),
            None => request,
        };
        send(request)
    };
    for path in [FLAGS, "/flags", "/nowhere", "/openapi.json"] {
        let echoed = asked(path, Some("deploy-7.check:1")).await;
        assert_eq!(header(&echoed.headers, "x-request-id"), Some("deploy-7.check:1"), "{path}");
        for replaced in [None, Some("two words"), Some("<b>")] {
            let answer = asked(path, replaced).await;
            let id = header(&answer.headers, "x-request-id").unwrap();
            assert!(id.parse::<uuid::Uuid>().is_ok(), "{path}: {id}");
        }
    }
    // The body of an evaluation names the same one.
    let body = json!({"token": service.token, "distinct_id": "ann"});
    let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
    let id = header(&answer.headers, "x-request-id").unwrap();
    assert_eq!(answer.json()["requestId"], id);
    let answer = web(&service, EVALUATE, &service.token, &evaluation("absent")).await;
    assert!(header(&answer.headers, "x-request-id").is_some(), "{answer:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_rpc_or_route_and_by_the_status_that_they_came_to() {
    let service = Service::on_sqlite().await;
    let id = service.create_for_everyone("on").await;
    service.get(&format!("{FLAGS}{id}/")).await;
    service.get(&format!("{FLAGS}99")).await;
    service.get("/nowhere/at/all").await;
    service.call(Method::POST, "/flags?v=2", None, Some(&json!({"token": "phc_no"}))).await;
    for flag in ["on", "absent"] {
        web(&service, EVALUATE, &service.token, &evaluation(flag)).await;
        let mut client = service.evaluation_as(Some(&service.token));
        // Its status is what matters.
        let _ = client.evaluate_flag(request(flag)).await;
    }
    let flag = "dialect=\"rest\",method=\"GET /api/projects/{project_id}/feature_flags/{id}\"";
    let evaluated = "dialect=\"grpc\",method=\"flagstaff.v1.EvaluationService/EvaluateFlag\"";
    let wanted = [
        format!("{{{flag},status=\"200\"}} 1"),
        format!("{{{flag},status=\"404\"}} 1"),
        "{dialect=\"rest\",method=\"GET unknown\",status=\"404\"} 1".to_owned(),
        "{dialect=\"rest\",method=\"POST /flags\",status=\"401\"} 1".to_owned(),
        format!("{{{evaluated},status=\"OK\"}} 2"),
        format!("{{{evaluated},status=\"NOT_FOUND\"}} 2"),
    ];
    eventually("they are counted", Duration::from_secs(10), async || {
        let metrics = service.metrics().await;
        let counted =
            |line: &String| metrics.contains(&format!("flagstaff_requests_total{line}\n"));
        let missing: Vec<_> = wanted.iter().filter(|line| !counted(line)).collect();
        missing.is_empty().then_some(())
    })
    .await;
    service.stop().await;
}
