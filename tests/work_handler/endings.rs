//! One test for each outcome of a call.

use crate::numbers::{Numbers, call};
use crate::within;
use crate::work_handler::transport::{self, Failure, Frame};
use crate::work_handler::work;
use crate::worker::{THEN_AN_ITEM, THEN_THE_END, Worker, layer};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tower::{Layer, ServiceExt, service_fn};

/// `{"data":"x"}`
const ITEM: u64 = 12;

#[tokio::test]
async fn completed() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = client.ask(json!({ "text": "hi" })).await;
    assert_eq!(client.items(2).await, 2 * ITEM);
    client.end().await;
    let expected = call(request, 2, 2 * ITEM);
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

/// The worker does not wait for the rest of a frame.
#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_counts_nothing() {
    let worker = Worker::start().await;
    for half in [&b""[..], b"\0\0", b"\0\0\0\x10R{"] {
        let mut client = TcpStream::connect(worker.addr).await.unwrap();
        client.write_all(half).await.unwrap();
        within(client.read_to_end(&mut Vec::new())).await.unwrap();
    }
    worker.stop().await;
}

#[tokio::test]
async fn deserialization() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = client.send(Frame::Request("{\"text\":".into())).await;
    let failure = client.failure_and_end().await;
    assert!(matches!(failure, Failure::Undecodable(_)), "{failure:?}");
    let expected = call(request, 0, 0).failed("deserialization");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

#[tokio::test]
async fn invalid_message() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = client.send(Frame::Other("GET / HTTP/1.1".into())).await;
    assert_eq!(client.failure_and_end().await, Failure::NotARequest);
    let expected = call(request, 0, 0).failed("invalid_message");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

#[tokio::test]
async fn generate() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = json!({ "text": "hi", "fail": "engine" });
    let request = client.ask(request).await;
    let failure = client.failure_and_end().await;
    assert!(matches!(failure, Failure::Work(_)), "{failure:?}");
    let expected = call(request, 0, 0).failed("generate");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

#[tokio::test]
async fn response_stream() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = json!({ "text": "hi", "fail": "first_item" });
    let request = client.ask(request).await;
    let failure = client.failure_and_end().await;
    assert!(matches!(failure, Failure::Work(_)), "{failure:?}");
    let expected = call(request, 0, 0).failed("response_stream");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

#[tokio::test]
async fn publish_response_by_the_stream() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let request = json!({ "text": "hi", "fail": "last_item" });
    let request = client.ask(request).await;
    assert_eq!(client.items(1).await, ITEM);
    client.failure_and_end().await;
    let expected = call(request, 1, ITEM).failed("publish_response");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

/// The client closes the connection while items are sent.
#[tokio::test]
async fn publish_response_by_the_connection() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let without_end = json!({ "text": "hi", "items": usize::MAX });
    let request = client.ask(without_end).await;
    client.items(100).await;
    client.reset();

    let numbers = worker.at_rest(1).await;
    // The worker may have sent more than the client has read.
    let items = numbers.get("response_messages_total");
    assert!(items >= 100, "{items}");
    numbers.assert(call(request, items, items * ITEM).failed("publish_response"));
    worker.stop().await;
}

/// The client closes the connection between two items.
#[tokio::test]
async fn publish_response_exactly() {
    let worker = Worker::start_watched().await;
    let mut client = worker.connect().await;
    let request = json!({ "text": THEN_AN_ITEM, "items": 3 });
    let request = client.ask(request).await;
    client.items(3).await;
    client.reset();
    let expected = call(request, 3, 3 * ITEM).failed("publish_response");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

/// The client closes the connection between the last item and the end.
#[tokio::test]
async fn publish_final() {
    let worker = Worker::start_watched().await;
    let mut client = worker.connect().await;
    let request = json!({ "text": THEN_THE_END, "items": 3 });
    let request = client.ask(request).await;
    client.items(3).await;
    client.reset();
    let expected = call(request, 3, 3 * ITEM).failed("publish_final");
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

/// The client cancels during the work and stays connected.
#[tokio::test]
async fn cancelled() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let an_hour_for_each = json!({ "text": "hi", "delay_ms": 3_600_000 });
    let first = client.ask(an_hour_for_each).await;
    client.send(Frame::Cancel).await;
    client.end().await;
    // This cancellation is too late and does not affect the next call.
    client.send(Frame::Cancel).await;
    let second = client.ask(json!({ "text": "ho" })).await;
    client.items(2).await;
    client.end().await;

    let mut expected = call(first, 0, 0).cancelled();
    expected.add_all(call(second, 2, 2 * ITEM));
    worker.at_rest(2).await.assert(expected);
    worker.stop().await;
}

/// The client closes the connection gracefully during the work.
#[tokio::test]
async fn a_closed_connection_cancels_the_call() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let an_hour_for_each = json!({ "text": "hi", "delay_ms": 3_600_000 });
    let request = client.ask(an_hour_for_each).await;
    drop(client);
    worker
        .at_rest(1)
        .await
        .assert(call(request, 0, 0).cancelled());
    worker.stop().await;
}

#[tokio::test]
async fn early_requests_wait_for_their_turn() {
    let worker = Worker::start().await;
    let mut client = worker.connect().await;
    let mut expected = Numbers::default();
    for _ in 0..5 {
        let request = client.ask(json!({ "text": "hi" })).await;
        expected.add_all(call(request, 2, 2 * ITEM));
    }
    for _ in 0..5 {
        client.items(2).await;
        client.end().await;
    }
    worker.at_rest(5).await.assert(expected);
    worker.stop().await;
}

/// The same handler with and without the layer has the same responses.
#[tokio::test]
async fn the_handler_works_without_the_layer() {
    let handler = transport::json(service_fn(work));
    let measured = layer().layer(handler.clone());
    for request in [
        Frame::Request("{\"text\":\"hi\"}".into()),
        Frame::Request("{\"text\":\"hi\",\"fail\":\"last_item\"}".into()),
        Frame::Request("{\"text\":\"hi\",\"fail\":\"engine\"}".into()),
        Frame::Request("{".into()),
        Frame::End,
    ] {
        let bare = match handler.clone().oneshot(request.clone()).await {
            Ok(items) => Ok(items.collect::<Vec<_>>().await),
            Err(failure) => Err(failure),
        };
        let measured = match measured.clone().oneshot(request).await {
            Ok(items) => Ok(items.collect::<Vec<_>>().await),
            Err(failure) => Err(failure),
        };
        assert_eq!(bare, measured);
    }
}

/// The worker accepts no new connections and finishes its responses.
#[tokio::test]
async fn the_worker_finishes_its_responses_before_it_stops() {
    let worker = Worker::start().await;
    let idle = worker.connect().await;
    let mut client = worker.connect().await;
    client.ask(json!({ "text": "hi", "items": 1000 })).await;
    client.items(1).await;
    worker.stop.cancel();
    within(async {
        while TcpStream::connect(worker.addr).await.is_ok() {
            yield_now().await;
        }
    })
    .await;
    client.items(999).await;
    client.end().await;
    worker.at_rest(1).await;
    worker.stop().await;
    drop(idle);
}
