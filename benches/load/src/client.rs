//! One connection to a server, over HTTP/1.1 as SDKs speak REST or over HTTP/2
//! as stubs speak gRPC; as little work as can be, since the client shares the
//! processors with what it measures.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::ETAG};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use load_bench::ask::Protocol;
use tokio::net::TcpStream;

/// A connection, or one caller's share of it.
#[derive(Debug)]
pub(crate) enum Link {
    Rest(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

/// How long a server may take to start listening.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

impl Link {
    /// Connects, once the server listens.
    pub(crate) async fn open(protocol: Protocol, address: SocketAddr) -> Self {
        let connected = tokio::time::timeout(PATIENCE, connected(address)).await;
        let io = TokioIo::new(connected.expect("the server listens"));
        match protocol {
            Protocol::Rest => {
                let (link, connection) = http1::handshake(io).await.expect("HTTP/1.1");
                tokio::spawn(connection);
                Self::Rest(link)
            }
            Protocol::Grpc => {
                let handshake = http2::handshake(TokioExecutor::new(), io);
                let (link, connection) = handshake.await.expect("HTTP/2");
                tokio::spawn(connection);
                Self::Grpc(link)
            }
        }
    }

    /// As many callers on one connection.
    pub(crate) fn shared(self, callers: usize) -> Vec<Self> {
        match self {
            Self::Rest(link) => vec![Self::Rest(link)],
            Self::Grpc(link) => (0..callers).map(|_| Self::Grpc(link.clone())).collect(),
        }
    }

    /// Sends a request, and gives the body of its answer.
    ///
    /// # Panics
    ///
    /// If the answer is not a good one: what a refusal costs is not what is asked.
    pub(crate) async fn call(&mut self, request: Request<Full<Bytes>>) -> Bytes {
        self.answer(request).await.into_body()
    }

    /// The entity tag of an answer.
    pub(crate) async fn tag_of(&mut self, request: Request<Full<Bytes>>) -> String {
        let answer = self.answer(request).await;
        let tag = answer.headers().get(ETAG).expect("an entity tag");
        tag.to_str().expect("text").to_owned()
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let sent = match self {
            Self::Rest(link) => {
                link.ready().await.expect("an open connection");
                link.send_request(request).await
            }
            Self::Grpc(link) => {
                link.ready().await.expect("an open connection");
                link.send_request(request).await
            }
        };
        let (head, body) = sent.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole answer");
        require_success(&head.headers);
        body.trailers().map(require_success);
        let body = body.to_bytes();
        let is_good = head.status.is_success() || head.status == StatusCode::NOT_MODIFIED;
        assert!(is_good, "{}: {}", head.status, String::from_utf8_lossy(&body));
        Response::from_parts(head, body)
    }
}

async fn connected(address: SocketAddr) -> TcpStream {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            stream.set_nodelay(true).expect("an option of every socket");
            return stream;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// gRPC tells failures in a header or trailer of its own.
fn require_success(headers: &HeaderMap) {
    let failed = headers.get("grpc-status").is_some_and(|status| status != "0");
    assert!(!failed, "{headers:?}");
}
