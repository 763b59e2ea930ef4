//! Successful chats.

use crate::chain::{CHAT, Chain, chat};
use crate::llm_frontend::openai::tokens;
use http::{Method, StatusCode};
use serde_json::{Value, json};

const PLENTY: usize = 1000;

#[tokio::test]
async fn a_chat_has_a_response() {
    let chain = Chain::start(PLENTY).await;
    let request = chat("to be or not to be", false).to_string();
    let (status, answer) = chain.ask(Method::POST, CHAT, request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "parrot");
    let message = json!({ "role": "assistant", "content": "You said: to be or not to be" });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    assert_eq!(answer["choices"], json!([choice]));
    let usage = json!({ "prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14 });
    assert_eq!(answer["usage"], usage);
    // The front end's client has no token before it has all of them.
    for (page, tokens) in chain.pages.iter().zip([8, 0]) {
        page.one_call(None).await;
        assert_eq!(page.get("items_total").await, tokens);
        assert_eq!(page.get("first_item_seconds_count").await, tokens.min(1));
    }
    chain.stop().await;
}

#[tokio::test]
async fn a_chat_uses_the_last_message_up_to_the_limit() {
    let chain = Chain::start(PLENTY).await;
    let parts = json!([{ "type": "text", "text": "a " }, { "type": "text", "text": "b c" }]);
    let request = json!({
        "model": "parrot",
        "max_tokens": 3,
        "messages": [
            { "role": "system", "content": "be short" },
            { "role": "user", "content": parts },
        ],
    });
    let (status, answer) = chain.ask(Method::POST, CHAT, request.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "You said: a ");
    assert_eq!(choice["finish_reason"], "length");
    chain.stop().await;
}

/// Each token passes through the whole chain before the next one is made.
#[tokio::test]
async fn a_streamed_chat_has_each_token_at_once() {
    for chain in [Chain::start(0).await, Chain::start_forwarded(0).await] {
        chain.tokens.add_permits(1);
        let mut events = chain.stream("to be").await;
        let first = events.choice().await;
        let delta = json!({ "role": "assistant", "content": "You " });
        assert_eq!(first["delta"], delta);
        assert_eq!(first["finish_reason"], Value::Null);
        for word in ["said: ", "to "] {
            chain.tokens.add_permits(1);
            assert_eq!(events.content().await, word);
        }
        chain.tokens.add_permits(1);
        let last = events.choice().await;
        assert_eq!(last["delta"], json!({ "content": "be" }));
        assert_eq!(last["finish_reason"], "stop");
        assert_eq!(events.next().await.unwrap(), "[DONE]");
        assert_eq!(events.next().await, None);
        for page in &chain.pages {
            page.one_call(None).await;
            assert_eq!(page.get("items_total").await, 4);
            assert_eq!(page.get("first_item_seconds_count").await, 1);
            assert_eq!(page.get("item_gap_seconds_count").await, 3);
        }
        chain.stop().await;
    }
}

#[test]
fn only_content_is_a_token() {
    let content =
        |text: &str| format!(r#"data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let two = content("to ") + "\n\n" + &content("be");
    for (events, expected) in [
        (content("to").as_str(), 1),
        (&two, 2),
        (&content(r#"\"content\":\"x\""#), 1),
        (&content(""), 0),
        (r#"data: {"choices":[{"delta":{"role":"assistant"}}]}"#, 0),
        (
            r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            0,
        ),
        (r#"data: {"choices":[],"usage":{"completion_tokens":8}}"#, 0),
        ("data: [DONE]", 0),
        (": keep-alive", 0),
        ("", 0),
    ] {
        assert_eq!(
            tokens(format!("{events}\n\n").as_bytes()),
            expected,
            "{events}"
        );
    }
}

#[tokio::test]
async fn the_models_are_listed() {
    for chain in [Chain::start(0).await, Chain::start_forwarded(0).await] {
        let (status, models) = chain.ask(Method::GET, "/v1/models", "").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(models["object"], "list");
        assert_eq!(models["data"][0]["id"], "parrot");
        chain.stop().await;
    }
}
