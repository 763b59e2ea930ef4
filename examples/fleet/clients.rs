//! Clients that make calls with a known end, and write what became of each.

use super::supervisor::{Fleet, Run, Worker};
use super::worker::ENDPOINTS;
use futures_util::future::try_join_all;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// What the calls of an endpoint ask for, one after another and then from the beginning.
const SCRIPT: [&str; 16] = [
    "whole",
    "stream",
    "whole",
    "fail",
    "whole",
    "wait",
    "stream",
    "time out",
    "whole",
    "nonsense",
    "stream",
    "break after",
    "whole",
    "refuse",
    "stream",
    "break before",
];

/// What the client of a call saw.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// A whole answer.
    Answer(u16),
    /// An answer that broke off, or no answer.
    BrokenOff,
    /// The beginning of an answer. Then it hung up.
    HungUp,
    /// Its worker died before anybody could know how the call ended.
    Lost,
}

/// The clients of all workers.
#[derive(Debug)]
pub(crate) struct Clients {
    http: Client<HttpConnector, Full<Bytes>>,
    calls: u64,
    pause: Duration,
    journal: File,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(directory: &Path, calls: u64, pause: Duration) -> io::Result<Self> {
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            calls: if calls == 0 { u64::MAX } else { calls },
            pause,
            journal: File::create(directory.join("calls.jsonl"))?,
        })
    }

    /// Makes all calls, until `stop`, and prints what became of them.
    pub(crate) async fn call(self, fleet: &Fleet, stop: CancellationToken) -> Result<(), BoxError> {
        let workers = fleet.workers.iter();
        let (clients, stop) = (&self, &stop);
        let each = workers
            .flat_map(|worker| ENDPOINTS.map(|endpoint| clients.call_one(worker, endpoint, stop)));
        let mut total = BTreeMap::new();
        for seen in try_join_all(each).await? {
            for (what, count) in seen {
                *total.entry(what).or_insert(0) += count;
            }
        }
        println!("clients saw:   {}", json!(total));
        Ok(())
    }

    /// Makes the calls of one endpoint, one after another. At any moment, the worker has counted the first of these calls and
    /// no others.
    async fn call_one(
        &self,
        worker: &Worker,
        endpoint: &str,
        stop: &CancellationToken,
    ) -> Result<BTreeMap<String, u64>, BoxError> {
        let mut total = BTreeMap::new();
        // The run of the last call, and how many calls it has counted.
        let (mut run, mut counted) = (None, 0);
        for (number, fate) in (1..=self.calls).zip(SCRIPT.iter().cycle()) {
            let Some(here) = stop.run_until_cancelled(worker.running()).await else {
                break;
            };
            if run.replace(here) != Some(here) {
                counted = 0;
            }
            let begin = now();
            let mut seen = self.ask(here, endpoint, fate).await;
            counted += 1;
            // The worker may not know yet.
            if !matches!(seen, Seen::Answer(_)) {
                tokio::select! {
                    () = self.until_counted(here, endpoint, counted) => {}
                    () = worker.ended(here) => seen = Seen::Lost,
                }
            }
            let seen = seen.name();
            let line = json!({
                "instance": worker.instance, "run": here.number, "endpoint": endpoint, "number": number,
                "fate": fate, "seen": seen, "begin": begin, "end": now(),
            });
            (&self.journal).write_all(format!("{line}\n").as_bytes())?;
            *total.entry(seen).or_insert(0) += 1;
            sleep(self.pause).await;
        }
        Ok(total)
    }

    async fn ask(&self, run: Run, endpoint: &str, fate: &'static str) -> Seen {
        let request = request(Method::POST, run, &format!("/{endpoint}"), fate);
        let Ok(answer) = self.http.request(request).await else {
            return Seen::BrokenOff;
        };
        let (head, mut body) = answer.into_parts();
        if fate == "wait" {
            return match body.frame().await {
                Some(Ok(_)) => Seen::HungUp,
                _ => Seen::BrokenOff,
            };
        }
        match body.collect().await {
            Ok(_) => Seen::Answer(head.status.as_u16()),
            Err(_) => Seen::BrokenOff,
        }
    }

    /// Returns once the worker's page says that it has counted so many calls.
    async fn until_counted(&self, run: Run, endpoint: &str, calls: u64) {
        let path = "/metrics?name%5B%5D=requests_total";
        let of_endpoint = format!("endpoint=\"{endpoint}\"");
        loop {
            if let Ok(page) = self.http.request(request(Method::GET, run, path, "")).await
                && let Ok(page) = page.into_body().collect().await
                && let Ok(page) = std::str::from_utf8(&page.to_bytes())
                && let Some(line) = page.lines().find(|line| line.contains(&of_endpoint))
                && line.ends_with(&format!(" {calls}"))
            {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

// === impl Seen ===

impl Seen {
    fn name(self) -> String {
        match self {
            Self::Answer(status) => status.to_string(),
            Self::BrokenOff => "broken off".into(),
            Self::HungUp => "hung up".into(),
            Self::Lost => "lost".into(),
        }
    }
}

fn request(method: Method, run: Run, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method;
    let uri = format!("http://{}{path}", run.address);
    *request.uri_mut() = uri.parse().expect("an address and a path make a URI");
    request
}

/// Seconds since the epoch, as Prometheus stamps its scrapes.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
