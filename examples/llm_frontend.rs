//! An OpenAI-compatible front end. Its tokens come from `llm_worker`, or from another OpenAI-compatible server.
//!
//! ```text
//! $ DYN_SYSTEM_ENABLED=true DYN_SYSTEM_PORT=8081 \
//!       cargo run --release --features http2,server --example llm_frontend
//! $ curl -N http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
//!       -d '{"model":"parrot","stream":true,"messages":[{"role":"user","content":"hello"}]}'
//! ```
//!
//! A client that hangs up cancels the work all the way down, and both processes count a cancellation.
//! `items_total` counts the tokens of streams, `first_item_seconds` is the time to the first one, and `item_gap_seconds` that
//! from one to the next. Answers that come as a whole have none of these.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DYN_HTTP_PORT` | the front end's port; 0 picks a free one | 8080 |
//! | `DYN_WORKER` | where `llm_worker` is | 127.0.0.1:8090 |
//! | `UPSTREAM` | the server to forward to instead: `http://…`, without `/v1` | none |
//! | `DYN_SYSTEM_*` | the status server, see `StatusServer::from_env` | none |
//! | `DYN_CANARY_IDLE_MS` | how long without a chat that completes until the worker is probed, see `Health::watch` | never |
//! | `DRAIN_MS` | how long to take requests after Ctrl-C or SIGTERM, with 503 at `/health` | 2000 |

mod llm;
#[path = "llm/openai.rs"]
pub(crate) mod openai;
mod process;
pub(crate) mod serving;
mod status;
mod transport;

use self::llm::{Prompt, Token};
use self::openai::{Answer, ChatRequest, MODEL, Problem};
use self::process::Stop;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tower::BoxError;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_openmetrics::server::Canary;
use tower_openmetrics::{CallHandle, Error, ErrorType, MetricsLayer, MetricsRegistry, buckets};

/// The maximum size of a request. Longer ones are refused.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The maximum size of an answer that is sent as a whole. Longer ones are cut off.
const MAX_ANSWER_BYTES: usize = 1 << 20;

const CHAT: &str = "chat";

// === the two routers ===

/// Returns a router that answers with a worker's tokens.
pub(crate) fn front_end(worker: String, registry: &MetricsRegistry) -> Result<Router, Error> {
    let worker = Arc::new(Worker {
        addr: worker,
        chats: AtomicU64::new(0),
    });
    let routes = routes(registry, post(chat), get(models))?;
    Ok(routes.with_state(worker))
}

/// Returns a router that forwards to another server.
pub(crate) fn forwarder(upstream: String, registry: &MetricsRegistry) -> Result<Router, BoxError> {
    let upstream = Upstream::at(&upstream)?;
    let routes = routes(registry, post(forward), get(forward))?;
    Ok(routes.with_state(upstream))
}

fn routes<S: Clone + Send + Sync + 'static>(
    registry: &MetricsRegistry,
    chat: MethodRouter<S>,
    models: MethodRouter<S>,
) -> Result<Router<S>, Error> {
    let pass_handle = |request: &mut Request<_>, call: CallHandle| {
        request.extensions_mut().insert(call);
    };
    let chat_metrics = chat_metrics(registry)?.pass_handle(pass_handle);
    let models_metrics = MetricsLayer::builder()
        .registry(registry)
        .build(labels("models"))?;
    Ok(Router::new()
        .route("/v1/chat/completions", chat.layer(chat_metrics))
        .route("/v1/models", models.layer(models_metrics))
        .fallback(async |method: Method, uri: Uri| {
            let message = format!("there is no {method} {}", uri.path());
            Problem::new(StatusCode::NOT_FOUND, message)
        })
        .method_not_allowed_fallback(async |method: Method| {
            let message = format!("{method} is not allowed here");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(RequestBodyTimeoutLayer::new(serving::UPLOAD)))
}

/// Returns the layer of chats. Each call returns the same one.
fn chat_metrics(registry: &MetricsRegistry) -> Result<MetricsLayer, Error> {
    MetricsLayer::builder()
        .registry(registry)
        .buckets(buckets::INFERENCE)
        .items_in_frames(openai::tokens)
        .items_total(true)
        .first_item_seconds(true)
        .item_gap_seconds(true)
        .time_per_item_seconds(true)
        .build(labels(CHAT))
}

fn labels(endpoint: &str) -> [(&str, &str); 3] {
    [
        ("namespace", "dyn_example_namespace"),
        ("component", "frontend"),
        ("endpoint", endpoint),
    ]
}

// === a chat with the worker ===

#[derive(Debug)]
struct Worker {
    addr: String,
    chats: AtomicU64,
}

async fn chat(
    State(worker): State<Arc<Worker>>,
    Extension(call): Extension<CallHandle>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let request: ChatRequest = serde_json::from_slice(&body?)
        .map_err(|error| Problem::bad_request(format!("can't decode the request: {error}")))?;
    let stream = request.stream.unwrap_or(false);
    let prompt = request.prompt()?;
    let answer = Answer::new(worker.chats.fetch_add(1, Ordering::Relaxed));
    let mut tokens = worker.tokens(&prompt).await.map_err(Problem::bad_gateway)?;
    if !stream {
        let mut text = String::new();
        let mut finish_reason = None;
        let mut count = 0;
        while let Some(token) = tokens.next().await {
            let token = token.map_err(Problem::bad_gateway)?;
            text += &token.text;
            if text.len() > MAX_ANSWER_BYTES {
                return Err(Problem::bad_gateway("the answer is too long"));
            }
            finish_reason = token.finish_reason;
            count += 1;
        }
        let completion = answer.completion(&prompt, text, finish_reason, count);
        return Ok(Json(completion).into_response());
    }
    // The head waits for the first token. Until then the status can still report an error.
    let first = tokens.next().await.transpose();
    let first = first.map_err(Problem::bad_gateway)?;
    let tokens = stream::iter(first.map(Ok)).chain(tokens).enumerate();
    let events = tokens.map(move |(i, token)| match token {
        Ok(token) => Event::default().json_data(answer.chunk(i == 0, token)),
        Err(error) => {
            // It is too late for a status, and the body won't fail, so the handler reports the failure itself.
            call.fault(ErrorType::PUBLISH_RESPONSE);
            Event::default().json_data(Problem::bad_gateway(error).to_json())
        }
    });
    let done = Event::default().data("[DONE]");
    Ok(Sse::new(events.chain(stream::iter([Ok(done)]))).into_response())
}

async fn models() -> Json<Value> {
    let model = json!({ "id": MODEL, "object": "model", "created": 0, "owned_by": "examples" });
    Json(json!({ "object": "list", "data": [model] }))
}

impl Worker {
    async fn tokens(
        &self,
        prompt: &Prompt,
    ) -> Result<impl Stream<Item = Result<Token, BoxError>> + Unpin + use<>, BoxError> {
        let request = serde_json::to_vec(prompt)?;
        let items = transport::call(&self.addr, request.into()).await?;
        Ok(items.map(|item| Ok(serde_json::from_slice(&item?)?)))
    }
}

/// Has the worker make one token.
fn chat_canary(worker: String) -> Canary {
    let worker = Arc::new(Worker {
        addr: worker,
        chats: AtomicU64::new(0),
    });
    Canary::new(move || {
        let worker = Arc::clone(&worker);
        async move {
            let prompt = Prompt {
                text: "hello".to_owned(),
                max_tokens: Some(1),
            };
            let tokens: Vec<_> = worker.tokens(&prompt).await?.try_collect().await?;
            match tokens.is_empty() {
                true => Err("the worker made no token".into()),
                false => Ok::<_, BoxError>(()),
            }
        }
    })
}

// === another server instead ===

#[derive(Clone, Debug)]
struct Upstream {
    authority: Authority,
    /// The prefix of paths.
    path: Arc<str>,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    fn at(url: &str) -> Result<Self, BoxError> {
        let uri = url.parse::<Uri>().ok();
        let uri = uri.filter(|uri| uri.scheme() == Some(&Scheme::HTTP) && uri.query().is_none());
        let uri = uri.ok_or_else(|| format!("UPSTREAM can't be {url:?}: use http://host:port"))?;
        let authority = uri.authority().ok_or("a URI with a scheme has a host")?;
        Ok(Self {
            authority: authority.clone(),
            path: uri.path().trim_end_matches('/').into(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// Returns the URI to forward to. Takes only the path of the `asked` URI, which also has a host over HTTP/2 or if the
    /// front end is used as a proxy.
    fn uri(&self, asked: &Uri) -> Result<Uri, axum::http::Error> {
        let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.path))
            .build()
    }
}

async fn forward(
    State(upstream): State<Upstream>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let uri = upstream.uri(&uri).map_err(Problem::bad_gateway)?;
    let mut request = Request::builder().method(method).uri(uri);
    for name in [ACCEPT, AUTHORIZATION, CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(body?.into()).map_err(Problem::bad_gateway)?;
    let response = upstream.client.request(request).await;
    let mut response = response.map_err(Problem::bad_gateway)?;
    // These describe the connection to the other server.
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    Ok(response.map(Body::new))
}

/// Asks the other server for its models.
fn forward_canary(upstream: &str) -> Result<Canary, BoxError> {
    let upstream = Upstream::at(upstream)?;
    let models = upstream.uri(&Uri::from_static("/v1/models"))?;
    Ok(Canary::new(move || {
        let response = upstream.client.get(models.clone());
        async move {
            match response.await?.status() {
                StatusCode::OK => Ok::<_, BoxError>(()),
                status => Err(format!("the server answered {status}").into()),
            }
        }
    }))
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let registry = MetricsRegistry::new();
    let (app, canary, behind) = match process::variable::<String>("UPSTREAM")? {
        Some(upstream) => {
            let canary = forward_canary(&upstream)?;
            (forwarder(upstream.clone(), &registry)?, canary, upstream)
        }
        None => {
            let worker = process::variable("DYN_WORKER")?;
            let worker = worker.unwrap_or_else(|| String::from("127.0.0.1:8090"));
            let canary = chat_canary(worker.clone());
            (front_end(worker.clone(), &registry)?, canary, worker)
        }
    };
    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "DYN_HTTP_PORT", 8080).await?;
    let here = listener.local_addr()?;
    println!("front end:     http://{here}/v1 before {behind}");
    let chats = chat_metrics(&registry)?;
    let status = status::serve_watched(&chats, canary, CHAT, &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
