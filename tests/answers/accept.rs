//! The format that each `Accept` header gets.

use crate::clients::{Answer, Client, over_each_client};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Method, Request, StatusCode};
use tower_openmetrics::{Clock, MetricsLayer, MetricsRegistry};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_UTF8: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
const V1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const V1_UTF8: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
const V1_UNDERSCORES: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";
const V1_DOTS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots";
const V1_VALUES: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values";
const V001: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
const V001_UTF8: &str =
    "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=allow-utf-8";
const V001_UNDERSCORES: &str =
    "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores";

macro_rules! table {
    ($($accept:literal => $content_type:expr;)*) => {
        [$(($accept, $content_type)),*]
    };
}

/// The `Accept` headers and the content type of the response. Each line is one header, so `""` sends none and `"\n"` sends an
/// empty one.
const TABLE: &[(&str, &str)] = &table! {
    // Prometheus 2.42
    "application/openmetrics-text;version=1.0.0,\
         application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1" => V1;
    // Prometheus 3.5
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2" => V1_UTF8;
    // VictoriaMetrics
    "text/plain;version=0.0.4;q=1,*/*;q=0.1" => TEXT;
    // A browser
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8" => TEXT;
    // No preference
    "" => TEXT;
    "\n" => TEXT;
    ",, ," => TEXT;
    "*/*" => TEXT;
    "text/*" => TEXT;
    "text/plain" => TEXT;
    "text/plain;version=1.0.0;escaping=allow-utf-8" => TEXT_UTF8;
    "text/plain;version=none-of-ours" => TEXT;
    "application/json" => TEXT;
    "application/*" => TEXT;
    // The offered types
    "application/openmetrics-text" => V1;
    "application/openmetrics-text;version=1.0.0" => V1;
    "application/openmetrics-text; version=1.0.0; charset=utf-8" => V1;
    "application/openmetrics-text;version=0.0.1" => V001;
    "application/openmetrics-text;escaping=allow-utf-8" => V1_UTF8;
    "application/openmetrics-text;escaping=underscores" => V1_UNDERSCORES;
    "application/openmetrics-text;escaping=dots" => V1_DOTS;
    "application/openmetrics-text;escaping=values" => V1_VALUES;
    "application/openmetrics-text;escaping=unheard-of" => V1;
    "application/openmetrics-text;version=0.0.1;escaping=allow-utf-8" => V001_UTF8;
    "application/openmetrics-text;version=0.0.1;escaping=underscores" => V001_UNDERSCORES;
    // A version that is not offered
    "application/openmetrics-text;version=2.0.0" => TEXT;
    "application/openmetrics-text;version=\"\"" => TEXT;
    "application/openmetrics-text;version=2.0.0,\
         application/openmetrics-text;version=0.0.1;q=0.1" => V001;
    // Types that are not offered
    "application/json,application/openmetrics-text;q=0.2,text/plain;q=0.1" => V1;
    // Weights
    "text/plain;q=0.5,application/openmetrics-text;q=0.6" => V1;
    "text/plain;q=0.6,application/openmetrics-text;q=0.5" => TEXT;
    "*/*;q=0.6,application/openmetrics-text;q=0.5" => TEXT;
    "text/*;q=0.6,application/openmetrics-text;q=0.5" => TEXT;
    "text/plain;q=0.999,application/openmetrics-text;q=1.000" => V1;
    "text/plain;q=0.09,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=0.,application/openmetrics-text;q=0.001" => V1;
    "application/openmetrics-text;q=0.9,text/plain" => TEXT;
    "application/openmetrics-text;q=0.5;version=0.0.1,text/plain;q=0.4" => V001;
    "text/plain;version=0.0.4;q=0.1;more=1,application/openmetrics-text;q=0.2" => V1;
    // The most specific range sets the weight
    "*/*,text/plain;q=0.1,application/openmetrics-text;q=0.2" => V1;
    "text/*,text/plain;q=0.1,application/openmetrics-text;q=0.2" => V1;
    "*/*,text/*;q=0.1,application/openmetrics-text;q=0.2" => V1;
    "text/plain;q=0,*/*,application/openmetrics-text;q=0.1" => V1;
    "*/*;q=0,application/openmetrics-text;q=0.1" => V1;
    "*/*;q=0,text/plain;q=0.2,application/openmetrics-text;q=0.1" => TEXT;
    "text/plain;q=0.1,text/plain;version=1.0.0;q=0.3,application/openmetrics-text;q=0.2" => TEXT;
    // Equal weights: the first one wins
    "application/openmetrics-text,text/plain" => V1;
    "text/plain,application/openmetrics-text" => TEXT;
    "*/*,application/openmetrics-text" => TEXT;
    "application/openmetrics-text;q=1.0,*/*;q=1" => V1;
    "application/openmetrics-text;version=0.0.1,application/openmetrics-text;version=1.0.0" => V001;
    // Weight 0
    "application/openmetrics-text;q=0" => TEXT;
    "application/openmetrics-text;q=0.000,text/plain;q=0.0,*/*;q=0" => TEXT;
    "text/plain;q=0,application/openmetrics-text;q=0.001" => V1;
    "text/plain;q=0,*/*" => TEXT;
    "*/*;q=0" => TEXT;
    // Any case
    "Application/OpenMetrics-TEXT;VERSION=0.0.1;Q=0.5,text/plain;q=0.4" => V001;
    "APPLICATION/OPENMETRICS-TEXT;Escaping=Allow-UTF-8" => V1_UTF8;
    "TEXT/PLAIN,application/openmetrics-text" => TEXT;
    // Spaces, and empty parameters
    " \ttext/plain ;\tq=0.1 , application/openmetrics-text ; version=0.0.1 " => V001;
    "application/openmetrics-text;;version=0.0.1; ;" => V001;
    // Quoted
    r#"application/openmetrics-text;version="0.0.1";q="0.5",text/plain;q="0.4""# => V001;
    r#"application/openmetrics-text;version="\0.\0.\1""# => V001;
    r#"text/html;a="b,c;q=0",application/openmetrics-text;a=",;\"\\";q=0.5,*/*;q=0.1"# => V1;
    r#"text/html;a=",application/openmetrics-text,",text/plain;q=0.1"# => TEXT;
    // Repeated headers
    "text/plain;q=0.5\napplication/openmetrics-text" => V1;
    "application/openmetrics-text\ntext/plain" => V1;
    "text/plain\napplication/openmetrics-text" => TEXT;
    "\ntext/plain;q=0.1,*/*;q=0.2\napplication/openmetrics-text;q=0.3" => V1;
    // Malformed ranges are skipped
    "text/plain;q=,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q,application/openmetrics-text;q=0.1" => V1;
    "text/plain;=1,application/openmetrics-text;q=0.1" => V1;
    "text/plain;a b=1,application/openmetrics-text;q=0.1" => V1;
    "text/plain;a=b c,application/openmetrics-text;q=0.1" => V1;
    "text/plain;a=\"b\"c,application/openmetrics-text;q=0.1" => V1;
    "text/plain;version = 0.0.4,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=high,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=-1,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=.9,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=0.9999,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=1.001,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=2,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=NaN,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=1e0,application/openmetrics-text;q=0.1" => V1;
    "text/plain;q=0.9;q=0.9,application/openmetrics-text;q=0.1" => V1;
    "text/plain;a=1;a=1,application/openmetrics-text;q=0.1" => V1;
    "application/openmetrics-text;version=1.0.0;version=0.0.1,*/*" => TEXT;
    "text,*,/,*/plain,text/,text/plain/x,te xt/plain,application/openmetrics-text;q=0.1" => V1;
    "\"text/plain\",application/openmetrics-text;q=0.1" => V1;
    "application/openmetrics-text;version=\"1.0.0,text/plain" => TEXT;
    "text/plain;a=\"unclosed\napplication/openmetrics-text;q=0.1" => V1;
    "text/plain;a=\"unclosed\\\napplication/openmetrics-text;q=0.1" => V1;
    // Beyond ASCII
    "text/plain;a=é,application/openmetrics-text;q=0.1" => V1;
    "téxt/plain,application/openmetrics-text;q=0.1" => V1;
    "application/openmetrics-text;a=\"é\",text/plain;q=0.1" => V1;
};

const DELIMITED: &str = "application/vnd.google.protobuf; \
     proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Headers that prefer protobuf, in the same form. The second column is the content type without the feature `protobuf`.
const PROTOBUF: &[(&str, &str)] = &table! {
    // Prometheus 3.5 with native histograms
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
     encoding=delimited;q=0.6,\
     application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
     application/openmetrics-text;version=0.0.1;q=0.4,\
     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
     text/plain;version=0.0.4;q=0.2,*/*;q=0.1" => V1_UTF8;
    // Prometheus 2.42 with native histograms
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
     encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
     application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
     */*;q=0.1" => V1;
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
     encoding=delimited" => TEXT;
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
     encoding=delimited,text/plain;q=0.2,application/openmetrics-text;q=0.1" => TEXT;
    "Application/VND.Google.Protobuf;Encoding=\"delimited\";\
     Proto=\"io.prometheus.client.MetricFamily\",application/openmetrics-text;q=0.1" => V1;
};

/// Returns an exporter whose clock stands still, so that equal states have equal pages.
async fn client(connect: impl AsyncFn(tower_openmetrics::MetricsExporter) -> Client) -> Client {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let layer = MetricsLayer::builder().registry(&registry).clock(clock);
    drop(layer.build([("endpoint", "a")]).expect("a layer"));
    connect(registry.exporter()).await
}

/// Returns a request with one `Accept` header for each value.
fn scrape<'a>(method: Method, accept: impl IntoIterator<Item = &'a [u8]>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    for value in accept {
        let value = HeaderValue::from_bytes(value).expect("a header value");
        request.headers_mut().append(ACCEPT, value);
    }
    request
}

#[track_caller]
fn assert_is_page(answer: &Answer, content_type: &str) {
    assert_eq!(answer.status, StatusCode::OK);
    let types: Vec<_> = answer.headers.get_all(CONTENT_TYPE).iter().collect();
    assert_eq!(types, [content_type]);
    let vary: Vec<_> = answer.headers.get_all(VARY).iter().collect();
    assert_eq!(vary, ["Accept, Accept-Encoding"]);
}

/// Checks that the page has the format of its content type.
#[track_caller]
fn assert_written_as(answer: &Answer, content_type: &str) {
    if content_type == DELIMITED {
        // The length of the message, then field 1, the name.
        let first = b"\x0a\x13cancellations_total";
        assert_eq!(answer.body[1..].get(..first.len()), Some(&first[..]));
        return;
    }
    let page = answer.text();
    let open_metrics = content_type.starts_with("application/openmetrics-text");
    assert_eq!(page.ends_with("\n# EOF\n"), open_metrics, "{page}");
    assert_eq!(page.contains("\n# UNIT "), open_metrics, "{page}");
    let name = match (open_metrics, content_type.ends_with("escaping=dots")) {
        // Dots escape underscores, too.
        (true, true) => "requests_",
        (false, true) => "requests__total",
        (true, false) => "requests",
        (false, false) => "requests_total",
    };
    assert!(
        page.contains(&format!("\n# TYPE {name} counter\n")),
        "{page}"
    );
}

async fn check(client: &mut Client, accept: &[&[u8]], content_type: &str) {
    let get = client
        .ask(scrape(Method::GET, accept.iter().copied()))
        .await;
    assert_is_page(&get, content_type);
    assert_written_as(&get, content_type);
    assert_eq!(get.length(), Some(get.body.len() as u64));

    let head = client
        .ask(scrape(Method::HEAD, accept.iter().copied()))
        .await;
    assert_is_page(&head, content_type);
    assert_eq!(head.length(), get.length());
    assert_eq!(head.headers.get_all(CONTENT_LENGTH).iter().count(), 1);
    assert!(head.body.is_empty());

    let again = client
        .ask(scrape(Method::GET, accept.iter().copied()))
        .await;
    assert_eq!(again.body, get.body, "equal states, equal bytes");
}

async fn check_all(connect: impl AsyncFn(tower_openmetrics::MetricsExporter) -> Client) {
    let mut client = client(connect).await;
    let offered = cfg!(feature = "protobuf");
    let protobuf = PROTOBUF.iter().map(|(accept, otherwise)| {
        let content_type = if offered { DELIMITED } else { otherwise };
        (*accept, content_type)
    });
    for (accept, content_type) in TABLE.iter().copied().chain(protobuf) {
        println!("Accept: {accept}");
        let values: Vec<&[u8]> = accept.lines().map(str::as_bytes).collect();
        check(&mut client, &values, content_type).await;
    }
    // Invalid UTF-8 only affects its own range.
    let accept: &[u8] = b"\xff\xfe,text/plain;q=\xff,application/openmetrics-text;q=0.1";
    check(&mut client, &[accept], V1).await;
}

over_each_client!(check_all);
