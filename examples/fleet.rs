//! A fleet of workers, clients that know how each of their calls has to end, and a Prometheus that finds the workers.
//!
//! ```text
//! $ cargo run --release --example fleet
//! prometheus:    http://127.0.0.1:9090
//! worker-00:     run 1, process 4711, http://127.0.0.1:40001/metrics
//! …
//! $ kill -9 4711
//! ```
//!
//! Each worker is a process of this program, on a free port. A worker that ends is started again: as the next run of the
//! same instance, on another port. Prometheus reads the ports from `targets.json`, and the clients get them from the
//! supervisor. The clients write how each call ended into `calls.jsonl`, to be compared with what PromQL answers.
//!
//! `prometheus` has to be on the `PATH`. Without it the fleet runs alone, and `prometheus.yml` is there for another one.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `FLEET_WORKERS` | how many workers | 20 |
//! | `FLEET_CALLS` | how many calls each endpoint of a worker gets; 0 for no end | 0 |
//! | `FLEET_PAUSE_MS` | the pause between two calls | 100 |
//! | `FLEET_PROMETHEUS_PORT` | the port of Prometheus, if that is installed | 9090 |
//! | `FLEET_DIR` | where all files go | target/fleet |
//! | `DRAIN_MS` | how long the workers outlast the clients after Ctrl-C or SIGTERM | 2000 |

#[path = "fleet/clients.rs"]
mod clients;
mod process;
#[path = "fleet/prometheus.rs"]
mod prometheus;
mod serving;
#[path = "fleet/supervisor.rs"]
mod supervisor;
#[path = "fleet/worker.rs"]
mod worker;

use self::clients::Clients;
use self::process::Stop;
use self::supervisor::Fleet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tower::BoxError;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        None => process::report(run()).await,
        Some(supervisor::WORKER) => process::report(worker::run()).await,
        Some(other) => {
            eprintln!("error: there is no command {other:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let workers = process::variable("FLEET_WORKERS")?.unwrap_or(20);
    let calls = process::variable("FLEET_CALLS")?.unwrap_or(0);
    let pause = process::variable("FLEET_PAUSE_MS")?.unwrap_or(100);
    let directory = process::variable::<PathBuf>("FLEET_DIR")?;
    let directory = directory.unwrap_or_else(|| PathBuf::from("target/fleet"));
    fs::create_dir_all(&directory)
        .map_err(|error| format!("can't create {}: {error}", directory.display()))?;

    let targets = directory.join("targets.json");
    let fleet = Fleet::new(workers, targets.clone())?;
    println!("targets:       {}", targets.display());
    let _prometheus = prometheus::start(&directory)?;
    let clients = Clients::new(&directory, calls, Duration::from_millis(pause))?;
    tokio::try_join!(
        fleet.supervise(stop.closing),
        clients.call(&fleet, stop.asked),
    )?;
    Ok(())
}
