//! Connections that are opened and not used, bodies that stop and readers that do not read: each
//! has its time, and takes nothing from others.

use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    FLAGS, Service, eventually,
    http2::{Http2, grpc_frame, grpc_status},
};

const PATIENCE: Duration = Duration::from_secs(60);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GRPC: &str = "application/grpc";
const EVALUATE: &str = "/flagstaff.v1.EvaluationService/EvaluateFlag";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A connection on which this much is said.
async fn saying(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A connection that is refused may be gone already.
    let _ = stream.write_all(bytes).await;
    stream
}

/// Whether the other side closes a connection.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut heard = Vec::new();
    // Whether by an end or a reset does not matter.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.is_ok()
}

async fn assert_serves(service: &Service) {
    let body = json!({"token": service.token, "distinct_id": "ann"});
    let answer = service.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let livez = format!("http://{}/livez", service.ops_address());
    assert_eq!(service.call(Method::GET, &livez, None, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_nothing_in_time_is_closed_whatever_it_began_to_say() {
    let service = Service::on_sqlite_with(&["--handshake-timeout", "500ms"]).await;
    for address in [service.address, service.ops_address()] {
        for beginning in
            [&b""[..], b"P", b"PRI * HT", PREFACE, b"GET /livez HT", b"GET / HTTP/1.1\r\na: "]
        {
            let stream = saying(address, beginning).await;
            assert!(is_closed(stream).await, "{address} {:?}", String::from_utf8_lossy(beginning));
        }
    }
    assert_serves(&service).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_closed() {
    let service = Service::on_sqlite_with(&["--idle-timeout", "200ms"]).await;
    let probe = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
    let unknown = b"GET /nothing HTTP/1.1\r\nhost: a\r\n\r\nGET /and HTT";
    assert!(is_closed(saying(service.ops_address(), probe).await).await);
    assert!(is_closed(saying(service.address, unknown).await).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_make_room_for_those_that_ask() {
    let service = Service::on_sqlite_with(&["--max-connections", "50"]).await;
    for address in [service.address, service.ops_address()] {
        let silent = (0..150).map(|_| saying(address, b"PRI * HT"));
        let silent = join_all(silent).await;
        assert_serves(&service).await;
        drop(silent);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limits_connections_are_closed_at_once_and_later_ones_are_served() {
    let settings = [("--max-connections", 5), ("--max-connections-per-address", 5)];
    for (setting, count) in settings {
        let service = Service::on_sqlite_with(&[setting, &count.to_string()]).await;
        // Keeps its connection open, and has asked something.
        let busy = async || {
            let mut stream = saying(service.address, b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let mut head = [0; 12];
            (stream.read_exact(&mut head).await.is_ok()).then_some(stream)
        };
        let mut open = Vec::new();
        for _ in 0..count {
            open.push(busy().await.expect("there is a place"));
        }
        assert!(busy().await.is_none(), "{setting}");
        open.clear();
        eventually("there is a place again", PATIENCE, async || busy().await).await;
        assert_serves(&service).await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stop_end_their_calls_on_http2_too() {
    let service = Service::on_sqlite_with(&["--body-timeout", "200ms"]).await;
    let mut connection = Http2::connect(service.address).await;
    let whole = grpc_frame(false, b"\x0a\x01a");
    let large = grpc_frame(false, &vec![0; 100_000]);
    for beginning in [&b""[..], &whole[..3], &whole[..5], &whole[..7], &whole[..], &large[..50_000]]
    {
        let key = Some(service.secret.as_str());
        let call = connection.stop_in_the_middle(EVALUATE, GRPC, key, beginning);
        let (response, _open) = call.await;
        assert_eq!(grpc_status(response).await, Some(3), "{} bytes", beginning.len());
    }
    for (path, key) in [("/e/", None), ("/flags", None), (FLAGS, Some(service.key.as_str()))] {
        let kind = "application/json";
        let (response, _open) = connection.stop_in_the_middle(path, kind, key, b"{\"a\"").await;
        assert_eq!(response.status(), 400, "{path}");
    }
    // Reflection is a stream of messages, of which the next has to come in time.
    let (response, _open) = connection.stop_in_the_middle(REFLECTION, GRPC, None, b"").await;
    assert!(grpc_status(response).await.is_some(), "it ends");
    assert_serves(&service).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_for_who_has_no_credential() {
    let service = Service::on_sqlite().await;
    let mut connection = Http2::connect(service.address).await;
    for (key, path) in [
        (None, EVALUATE),
        (Some("phx_of_nobody_at_all"), EVALUATE),
        (None, "/flagstaff.v1.IngestService/IngestEvents"),
        (None, "/flagstaff.v1.FeatureFlagService/CreateFeatureFlag"),
    ] {
        // The rest of the message is never sent, and not waited for.
        let (response, _open) = connection.stop_in_the_middle(path, GRPC, key, b"\0\0").await;
        assert_eq!(grpc_status(response).await, Some(16), "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_on_http2_that_takes_nothing_loses_its_stream_and_not_its_connection() {
    let service = Service::on_sqlite_with(&["--write-timeout", "200ms"]).await;
    let mut connection = Http2::with_shut_window(service.address).await;
    let watch = "/flagstaff.v1.EvaluationService/WatchFlags";
    let health = "/grpc.health.v1.Health/Watch";
    for (path, kind, key, message) in [
        ("/openapi.json", "application/json", None, Vec::new()),
        (watch, GRPC, Some(service.secret.as_str()), grpc_frame(false, b"")),
        (health, GRPC, None, grpc_frame(false, b"")),
    ] {
        let (response, mut body) = connection.begin(path, kind, key).await;
        body.send_data(message.into(), true).unwrap();
        let response = response.await.unwrap();
        let mut body = response.into_body();
        if body.is_end_stream() {
            continue;
        }
        let end = tokio::time::timeout(PATIENCE, body.data()).await.expect("it ends");
        assert!(end.is_some_and(|data| data.is_err()), "{path}: a reset");
    }
    // The connection goes on: a refusal stands in the headers alone.
    let (response, _open) = connection.stop_in_the_middle(EVALUATE, GRPC, None, b"").await;
    assert_eq!(grpc_status(response).await, Some(16));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_need_no_credential_are_counted() {
    let service = Service::on_sqlite().await;
    let mut connection = Http2::connect(service.address).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        let (response, body) = connection.begin(REFLECTION, GRPC, None).await;
        let response = response.await.unwrap();
        assert!(!response.headers().contains_key("grpc-status"));
        open.push((response, body));
    }
    let (response, _body) = connection.begin(REFLECTION, GRPC, None).await;
    assert_eq!(grpc_status(response.await.unwrap()).await, Some(8));
    open.clear();
    eventually("there is a place again", PATIENCE, async || {
        let (response, _body) = connection.begin(REFLECTION, GRPC, None).await;
        let response = response.await.unwrap();
        (!response.headers().contains_key("grpc-status")).then_some(())
    })
    .await;
    service.stop().await;
}
