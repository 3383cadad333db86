//! `flagstaff healthcheck`: asks a running service whether it is ready, for
//! container probes that have no HTTP client.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::Failure;
use crate::config::values::address;

const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Args, Clone, Debug)]
pub(super) struct Healthcheck {
    /// Where the service answers `/readyz`
    #[arg(long, env = "FLAGSTAFF_OPS_LISTEN", default_value = "127.0.0.1:9090", value_parser = address)]
    ops_listen: SocketAddr,
}

pub(super) async fn run(command: &Healthcheck) -> Result<ExitCode, Failure> {
    match timeout(PATIENCE, ask(command.ops_listen)).await {
        Ok(Ok(status)) if status.contains(" 200 ") => Ok(ExitCode::SUCCESS),
        Ok(Ok(status)) => Err(Failure::Setting(format!("the service is not ready: {status}"))),
        Ok(Err(error)) => Err(unreachable(command.ops_listen, &error.to_string())),
        Err(_) => Err(unreachable(command.ops_listen, "no answer in time")),
    }
}

fn unreachable(address: SocketAddr, why: &str) -> Failure {
    Failure::Setting(format!(
        "--ops-listen (FLAGSTAFF_OPS_LISTEN): nobody answers at {address}: {why}"
    ))
}

/// The status line of `GET /readyz`; an unspecified address is reached by loopback.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
