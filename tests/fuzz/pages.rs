//! Pages of the exporter, checked by parsers.

use crate::oracle::{self, packed};
use futures_util::FutureExt;
use http::{Request, StatusCode, response};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_openmetrics::{MetricsExporter, MetricsRegistry};

/// A family that must be on the page.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) family: String,
    pub(crate) help: String,
    /// The labels of one sample.
    pub(crate) labels: Vec<(String, String)>,
}

pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Vec<u8>,
}

/// Returns the exporter's page, outside of any runtime.
pub(crate) fn ask(exporter: &MetricsExporter, request: Request<()>) -> Answer {
    let answered = exporter.clone().oneshot(request).now_or_never();
    let Ok(response) = answered.expect("nothing to wait for");
    let (head, mut body) = response.into_parts();
    let mut content = Vec::new();
    loop {
        match body.frame().now_or_never() {
            // The exporter yields between two pieces.
            None => {}
            Some(None) => break,
            Some(Some(frame)) => {
                let data = frame.expect("no error").into_data().expect("no trailers");
                content.extend(data);
            }
        }
    }
    Answer {
        head,
        body: content,
    }
}

/// Checks that both formats can be parsed, are equivalent, and contain `expected`, however names are escaped. If the registry
/// can't be shown, only checks that it responds with an error.
pub(crate) fn check(registry: &MetricsRegistry, expected: &[Expected]) -> Shown {
    let exporter = registry.exporter().created_timestamps(true);
    let expected: Vec<Vec<u8>> = expected.iter().map(Expected::packed).collect();
    for escaping in ["allow-utf-8", "underscores", "dots", "values"] {
        let [open_metrics, text] = ["application/openmetrics-text", "text/plain"].map(|accept| {
            let accept = format!("{accept};escaping={escaping}");
            let request = Request::get("/metrics").header("accept", accept);
            ask(&exporter, request.body(()).expect("a request"))
        });
        assert_eq!(open_metrics.head.status, text.head.status);
        if open_metrics.head.status != StatusCode::OK {
            assert_eq!(text.head.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(text.body.starts_with(b"The metrics could not be written"));
            return Shown::Refused(String::from_utf8_lossy(&text.body).into_owned());
        }
        let head: [&[u8]; 2] = [b"pages", escaping.as_bytes()];
        let mut question: Vec<&[u8]> = head.to_vec();
        question.extend([&*open_metrics.body, &*text.body]);
        question.extend(expected.iter().map(Vec::as_slice));
        let complaint = oracle::ask(&question);
        assert!(
            complaint.is_empty(),
            "{complaint}\n{}\n{}",
            String::from_utf8_lossy(&open_metrics.body),
            String::from_utf8_lossy(&text.body)
        );
    }
    Shown::Whole
}

/// The result for a registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Whole,
    Refused(String),
}

// === impl Expected ===

impl Expected {
    fn packed(&self) -> Vec<u8> {
        let labels = self.labels.iter().flat_map(|(name, value)| [name, value]);
        let texts: Vec<&[u8]> = [&self.family, &self.help]
            .into_iter()
            .chain(labels)
            .map(String::as_bytes)
            .collect();
        packed(texts.into_iter())
    }
}
