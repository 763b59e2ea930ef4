use http_body_util::BodyExt;
use std::collections::BTreeMap;
use tower::ServiceExt;
use tower_openmetrics::MetricsRegistry;

/// The numbers of a page, except those that depend on time. The name `errors_total` is followed by
/// the error type.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Numbers(BTreeMap<String, u64>);

impl Numbers {
    pub(crate) async fn read(registry: &MetricsRegistry) -> Self {
        let scrape = http::Request::new(String::new());
        let page = registry.exporter().oneshot(scrape).await.unwrap();
        let page = page.into_body().collect().await.unwrap().to_bytes();
        let page = std::str::from_utf8(&page).unwrap();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        Self(samples.filter_map(Self::sample).collect())
    }

    fn sample(line: &str) -> Option<(String, u64)> {
        let (series, number) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        if ["_bucket", "_sum", "uptime_seconds"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            return None;
        }
        let error_type = labels.split_once("error_type=\"");
        let name = match error_type.and_then(|(_, rest)| rest.split_once('"')) {
            Some((error_type, _)) => format!("{name} {error_type}"),
            None => name.to_owned(),
        };
        Some((name, number.parse().unwrap()))
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        let number = self.0.get(name).copied();
        number.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// Adds to an expected number.
    pub(crate) fn add(&mut self, name: impl Into<String>, number: u64) {
        *self.0.entry(name.into()).or_default() += number;
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        for (name, number) in other.0 {
            self.add(name, number);
        }
    }

    /// Checks that the page has these numbers, and otherwise zeros.
    #[track_caller]
    pub(crate) fn assert(&self, mut expected: Self) {
        for name in self.0.keys() {
            expected.add(name, 0);
        }
        assert_eq!(self, &expected);
    }

    pub(crate) fn failed(mut self, error_type: &str) -> Self {
        self.add(format!("errors_total {error_type}"), 1);
        self
    }

    pub(crate) fn cancelled(mut self) -> Self {
        self.add("cancellations_total", 1);
        self
    }
}

/// The numbers of one call, except those of its outcome.
pub(crate) fn call(request_bytes: u64, items: u64, response_bytes: u64) -> Numbers {
    let mut numbers = Numbers::default();
    numbers.add("requests_total", 1);
    numbers.add("request_duration_seconds_count", 1);
    numbers.add("request_messages_total", 1);
    numbers.add("request_bytes_total", request_bytes);
    numbers.add("response_messages_total", items);
    numbers.add("response_bytes_total", response_bytes);
    numbers
}
