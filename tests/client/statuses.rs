use crate::wire_support::{Handler, Numbers, Scripted, Server, bounded, data};
use crate::{client, layer};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_openmetrics::classify::{Classify, HttpClient, HttpStatus, ServerErrorsOnly, expecting};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{ErrorType, MetricsLayer};

/// Returns the numbers of one call with this response, read to its end.
async fn numbers<C>(layer: &MetricsLayer<Http<C>>, status: u16) -> Numbers
where
    C: Classify + Send + 'static,
{
    let mut response = Response::new(Scripted::new([data("hello")]));
    *response.status_mut() = status.try_into().unwrap();
    let server = Server::start(Handler::answers(response).reads_all()).await;
    let request = Request::post(format!("http://{}/", server.address()));
    let request = request.body(Full::from("abc")).unwrap();
    let answer = bounded("an answer", client(layer).oneshot(request)).await;
    let body = answer.unwrap().into_body().collect();
    assert_eq!(bounded("its body", body).await.unwrap().to_bytes(), "hello");
    server.stop().await;
    Numbers::of(layer).await
}

fn answered() -> Numbers {
    Numbers::completed().read(3).taken(5)
}

fn failed(error_type: ErrorType) -> Numbers {
    Numbers::failed(error_type).read(3).taken(5)
}

#[tokio::test]
async fn a_4xx_is_a_failure() {
    assert_eq!(numbers(&layer(), 200).await, answered());
    for (status, error_type) in [
        (404, ErrorType::REJECTED),
        (400, ErrorType::DESERIALIZATION),
        (429, ErrorType::OVERLOADED),
        (500, ErrorType::GENERATE),
    ] {
        let numbers = numbers(&layer(), status).await;
        assert_eq!(numbers, failed(error_type), "{status}");
    }
}

#[tokio::test]
async fn a_classifier_can_change_statuses() {
    let client = MetricsLayer::client_builder;
    let none = [("", ""); 0];

    let not_found = expecting(|head| head.status == 404).or(HttpClient);
    let layer = client().classifier(not_found).build(none).unwrap();
    assert_eq!(numbers(&layer, 404).await, answered());
    assert_eq!(
        numbers(&layer, 403).await,
        answered() + failed(ErrorType::REJECTED)
    );

    let layer = client().classifier(HttpStatus).build(none).unwrap();
    assert_eq!(numbers(&layer, 404).await, answered());

    let layer = client().classifier(ServerErrorsOnly).build(none).unwrap();
    assert_eq!(numbers(&layer, 400).await, answered());
    assert_eq!(
        numbers(&layer, 503).await,
        answered() + failed(ErrorType::OVERLOADED)
    );
}

/// Returns the error types that the layer's page shows before any call.
async fn declared<P>(layer: &MetricsLayer<P>) -> Vec<String> {
    let page = layer.exporter().oneshot(Request::new(())).await;
    let page = page.unwrap().into_body().collect().await.unwrap();
    let page = String::from_utf8(page.to_bytes().into()).unwrap();
    page.lines()
        .filter_map(|line| line.strip_prefix("errors_total{error_type=\""))
        .map(|rest| rest.strip_suffix("\"} 0").unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn types_of_clients_stand_at_0_for_clients_alone() {
    const OWN: ErrorType = ErrorType::from_static("own");
    let none = [("", ""); 0];
    let mut servers = declared(&MetricsLayer::default()).await;
    assert_eq!(servers.len(), 9, "{servers:?}");

    servers.extend(["connect", "rejected"].map(String::from));
    servers.sort_unstable();
    assert_eq!(declared(&layer()).await, servers);

    let wrapped = MetricsLayer::client_builder()
        .error_types([OWN])
        .classifier(expecting(|_| false).or(HttpClient))
        .build(none)
        .unwrap();
    servers.push("own".into());
    servers.sort_unstable();
    assert_eq!(declared(&wrapped).await, servers);

    // Another protocol with the same classifier.
    let unary = MetricsLayer::unary_builder().classifier(HttpClient);
    let unary = unary.build(none).unwrap();
    assert_eq!(declared(&unary).await, declared(&layer()).await);

    // The last classifier wins.
    let server_like = MetricsLayer::client_builder().classifier(HttpStatus);
    let server_like = server_like.build(none).unwrap();
    assert_eq!(declared(&server_like).await.len(), 9);
}
