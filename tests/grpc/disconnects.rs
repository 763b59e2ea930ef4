//! Clients that disconnect.

use crate::bounded;
use crate::calls::{Begun, Kind, Layers, begin};
use crate::numbers::Numbers;
use crate::service::{ANSWER, End, Order};
use crate::transports::Transport;
use futures_util::stream::TryStreamExt;

#[tokio::test]
async fn a_client_that_leaves_before_the_response_cancels_the_call() {
    for transport in Transport::ALL {
        for kind in [Kind::Unary, Kind::ClientStreaming] {
            let row = format!("{transport:?}, {kind:?}");
            let request = order(0);
            let layers = Layers::new();
            let server = transport.serve(&layers.server).await;
            let client = transport.connect(&server, &layers.client).await;
            {
                let call = begin(client, &server, kind, request.clone(), None);
                let is_there = Numbers::until(&layers.server, &row, |seen| {
                    seen.concurrent == 1 && seen.request_messages == 1
                });
                tokio::select! {
                    _ = call => panic!("{row}: not to be answered"),
                    () = is_there => {}
                }
            }
            let numbers = Numbers::cancelled(kind.method(), "none").request(&request);
            layers.expect(&numbers, &row).await;
            server.stop().await;
        }
    }
}

/// hyper's client only drops a call once its request has ended.
#[tokio::test]
async fn a_client_that_leaves_during_the_response_cancels_the_call() {
    for transport in Transport::ALL {
        for kind in [Kind::ServerStreaming, Kind::Streaming] {
            let row = format!("{transport:?}, {kind:?}");
            // One message arrives, on its own or as an echo.
            let request = order(usize::from(kind == Kind::ServerStreaming));
            let layers = Layers::new();
            let server = transport.serve(&layers.server).await;
            let client = transport.connect(&server, &layers.client).await;
            let call = begin(client, &server, kind, request.clone(), None);
            let Begun::Stream(mut answers) = bounded(&row, call).await.unwrap() else {
                unreachable!("an answer in one message");
            };
            let first = bounded(&row, answers.try_next()).await.unwrap();
            let first = first.expect("a message");
            drop(answers);

            let expected = match kind {
                Kind::ServerStreaming => ANSWER,
                _ => &request[0],
            };
            assert_eq!(first, expected, "{row}");
            let numbers = Numbers::cancelled(kind.method(), "none");
            let numbers = numbers.request(&request).response(&[first]);
            layers.expect(&numbers, &row).await;
            server.stop().await;
        }
    }
}

/// An order of so many messages without an end.
fn order(messages: usize) -> Vec<String> {
    let end = End::Never;
    vec![Order { messages, end }.text()]
}
