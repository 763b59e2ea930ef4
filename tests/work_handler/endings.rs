//! Every outcome of a call.

use crate::client::Client;
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

/// Makes one call to `worker`, which has the numbers that `client` returns.
async fn expect(worker: Worker, client: impl AsyncFnOnce(Client) -> Numbers) {
    let expected = client(worker.connect().await).await;
    worker.at_rest(1).await.assert(expected);
    worker.stop().await;
}

#[tokio::test]
async fn completed() {
    expect(Worker::start().await, async |mut client| {
        let request = client.ask(json!({ "text": "hi" })).await;
        assert_eq!(client.items(2).await, 2 * ITEM);
        client.end().await;
        call(request, 2, 2 * ITEM)
    })
    .await;
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

/// Each row: what the client sends, the items that it gets, the failure that follows, and the error type.
#[tokio::test]
async fn failed_by_the_request_or_the_work() {
    type Row = (Frame, u64, fn(&Failure) -> bool, &'static str);
    let ask = |fail| Frame::Request(json!({ "text": "hi", "fail": fail }).to_string().into());
    let undecodable = |failure: &_| matches!(failure, Failure::Undecodable(_));
    let of_the_work = |failure: &_| matches!(failure, Failure::Work(_));
    let half = Frame::Request("{\"text\":".into());
    let other = Frame::Other("GET / HTTP/1.1".into());
    let rows: [Row; 5] = [
        (half, 0, undecodable, "deserialization"),
        (other, 0, |f| *f == Failure::NotARequest, "invalid_message"),
        (ask("engine"), 0, of_the_work, "generate"),
        (ask("first_item"), 0, of_the_work, "response_stream"),
        (ask("last_item"), 1, of_the_work, "publish_response"),
    ];
    for (frame, items, is_expected, error_type) in rows {
        expect(Worker::start().await, async |mut client| {
            let request = client.send(frame).await;
            assert_eq!(client.items(items).await, items * ITEM);
            let failure = client.failure_and_end().await;
            assert!(is_expected(&failure), "{error_type}: {failure:?}");
            call(request, items, items * ITEM).failed(error_type)
        })
        .await;
    }
}

/// The client closes the connection while items are sent.
#[tokio::test]
async fn failed_by_the_connection_while_items_are_sent() {
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

/// The client closes the connection between two items, or between the last item and the end.
#[tokio::test]
async fn failed_by_the_connection_after_an_item() {
    for (text, error_type) in [
        (THEN_AN_ITEM, "publish_response"),
        (THEN_THE_END, "publish_final"),
    ] {
        expect(Worker::start_watched().await, async |mut client| {
            let request = client.ask(json!({ "text": text, "items": 3 })).await;
            client.items(3).await;
            client.reset();
            call(request, 3, 3 * ITEM).failed(error_type)
        })
        .await;
    }
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
    expect(Worker::start().await, async |mut client| {
        let an_hour_for_each = json!({ "text": "hi", "delay_ms": 3_600_000 });
        let request = client.ask(an_hour_for_each).await;
        call(request, 0, 0).cancelled()
    })
    .await;
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
