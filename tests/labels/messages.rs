//! Labels and filters that read messages, for services without heads.

use crate::support::{Page, now, panic_of};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use std::any::Any;
use std::borrow::Cow;
use std::convert::Infallible;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::{Label, RequestHead};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::{Answer, Grpc, Http, Protocol, Streaming, Unary};
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{
    Call, CallHandle, Error, Message, MetricsLayer, MetricsLayerBuilder, MetricsRegistry,
    assert_metrics,
};

#[derive(Clone, Debug, Default)]
struct Chat {
    model: String,
    tenant: Option<u32>,
}

impl Message for Chat {
    fn size(&self) -> u64 {
        10
    }
}

fn chat(model: &str, tenant: impl Into<Option<u32>>) -> Chat {
    Chat {
        model: model.into(),
        tenant: tenant.into(),
    }
}

/// Borrowed.
fn model() -> Label {
    Label::from_message("model", |chat: &Chat| Some(chat.model.as_str().into()))
}

/// Computed.
fn tenant() -> Label {
    Label::from_message("tenant", |chat: &Chat| {
        Some(chat.tenant?.to_string().into())
    })
}

fn streaming() -> MetricsLayerBuilder<Streaming> {
    MetricsLayer::streaming_builder()
}

/// Calls a handler that answers with a stream of two items, and reads each stream to its end.
fn stream_of<R>(layer: &MetricsLayer<Streaming>, requests: impl IntoIterator<Item = R>)
where
    R: Message + 'static,
{
    for request in requests {
        let service = layer.layer(service_fn(async |_: R| {
            Ok::<_, Infallible>(stream::iter(["a", "b"]))
        }));
        let Ok(answer) = now(service.oneshot(request));
        assert_eq!(now(answer.count()), 2);
    }
}

#[track_caller]
fn assert_all<P>(layer: &MetricsLayer<P>, name: &str, expected: &[(&str, &str)]) {
    let page = Page::read(layer.exporter());
    assert_eq!(page.all(name).collect::<Vec<_>>(), expected, "{name}");
}

#[test]
fn a_work_handler_labels_its_calls_from_the_message() -> Result<(), Error> {
    let layer = streaming()
        .label(model())
        .label(tenant())
        .build([("endpoint", "chat")])?;
    stream_of(
        &layer,
        [chat("large", 7), chat("small", None), chat("large", 7)],
    );
    for (name, large, small) in [
        ("requests_total", "2", "1"),
        ("request_bytes_total", "20", "10"),
        ("response_bytes_total", "4", "2"),
        ("request_duration_seconds_count", "2", "1"),
        ("concurrent_requests", "0", "0"),
        ("cancellations_total", "0", "0"),
    ] {
        let expected = [
            (r#"{endpoint="chat",model="large",tenant="7"}"#, large),
            (r#"{endpoint="chat",model="small",tenant="none"}"#, small),
        ];
        assert_all(&layer, name, &expected);
    }
    Ok(())
}

#[test]
fn a_unary_service_labels_its_calls_from_the_message() -> Result<(), Error> {
    let layer = MetricsLayer::unary_builder()
        .label(model().absent("?"))
        .build(())?;
    let service = layer.layer(service_fn(async |_: Chat| Ok::<_, Infallible>("done")));
    let Ok(_) = now(service.oneshot(chat("large", 7)));
    // One layer can measure services of several types.
    let service = layer.layer(service_fn(async |_: String| Ok::<_, Infallible>("done")));
    let Ok(_) = now(service.oneshot("large".to_owned()));
    let expected = [(r#"{model="?"}"#, "1"), (r#"{model="large"}"#, "1")];
    assert_all(&layer, "requests_total", &expected);
    Ok(())
}

/// No message of the stream has been read when the call begins.
#[test]
fn the_message_of_a_request_stream_is_the_stream() -> Result<(), Error> {
    type Upload = stream::Iter<std::vec::IntoIter<&'static str>>;

    let layer = MetricsLayer::unary_builder()
        .request_streams(Own)
        .label(Label::from_message("parts", |upload: &Upload| {
            Some(upload.size_hint().0.to_string().into())
        }))
        .build(())?;
    let service = layer.layer(service_fn(async |upload| {
        let upload: tower_openmetrics::RequestStream<Upload> = upload;
        Ok::<_, Infallible>(Box::pin(upload).count().await as u64)
    }));
    let Ok(count) = now(service.oneshot(stream::iter(vec!["a", "b", "c"])));
    assert_eq!(count, 3);
    assert_all(&layer, "requests_total", &[(r#"{parts="3"}"#, "1")]);
    Ok(())
}

#[test]
fn labels_of_messages_have_the_same_limits() -> Result<(), Error> {
    let layer = streaming().label(model()).cardinality_limit(2).build(())?;
    let models = ["a", "b", "c", "a", "d"].map(|model| chat(model, None));
    stream_of(&layer, models);
    let expected = [
        (r#"{model="_OTHER"}"#, "2"),
        (r#"{model="a"}"#, "2"),
        (r#"{model="b"}"#, "1"),
    ];
    assert_all(&layer, "requests_total", &expected);
    assert_all(&layer, "label_overflow_total", &[("", "2")]);

    let layer = streaming().label(model().max_len(3)).build(())?;
    stream_of(&layer, [chat("long", None)]);
    assert_all(&layer, "requests_total", &[(r#"{model="_OTHER"}"#, "1")]);

    let builder = streaming().label(model().only_declared(true));
    let layer = builder.declare([("model", "known")]).build(())?;
    stream_of(&layer, [chat("made up", None), chat("known", None)]);
    let expected = [(r#"{model="_OTHER"}"#, "1"), (r#"{model="known"}"#, "1")];
    assert_all(&layer, "requests_total", &expected);
    Ok(())
}

#[test]
fn a_filtered_message_leaves_no_trace() -> Result<(), Error> {
    let builder = streaming().label(model()).cardinality_limit(1);
    let layer = builder
        .filter_messages(|chat: &Chat| chat.model != "probe")
        .build(())?;
    stream_of(&layer, [chat("probe", None), chat("probe", 1)]);
    assert_all(&layer, "requests_total", &[]);
    assert_all(&layer, "concurrent_requests", &[]);
    stream_of(&layer, [chat("large", None)]);
    // The filter doesn't apply to messages of another type.
    stream_of(&layer, ["probe"]);
    let expected = [(r#"{model="_OTHER"}"#, "1"), (r#"{model="large"}"#, "1")];
    assert_all(&layer, "requests_total", &expected);

    let layer = MetricsLayer::unary_builder().filter_messages(|text: &&str| *text != "probe");
    let layer = layer.build(())?;
    for text in ["probe", "work"] {
        let service = layer.layer(service_fn(async |_: &'static str| Ok::<_, Infallible>("")));
        let Ok(_) = now(service.oneshot(text));
    }
    assert_all(&layer, "requests_total", &[("", "1")]);
    Ok(())
}

/// Whatever the message is.
#[test]
fn a_panic_in_a_message_function_counts_as_a_panic() -> Result<(), Error> {
    fn touchy(_: &Chat) -> Option<Cow<'_, str>> {
        panic!("touchy")
    }
    let labelled = streaming()
        .label(Label::from_message("model", touchy))
        .build(())?;
    let filtered = streaming()
        .filter_messages(|_: &Chat| panic!("touchy"))
        .build(())?;
    for layer in [&labelled, &filtered] {
        assert_eq!(panic_of(|| stream_of(layer, [chat("a", None)])), "touchy");
    }
    assert_metrics!(Snapshot::of(labelled.registry()), {
        "errors_total" {error_type = "panic", model = "none"} => 1,
    });
    assert_metrics!(Snapshot::of(filtered.registry()), {
        "errors_total" {error_type = "panic"} => 1,
    });
    Ok(())
}

/// Functions that capture nothing are compared by their type, as for other labels.
#[test]
fn layers_that_share_series_must_read_the_same_labels() -> Result<(), Error> {
    let registry = MetricsRegistry::new();
    let on = || streaming().registry(&registry);
    let keep = on().label(model()).filter_messages(keep_all).build(())?;
    drop(on().label(model()).filter_messages(keep_all).build(())?);
    for other in [
        on().label(model()),
        on().label(model()).filter_messages(|_: &Chat| false),
        on().label(tenant().named("model"))
            .filter_messages(keep_all),
    ] {
        let error = other.build(()).unwrap_err().to_string();
        assert!(error.contains("different settings"), "{error}");
    }
    drop(keep);
    Ok(())
}

fn keep_all(_: &Chat) -> bool {
    true
}

/// A handle can be passed around either.
#[test]
fn a_custom_protocol_can_have_a_head_and_a_message() -> Result<(), Error> {
    #[derive(Clone, Debug)]
    struct Both;

    impl Protocol<http::Request<Chat>> for Both {
        type Request = http::Request<Chat>;

        fn head<'a>(&self, request: &'a http::Request<Chat>) -> Option<RequestHead<'a>> {
            Some(RequestHead::of(request))
        }

        fn message<'a>(&self, request: &'a http::Request<Chat>) -> Option<&'a dyn Any> {
            Some(request.body())
        }

        fn open(&mut self, _: &mut Call, request: http::Request<Chat>) -> http::Request<Chat> {
            request
        }
    }

    impl<E> Answer<(), E> for Both {
        type Response = ();

        fn answer(&self, call: Call, (): ()) {
            call.complete();
        }

        fn failed(&self, _: Call, _: &E) {}
    }

    let builder = MetricsLayer::protocol_builder(Both)
        .label(Label::method())
        .label(model())
        .filter(|head| head.uri.path() != "/health")
        .filter_messages(|chat: &Chat| chat.model != "probe");
    let pass = |_: &mut http::Request<Chat>, _: CallHandle| ();
    let layer = builder.build(())?.pass_handle(pass);
    for (path, model) in [("/", "a"), ("/health", "a"), ("/", "probe")] {
        let service = layer.layer(service_fn(async |_: http::Request<Chat>| {
            Ok::<_, Infallible>(())
        }));
        let request = http::Request::get(path).body(chat(model, None)).unwrap();
        assert!(service.oneshot(request).now_or_never().unwrap().is_ok());
    }
    assert_all(
        &layer,
        "requests_total",
        &[(r#"{method="GET",model="a"}"#, "1")],
    );
    Ok(())
}

#[test]
fn settings_that_read_messages_are_refused_for_http() {
    fn each<P>(builder: fn() -> MetricsLayerBuilder<P>) {
        let label = builder().label(model()).build(()).map(drop);
        let filter = builder().filter_messages(keep_all).build(()).map(drop);
        for (refused, setting) in [(label, "`model`"), (filter, "`filter_messages`")] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(setting), "{error}");
            assert!(error.contains("would do nothing"), "{error}");
        }
    }
    each(MetricsLayer::builder);
    each(MetricsLayer::client_builder);
    each(MetricsLayer::grpc_builder);
    each(MetricsLayer::grpc_client_builder);
    each(|| MetricsLayer::protocol_builder(Http::default()));
    each(|| MetricsLayer::protocol_builder(Grpc::new()));
    // The other way round: settings that read heads, without heads.
    let builder: MetricsLayerBuilder<Unary> = MetricsLayer::unary_builder();
    let error = builder.label(model()).label(Label::method()).build(());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("`method`") && error.contains("would do nothing"),
        "{error}"
    );
}
