use crate::client::Seen;
use crate::wire_support::bounded;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use tower::ServiceExt;
use tower_openmetrics::MetricsLayer;

/// The values that the page should show, except those at 0, by name and labels.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

/// Everything that the layer counts, except durations.
const COUNTED: [&str; 8] = [
    "cancellations_total",
    "concurrent_requests",
    "errors_total",
    "request_bytes_total",
    "request_duration_seconds_count",
    "requests_total",
    "response_bytes_total",
    "stream_duration_seconds_count",
];

impl Tally {
    /// Adds a call whose response was received completely.
    pub(crate) fn count(&mut self, route: &str, seen: &Seen) {
        self.call(
            route,
            seen.method.as_str(),
            seen.status,
            is_long_lived(seen),
        );
        let (method, status) = (&seen.method, seen.status.as_str());
        let begin = format!(r#"{{endpoint="shop",method="{method}",route="{route}"}}"#);
        let end =
            format!(r#"{{endpoint="shop",method="{method}",route="{route}",status="{status}"}}"#);
        self.add("request_bytes_total", &begin, seen.sent);
        self.add("response_bytes_total", &end, seen.body.len());
        if let Some(error_type) = error_type(seen.status) {
            let labels = begin.replace(
                ",method=",
                &format!(r#",error_type="{error_type}",method="#),
            );
            self.add("errors_total", &labels, 1);
        }
    }

    /// Adds an event stream that the client dropped after this many bytes.
    pub(crate) fn cancelled(&mut self, route: &str, received: usize) {
        self.call(route, "GET", StatusCode::OK, true);
        let end = format!(r#"{{endpoint="shop",method="GET",route="{route}",status="200"}}"#);
        self.add("cancellations_total", &end, 1);
        self.add("response_bytes_total", &end, received);
    }

    fn call(&mut self, route: &str, method: &str, status: StatusCode, is_long_lived: bool) {
        let status = status.as_str();
        let end =
            format!(r#"{{endpoint="shop",method="{method}",route="{route}",status="{status}"}}"#);
        self.add("requests_total", &end, 1);
        let timed = match (status, is_long_lived) {
            ("101", _) => return,
            (_, true) => "stream_duration_seconds_count",
            (_, false) => "request_duration_seconds_count",
        };
        let begin = format!(r#"{{endpoint="shop",method="{method}",route="{route}"}}"#);
        self.add(timed, &begin, 1);
    }

    fn add(&mut self, name: &str, labels: &str, by: usize) {
        if by != 0 {
            *self.0.entry(format!("{name}{labels}")).or_default() += by as u64;
        }
    }

    /// Checks that the page shows the same. No call may be in flight.
    pub(crate) async fn assert(&self, layer: &MetricsLayer) {
        assert_eq!(self.0, counted(layer).await, "left: seen by clients");
    }
}

/// Returns the values on the layer's page that are not 0.
async fn counted(layer: &MetricsLayer) -> BTreeMap<String, u64> {
    let scrape = Request::get("/metrics").body(()).unwrap();
    let Ok(page) = bounded("a page", layer.exporter().oneshot(scrape)).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = str::from_utf8(&page).unwrap();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
    samples
        .filter(|(series, _)| {
            let name = series.split('{').next().unwrap();
            COUNTED.contains(&name)
        })
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
        .filter(|(_, value)| *value != 0)
        .collect()
}

fn is_long_lived(seen: &Seen) -> bool {
    let content_type = seen.headers.get("content-type");
    content_type.is_some_and(|value| value == "text/event-stream")
}

/// Returns the error type of this status, if it is a failure.
fn error_type(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        400 | 422 => Some("deserialization"),
        405 | 413 => Some("invalid_message"),
        500 => Some("generate"),
        _ => None,
    }
}
