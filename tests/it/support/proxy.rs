//! A proxy between the service and its database that can fall silent, as a network does when a
//! host dies, or slow down.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// What the proxy does with what it is given.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// Connections up to this one say nothing any more, and stay open.
    silent: u64,
    /// How long each piece is under way.
    delay: Duration,
}

/// A proxy on a port of its own; it ends with this value.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    opened: watch::Receiver<u64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Forwards connections to the host and port of a URL.
    pub(crate) async fn to(url: &str) -> Self {
        let upstream: SocketAddr = authority(url).parse().expect("an address and a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(watch::Sender::new(Weather::default()));
        let (count, opened) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&weather), count));
        Self { address, weather, opened, accepting }
    }

    /// The same URL by way of the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    /// All connections that are open now fall silent; new ones work.
    pub(crate) fn silence(&self) {
        let opened = *self.opened.borrow();
        self.weather.send_modify(|weather| weather.silent = opened);
    }

    /// Each piece is under way for so long, in both directions.
    pub(crate) fn slow_down(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").expect("a URL").1;
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    count: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(upstream).await else { continue };
        count.send_modify(|count| *count += 1);
        let number = *count.borrow();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(forward(from_client, to_server, number, weather.subscribe()));
        tokio::spawn(forward(from_server, to_client, number, weather.subscribe()));
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        let now = *weather.borrow();
        if number <= now.silent {
            // Neither forwards nor closes, for as long as the test lasts.
            return std::future::pending().await;
        }
        let Ok(length @ 1..) = read else { return };
        sleep(now.delay).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
