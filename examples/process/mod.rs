//! What the examples' processes have in common: how they are told what to do, and to stop.
#![allow(dead_code, reason = "each example uses some of it")]

use std::env;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// Says how it went, if it went wrong.
pub(crate) async fn report(process: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    let Err(error) = process.await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// The value of an environment variable. One that is set to nothing is unset.
pub(crate) fn variable<T: FromStr>(name: &str) -> Result<Option<T>, BoxError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(format!("{name} can't be {value:?}").into()),
    }
}

/// A listener on the port that a variable names. 0 picks a free one.
pub(crate) async fn listen(variable_name: &str, default: u16) -> Result<TcpListener, BoxError> {
    let port = variable(variable_name)?.unwrap_or(default);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    listener.map_err(|error| format!("can't listen on port {port}: {error}").into())
}

/// Where to reach a listener at `addr` from this machine.
pub(crate) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    addr
}

/// Cancelled on Ctrl-C or SIGTERM.
#[cfg(unix)]
pub(crate) fn asked_to_stop() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        asked.cancel();
    });
    Ok(stop)
}

/// Cancelled on Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn asked_to_stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        asked.cancel();
    });
    Ok(stop)
}
