//! Shared by the examples' processes: reads settings from the environment, and stops on signals.
#![allow(dead_code, reason = "each example uses some of it")]

use std::env;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// Runs `process`. Prints its error and the sources of it, if it fails.
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

/// Returns the value of an environment variable. An empty one counts as unset.
pub(crate) fn variable<T: FromStr>(name: &str) -> Result<Option<T>, BoxError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(format!("{name} can't be {value:?}").into()),
    }
}

/// Returns a listener at `ip`, on the port that an environment variable names. Port 0 picks a free one.
pub(crate) async fn listen(
    ip: Ipv4Addr,
    variable_name: &str,
    default: u16,
) -> Result<TcpListener, BoxError> {
    let port = variable(variable_name)?.unwrap_or(default);
    let listener = TcpListener::bind((ip, port)).await;
    listener.map_err(|error| format!("can't listen on {ip}:{port}: {error}").into())
}

/// Stops a process in two steps, so that load balancers see the first step before the second one.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// Cancelled on Ctrl-C and SIGTERM. From then on the process reports that it is not ready.
    pub(crate) asked: CancellationToken,
    /// Cancelled `DRAIN_MS` later, which defaults to 2000. From then on the process accepts no connections.
    pub(crate) closing: CancellationToken,
}

impl Stop {
    /// Returns tokens that signals cancel from now on.
    pub(crate) fn on_signals() -> Result<Self, BoxError> {
        let pause = Duration::from_millis(variable("DRAIN_MS")?.unwrap_or(2_000));
        let signal = signal()?;
        let (asked, closing) = (CancellationToken::new(), CancellationToken::new());
        let stop = Self {
            asked: asked.clone(),
            closing: closing.clone(),
        };
        tokio::spawn(async move {
            signal.await;
            asked.cancel();
            println!("stopping");
            sleep(pause).await;
            closing.cancel();
        });
        Ok(stop)
    }
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
