//! A running example server and its clients.

use crate::wire_support::{Http1, bounded};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Running {
    pub(crate) async fn start<F>(serve: impl FnOnce(TcpListener, CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, stop.clone()));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Returns the head and body of the response to a request on a new connection.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut client = Http1::connect_to(self.address).await;
        client.send(request(method, path, body)).await;
        String::from_utf8(client.receive_all().await).unwrap()
    }

    /// Sends requests of method, path and body, and checks the status and the body of each response.
    pub(crate) async fn check(&self, table: &[(&str, &str, &str, &str, &str)]) {
        for (method, path, body, status, answer) in table {
            let received = self.ask(method, path, body).await;
            let (head, received) = received.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!(received, *answer, "{method} {path}");
        }
    }

    /// Scrapes until the page has these lines. The client may see the end of a call before it is counted.
    pub(crate) async fn expect(&self, lines: &[&str]) -> String {
        let scraping = async {
            loop {
                let page = self.ask("GET", "/metrics", "").await;
                if lines.iter().all(|line| page.lines().any(|l| l == *line)) {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let scraping = tokio::time::timeout(Duration::from_secs(10), scraping).await;
        match scraping {
            Ok(page) => page,
            Err(_) => panic!(
                "not all of {lines:#?} on {}",
                self.ask("GET", "/metrics", "").await
            ),
        }
    }

    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the server has stopped without an error.
    pub(crate) async fn stop(self) {
        self.begin_to_stop();
        bounded("the server's end", self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         content-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
