//! `Accept` and `Accept-Encoding`, compared with a second implementation of RFC 9110.
//!
//! Each line of the input is a header: `Accept-Encoding` if it begins with `~`, else `Accept`.

use crate::oracle::{self, packed};
use crate::pages::ask;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use std::sync::LazyLock;
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

/// An exporter whose page is large enough to be compressed, with a clock that stands still.
static EXPORTER: LazyLock<MetricsExporter> = LazyLock::new(|| {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let layer = MetricsLayer::builder().registry(&registry).clock(clock);
    drop(layer.build([("endpoint", "a")]).expect("a layer"));
    registry.exporter()
});

pub fn run(input: &[u8]) {
    let (codings, types): (Vec<&[u8]>, Vec<&[u8]>) = input
        .split(|&byte| byte == b'\n')
        .filter(|line| HeaderValue::from_bytes(line).is_ok())
        .partition(|line| line.starts_with(b"~"));
    let codings: Vec<&[u8]> = codings.into_iter().map(|line| &line[1..]).collect();

    let mut headers = HeaderMap::new();
    for (name, values) in [(ACCEPT, &types), (ACCEPT_ENCODING, &codings)] {
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("checked before");
            headers.append(&name, value);
        }
    }
    let [get, head] = [Method::GET, Method::HEAD].map(|method| {
        let mut request = Request::new(());
        *request.method_mut() = method;
        request.headers_mut().clone_from(&headers);
        ask(&EXPORTER, request)
    });
    assert_eq!(get.head.status, StatusCode::OK);
    assert_eq!(get.head.headers, head.head.headers);
    assert!(!get.head.headers.contains_key(DATE));
    assert!(head.body.is_empty());

    let header = |name| {
        let value = get.head.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default())
    };
    let answered = format!("{}\n{}", header(CONTENT_TYPE), header(CONTENT_ENCODING));
    let [types, codings] = [types, codings].map(|values| packed(values.into_iter()));
    let expected = oracle::ask(&[b"negotiation", &types, &codings]);
    assert_eq!(answered, expected, "{headers:?}");

    if header(CONTENT_ENCODING).is_empty() {
        let open_metrics = answered.starts_with("application/openmetrics-text");
        assert_eq!(get.body.ends_with(b"\n# EOF\n"), open_metrics);
    }
}
