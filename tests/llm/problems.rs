//! Failed chats. Every response has OpenAI's error format.

use crate::chain::{CHAT, Chain, chat};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The type, parameter and code of the error.
fn parts(answer: &Value) -> Value {
    let error = &answer["error"];
    assert!(!error["message"].as_str().unwrap().is_empty());
    json!([error["type"], error["param"], error["code"]])
}

#[tokio::test]
async fn invalid_requests_are_errors() {
    let chain = Chain::start(0).await;
    let message = json!([{ "role": "user", "content": "hello" }]);
    let unknown = json!({ "model": "gpt", "messages": message });
    let cases = [
        ("{".to_owned(), 400, json!([null, null])),
        ("{\"model\":1}".to_owned(), 400, json!([null, null])),
        (
            json!({ "messages": message }).to_string(),
            400,
            json!(["model", "missing_required_parameter"]),
        ),
        (
            json!({ "model": "parrot" }).to_string(),
            400,
            json!(["messages", "missing_required_parameter"]),
        ),
        (
            json!({ "model": "parrot", "messages": [] }).to_string(),
            400,
            json!(["messages", "missing_required_parameter"]),
        ),
        (
            unknown.to_string(),
            404,
            json!(["model", "model_not_found"]),
        ),
        (" ".repeat((1 << 20) + 1), 413, json!([null, null])),
    ];
    let calls = cases.len() as u64;
    for (request, expected_status, expected) in cases {
        let (status, answer) = chain.ask(Method::POST, CHAT, request).await;
        assert_eq!(status, expected_status, "{answer}");
        let kind = "invalid_request_error";
        assert_eq!(parts(&answer), json!([kind, expected[0], expected[1]]));
    }
    let [worker, front] = &chain.pages[..] else {
        panic!("two pages");
    };
    front.until("requests_total", calls).await;
    assert_eq!(front.get("errors_total deserialization").await, 5);
    assert_eq!(front.get("errors_total invalid_message").await, 1);
    assert_eq!(front.get("cancellations_total").await, 0);
    assert_eq!(worker.get("requests_total").await, 0);
    chain.stop().await;
}

#[tokio::test]
async fn unknown_paths_are_errors() {
    let chain = Chain::start(0).await;
    for (method, path, expected) in [(Method::POST, "/v1/chat", 404), (Method::GET, CHAT, 405)] {
        let (status, answer) = chain.ask(method, path, "").await;
        assert_eq!(status, expected);
        assert_eq!(parts(&answer), json!(["invalid_request_error", null, null]));
    }
    chain.stop().await;
}

/// Before the first token, the error is in the status. Later it is an event.
#[tokio::test]
async fn a_failing_model_is_an_error() {
    for stream in [true, false] {
        let chain = Chain::start(0).await;
        chain.tokens.close();
        let request = chat("hello", stream).to_string();
        let (status, answer) = chain.ask(Method::POST, CHAT, request).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert_eq!(parts(&answer), json!(["server_error", null, null]));
        chain.pages[0]
            .one_call(Some("errors_total response_stream"))
            .await;
        chain.pages[1].one_call(Some("errors_total generate")).await;
        chain.stop().await;
    }

    let chain = Chain::start(1).await;
    let mut events = chain.stream("hello").await;
    assert_eq!(events.content().await, "You ");
    chain.tokens.close();
    let event = events.next().await.unwrap();
    let event = serde_json::from_str(&event).unwrap();
    assert_eq!(parts(&event), json!(["server_error", null, null]));
    assert_eq!(events.next().await.unwrap(), "[DONE]");
    assert_eq!(events.next().await, None);
    for page in &chain.pages {
        page.one_call(Some("errors_total publish_response")).await;
    }
    chain.stop().await;
}

#[tokio::test]
async fn a_missing_worker_is_an_error() {
    let chain = Chain::start_alone().await;
    let request = chat("hello", true).to_string();
    let (status, answer) = chain.ask(Method::POST, CHAT, request).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(parts(&answer), json!(["server_error", null, null]));
    chain.pages[0].one_call(Some("errors_total generate")).await;
    chain.stop().await;
}
