//! Keeps the workers running and tells where they are.

use futures_util::future::try_join_all;
use serde_json::json;
use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// The command that makes this program a worker.
pub(crate) const WORKER: &str = "worker";

/// The pause before a worker is started again, for workers that can't start.
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
    run: watch::Sender<Option<Run>>,
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
    pub(crate) fn new(workers: usize, targets: PathBuf) -> io::Result<Self> {
        let worker = |number| Worker {
            instance: format!("worker-{number:02}"),
            run: watch::Sender::new(None),
        };
        let fleet = Self {
            workers: (0..workers).map(worker).collect(),
            targets,
        };
        // Removes the targets of an earlier fleet.
        fleet.write_targets()?;
        Ok(fleet)
    }

    /// Starts all workers, and each again when it has ended, until `stop`.
    pub(crate) async fn supervise(&self, stop: CancellationToken) -> Result<(), BoxError> {
        let workers = self.workers.iter();
        try_join_all(workers.map(|worker| self.keep_running(worker, &stop))).await?;
        Ok(())
    }

    async fn keep_running(
        &self,
        worker: &Worker,
        stop: &CancellationToken,
    ) -> Result<(), BoxError> {
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

// === impl Worker ===

impl Worker {
    /// Returns the current run, once there is one.
    pub(crate) async fn running(&self) -> Run {
        let mut current = self.run.subscribe();
        loop {
            if let Some(run) = *current.borrow_and_update() {
                return run;
            }
            let _ = current.changed().await;
        }
    }

    /// Waits for the end of a run.
    pub(crate) async fn ended(&self, run: Run) {
        let mut current = self.run.subscribe();
        let _ = current.wait_for(|current| *current != Some(run)).await;
    }
}
