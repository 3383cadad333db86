//! Opens the ports and the database of a service that starts.
//!
//! A database server that is not there yet is waited for, so that a service and its database may
//! be started together; what cannot pass by itself, such as a wrong password, is refused at once.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    time::{Instant, sleep},
};

use super::StartError;
use crate::{
    config::ServeSettings,
    model::error::Code,
    store::{Access, ConnectError, Store},
};

/// The time between two attempts to open the database.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two log lines about a database that is waited for.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Takes a port. Connections to it are refused until [`listen`]: a client should rather try
/// elsewhere than wait for a database to appear.
///
/// # Errors
///
/// [`StartError::Setting`], naming the setting and the address.
pub(super) fn reserve(address: SocketAddr, setting: &str) -> Result<TcpSocket, StartError> {
    let reserved = || -> std::io::Result<TcpSocket> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Two sockets that reuse addresses and do not listen yet could get the same free port.
        socket.set_reuseaddr(address.port() != 0)?;
        socket.bind(address)?;
        // Connections inherit it, so that a restart gets the port while old ones linger.
        socket.set_reuseaddr(true)?;
        Ok(socket)
    };
    reserved().map_err(|error| cannot_listen(address, setting, &error))
}

/// Starts to accept connections on a port that was taken by [`reserve`].
///
/// # Errors
///
/// As [`reserve`].
pub(super) fn listen(
    socket: TcpSocket,
    address: SocketAddr,
    setting: &str,
) -> Result<TcpListener, StartError> {
    socket.listen(BACKLOG).map_err(|error| cannot_listen(address, setting, &error))
}

fn cannot_listen(address: SocketAddr, setting: &str, error: &std::io::Error) -> StartError {
    StartError::Setting(format!("{setting}: cannot listen on {address}: {error}"))
}

/// Opens the database and brings its schema up, waiting for a server that is not there for as
/// long as the settings say.
///
/// # Errors
///
/// The last failure, when the time is over or it cannot pass by itself.
pub(super) async fn open(
    settings: &ServeSettings,
    database_url: &str,
) -> Result<Store, StartError> {
    let until = Instant::now() + settings.database_wait;
    let mut logged: Option<Instant> = None;
    loop {
        let error = match attempt(settings, database_url).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() >= until {
            return Err(error);
        }
        if logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            logged = Some(Instant::now());
            tracing::warn!(%error, wait = ?settings.database_wait, "waiting for the database");
        }
        sleep(RETRY_INTERVAL.min(until - Instant::now())).await;
    }
}

async fn attempt(settings: &ServeSettings, database_url: &str) -> Result<Store, StartError> {
    let store = Store::connect_with(database_url, Access::Create, &settings.pools.pools()).await?;
    match settings.no_migrate {
        true => store.require_schema().await?,
        false => store.migrate_up().await?,
    }
    Ok(store)
}

/// Whether another attempt may succeed though nobody changes a setting.
fn may_pass(error: &StartError) -> bool {
    match error {
        StartError::Database(error) => matches!(error, ConnectError::Absent { .. }),
        StartError::Operation(error) => error.code == Code::Unavailable,
        StartError::Setting(_) => false,
    }
}
