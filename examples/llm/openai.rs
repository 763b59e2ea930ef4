//! The part of OpenAI's API that `llm_frontend` uses.

use super::llm::{FinishReason, Prompt, Token};
use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::time::SystemTime;

/// The only model.
pub(crate) const MODEL: &str = "parrot";

#[derive(Deserialize)]
pub(crate) struct ChatRequest {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    pub(crate) stream: Option<bool>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct Message {
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
pub(crate) struct Part {
    text: String,
}

/// The fields that all pieces of a response have.
pub(crate) struct Answer {
    id: String,
    created: u64,
}

/// An error response in OpenAI's format.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// Returns how many tokens a frame of server-sent events has. Comments, the event that names the role, and `[DONE]` have none.
pub(crate) fn tokens(frame: &[u8]) -> u64 {
    let lines = frame.split(|&byte| byte == b'\n');
    let events = lines.filter_map(|line| line.strip_prefix(b"data: "));
    let chunks = events.filter_map(|data| serde_json::from_slice::<Value>(data).ok());
    let tokens = chunks.filter(|chunk| {
        let content = chunk["choices"][0]["delta"]["content"].as_str();
        content.is_some_and(|content| !content.is_empty())
    });
    tokens.count() as u64
}

// === impl ChatRequest ===

impl ChatRequest {
    pub(crate) fn prompt(self) -> Result<Prompt, Problem> {
        let missing = |parameter| {
            let problem = Problem::bad_request(format!("`{parameter}` is missing"));
            problem.at(parameter, "missing_required_parameter")
        };
        let model = self.model.ok_or_else(|| missing("model"))?;
        if model != MODEL {
            let message = format!("there is no model `{model}`");
            let problem = Problem::new(StatusCode::NOT_FOUND, message);
            return Err(problem.at("model", "model_not_found"));
        }
        let messages = self.messages.unwrap_or_default();
        let last = messages.into_iter().last();
        let text = match last.ok_or_else(|| missing("messages"))?.content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        };
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        Ok(Prompt { text, max_tokens })
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn new(number: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            id: format!("chatcmpl-{number}"),
            created: now.map_or(0, |now| now.as_secs()),
        }
    }

    pub(crate) fn chunk(&self, is_first: bool, token: Token) -> Value {
        let mut delta = json!({ "content": token.text });
        if is_first {
            delta["role"] = "assistant".into();
        }
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": token.finish_reason });
        self.of_type("chat.completion.chunk", choice)
    }

    pub(crate) fn completion(
        &self,
        prompt: &Prompt,
        text: String,
        finish_reason: Option<FinishReason>,
        tokens: usize,
    ) -> Value {
        let message = json!({ "role": "assistant", "content": text });
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
        let mut completion = self.of_type("chat.completion", choice);
        let prompt_tokens = prompt.text.split_whitespace().count();
        completion["usage"] = json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        });
        completion
    }

    fn of_type(&self, object: &str, choice: Value) -> Value {
        let Self { id, created } = self;
        json!({ "id": id, "object": object, "created": created, "model": MODEL, "choices": [choice] })
    }
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(status: StatusCode, message: String) -> Self {
        Self {
            status,
            message,
            param: None,
            code: None,
        }
    }

    pub(crate) fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn bad_gateway(error: impl Display) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, format!("no more tokens: {error}"))
    }

    pub(crate) fn at(mut self, param: &'static str, code: &'static str) -> Self {
        self.param = Some(param);
        self.code = Some(code);
        self
    }

    pub(crate) fn to_json(&self) -> Value {
        let Self {
            status,
            message,
            param,
            code,
        } = self;
        let kind = match status.is_server_error() {
            true => "server_error",
            false => "invalid_request_error",
        };
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.to_json())).into_response()
    }
}
