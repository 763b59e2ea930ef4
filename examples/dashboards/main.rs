//! Recording rules, alerts with tests, runbooks, a dashboard and an objective, for each naming of the metrics.
//!
//! ```text
//! $ cargo run --example dashboards --features process -- --out observed
//! $ promtool check rules observed/own/rules.yml
//! $ promtool test rules observed/own/rules_test.yml
//! ```
//!
//! | argument | meaning | default |
//! |---|---|---|
//! | `--out` | the directory to write to | |
//! | `--runbooks` | the address below which the runbooks are: where alerts link to | `runbooks` |
//!
//! There is a directory for each naming: `own`, `axum_prometheus`, `open_telemetry_server` and `open_telemetry_client`. The
//! presets for RPC and model servers have none. A directory has
//!
//! | file | for |
//! |---|---|
//! | `rules.yml` | Prometheus: `rule_files` |
//! | `prometheus-rule.yaml` | the Prometheus Operator: the same rules |
//! | `rules_test.yml` | promtool: each alert fires, and each is silent |
//! | `runbooks/` | whoever is on call: a file for each alert and each error type |
//! | `dashboard.json` | Grafana: import it |
//! | `objective.yml` | tools that read OpenSLO |
//!
//! Each expression is checked against a real page: for each naming, a layer serves a call. A name, a label or an error type
//! that is not on its page is an error. Change the objective in `objective.rs`, and the alerts in `alerts/`.
//!
//! All expressions are by `job`, a label that Prometheus adds.

mod alerts;
mod dashboard;
mod description;
mod error_types;
mod layers;
mod naming;
mod objective;
mod open_slo;
mod panels;
mod promql;
mod rules;
mod runbooks;
mod scenario;
mod yaml;

use self::description::Description;
use self::naming::{NAMINGS, Naming};
use self::objective::OBJECTIVE;
use self::open_slo::open_slo;
use std::path::{Path, PathBuf};
use std::{env, fs};
use tower::BoxError;

/// How the manifest for the Prometheus Operator begins.
const MANIFEST: &str = "\
# The example `dashboards` writes this file, with a dashboard, tests and runbooks. Its option --runbooks sets the address of
# the runbooks. Add the labels that the `ruleSelector` of your Prometheus asks for.
";

/// What the program is asked for.
struct Arguments {
    out: PathBuf,
    runbooks: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let Arguments { out, runbooks } = arguments(env::args().skip(1))?;
    for naming in &NAMINGS {
        let directory = out.join(naming.directory);
        for (path, text) in files(naming, &runbooks).await? {
            write(&directory.join(path), &text)?;
        }
        println!("{}", directory.display());
    }
    Ok(())
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, BoxError> {
    let mut out = None;
    let mut runbooks = "runbooks".to_owned();
    while let Some(name) = given.next() {
        let value = given
            .next()
            .ok_or_else(|| format!("no value after `{name}`"))?;
        match name.as_str() {
            "--out" => out = Some(value.into()),
            "--runbooks" => runbooks = value.trim_end_matches('/').to_owned(),
            _ => {
                return Err(format!(
                    "no argument is named `{name}`: there are --out and --runbooks"
                )
                .into());
            }
        }
    }
    let out = out.ok_or("no directory to write to: give one by --out")?;
    Ok(Arguments { out, runbooks })
}

/// Returns all files of a naming, each with its path.
///
/// # Errors
///
/// Names what an expression has and the page doesn't.
async fn files(naming: &Naming, runbooks: &str) -> Result<Vec<(String, String)>, BoxError> {
    let mut page = Description::of(naming).await?;
    page.check_objective(&OBJECTIVE, &naming.duration("bucket").name)?;
    // First, because the other files use what the rules record.
    let rules = rules::rules(naming, &mut page, runbooks)?;
    let objective = open_slo(naming, &page)?;
    let dashboard = serde_json::to_string_pretty(&dashboard::dashboard(naming, &page)?)?;
    let mut all = vec![
        ("rules.yml".to_owned(), rules.to_string()),
        (
            "rules_test.yml".to_owned(),
            rules::tests(naming, runbooks).to_string(),
        ),
        (
            "prometheus-rule.yaml".to_owned(),
            format!("{MANIFEST}{}", rules::manifest(naming, rules)),
        ),
        ("objective.yml".to_owned(), objective.to_string()),
        ("dashboard.json".to_owned(), dashboard + "\n"),
    ];
    let texts = runbooks::runbooks(naming, &page)?;
    all.extend(
        texts
            .into_iter()
            .map(|(path, text)| (format!("runbooks/{path}"), text)),
    );
    Ok(all)
}

fn write(path: &Path, text: &str) -> Result<(), BoxError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = written.and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn kubernetes_has_the_generated_rules() {
        let files = files(&NAMINGS[0], "runbooks").await.unwrap();
        let manifest = files
            .iter()
            .find(|(path, _)| path == "prometheus-rule.yaml");
        let (_, generated) = manifest.unwrap();
        assert!(
            generated == include_str!("../kubernetes/prometheus-rule.yaml"),
            "copy own/prometheus-rule.yaml to examples/kubernetes"
        );
    }
}
