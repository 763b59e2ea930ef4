//! Contenders with label values that change from call to call, at each of the three moments.

use super::layers::built;
use super::{Contender, Reading, Table, call, post};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::LazyLock;
use tower::Layer;
use tower::util::MapResponse;
use tower_openmetrics::labels::{Code, Label, RequestHead};
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Call, MetricsLayer, MetricsLayerBuilder};

/// The number of values.
const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

const MOST: usize = 10_000;

/// The cardinality limit of the contender in which most values find no room.
const LITTLE_ROOM: usize = 100;

/// The number of codes. A code is a byte, so more values than that combine a route and a code.
const CODES: usize = 100;

pub(crate) static VALUES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let route = |number| format!("/shops/{{shop}}/items/{number}");
    (0..MOST).map(route).collect()
});

static CODE_NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| VALUES[..CODES].iter().map(String::as_str).collect());

const STATUSES: [StatusCode; 12] = [
    StatusCode::OK,
    StatusCode::CREATED,
    StatusCode::ACCEPTED,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::NOT_MODIFIED,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::TOO_MANY_REQUESTS,
];

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

thread_local! {
    /// The index of the next value.
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn tables() -> Vec<Table> {
    let begin = || Label::from_request("value", |_| Some(&VALUES[NEXT.get()]));
    let head = || Label::from_response("value", |_| Some(&VALUES[NEXT.get()]));
    vec![
        by_count("values known at the beginning", "begin", move |builder| {
            builder.label(begin())
        }),
        by_count("values known at the head", "head", move |builder| {
            builder.label(head())
        }),
        known_at_the_end(),
        methods_and_statuses(),
    ]
}

fn by_count(
    title: &'static str,
    moment: &str,
    label: impl Fn(MetricsLayerBuilder) -> MetricsLayerBuilder,
) -> Table {
    let contender = |name: String, count, builder| {
        let service = built(builder).layer(Reading);
        each(format!("{moment}-{name}"), count, move || {
            call(&service, post());
        })
    };
    let mut contenders = vec![
        each(format!("{moment}-bare"), 1, || call(&Reading, post())),
        contender("none".to_owned(), 1, MetricsLayer::builder()),
    ];
    for count in COUNTS {
        let builder = label(MetricsLayer::builder()).cardinality_limit(2 * MOST);
        contenders.push(contender(count.to_string(), count, builder));
    }
    let builder = label(MetricsLayer::builder()).cardinality_limit(LITTLE_ROOM);
    contenders.push(contender("no-room".to_owned(), MOST, builder));
    (title, contenders)
}

fn known_at_the_end() -> Table {
    let contender = |name: String, count, builder: MetricsLayerBuilder<Coded>| {
        let service = built(builder).layer(Reading);
        each(format!("end-{name}"), count, move || call(&service, post()))
    };
    let route = Label::from_request("route", |_| Some(&VALUES[NEXT.get() / CODES]));
    let labelled = || {
        MetricsLayer::protocol_builder(Coded)
            .label(route.clone().on_begin(false))
            .label(Label::code(&CODE_NAMES))
    };
    let mut contenders = vec![
        each("end-bare", 1, || call(&Reading, post())),
        contender("none".to_owned(), 1, MetricsLayer::protocol_builder(Coded)),
    ];
    for count in COUNTS {
        let builder = labelled().cardinality_limit(2 * MOST);
        contenders.push(contender(count.to_string(), count, builder));
    }
    let builder = labelled().cardinality_limit(LITTLE_ROOM);
    contenders.push(contender("no-room".to_owned(), MOST, builder));
    ("values known at the end", contenders)
}

fn methods_and_statuses() -> Table {
    let statuses = MapResponse::new(Reading, |mut response: Response<_>| {
        *response.status_mut() = STATUSES[NEXT.get() % STATUSES.len()];
        response
    });
    let request = || {
        let mut request = post();
        *request.method_mut() = METHODS[NEXT.get() / STATUSES.len()].clone();
        request
    };
    let builder = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::status());
    let measured = built(builder).layer(statuses.clone());
    let count = METHODS.len() * STATUSES.len();
    let contenders = vec![
        each("status-bare", count, move || call(&statuses, request())),
        each(format!("status-{count}"), count, move || {
            call(&measured, request());
        }),
    ];
    ("methods and statuses", contenders)
}

/// One run makes one call with each value.
fn each(
    name: impl Into<String>,
    count: usize,
    call: impl Fn() + Send + Sync + 'static,
) -> Contender {
    Contender::new(name, move || each_value(count, &call)).of_units(count as u32)
}

/// Makes a call with each value, in an order in which no value follows its neighbour.
pub(crate) fn each_value(count: usize, call: impl Fn()) {
    const STRIDE: usize = 7_919;
    for place in 0..count {
        with_value(place * STRIDE % count, &call);
    }
}

pub(crate) fn with_value(value: usize, call: impl FnOnce()) {
    NEXT.set(value);
    call();
}

/// Labels calls by method, route and status. The route is the next value.
pub(crate) fn by_value() -> MetricsLayerBuilder {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|_| Some(&VALUES[NEXT.get()])))
        .label(Label::status())
}

/// A protocol with codes of its own, which measures neither body.
#[derive(Clone, Copy, Debug)]
struct Coded;

impl<B> Protocol<Request<B>> for Coded {
    type Request = Request<B>;

    fn head<'a>(&self, request: &'a Request<B>) -> Option<RequestHead<'a>> {
        Some(RequestHead::of(request))
    }

    fn open(&mut self, call: &mut Call, request: Request<B>) -> Request<B> {
        black_box(call);
        request
    }
}

impl<B: Body, E> Answer<Response<B>, E> for Coded {
    type Response = Response<B>;

    fn answer(&self, mut call: Call, response: Response<B>) -> Response<B> {
        call.head();
        call.set_code(Code::new(&CODE_NAMES, NEXT.get() % CODES).expect("a name"));
        call.complete();
        response
    }

    fn failed(&self, call: Call, _: &E) {
        drop(call);
    }
}
