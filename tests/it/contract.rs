//! The contract is whole: every RPC is listed and every path is routed, in every dialect of the
//! one port (architecture 2 and 3).

use std::collections::BTreeSet;

use flagstaff::{
    rest::{Binding, bindings},
    wire,
};
use http::Method;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use serde_json::{Value, json};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

use crate::support::{FLAGS, Service, grpc::Authorized, http_client, rest::send};

/// Every RPC, as `package.Service/Method`.
fn rpcs() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
    let of_service = |service: prost_reflect::ServiceDescriptor| {
        let name = service.full_name().to_owned();
        service.methods().map(move |m| format!("{name}/{}", m.name())).collect::<Vec<_>>()
    };
    pool.services().flat_map(of_service).collect()
}

/// Asks one version of the reflection service for its services, and each of them for its methods.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client: ServerReflectionClient<Authorized> = ServerReflectionClient::new($channel);
        let mut ask = async |question| {
            let request =
                ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let requests = tokio_stream::iter([request]);
            let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
            answers.message().await.unwrap().unwrap().message_response.unwrap()
        };
        let MessageResponse::ListServicesResponse(services) =
            ask(MessageRequest::ListServices(String::new())).await
        else {
            panic!("not a list of services")
        };
        let mut rpcs = BTreeSet::new();
        for service in services.service.into_iter().map(|service| service.name) {
            let MessageResponse::FileDescriptorResponse(files) =
                ask(MessageRequest::FileContainingSymbol(service.clone())).await
            else {
                panic!("no file for {service}")
            };
            for file in files.file_descriptor_proto {
                rpcs.extend(methods(&FileDescriptorProto::decode(&file[..]).unwrap()));
            }
        }
        rpcs
    }};
}

fn methods(file: &FileDescriptorProto) -> Vec<String> {
    let of_service = |service: &prost_types::ServiceDescriptorProto| {
        let (package, service_name) = (file.package().to_owned(), service.name().to_owned());
        let name = move |m: &prost_types::MethodDescriptorProto| {
            format!("{package}.{service_name}/{}", m.name())
        };
        service.method.iter().map(name).collect::<Vec<_>>()
    };
    file.service.iter().flat_map(of_service).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_rpc() {
    let service = Service::on_sqlite().await;
    let rpcs = rpcs();
    assert!(rpcs.len() > 40 && rpcs.contains("flagstaff.v1.FeatureFlagService/CreateFeatureFlag"));
    let (v1, v1alpha) =
        (reflected!(v1, service.channel(None)), reflected!(v1alpha, service.channel(None)));
    for listed in [v1, v1alpha] {
        assert_eq!(rpcs.difference(&listed).collect::<Vec<_>>(), [""; 0]);
        assert!(listed.contains("grpc.health.v1.Health/Check"), "{listed:?}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_serving_of_the_whole_and_of_each_service() {
    let service = Service::on_sqlite().await;
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
    let names = pool.services().map(|service| service.full_name().to_owned());
    let mut client = HealthClient::new(service.channel(None));
    for name in names.chain([String::new()]) {
        let request = HealthCheckRequest { service: name.clone() };
        let status = client.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, 1, "{name}");
    }
    service.stop().await;
}

/// A path with its parts filled in.
fn filled(binding: &Binding) -> String {
    let part = |part: &str| match part {
        "{project_id}" => "1".to_owned(),
        "{uuid}" => "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        part if part.starts_with('{') => "999999".to_owned(),
        part => part.to_owned(),
    };
    binding.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_binding_is_routed_with_and_without_the_last_slash() {
    let service = Service::on_sqlite().await;
    for binding in bindings() {
        for slash in ["", "/"] {
            let path = filled(&binding) + slash;
            let answer = service.call(binding.method.clone(), &path, None, None).await;
            let (status, code, _) = answer.error();
            assert_eq!((status, code.as_str()), (401, "not_authenticated"), "{binding:?}");
        }
    }
    let nowhere = service.call(Method::GET, "/api/projects/1/nowhere/", None, None).await;
    assert_eq!(nowhere.status, 404, "a path that is not routed is told apart");
    let verb = service.call(Method::PUT, FLAGS, None, None).await;
    assert_eq!(
        verb.error(),
        (405, "method_not_allowed".into(), "Method \"PUT\" not allowed.".into())
    );
    service.stop().await;
}

/// The verbs and paths of management-api 2 to 4, below `/api/projects/{project_id}/feature_flags`.
const DOCUMENTED: [(&str, &str); 18] = [
    ("GET", ""),
    ("POST", ""),
    ("GET", "/{id}"),
    ("PATCH", "/{id}"),
    ("PUT", "/{id}"),
    ("GET", "/{id}/dependent_flags"),
    ("POST", "/{id}/enrich_usage_dashboard"),
    ("POST", "/{id}/dashboard"),
    ("GET", "/{id}/remote_config"),
    ("GET", "/{id}/status"),
    ("POST", "/{id}/test_evaluation"),
    ("GET", "/{id}/versions/{version_number}"),
    ("GET", "/activity"),
    ("GET", "/{id}/activity"),
    ("POST", "/bulk_delete"),
    ("POST", "/bulk_keys"),
    ("POST", "/bulk_update_tags"),
    ("GET", "/evaluation_reasons"),
];

#[test]
fn every_documented_path_has_an_rpc() {
    let bindings = bindings();
    for (verb, below) in DOCUMENTED {
        let path = format!("/api/projects/{{project_id}}/feature_flags{below}");
        let bound = bindings.iter().filter(|b| b.method == verb && b.path == path).count();
        assert_eq!(bound, 1, "{verb} {path}");
    }
}

/// The `grpc-status` of a call with an empty message; 0 when an answer came.
async fn status_of_empty_call(http2: &reqwest::Client, service: &Service, rpc: &str) -> String {
    let request = http2
        .post(service.url(&format!("/{rpc}")))
        .bearer_auth(&service.key)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // Some streams have no end of their own.
        .header("grpc-timeout", "2S")
        .body(vec![0; 5]);
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{rpc}");
    let status = answer.headers.get("grpc-status").map(|status| status.to_str().unwrap());
    status.unwrap_or("0").to_owned()
}

fn http2() -> reqwest::Client {
    http_client().http2_prior_knowledge().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_says_so_on_both_edges() {
    let service = Service::on_sqlite().await;
    let http2 = http2();
    let (mut built, mut bound) = (BTreeSet::new(), BTreeSet::new());
    for rpc in rpcs() {
        let unimplemented = status_of_empty_call(&http2, &service, &rpc).await == "12";
        if !unimplemented {
            built.insert(rpc.replace('/', "."));
        }
    }
    for binding in bindings() {
        let path = filled(&binding);
        let answer =
            service.call(binding.method.clone(), &path, Some(&service.key), Some(&json!({}))).await;
        let (status, code, detail) = answer.error();
        assert_eq!(status == 501, !built.contains(&binding.rpc), "{binding:?}: {}", answer.text);
        assert_eq!(status == 501, code == "unimplemented" && detail.contains("not implemented"));
        bound.insert(binding.rpc);
    }
    let flags = "flagstaff.v1.FeatureFlagService.UpdateFeatureFlag";
    assert!(built.contains(flags) && bound.contains(flags), "{built:?}");
    service.stop().await;
}

/// Calls over gRPC-web, framed by hand: the message that came back, if any, and the trailers.
async fn over_web<M: Message + Default>(
    service: &Service,
    rpc: &str,
    message: &impl Message,
) -> (Option<M>, String) {
    let payload = message.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    body.extend(payload);
    let request = service
        .request(Method::POST, &format!("/{rpc}"))
        .bearer_auth(&service.token)
        .header("content-type", "application/grpc-web+proto")
        .body(body);
    let answer = request.send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), kind.as_str()), (200, "application/grpc-web+proto"));
    let in_headers = answer.headers().get("grpc-status").cloned();
    let bytes = answer.bytes().await.unwrap();
    let (mut rest, mut message, mut trailers) = (&bytes[..], None, String::new());
    if let Some(status) = in_headers {
        trailers = format!("grpc-status:{}", status.to_str().unwrap());
    }
    while let [flag, a, b, c, d, frames @ ..] = rest {
        let (frame, next) = frames.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flag & 0x80 {
            0 => message = Some(M::decode(frame).unwrap()),
            _ => trailers = String::from_utf8(frame.to_vec()).unwrap(),
        }
        rest = next;
    }
    (message, trailers)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_is_spoken_on_the_same_port_as_a_client() {
    use flagstaff::wire::v1::{EvaluateFlagsRequest, EvaluateFlagsResponse, EvaluationSubject};

    let service = Service::on_sqlite().await;
    let (health, trailers) = over_web::<HealthCheckResponse>(
        &service,
        "grpc.health.v1.Health/Check",
        &HealthCheckRequest::default(),
    )
    .await;
    assert_eq!(health.unwrap().status, 1);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");

    service.create_for_everyone("for-all").await;
    let id = service.create_for_everyone("for-servers").await;
    service.patch(id, json!({"evaluation_runtime": "server"})).await;
    let subject = Some(EvaluationSubject { distinct_id: "x".into(), ..Default::default() });
    let request = EvaluateFlagsRequest { subject, ..Default::default() };
    let rpc = "flagstaff.v1.EvaluationService/EvaluateFlags";
    let (answer, _) = over_web::<EvaluateFlagsResponse>(&service, rpc, &request).await;
    assert_eq!(answer.unwrap().flags.into_keys().collect::<Vec<_>>(), ["for-all"]);
    let over_grpc =
        service.evaluation_as(Some(&service.token)).evaluate_flags(request).await.unwrap();
    assert_eq!(over_grpc.into_inner().flags.len(), 2);

    let nobody = EvaluateFlagsRequest::default();
    let (answer, trailers) = over_web::<EvaluateFlagsResponse>(&service, rpc, &nobody).await;
    assert_eq!(answer, None);
    assert!(trailers.contains("grpc-status:3"), "{trailers}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_is_spoken_over_http2_too() {
    let service = Service::on_sqlite().await;
    let id = service.create_for_everyone("h2").await;
    let request = http2().get(service.url(&format!("{FLAGS}?limit=1"))).bearer_auth(&service.key);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 200));
    let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(page["results"][0]["id"], id);
    service.create(json!({"key": "more"})).await;
    let request = http2().get(service.url(&format!("{FLAGS}?limit=1"))).bearer_auth(&service.key);
    let page = send(request).await.json();
    let next = page["next"].as_str().unwrap();
    assert!(next.starts_with(&service.url(FLAGS)), "{next}");
    service.stop().await;
}
