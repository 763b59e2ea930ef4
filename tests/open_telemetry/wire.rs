//! A client and a server over real connections record the same calls alike.

use super::all;
use crate::support::Page;
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::future::IntoFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt};
use tower_openmetrics::MetricsLayer;

#[tokio::test]
async fn client_and_server_record_the_same_calls() {
    for (http2, version) in [(false, "1.1"), (true, "2")] {
        let server = MetricsLayer::builder().open_telemetry();
        let server = server.build([("", ""); 0]).unwrap();
        let client = MetricsLayer::client_builder().open_telemetry();
        let client = client.build([("", ""); 0]).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app: Router = Router::new()
            .route("/echo", post(async |body: Body| body))
            .layer(server.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving.into_future());

        let mut plain = Client::builder(TokioExecutor::new());
        let measured = client.layer(plain.http2_only(http2).build_http());
        let mut taken = Vec::new();
        for (method, path, body) in [
            (Method::POST, "echo", "abc"),
            (Method::POST, "echo", "defgh"),
            (Method::GET, "nothing", ""),
        ] {
            let request = Request::builder().method(method);
            let request = request.uri(format!("http://{address}/{path}"));
            let request = request.body(Full::<Bytes>::from(body)).unwrap();
            let answer = measured.clone().oneshot(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap();
            taken.push(body.to_bytes().len());
        }
        assert_eq!(taken, [3, 5, 0], "what the client saw");
        drop(measured);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();

        let labels = |error_type: &str, method: &str, status: &str| {
            format!(
                r#"{{error_type="{error_type}",http_request_method="{method}",http_response_status_code="{status}",network_protocol_version="{version}",url_scheme="http"}}"#
            )
        };
        let (echo, nothing) = (labels("", "POST", "200"), labels("", "GET", "404"));
        let refused = labels("rejected", "GET", "404");
        for (name, of_echo, of_nothing) in [
            ("request_duration_seconds_count", "2", "1"),
            ("request_body_size_bytes_sum", "8", "0"),
            ("response_body_size_bytes_sum", "8", "0"),
        ] {
            let [of_echo, of_nothing] = [of_echo, of_nothing].map(str::to_owned);
            // The first two labels decide on the order.
            let of_server = [
                (nothing.clone(), of_nothing.clone()),
                (echo.clone(), of_echo.clone()),
            ];
            let of_client = [(echo.clone(), of_echo), (refused.clone(), of_nothing)];
            assert_eq!(all(&server, &format!("http_server_{name}")), of_server);
            assert_eq!(all(&client, &format!("http_client_{name}")), of_client);
        }
        for (page, side) in [
            (Page::read(server.exporter()), "server"),
            (Page::read(client.exporter()), "client"),
        ] {
            let active = format!("http_{side}_active_requests");
            assert!(page.all(&active).all(|(_, open)| open == "0"), "{side}");
        }
    }
}
