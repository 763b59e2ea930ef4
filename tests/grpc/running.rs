//! The example `tonic`, running.

use crate::example::process::Stop;
use crate::{bounded, example};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether the page has all of these lines.
fn has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|other| other == *line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn the_server_and_the_client_count_alike() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = CancellationToken::new();
    let stop = Stop {
        asked: asked.clone(),
        closing: asked.clone(),
    };
    let server_metrics = example::server_metrics();
    let served = tokio::spawn(example::serve(listener, server_metrics.clone(), 0, stop));

    let client_metrics = example::client_metrics();
    let greet = |name: &str| {
        let server = format!("http://{address}").parse().unwrap();
        bounded(
            "a greeting",
            example::greet(&client_metrics, server, name.into()),
        )
    };
    assert_eq!(greet("Ada").await.unwrap(), "Hello Ada!");
    assert_eq!(greet("Grace").await.unwrap(), "Hello Grace!");
    greet("").await.unwrap_err();
    asked.cancel();
    bounded("the end of the server", served)
        .await
        .unwrap()
        .unwrap();

    let server = example::page(&server_metrics).unwrap();
    let client = example::page(&client_metrics).unwrap();
    for (component, page) in [("greeter", server), ("greeter_client", client)] {
        let method = r#"grpc_method="Greet",grpc_service="example.Greeter""#;
        let begin = format!(r#"{{component="{component}",{method}}}"#);
        let ok = format!(r#"{{component="{component}",grpc_code="OK",{method}}}"#);
        let invalid =
            format!(r#"{{component="{component}",error_type="deserialization",{method}}}"#);
        has(
            &page,
            &[
                &format!("requests_total{ok} 2"),
                &format!("errors_total{invalid} 1"),
                &format!("request_messages_total{begin} 3"),
                // Each message has a prefix of five bytes.
                &format!("request_bytes_total{begin} {}", 5 + 3 + 5 + 5 + 5),
                &format!("response_messages_total{begin} 2"),
                &format!("concurrent_requests{begin} 0"),
            ],
        );
    }
}

#[tokio::test]
async fn a_missing_server_is_a_connect_error() {
    let metrics = example::client_metrics();
    // Binds a port and frees it again.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = format!("http://{address}").parse().unwrap();
    let greeting = example::greet(&metrics, server, "Ada".into());
    bounded("a refusal", greeting).await.unwrap_err();
    let page = example::page(&metrics).unwrap();
    has(
        &page,
        &[
            r#"errors_total{component="greeter_client",error_type="connect",grpc_method="Greet",grpc_service="example.Greeter"} 1"#,
        ],
    );
}
