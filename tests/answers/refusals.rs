//! Responses without a page.

use crate::clients::{Answer, Client, over_each_client};
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{Method, Request, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower::ServiceExt;
use tower_openmetrics::{Clock, MetricsExporter, MetricsRegistry};

fn scrape(method: Method) -> Request<()> {
    // A refusal is plain text, whatever the client accepts.
    let request = Request::builder().method(method);
    let request = request.header("accept-encoding", "gzip");
    request.body(()).expect("a request")
}

fn exporter() -> MetricsExporter {
    MetricsRegistry::with_clock(Clock::manual()).exporter()
}

/// Sends GET and HEAD, checks everything except the text, and returns the text.
async fn refused(client: &mut Client, status: StatusCode) -> String {
    let get = client.ask(scrape(Method::GET)).await;
    let head = client.ask(scrape(Method::HEAD)).await;
    for answer in [&get, &head] {
        assert_refuses(answer, status);
        assert_eq!(answer.length(), Some(get.body.len() as u64));
    }
    assert!(head.body.is_empty());
    get.text().to_owned()
}

#[track_caller]
fn assert_refuses(answer: &Answer, status: StatusCode) {
    assert_eq!(answer.status, status);
    assert_eq!(answer.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(answer.headers[VARY], "Accept, Accept-Encoding");
    assert!(!answer.headers.contains_key(CONTENT_ENCODING));
}

async fn assert_page(client: &mut Client) {
    let answer = client.ask(scrape(Method::GET)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

async fn check_methods(connect: impl AsyncFn(MetricsExporter) -> Client) {
    let mut client = connect(exporter()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = client.ask(scrape(method)).await;
        assert_refuses(&answer, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers[ALLOW], "GET, HEAD");
        assert_eq!(answer.length(), Some(answer.body.len() as u64));
        assert!(answer.text().contains("GET"), "{}", answer.text());
    }
    assert_page(&mut client).await;
}

async fn check_limit(connect: impl AsyncFn(MetricsExporter) -> Client) {
    let exporter = exporter().concurrent_scrapes(1);
    let mut client = connect(exporter.clone()).await;
    let in_flight = exporter.oneshot(scrape(Method::GET)).await;
    let text = refused(&mut client, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(text.contains("limit of 1 in flight"), "{text}");
    drop(in_flight);
    assert_page(&mut client).await;
}

async fn check_own_deadline(connect: impl AsyncFn(MetricsExporter) -> Client) {
    let mut client = connect(exporter().deadline(Duration::ZERO)).await;
    let text = refused(&mut client, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(text.contains("deadline of 0ns"), "{text}");
}

async fn check_scrapers_deadline(connect: impl AsyncFn(MetricsExporter) -> Client) {
    let mut client = connect(exporter()).await;
    let mut late = scrape(Method::GET);
    let header = "x-prometheus-scrape-timeout-seconds";
    // No page is written within a nanosecond.
    late.headers_mut()
        .insert(header, "0.000000001".parse().expect("a header value"));
    let answer = client.ask(late).await;
    assert_refuses(&answer, StatusCode::SERVICE_UNAVAILABLE);
    let text = answer.text();
    assert!(text.contains("deadline of 1ns"), "{text}");
    assert_page(&mut client).await;
}

async fn check_failures(connect: impl AsyncFn(MetricsExporter) -> Client) {
    type Fail = fn() -> fmt::Result;
    let failures: [(Fail, &str); 2] = [
        (|| Err(fmt::Error), "can't be encoded"),
        (|| panic!("a collector of the test"), "panicked"),
    ];
    for (fail, named) in failures {
        let registry = MetricsRegistry::with_clock(Clock::manual());
        let fails = Arc::new(AtomicBool::new(false));
        let failing = fails.clone();
        registry
            .include_with(move |_| match failing.load(Ordering::Relaxed) {
                true => fail(),
                false => Ok(()),
            })
            .expect("it works yet");
        let mut client = connect(registry.exporter()).await;
        fails.store(true, Ordering::Relaxed);
        let text = refused(&mut client, StatusCode::INTERNAL_SERVER_ERROR).await;
        assert!(text.contains(named), "{text}");
        // The type of the closure above.
        assert!(text.contains("refusals::check_failures"), "{text}");
        fails.store(false, Ordering::Relaxed);
        assert_page(&mut client).await;
    }
}

async fn check_all(connect: impl AsyncFn(MetricsExporter) -> Client) {
    check_methods(&connect).await;
    check_limit(&connect).await;
    check_own_deadline(&connect).await;
    check_scrapers_deadline(&connect).await;
    check_failures(&connect).await;
}

over_each_client!(check_all);
