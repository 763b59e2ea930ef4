//! A front end and a worker, started as their processes do, and their client.

use crate::llm_frontend::{forwarder, front_end};
use crate::llm_worker::generate;
use crate::llm_worker::llm::{Prompt, Token};
use crate::llm_worker::{serving, transport};
use crate::{BOUND, within};
use axum::Router;
use futures_util::{Stream, StreamExt};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{AcquireError, Semaphore};
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::by_error;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A worker, its front end, and optionally another front end that forwards to the first.
pub(crate) struct Chain {
    /// The address of the outermost front end.
    pub(crate) addr: SocketAddr,
    pub(crate) pages: Vec<Page>,
    /// The number of tokens that the worker may make. It fails when they are closed.
    pub(crate) tokens: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Page {
    registry: MetricsRegistry,
    endpoint: &'static str,
}

/// A streamed response.
pub(crate) struct Events {
    body: Incoming,
    text: String,
}

pub(crate) fn chat(text: &str, stream: bool) -> Value {
    let message = json!({ "role": "user", "content": text });
    json!({ "model": "parrot", "stream": stream, "messages": [message] })
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

// === impl Chain ===

impl Chain {
    /// Starts a chain whose worker may make `tokens` tokens.
    pub(crate) async fn start(tokens: usize) -> Self {
        let tokens = Arc::new(Semaphore::new(tokens));
        let (listener, worker) = listen().await;
        let layer = MetricsLayer::streaming_builder()
            .classifier(by_error(transport::error_type))
            .items_total(true)
            .first_item_seconds(true)
            .item_gap_seconds(true)
            .build([("endpoint", "generate")])
            .unwrap();
        let page = Page {
            registry: layer.registry().clone(),
            endpoint: "generate",
        };
        let model = service_fn({
            let tokens = tokens.clone();
            move |prompt| gated(prompt, tokens.clone())
        });
        let handler = layer.layer(transport::json(model));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stopped = stop.clone();
        tasks.spawn(async move {
            serving::accept(listener, stopped.clone(), |io, _, _| {
                transport::serve_connection(io, handler.clone(), stopped.clone())
            })
            .await;
        });
        let mut chain = Self {
            addr: worker,
            pages: vec![page],
            tokens,
            stop,
            tasks,
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        let worker = worker.to_string();
        chain
            .put_before(|registry| Ok(front_end(worker, registry)?))
            .await;
        chain
    }

    /// Starts a front end without a worker.
    pub(crate) async fn start_alone() -> Self {
        let mut chain = Self::start(0).await;
        let nobody = chain.addr.to_string();
        chain.stop.cancel();
        while within(chain.tasks.join_next()).await.is_some() {}
        chain.stop = CancellationToken::new();
        chain.pages.clear();
        chain
            .put_before(|registry| Ok(front_end(nobody, registry)?))
            .await;
        chain
    }

    /// Starts a chain with another front end that forwards to the first.
    pub(crate) async fn start_forwarded(tokens: usize) -> Self {
        let mut chain = Self::start(tokens).await;
        let upstream = format!("http://{}", chain.addr);
        chain
            .put_before(|registry| forwarder(upstream, registry))
            .await;
        chain
    }

    async fn put_before(&mut self, app: impl FnOnce(&MetricsRegistry) -> Result<Router, BoxError>) {
        let registry = MetricsRegistry::new();
        let app = app(&registry).unwrap();
        let (listener, addr) = listen().await;
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { serving::serve(listener, app, stop).await });
        self.addr = addr;
        self.pages.push(Page {
            registry,
            endpoint: "chat",
        });
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Incoming) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.addr))
            .header("content-type", "application/json")
            .body(Full::new(body.into()));
        let response = within(self.client.request(request.unwrap())).await;
        let (head, body) = response.unwrap().into_parts();
        (head.status, body)
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Value) {
        let (status, body) = self.send(method, path, body).await;
        let body = within(body.collect()).await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn stream(&self, text: &str) -> Events {
        let request = chat(text, true).to_string();
        let (status, body) = self.send(Method::POST, CHAT, request).await;
        assert_eq!(status, StatusCode::OK);
        let text = String::new();
        Events { body, text }
    }

    /// Requests a token that never comes, and disconnects once the worker waits for it.
    pub(crate) async fn hang_up_without_an_answer(&self, stream: bool) {
        let request = chat("hello", stream).to_string();
        let asking = self.send(Method::POST, CHAT, request);
        tokio::select! {
            _ = asking => panic!("answered"),
            () = self.pages[0].until("concurrent_requests", 1) => {}
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        drop(self.client); // closes its connections
        while let Some(ended) = within(self.tasks.join_next()).await {
            ended.unwrap();
        }
    }
}

/// The example's model, which waits for a permit for each token.
async fn gated(
    prompt: Prompt,
    tokens: Arc<Semaphore>,
) -> Result<impl Stream<Item = Result<Token, AcquireError>>, AcquireError> {
    let Ok(made) = generate(prompt, Duration::ZERO).await;
    Ok(made.then(move |Ok(token)| {
        let tokens = tokens.clone();
        async move {
            tokens.acquire().await?.forget();
            Ok(token)
        }
    }))
}

// === impl Page ===

impl Page {
    pub(crate) async fn get(&self, name: &str) -> u64 {
        let scrape = Request::new(String::new());
        let page = self.registry.exporter().oneshot(scrape).await.unwrap();
        let page = page.into_body().collect().await.unwrap().to_bytes();
        let page = std::str::from_utf8(&page).unwrap();
        let (name, error_type) = name.split_once(' ').unwrap_or((name, ""));
        let sample = page.lines().find(|line| {
            line.starts_with(&format!("{name}{{"))
                && line.contains(&format!("endpoint=\"{}\"", self.endpoint))
                && (error_type.is_empty() || line.contains(&format!("\"{error_type}\"")))
        });
        let number = sample.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} {error_type} in\n{page}"))
    }

    /// Waits until the page has this number.
    pub(crate) async fn until(&self, name: &str, number: u64) {
        let deadline = Instant::now() + BOUND;
        loop {
            let now = self.get(name).await;
            if now == number {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {now}, not {number}");
            yield_now().await;
        }
    }

    /// Waits until one call has ended: completed, or counted under the name `ended`.
    pub(crate) async fn one_call(&self, ended: Option<&str>) {
        self.until("requests_total", 1).await;
        assert_eq!(self.get("concurrent_requests").await, 0);
        for name in [
            "cancellations_total",
            "errors_total deserialization",
            "errors_total generate",
            "errors_total invalid_message",
            "errors_total publish_final",
            "errors_total publish_response",
            "errors_total response_stream",
        ] {
            let expected = u64::from(ended == Some(name));
            assert_eq!(self.get(name).await, expected, "{}: {name}", self.endpoint);
        }
    }
}

// === impl Events ===

impl Events {
    /// The data of the next event, or `None` after the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.strip_prefix("data: ").expect("data").to_owned();
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = within(self.body.frame()).await?.unwrap();
            let data = frame.into_data().unwrap();
            self.text += std::str::from_utf8(&data).unwrap();
        }
    }

    /// The only choice of the next event.
    pub(crate) async fn choice(&mut self) -> Value {
        let event = self.next().await.expect("an event");
        let mut chunk: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        chunk["choices"][0].take()
    }

    pub(crate) async fn content(&mut self) -> String {
        let choice = self.choice().await;
        choice["delta"]["content"].as_str().unwrap().to_owned()
    }
}
