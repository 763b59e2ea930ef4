//! Clients that disconnect. Every server drops its work, and every page counts a cancellation.

use crate::chain::Chain;

const CANCELLED: Option<&str> = Some("cancellations_total");

#[tokio::test]
async fn a_client_that_leaves_between_two_tokens_cancels_every_call() {
    for chain in [Chain::start(2).await, Chain::start_forwarded(2).await] {
        let mut events = chain.stream("hello").await;
        assert_eq!(events.content().await, "You ");
        assert_eq!(events.content().await, "said: ");
        drop(events);
        for page in &chain.pages {
            page.one_call(CANCELLED).await;
        }
        assert_eq!(chain.pages[0].get("items_total").await, 2);
        chain.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_token_cancels_every_call() {
    for stream in [true, false] {
        for chain in [Chain::start(0).await, Chain::start_forwarded(0).await] {
            chain.hang_up_without_an_answer(stream).await;
            for page in &chain.pages {
                page.one_call(CANCELLED).await;
                assert_eq!(page.get("first_item_seconds_count").await, 0);
            }
            chain.stop().await;
        }
    }
}

/// Tokens flow all the time.
#[tokio::test]
async fn a_client_that_leaves_during_a_long_response_cancels_every_call() {
    let words = "word ".repeat(100_000);
    let chain = Chain::start(usize::MAX >> 3).await;
    let mut events = chain.stream(&words).await;
    for _ in 0..100 {
        events.content().await;
    }
    drop(events);
    for page in &chain.pages {
        page.one_call(CANCELLED).await;
    }
    chain.stop().await;
}
