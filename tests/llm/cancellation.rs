//! Clients that hang up: the work is dropped all the way down, and every page says so.

use crate::chain::Chain;

const CANCELLED: Option<&str> = Some("cancellations_total");

#[tokio::test]
async fn between_two_tokens() {
    for chain in [Chain::start(2).await, Chain::start_forwarded(2).await] {
        let mut events = chain.stream("hello").await;
        assert_eq!(events.content().await, "You ");
        assert_eq!(events.content().await, "said: ");
        drop(events);
        for page in &chain.pages {
            page.one_call(CANCELLED).await;
        }
        assert_eq!(chain.pages[0].get("response_messages_total").await, 2);
        chain.stop().await;
    }
}

#[tokio::test]
async fn before_the_first_token() {
    for stream in [true, false] {
        for chain in [Chain::start(0).await, Chain::start_forwarded(0).await] {
            chain.hang_up_without_an_answer(stream).await;
            for page in &chain.pages {
                page.one_call(CANCELLED).await;
                assert_eq!(page.get("first_byte_seconds_count").await, 0);
            }
            chain.stop().await;
        }
    }
}

/// Tokens are on their way all the time.
#[tokio::test]
async fn in_the_middle_of_a_long_answer() {
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
