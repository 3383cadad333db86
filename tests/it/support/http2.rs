//! HTTP/2 as a client speaks it that means no good: bodies that stop, windows that stay shut.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{Request, Response};
use tokio::net::TcpStream;

/// A connection that is driven until this is dropped.
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    driver: tokio::task::JoinHandle<()>,
    address: SocketAddr,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &Builder::new()).await
    }

    /// A connection whose streams may be sent nothing.
    pub(crate) async fn with_shut_window(address: SocketAddr) -> Self {
        Self::connect_with(address, Builder::new().initial_window_size(0)).await
    }

    async fn connect_with(address: SocketAddr, builder: &Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        let driver = tokio::spawn(async move {
            // The other side may close it, which its streams are told.
            let _ = connection.await;
        });
        Self { requests, driver, address }
    }

    /// Begins a request whose body may follow.
    pub(crate) async fn begin(
        &mut self,
        path: &str,
        kind: &str,
        key: Option<&str>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::post(uri).header("content-type", kind).header("te", "trailers");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Begins a call and sends the beginning of its body, to which nothing is added.
    pub(crate) async fn stop_in_the_middle(
        &mut self,
        path: &str,
        kind: &str,
        key: Option<&str>,
        beginning: &[u8],
    ) -> (Response<RecvStream>, SendStream<Bytes>) {
        let (response, mut body) = self.begin(path, kind, key).await;
        // An answer that came before it has closed the stream, which is as good.
        let _ = body.send_data(Bytes::copy_from_slice(beginning), false);
        (response.await.unwrap(), body)
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The status of a call, from the headers or from the end of its body.
pub(crate) async fn grpc_status(response: Response<RecvStream>) -> Option<i32> {
    let status =
        |headers: &http::HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    if let Some(status) = status(response.headers()) {
        return Some(status);
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data.ok()?.len();
        body.flow_control().release_capacity(length).ok()?;
    }
    body.trailers().await.ok()?.as_ref().and_then(status)
}

/// A message as gRPC frames it.
pub(crate) fn grpc_frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}
