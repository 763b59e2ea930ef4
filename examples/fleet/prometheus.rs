//! A Prometheus that scrapes the fleet, if one is installed.

use super::process;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};
use tower::BoxError;

const CONFIG: &str = "\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: fleet
    file_sd_configs:
      - files: [targets.json]
";

/// Starts Prometheus. It ends when the child is dropped.
pub(crate) fn start(directory: &Path) -> Result<Option<Child>, BoxError> {
    let port = process::variable("FLEET_PROMETHEUS_PORT")?.unwrap_or(9090_u16);
    let config = directory.join("prometheus.yml");
    fs::write(&config, CONFIG)?;
    let log = fs::File::create(directory.join("prometheus.log"))?;
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(child) => {
            println!("prometheus:    http://127.0.0.1:{port}");
            Ok(Some(child))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!(
                "prometheus:    not installed, {} is for one of yours",
                config.display()
            );
            Ok(None)
        }
        Err(error) => Err(format!("can't start prometheus: {error}").into()),
    }
}
