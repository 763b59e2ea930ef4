//! Keeps the workers running and tells where they are.

use serde_json::json;
use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// The command that makes this program a worker.
pub(crate) const WORKER: &str = "worker";

/// How long a worker stays down, so that one that can't start is not started all the time.
const DOWN: Duration = Duration::from_millis(200);

/// All workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) workers: Vec<Worker>,
    targets: PathBuf,
}

/// One worker, through all its runs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) instance: String,
    /// The current run. `None` while the worker is down.
    pub(crate) run: watch::Sender<Option<Run>>,
}

/// A worker from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    /// Counts from 1.
    pub(crate) number: u32,
    pub(crate) address: SocketAddr,
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn new(workers: usize, targets: PathBuf) -> Self {
        let worker = |number| Worker {
            instance: format!("worker-{number:02}"),
            run: watch::Sender::new(None),
        };
        Self {
            workers: (0..workers).map(worker).collect(),
            targets,
        }
    }

    /// Starts all workers, and each again when it has ended, until `stop`.
    pub(crate) async fn supervise(
        self: Arc<Self>,
        stop: CancellationToken,
    ) -> Result<(), BoxError> {
        let mut all = JoinSet::new();
        for index in 0..self.workers.len() {
            let (fleet, stop) = (Arc::clone(&self), stop.clone());
            all.spawn(async move { fleet.keep_running(index, stop).await });
        }
        while let Some(ended) = all.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn keep_running(&self, index: usize, stop: CancellationToken) -> Result<(), BoxError> {
        let worker = &self.workers[index];
        for number in 1.. {
            let mut process = Command::new(env::current_exe()?)
                .arg(WORKER)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            // A worker stops when this is closed, so none outlives its supervisor.
            let stdin = process.stdin.take();
            let stdout = process.stdout.take().ok_or("stdout is piped")?;
            let mut lines = BufReader::new(stdout).lines();
            let address = lines.next_line().await?;
            if let Some(address) = address.and_then(|line| line.parse().ok()) {
                let process = process.id().unwrap_or_default();
                println!(
                    "{}:     run {number}, process {process}, http://{address}/metrics",
                    worker.instance
                );
                worker.run.send_replace(Some(Run { number, address }));
                self.write_targets()?;
            }
            let stopped = tokio::select! {
                ended = process.wait() => {
                    println!("{}:     run {number} has ended: {}", worker.instance, ended?);
                    stop.is_cancelled()
                }
                () = stop.cancelled() => {
                    drop(stdin);
                    process.wait().await?;
                    true
                }
            };
            worker.run.send_replace(None);
            if stopped {
                break;
            }
            sleep(DOWN).await;
        }
        Ok(())
    }

    /// Writes the file that Prometheus' file discovery reads. A label that begins with `__meta_` is there for relabelling
    /// and gets into no series by itself.
    fn write_targets(&self) -> io::Result<()> {
        let running = self.workers.iter().filter_map(|worker| {
            let run = (*worker.run.borrow())?;
            Some(json!({
                "targets": [run.address],
                "labels": { "instance": worker.instance, "__meta_fleet_run": run.number.to_string() },
            }))
        });
        let targets: Vec<_> = running.collect();
        // Renamed, so that nobody reads half of it.
        let written = self.targets.with_extension("new");
        fs::write(&written, json!(targets).to_string())?;
        fs::rename(written, &self.targets)
    }
}
