//! The accept loop: TLS where asked for, HTTP/1.1 and HTTP/2 on one port, and a
//! graceful end.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    gather::{Gathered, Later, Socket},
    silence::Activity,
};

/// What answers requests.
pub(super) trait App: Clone + Send + 'static {
    /// Answers one; `peer` is the address that the connection comes from: a proxy's, where there
    /// is one.
    fn answer(self, peer: IpAddr, request: Request) -> impl Future<Output = Response> + Send;
}

const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long nothing may happen on a connection of HTTP/1.1.
const SILENCE: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(30);
/// After an accept that failed for want of resources, such as file descriptors.
const BREATHER: Duration = Duration::from_millis(100);

/// Serves connections until `stop`; those that are open then finish their requests.
pub(super) async fn run(
    listener: TcpListener,
    app: impl App,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let http = Arc::new(protocol());
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        let from = (app.clone(), peer.ip());
        // Looking at a token takes its lock, so each connection has one of its own.
        let (tls, http, stop) = (tls.clone(), Arc::clone(&http), stop.child_token());
        tasks.spawn(connection(stream, from, tls, http, stop));
    };
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(BREATHER).await;
            }
        }
    }
    // Those that the system has accepted already would see a reset.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serve(accepted);
    }
}

fn protocol() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().header_read_timeout(None);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE);
    http
}

async fn connection(
    stream: TcpStream,
    from: (impl App, IpAddr),
    tls: Option<TlsAcceptor>,
    http: Arc<Builder<TokioExecutor>>,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "delay stays on");
    }
    let Some(tls) = tls else { return speak(stream, from, &http, stop).await };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, from, &http, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (app, peer): (impl App, IpAddr),
    http: &Builder<TokioExecutor>,
    stop: CancellationToken,
) {
    let activity = Activity::default();
    let later = Later::new(activity.clone());
    let socket = Socket::new(stream, Arc::clone(&later));
    let seen = activity.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let open = seen.heard();
        // What a request takes to answer is large, and would be moved from hand to hand.
        let answer = Box::pin(app.clone().answer(peer, request.map(Body::new)));
        async move {
            let answer = answer.await;
            drop(open);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut gathered = Gathered::new(connection, later);
    // In a set of its own, which looks at it only when it was woken: not with each request.
    let end = async {
        tokio::select! {
            () = stop.cancelled() => End::Graceful,
            () = activity.ends(SILENCE) => End::Silent,
        }
    };
    let mut end = FuturesUnordered::from_iter([end]);
    let outcome = tokio::select! {
        biased;
        outcome = &mut gathered => outcome,
        end = end.next() => match end {
            Some(End::Silent) => return,
            Some(End::Graceful) | None => {
                gathered.connection.as_mut().graceful_shutdown();
                gathered.await
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error, "connection ended early");
    }
}

/// Why a connection is ended from this side.
enum End {
    /// The service stops.
    Graceful,
    /// Nothing happens on it.
    Silent,
}
