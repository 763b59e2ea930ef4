#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/reqwest.rs"]
mod example;

use self::example::{error_type, run, send};
use crate::wire_support::{Handler, Numbers, Scripted, Server, Step, bounded, data};
use crate::{hello, nowhere};
use http::Request;
use http_body_util::BodyExt;
use reqwest::{Body, Client};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openmetrics::classify::{Classify, HttpClient, by_error};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{ErrorType, MetricsLayer, ResponseBody};

const LIMIT: Duration = Duration::from_secs(1);

fn layer() -> MetricsLayer<Http<impl Classify + Send>> {
    let builder = MetricsLayer::client_builder();
    let builder = builder.classifier(by_error(error_type).or(HttpClient));
    builder.build([("", ""); 0]).unwrap()
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn impatient() -> Client {
    Client::builder().no_proxy().timeout(LIMIT).build().unwrap()
}

fn post(address: SocketAddr) -> Request<Body> {
    let request = Request::post(format!("http://{address}/"));
    request.body(Body::from("abc")).unwrap()
}

fn measured<C: Classify>(
    layer: &MetricsLayer<Http<C>>,
    client: Client,
) -> impl Service<Request<Body>, Response = http::Response<ResponseBody<Body, C>>, Error = reqwest::Error>
{
    ServiceBuilder::new()
        .layer(layer.clone())
        .service_fn(move |request| send(client.clone(), request))
}

#[tokio::test]
async fn bytes_and_statuses() {
    for (status, numbers) in [
        (200, Numbers::completed()),
        (404, Numbers::failed(ErrorType::REJECTED)),
        (503, Numbers::failed(ErrorType::OVERLOADED)),
    ] {
        let layer = layer();
        let server = Server::start(hello(status)).await;
        let answer = measured(&layer, client()).oneshot(post(server.address()));
        let answer = bounded("an answer", answer).await.unwrap();
        let body = bounded("its body", answer.into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "hello");
        let seen = Numbers::of(&layer).await;
        assert_eq!(seen, numbers.read(3).taken(5), "{status}");
        server.stop().await;
    }
}

#[tokio::test]
async fn nothing_listens() {
    let layer = layer();
    let answer = measured(&layer, client()).oneshot(post(nowhere().await));
    bounded("an answer", answer).await.map(drop).unwrap_err();
    let numbers = Numbers::failed(ErrorType::CONNECT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test(start_paused = true)]
async fn the_response_head_takes_too_long() {
    let layer = layer();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = Request::get(format!("http://{}/", silent.local_addr().unwrap()));
    let request = request.body(Body::default()).unwrap();
    let answer = measured(&layer, impatient()).oneshot(request).await;
    answer.map(drop).unwrap_err();
    let numbers = Numbers::failed(ErrorType::TIMEOUT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn the_response_body_takes_too_long() {
    let layer = layer();
    let hangs = Handler::sends(Scripted::new([data("abc"), Step::Hang])).reads_all();
    let server = Server::start(hangs).await;
    let limit = Duration::from_secs(3600);
    let patient = Client::builder().no_proxy().read_timeout(limit);
    let client = measured(&layer, patient.build().unwrap());
    let answer = bounded("an answer", client.oneshot(post(server.address()))).await;
    let mut body = answer.unwrap().into_body();
    bounded("a frame", body.frame()).await.unwrap().unwrap();
    tokio::time::pause(); // the hour now passes at once
    body.frame().await.unwrap().unwrap_err();
    let numbers = Numbers::failed(ErrorType::TIMEOUT).read(3).taken(3);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn the_server_breaks_off() {
    let layer = layer();
    let breaks = Handler::sends(Scripted::new([data("abc"), Step::Yield, Step::Err])).reads_all();
    let server = Server::start(breaks).await;
    let answer = measured(&layer, client()).oneshot(post(server.address()));
    let answer = bounded("an answer", answer).await.unwrap();
    let body = bounded("its body", answer.into_body().collect()).await;
    body.unwrap_err();
    let numbers = Numbers::failed(ErrorType::PUBLISH_RESPONSE);
    assert_eq!(Numbers::of(&layer).await, numbers.read(3).taken(3));
    server.stop().await;
}

#[tokio::test]
async fn the_example_shows_its_calls() {
    let server = Server::start(hello(200)).await;
    let urls = [server.address(), nowhere().await].map(|address| format!("http://{address}/"));
    let page = bounded("the page", run(client(), urls)).await.unwrap();
    for line in [
        r#"requests_total{endpoint="web",method="GET",status="200"} 1"#,
        r#"response_bytes_total{endpoint="web",method="GET",status="200"} 5"#,
        r#"errors_total{endpoint="web",error_type="connect",method="GET"} 1"#,
    ] {
        assert!(
            page.lines().any(|one| one == line),
            "{line} is not in\n{page}"
        );
    }
    server.stop().await;
}
