//! What the crate says of its metrics: a page with one call of each layer.

use crate::layers;
use crate::naming::{Convention, Naming};
use crate::objective::Objective;
use crate::promql::{BEFORE_LABELS, KEYWORDS, matchers, without_matchers, words};
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::{Ready, ready};
use tower::util::ServiceFn;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_openmetrics::collectors::ProcessCollector;
use tower_openmetrics::{Format, MetricsRegistry, RequestBody};

/// The names and labels that an expression may have, and the values of some labels.
#[derive(Debug)]
pub(crate) struct Description {
    /// Names of samples, and of what rules record.
    names: BTreeSet<String>,
    labels: BTreeSet<String>,
    pub(crate) error_types: BTreeSet<String>,
    /// The name of a bucket, and its bound.
    bounds: BTreeSet<(String, String)>,
    /// The text of a family's HELP, by the family's name.
    helps: BTreeMap<String, String>,
}

/// Labels that Prometheus adds.
const LABELS_OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

type Call = Request<Body>;

impl Description {
    /// Returns what a page with this naming has.
    ///
    /// # Errors
    ///
    /// The page can't be made.
    pub(crate) async fn of(naming: &Naming) -> Result<Self, BoxError> {
        let registry = MetricsRegistry::new();
        registry.register_collector(ProcessCollector::new())?;
        // Only the crate's own names list all error types.
        let types = MetricsRegistry::new();
        match naming.convention {
            Convention::Own => {
                call(layers::own(&registry)?).await;
                call(layers::own_client(&registry)?).await;
            }
            Convention::AxumPrometheus => call(layers::axum_prometheus(&registry)?).await,
            Convention::OpenTelemetryServer => {
                call(layers::open_telemetry_server(&registry)?).await;
                call(layers::own(&types)?).await;
            }
            Convention::OpenTelemetryClient => {
                call(layers::open_telemetry_client(&registry)?).await;
                call(layers::own_client(&types)?).await;
            }
        }
        let mut described = Self::parse(&registry.encode(Format::OpenMetrics)?);
        let types = Self::parse(&types.encode(Format::OpenMetrics)?);
        described.error_types.extend(types.error_types);
        Ok(described)
    }

    fn parse(page: &str) -> Self {
        let mut names = BTreeSet::from(["up".to_owned()]);
        let mut labels: BTreeSet<String> = LABELS_OF_PROMETHEUS.map(str::to_owned).into();
        let mut error_types = BTreeSet::new();
        let mut bounds = BTreeSet::new();
        let helps = page
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        let helps = helps
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        for sample in page.lines().filter(|line| !line.starts_with('#')) {
            let name = sample.split(['{', ' ']).next().unwrap_or(sample);
            names.insert(name.to_owned());
            for (label, value) in matchers(sample) {
                labels.insert(label.to_owned());
                match label {
                    "error_type" if !value.is_empty() => drop(error_types.insert(value.to_owned())),
                    "le" => drop(bounds.insert((name.to_owned(), value.to_owned()))),
                    _ => {}
                }
            }
        }
        Self {
            names,
            labels,
            error_types,
            bounds,
            helps,
        }
    }

    /// Lets later expressions use what a rule records.
    pub(crate) fn record(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Checks that the page has the names and labels of an expression.
    ///
    /// # Errors
    ///
    /// Names what is not on the page.
    pub(crate) fn check(&self, expression: &str) -> Result<(), BoxError> {
        let refuse = |what, name: &str| {
            let expression = expression.replace('\n', " ");
            Err(format!("no {what} `{name}` on the page, but in `{expression}`").into())
        };
        for (label, value) in matchers(expression) {
            if !self.labels.contains(label) {
                return refuse("label", label);
            }
            if label == "error_type" {
                let is_known = |one: &str| {
                    one.is_empty() || one == "cancelled" || self.error_types.contains(one)
                };
                if let Some(unknown) = value.split('|').find(|one| !is_known(one)) {
                    return refuse("error type", unknown);
                }
            }
        }
        let mut in_labels = false;
        for (word, next) in words(&without_matchers(expression)) {
            if BEFORE_LABELS.contains(&word) {
                in_labels = true;
                continue;
            }
            if in_labels && !self.labels.contains(word) {
                return refuse("label", word);
            }
            let is_name = !in_labels && next != Some('(') && !KEYWORDS.contains(&word);
            if is_name && !self.names.contains(word) {
                return refuse("metric", word);
            }
            in_labels &= next == Some(',');
        }
        Ok(())
    }

    /// Returns what the page says of the family of a sample.
    ///
    /// # Errors
    ///
    /// It says nothing.
    pub(crate) fn help(&self, sample: &str) -> Result<&str, BoxError> {
        let suffixes = ["_total", "_bucket", "_count", "_sum"];
        let families = suffixes
            .iter()
            .filter_map(|suffix| sample.strip_suffix(suffix));
        let help = families
            .chain([sample])
            .find_map(|family| self.helps.get(family));
        let help = help.ok_or_else(|| format!("no HELP for `{sample}` on the page"))?;
        Ok(help)
    }

    /// Checks that one of the buckets with this name ends at the objective's threshold.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn check_objective(
        &self,
        objective: &Objective,
        bucket: &str,
    ) -> Result<(), BoxError> {
        let threshold = objective.threshold;
        let is_it =
            |(name, bound): &(String, String)| name == bucket && bound.parse() == Ok(threshold);
        if self.bounds.iter().any(is_it) {
            return Ok(());
        }
        Err(format!("no `{bucket}` at {threshold} s on the page").into())
    }
}

/// Makes a call and one with a stream, so that the page has series.
async fn call<L>(layer: L)
where
    L: Layer<Handler, Service: Service<Call, Response: Send, Error = Infallible>>,
{
    let mut service = layer.layer(service_fn(handle as fn(_) -> _));
    for accepted in ["text/plain", "text/event-stream"] {
        let request = Request::get("/").header(ACCEPT, accepted);
        let request = request.body(Body::empty()).expect("a valid request");
        let Ok(_response) = (&mut service).oneshot(request).await;
    }
}

type Handler =
    ServiceFn<fn(Request<RequestBody<Body>>) -> Ready<Result<Response<Body>, Infallible>>>;

/// Answers with the type that is asked for.
fn handle(request: Request<RequestBody<Body>>) -> Ready<Result<Response<Body>, Infallible>> {
    let mut response = Response::new(Body::empty());
    let accepted = request.headers().get(ACCEPT).cloned();
    response
        .headers_mut()
        .extend(accepted.map(|accepted| (CONTENT_TYPE, accepted)));
    ready(Ok(response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::NAMINGS;

    const PAGE: &str = "# HELP errors About errors
# TYPE errors counter
errors_total{error_type=\"timeout\",route=\"/\"} 0
# HELP took_seconds About took_seconds
took_seconds_bucket{le=\"0.5\"} 0
# HELP streamed_seconds About streamed_seconds
streamed_seconds_bucket{le=\"0.3\"} 0
# HELP open About open
open 0
# EOF";

    #[test]
    fn an_expression_has_the_names_of_the_page() {
        let mut page = Description::parse(PAGE);
        for expression in [
            "errors_total",
            "sum by (job, route) (rate(errors_total{error_type=\"timeout\"}[5m])) > 0.5",
            "histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[1h])))",
            "open unless on (job) open offset 15m or up == 0",
        ] {
            page.check(expression).expect("all of it is there");
        }
        for (expression, named) in [
            ("closed", "metric `closed`"),
            ("rate(errors[5m])", "metric `errors`"),
            ("sum by (path) (open)", "label `path`"),
            ("sum by (job, path) (open)", "label `path`"),
            ("open{job=\"a\", path=\"b\"}", "label `path`"),
            (
                "errors_total{error_type=~\"timeout|late\"}",
                "error type `late`",
            ),
            ("open / job:open:sum", "metric `job:open:sum`"),
        ] {
            let error = page.check(expression).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
            assert!(error.contains(expression), "{error}");
        }
        page.record("job:open:sum");
        page.check("open / job:open:sum").expect("it is recorded");
    }

    #[test]
    fn a_sample_has_the_help_of_its_family() {
        let page = Description::parse(PAGE);
        for sample in [
            "errors_total",
            "took_seconds_bucket",
            "took_seconds_sum",
            "open",
        ] {
            let family = sample
                .trim_end_matches("_total")
                .trim_end_matches("_bucket");
            let family = family.trim_end_matches("_sum");
            assert_eq!(
                page.help(sample).expect("a text"),
                format!("About {family}")
            );
        }
        let error = page.help("closed_total").unwrap_err();
        assert!(error.to_string().contains("closed_total"), "{error}");
    }

    #[test]
    fn an_objective_needs_its_bucket() {
        let page = Description::parse(PAGE);
        let objective = |threshold| Objective {
            threshold,
            ..crate::objective::OBJECTIVE
        };
        let check = |threshold, bucket| page.check_objective(&objective(threshold), bucket);
        check(0.5, "took_seconds_bucket").expect("it is there");
        for (threshold, bucket) in [
            (0.3, "took_seconds_bucket"),
            (0.5, "streamed_seconds_bucket"),
        ] {
            let error = check(threshold, bucket).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{bucket}` at {threshold} s")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn all_namings_have_error_types() {
        for naming in &NAMINGS {
            let page = Description::of(naming).await.expect("a page");
            let types = page.error_types.len();
            let is_client = page.error_types.contains("connect");
            assert_eq!(
                types,
                if is_client { 11 } else { 9 },
                "{}",
                naming.directory
            );
        }
    }
}
