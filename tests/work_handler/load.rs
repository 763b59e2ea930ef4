//! Many clients whose calls have every outcome.

use crate::client::Client;
use crate::numbers::{Numbers, call};
use crate::within;
use crate::work_handler::transport::Frame;
use crate::worker::{THEN_AN_ITEM, THEN_THE_END, Worker};
use serde_json::json;
use std::net::SocketAddr;
use tokio::task::JoinSet;

const CLIENTS: u64 = 200;
const CALLS: u64 = 100;

/// Pseudorandom numbers, the same in every run.
struct Dice(u64);

impl Dice {
    /// splitmix64
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_page_has_the_numbers_that_the_clients_saw() {
    let worker = Worker::start_watched().await;
    let mut clients = JoinSet::new();
    for seed in 0..CLIENTS {
        clients.spawn(make_calls(worker.addr, Dice(seed)));
    }
    let mut expected = Numbers::default();
    while let Some(seen) = within(clients.join_next()).await {
        expected.add_all(seen.unwrap());
    }
    assert_eq!(expected.get("requests_total"), CLIENTS * CALLS);
    worker.at_rest(CLIENTS * CALLS).await.assert(expected);
    worker.stop().await;
}

async fn make_calls(addr: SocketAddr, mut dice: Dice) -> Numbers {
    let mut seen = Numbers::default();
    let mut connection = None;
    for _ in 0..CALLS {
        let mut client = match connection.take() {
            Some(client) => client,
            None => Client::connect(addr).await,
        };
        let fate = dice.roll(14);
        let items = 1 + dice.roll(20);
        seen.add_all(make_call(&mut client, fate, items).await);
        match fate {
            0..=1 => client.reset(),
            2 => drop(client),
            _ => connection = Some(client),
        }
    }
    seen
}

/// Makes a call up to the point where its client decides the outcome.
async fn make_call(client: &mut Client, fate: u64, items: u64) -> Numbers {
    match fate {
        0 => {
            let request = json!({ "text": THEN_THE_END, "items": items });
            let request = client.ask(request).await;
            let bytes = client.items(items).await;
            call(request, items, bytes).failed("publish_final")
        }
        1 => {
            let request = json!({ "text": THEN_AN_ITEM, "items": items });
            let request = client.ask(request).await;
            let bytes = client.items(items).await;
            call(request, items, bytes).failed("publish_response")
        }
        2 => {
            let request = json!({ "text": THEN_THE_END, "items": items });
            let request = client.ask(request).await;
            let bytes = client.items(items).await;
            call(request, items, bytes).cancelled()
        }
        3 => {
            let request = json!({ "text": THEN_THE_END, "items": items });
            let request = client.ask(request).await;
            let bytes = client.items(items).await;
            client.send(Frame::Cancel).await;
            client.end().await;
            call(request, items, bytes).cancelled()
        }
        4 => {
            let request = client.send(Frame::Request("hi".into())).await;
            client.failure_and_end().await;
            call(request, 0, 0).failed("deserialization")
        }
        5 => {
            let request = client.send(Frame::Other("what?".into())).await;
            client.failure_and_end().await;
            call(request, 0, 0).failed("invalid_message")
        }
        6 => {
            let request = client.ask(json!({ "text": "hi", "fail": "engine" })).await;
            client.failure_and_end().await;
            call(request, 0, 0).failed("generate")
        }
        7 => {
            let request = json!({ "text": "hi", "fail": "first_item" });
            let request = client.ask(request).await;
            client.failure_and_end().await;
            call(request, 0, 0).failed("response_stream")
        }
        8 => {
            let request = json!({ "text": "hi", "items": items + 2, "fail": "last_item" });
            let request = client.ask(request).await;
            let bytes = client.items(items + 1).await;
            client.failure_and_end().await;
            call(request, items + 1, bytes).failed("publish_response")
        }
        9 => {
            // Cancelled too late.
            let request = client.ask(json!({ "text": "hi", "items": items })).await;
            let bytes = client.items(items).await;
            client.end().await;
            client.send(Frame::Cancel).await;
            call(request, items, bytes)
        }
        _ => {
            let request = client.ask(json!({ "text": "äöü€", "items": items })).await;
            let bytes = client.items(items).await;
            client.end().await;
            call(request, items, bytes)
        }
    }
}
