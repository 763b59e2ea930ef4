//! Graceful and immediate shutdown.

use crate::client::{Client, within};
use crate::metrics::{Gate, HUGE, huge_page};
use crate::{HOUR, SHORT, patient, refused, start, start_empty};
use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tower_openmetrics::MetricsRegistry;
use tower_openmetrics::server::HealthStatus;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_for_a_page_that_is_being_encoded() {
    let registry = MetricsRegistry::new();
    let gate = registry.register("gate", "Waits", Gate::default()).unwrap();
    let server = start(patient(), &registry).await;
    let addr = server.local_addr();

    gate.close();
    let mut client = Client::connect(addr).await;
    client.send_request("GET", "/metrics").await.unwrap();
    gate.entered().await;

    let shutdown = tokio::spawn(server.shutdown());
    refused(addr).await;
    assert!(!shutdown.is_finished());
    gate.open();
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\ngate 7\n"), "{answer:?}");
    client.closed().await;
    within(shutdown).await.unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_a_page_that_is_being_sent() {
    let server = start(patient(), &huge_page()).await;
    let addr = server.local_addr();
    let mut client = Client::connect_with_small_buffer(addr).await;
    client.send_request("GET", "/metrics").await.unwrap();
    client.read_some().await;

    let shutdown = tokio::spawn(server.shutdown());
    refused(addr).await;
    // `answer` fails if the body is shorter than its Content-Length.
    let answer = client.answer().await;
    assert!(answer.body.len() > HUGE, "{}", answer.body.len());
    client.closed().await;
    within(shutdown).await.unwrap();
}

#[tokio::test]
async fn shutdown_closes_idle_connections() {
    let before = Handle::current().metrics().num_alive_tasks();
    let server = start_empty(patient()).await;
    let mut idle = Client::connect(server.local_addr()).await;
    assert_eq!(idle.get("/live").await.status, 200);
    let mut silent = Client::connect(server.local_addr()).await;
    let addr = server.local_addr();
    within(server.shutdown()).await;
    idle.closed().await;
    silent.closed().await;
    refused(addr).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test]
async fn shutdown_closes_slow_connections_after_the_grace() {
    let before = Handle::current().metrics().num_alive_tasks();
    let server = start(patient().shutdown_grace(SHORT), &huge_page()).await;
    let mut half_sent = Client::connect(server.local_addr()).await;
    half_sent
        .send("GET /metrics HTTP/1.1\r\nHost")
        .await
        .unwrap();
    let mut half_read = Client::connect_with_small_buffer(server.local_addr()).await;
    half_read.send_request("GET", "/metrics").await.unwrap();
    half_read.read_some().await;
    within(server.shutdown()).await;
    half_sent.closed().await;
    assert!(half_read.closed().await < HUGE);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test]
async fn serve_with_shutdown_returns_after_its_signal() {
    let bound = patient()
        .bind(MetricsRegistry::new().exporter())
        .await
        .unwrap();
    let addr = bound.local_addr();
    bound.health().set("a", HealthStatus::Ready);
    let (signal, signalled) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.serve_with_shutdown(async move {
        let _ = signalled.await;
    }));
    let mut client = Client::connect(addr).await;
    assert_eq!(client.get("/health").await.status, 200);
    assert!(!serving.is_finished());
    signal.send(()).unwrap();
    within(serving).await.unwrap();
    client.closed().await;
    refused(addr).await;
}

/// As the docs of `Health::drain` have it. Here the test ends the pause.
#[tokio::test]
async fn a_process_drains_stops_accepting_finishes_and_ends() {
    let release = Arc::new(Semaphore::new(0));
    let released = Arc::clone(&release);
    let slow = get(async move || drop(released.acquire().await));
    let app: Router = Router::new().route("/slow", slow).route("/", get(()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let status = start_empty(patient()).await;
    let status_addr = status.local_addr();
    status.health().set("app", HealthStatus::Ready);

    let (ask, asked) = oneshot::channel::<()>();
    let (end_pause, pause_ended) = oneshot::channel::<()>();
    let health = status.health();
    let process = tokio::spawn(async move {
        let signal = async move {
            asked.await.unwrap();
            tokio::select! {
                () = health.drain(HOUR) => {}
                _ = pause_ended => {}
            }
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(signal);
        serving.await.unwrap();
        status.shutdown().await;
    });

    let mut prober = Client::connect(status_addr).await;
    assert_eq!(prober.get("/health").await.status, 200);
    let mut caller = Client::connect(addr).await;
    caller.send_request("GET", "/slow").await.unwrap();
    ask.send(()).unwrap();
    let answer = within(async {
        loop {
            let answer = prober.get("/health").await;
            if answer.status == 503 {
                return answer;
            }
        }
    });
    let json = answer.await.json();
    assert_eq!(
        (&json["status"], &json["draining"]),
        (&"notready".into(), &true.into())
    );
    let mut late = Client::connect(addr).await;
    assert_eq!(late.get("/").await.status, 200);

    end_pause.send(()).unwrap();
    refused(addr).await;
    assert_eq!(prober.get("/live").await.status, 200);
    assert!(!process.is_finished());
    release.add_permits(1);
    assert_eq!(caller.answer().await.status, 200);
    within(process).await.unwrap();
    refused(status_addr).await;
}

#[tokio::test]
async fn dropping_the_handle_stops_the_server() {
    let before = Handle::current().metrics().num_alive_tasks();
    let server = start(patient(), &huge_page()).await;
    let addr = server.local_addr();
    let mut idle = Client::connect(addr).await;
    assert_eq!(idle.get("/live").await.status, 200);
    let mut half_read = Client::connect_with_small_buffer(addr).await;
    half_read.send_request("GET", "/metrics").await.unwrap();
    half_read.read_some().await;
    drop(server);
    idle.closed().await;
    assert!(half_read.closed().await < HUGE);
    refused(addr).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test]
async fn a_handle_can_outlive_its_runtime() {
    let own = std::thread::spawn(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(start_empty(patient()))
    });
    let server = own.join().unwrap();
    refused(server.local_addr()).await;
    within(server.shutdown()).await;
}
