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
    rt::{TokioIo, TokioTimer},
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
    connections::ConnectionLimits,
    gather::{Gathered, Later, Socket},
    silence::{Activity, Timeouts},
    streams::{Paced, StreamExecutor},
};

/// What answers requests.
pub(super) trait App: Clone + Send + 'static {
    /// Answers one; `peer` is the address that the connection comes from: a proxy's, where there
    /// is one.
    fn answer(self, peer: IpAddr, request: Request) -> impl Future<Output = Response> + Send;
}

/// Time between the pings of HTTP/2; one that is not answered in 20 s ends the connection.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The largest head of a request on HTTP/1.1, in bytes.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// The largest head of a request on HTTP/2, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// Streams of one connection of HTTP/2 at a time.
const MAX_STREAMS: u32 = 200;
/// What may arrive on a stream before it is read, and on all of a connection, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// What may wait to be sent on a stream, in bytes.
const MAX_SEND_BYTES: usize = 64 * 1024;
/// Streams that the peer may reset before they were looked at.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that may be reset for the peer's errors.
const MAX_ERROR_RESETS: usize = 1024;
/// After an accept that failed for want of resources, such as file descriptors.
const BREATHER: Duration = Duration::from_millis(100);

/// How a port is listened on.
pub(super) struct Listen {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: ConnectionLimits,
    pub(super) timeouts: Timeouts,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// What the connections of a port share.
struct Shared {
    tls: Option<TlsAcceptor>,
    http: Builder<StreamExecutor>,
    timeouts: Timeouts,
}

/// Serves connections until they are to stop; those that are open then finish their requests.
pub(super) async fn run(listener: TcpListener, app: impl App, listen: Listen) {
    let Listen { tls, limits, timeouts, stop, tasks } = listen;
    let shared = Arc::new(Shared { tls, http: protocol(timeouts.write), timeouts });
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        let activity = Activity::default();
        let Some(permit) = limits.take(peer.ip(), &activity) else {
            tracing::debug!(%peer, "a connection was refused: there are too many");
            return;
        };
        let from = (app.clone(), peer.ip(), activity);
        // Looking at a token takes its lock, so each connection has one of its own.
        let (shared, stop) = (Arc::clone(&shared), stop.child_token());
        tasks.spawn(async move {
            connection(stream, from, &shared, stop).await;
            drop(permit);
        });
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

fn protocol(write_timeout: Duration) -> Builder<StreamExecutor> {
    let mut http = Builder::new(StreamExecutor { write_timeout });
    http.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS);
    http
}

/// The app, the address of the peer, and what happens on the connection.
type From<A> = (A, IpAddr, Activity);

async fn connection(
    stream: TcpStream,
    from: From<impl App>,
    shared: &Shared,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "delay stays on");
    }
    let Some(tls) = &shared.tls else { return speak(stream, from, shared, stop).await };
    let handshake = timeout(shared.timeouts.handshake, tls.accept(stream));
    let activity = from.2.clone();
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        () = activity.evicted() => return,
    };
    match handshake {
        Ok(Ok(stream)) => speak(stream, from, shared, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (app, peer, activity): From<impl App>,
    shared: &Shared,
    stop: CancellationToken,
) {
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
            Ok::<_, Infallible>(answer.map(Paced::new))
        }
    });
    let connection = pin!(shared.http.serve_connection(TokioIo::new(socket), service));
    let mut gathered = Gathered::new(connection, later);
    // In a set of its own, which looks at it only when it was woken: not with each request.
    let end = async {
        tokio::select! {
            () = stop.cancelled() => End::Graceful,
            () = activity.ends(shared.timeouts) => End::Silent,
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
