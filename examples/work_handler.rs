//! A measured worker behind a transport of its own.
//!
//! It takes requests in [frames over TCP](transport) and streams each answer back, item by item, like the tokens of a model
//! server. `work_client` is its client:
//!
//! ```text
//! $ DYN_SYSTEM_ENABLED=true DYN_SYSTEM_PORT=8081 \
//!       cargo run --release --features http2,server --example work_handler
//! $ cargo run --release --example work_client -- '{"text":"hi"}'
//! {"data":"h"}
//! {"data":"i"}
//! $ curl http://127.0.0.1:8081/metrics
//! ```
//!
//! `transport/server.rs` connects the layer to the transport. You can provoke each way in which a call can fail:
//!
//! | `error_type` | how to get it |
//! |---|---|
//! | `deserialization` | send something that is not JSON, or not a [`Request`] |
//! | `invalid_message` | send a frame of a kind that is not a request |
//! | `generate` | `{"text":"hi","fail":"engine"}` |
//! | `response_stream` | `{"text":"hi","fail":"first_item"}` |
//! | `publish_response` | `{"text":"hi","fail":"last_item"}`, or break the connection while items come |
//! | `publish_final` | break the connection after the last item |
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DYN_WORKER_PORT` | the worker's port; 0 picks a free one | 8090 |
//! | `DYN_SYSTEM_*` | the status server, see `StatusServer::from_env` | none |
//! | `DYN_CANARY_IDLE_MS` | how long without a call that completes until the work is probed, see `Health::watch` | never |
//! | `DRAIN_MS` | how long to take requests after Ctrl-C or SIGTERM, with 503 at `/health` | 2000 |

mod process;
pub(crate) mod serving;
mod status;
pub(crate) mod transport;

use self::process::Stop;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::classify::by_error;
use tower_openmetrics::server::Canary;

const ENDPOINT: &str = "work";

// === the work, without frames or metrics ===

/// A request for `text`, character by character.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) text: String,
    /// The number of items. The text is repeated or cut. Defaults to its length.
    pub(crate) items: Option<usize>,
    /// The time that each item takes.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    pub(crate) fail: Option<Fail>,
}

/// The failure to provoke.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fail {
    Engine,
    FirstItem,
    LastItem,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) data: char,
}

pub(crate) async fn work(
    request: Request,
) -> Result<impl Stream<Item = Result<Item, String>>, String> {
    let characters: Vec<_> = request.text.chars().collect();
    let items = match characters.len() {
        0 => 0,
        length => request.items.unwrap_or(length),
    };
    let why = || String::from("as you asked");
    let (items, failure) = match request.fail {
        None => (items, None),
        Some(Fail::Engine) => return Err(why()),
        Some(Fail::FirstItem) => (0, Some(Err(why()))),
        Some(Fail::LastItem) => (items.saturating_sub(1), Some(Err(why()))),
    };
    let delay = Duration::from_millis(request.delay_ms);
    let characters = (0..items).map(move |i| characters[i % characters.len()]);
    let items = stream::iter(characters).then(move |data| async move {
        // A model would compute here.
        match delay {
            Duration::ZERO => yield_now().await,
            delay => sleep(delay).await,
        }
        Ok(Item { data })
    });
    Ok(items.chain(stream::iter(failure)))
}

/// Works on one character.
async fn probe() -> Result<(), BoxError> {
    let request = Request {
        text: "a".to_owned(),
        items: None,
        delay_ms: 0,
        fail: None,
    };
    let items: Vec<_> = work(request).await?.try_collect().await?;
    match items.as_slice() {
        [Item { data: 'a' }] => Ok(()),
        other => Err(format!("these items came: {other:?}").into()),
    }
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;

    let metrics = MetricsLayer::streaming_builder()
        .classifier(by_error(transport::error_type))
        .first_byte_seconds(true)
        .build([
            ("namespace", "dyn_example_namespace"),
            ("component", "dyn_example_component"),
            ("endpoint", ENDPOINT),
        ])?;
    let bytes_processed = metrics.register(
        "my_custom_bytes_processed",
        "Bytes of text worked on",
        Counter::<u64>::default(),
    )?;
    let engine = service_fn(move |request: Request| {
        bytes_processed.inc_by(request.text.len() as u64);
        work(request)
    });
    let handler = ServiceBuilder::new()
        .layer(metrics.clone())
        .service(transport::json(engine));

    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "DYN_WORKER_PORT", 8090).await?;
    let status = status::serve_watched(&metrics, Canary::new(probe), ENDPOINT, &stop.asked).await?;
    println!("work handler:  {}", listener.local_addr()?);

    serving::accept(listener, stop.closing.clone(), |io, _, _| {
        transport::serve_connection(io, handler.clone(), stop.closing.clone())
    })
    .await;
    // The status server stops last, so that the page can still show the last call.
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
