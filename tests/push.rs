//! The example `push` against a gateway that does as the test says: what is tried again, what is not,
//! and the last push.
//!
//! Nothing here sleeps to be right, and every wait has a bound.

#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../examples/push.rs"]
mod push;

use push::pushgateway::{Pushgateway, Retry};
use push::{push_while, work, work_through};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openmetrics::MetricsLayer;

/// How long a wait may take before its test fails: far more than it needs.
const BOUND: Duration = Duration::from_secs(60);

/// So long that there is none but the last push.
const NEVER: Duration = Duration::from_secs(3600);

/// Pauses that take no time worth speaking of.
const RETRY: Retry = Retry {
    attempts: 4,
    pause: Duration::from_millis(1),
    timeout: BOUND,
};

/// What the gateway is to do with a push.
enum Answer {
    Status(&'static str),
    /// Closes the connection.
    HangUp,
    /// Says nothing, and waits for the client to give up.
    Silence,
    /// Never stops answering.
    Endless(&'static str),
    /// Says 200 once it is told to.
    After(oneshot::Receiver<()>),
}

/// A push as the gateway got it.
#[derive(Debug)]
struct Push {
    line: String,
    headers: BTreeMap<String, String>,
    page: String,
}

/// What has come to the gateway, in order.
#[derive(Debug)]
enum Event {
    Push(Push),
    /// Its client was there to take the answer.
    Answered,
}

struct Gateway {
    url: String,
    events: mpsc::UnboundedReceiver<Event>,
}

// === impl Gateway ===

impl Gateway {
    /// Deals with one push after another as the script says.
    async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, events) = mpsc::unbounded_channel();
        let script: Vec<_> = script.into_iter().collect();
        tokio::spawn(async move {
            for answer in script {
                let (socket, _) = listener.accept().await.unwrap();
                // Each on its own, so that a second one could come while one waits.
                tokio::spawn(serve(socket, answer, sender.clone()));
            }
        });
        Self { url, events }
    }

    fn client(&self, metrics: &MetricsLayer<impl Sized>, retry: Retry) -> Pushgateway {
        let group = [("job", "test"), ("instance", "a-1")];
        Pushgateway::new(metrics.registry(), &self.url, &group, retry).unwrap()
    }

    async fn next(&mut self) -> Event {
        within(self.events.recv()).await.expect("an event")
    }

    async fn next_push(&mut self) -> Push {
        loop {
            if let Event::Push(push) = self.next().await {
                return push;
            }
        }
    }

    /// All pushes, once the script is through.
    async fn pushes(mut self) -> Vec<Push> {
        let mut pushes = Vec::new();
        while let Some(event) = within(self.events.recv()).await {
            if let Event::Push(push) = event {
                pushes.push(push);
            }
        }
        pushes
    }
}

/// One push on a connection of its own.
async fn serve(socket: TcpStream, answer: Answer, events: mpsc::UnboundedSender<Event>) {
    let mut socket = BufReader::new(socket);
    let push = Push::read(&mut socket).await;
    events.send(Event::Push(push)).unwrap();
    let status = match answer {
        Answer::Status(status) => status,
        Answer::HangUp => return,
        Answer::Endless(status) => {
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            // Until the client has had enough.
            while socket.write_all(&[b'x'; 1024]).await.is_ok() {}
            return;
        }
        Answer::Silence => {
            assert_eq!(socket.read_u8().await.ok(), None);
            return;
        }
        Answer::After(told) => {
            tokio::select! {
                told = told => told.expect("to be told"),
                gone = socket.read_u8() => panic!("the client has not waited: {gone:?}"),
            }
            "200 OK"
        }
    };
    events.send(Event::Answered).unwrap();
    let answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 6\r\n\r\nas is\n");
    socket.write_all(answer.as_bytes()).await.unwrap();
}

// === impl Push ===

impl Push {
    async fn read(socket: &mut BufReader<TcpStream>) -> Self {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await.unwrap();
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let headers = head[1..].iter().map(|line| line.split_once(": ").unwrap());
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers["content-length"].parse().unwrap();
        let mut page = vec![0; length];
        socket.read_exact(&mut page).await.unwrap();
        Self {
            line: head[0].clone(),
            headers,
            page: String::from_utf8(page).unwrap(),
        }
    }

    #[track_caller]
    fn number(&self, name: &str) -> u64 {
        let mut samples = self.page.lines().filter_map(|line| line.split_once(' '));
        let (_, number) = samples
            .find(|(series, _)| *series == name)
            .unwrap_or_else(|| panic!("no {name} on the page:\n{}", self.page));
        number.parse().unwrap()
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}

fn items(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("item {number}"))
}

/// Works through three items that take no time, and pushes; and what came of that.
async fn three_items(gateway: &Gateway, retry: Retry) -> Result<(), String> {
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let client = gateway.client(&metrics, retry);
    let service = metrics.layer(service_fn(|item| work(item, Duration::ZERO)));
    let work = work_through(service, items(3));
    let pushed = push_while(work, &client, NEVER, CancellationToken::new());
    within(pushed).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_push_is_the_page_in_its_group() {
    let gateway = Gateway::start([Answer::Status("202 Accepted")]).await;
    three_items(&gateway, RETRY).await.unwrap();
    let pushes = gateway.pushes().await;
    let [push] = &pushes[..] else {
        panic!("one push, not {pushes:?}");
    };
    assert_eq!(push.line, "put /metrics/job/test/instance/a-1 http/1.1");
    assert_eq!(
        push.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(push.number("requests_total{endpoint=\"work\"}"), 3);
    assert_eq!(push.number("concurrent_requests{endpoint=\"work\"}"), 0);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let gateway = Gateway::start([
        Answer::Status("503 Service Unavailable"),
        Answer::HangUp,
        Answer::Status("429 Too Many Requests"),
        Answer::Status("200 OK"),
    ]);
    let gateway = gateway.await;
    three_items(&gateway, RETRY).await.unwrap();
    let pushes = gateway.pushes().await;
    assert_eq!(pushes.len(), 4);
    for push in pushes {
        assert_eq!(push.number("requests_total{endpoint=\"work\"}"), 3);
    }
}

#[tokio::test]
async fn a_gateway_that_says_nothing_is_asked_again() {
    // More answers than it takes, for who is given as little time as this.
    let answers = (1..RETRY.attempts).map(|_| Answer::Status("200 OK"));
    let script = [Answer::Silence].into_iter().chain(answers);
    let mut gateway = Gateway::start(script).await;
    let retry = Retry {
        timeout: Duration::from_secs(1),
        ..RETRY
    };
    three_items(&gateway, retry).await.unwrap();
    for _ in 0..2 {
        gateway.next_push().await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_an_error_that_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let client = Pushgateway::new(metrics.registry(), &url, &[("job", "test")], RETRY).unwrap();
    let error = within(client.push()).await.unwrap_err().to_string();
    assert!(error.contains(&url), "{error}");
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_page_that_the_gateway_refuses_is_not_pushed_again() {
    let gateway = Gateway::start([Answer::Status("400 Bad Request")]).await;
    let error = three_items(&gateway, RETRY).await.unwrap_err();
    assert!(error.contains("400 Bad Request: as is"), "{error}");
    assert_eq!(gateway.pushes().await.len(), 1);
}

/// Of which only the beginning is read.
#[tokio::test]
async fn an_answer_without_an_end() {
    let gateway = Gateway::start([Answer::Endless("400 Bad Request")]).await;
    let error = three_items(&gateway, RETRY).await.unwrap_err();
    assert!(error.contains("400 Bad Request: xxx"), "{error}");
    assert!(error.len() < 8 * 1024, "{} bytes", error.len());

    let gateway = Gateway::start([Answer::Endless("200 OK")]).await;
    three_items(&gateway, RETRY).await.unwrap();
}

#[tokio::test]
async fn there_is_an_end_to_trying() {
    let script = (0..RETRY.attempts).map(|_| Answer::Status("503 Service Unavailable"));
    let gateway = Gateway::start(script).await;
    let error = three_items(&gateway, RETRY).await.unwrap_err();
    assert!(error.contains("503"), "{error}");
    assert_eq!(gateway.pushes().await.len(), RETRY.attempts as usize);
}

#[tokio::test]
async fn who_is_told_to_stop_pushes_once_more() {
    // It is busy just then.
    let gateway = Gateway::start([
        Answer::Status("503 Service Unavailable"),
        Answer::Status("200 OK"),
    ]);
    let gateway = gateway.await;
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let client = gateway.client(&metrics, RETRY);
    let stop = CancellationToken::new();
    let (begun, has_begun) = oneshot::channel();
    let mut begun = Some(begun);
    let service = metrics.layer(service_fn(move |item| {
        begun.take().expect("one item").send(()).unwrap();
        work(item, NEVER)
    }));
    let work = work_through(service, items(2));
    let worker = push_while(work, &client, NEVER, stop.clone());
    let stopping = async {
        has_begun.await.unwrap();
        stop.cancel();
    };
    let (pushed, ()) = within(async { tokio::join!(worker, stopping) }).await;
    pushed.unwrap();
    let pushes = gateway.pushes().await;
    assert_eq!(pushes.len(), 2);
    for push in pushes {
        assert_eq!(push.number("cancellations_total{endpoint=\"work\"}"), 1);
        assert_eq!(push.number("requests_total{endpoint=\"work\"}"), 1);
        assert_eq!(push.number("concurrent_requests{endpoint=\"work\"}"), 0);
    }
}

#[tokio::test]
async fn it_pushes_while_it_works_too() {
    // The first push fails for good, which the work does not mind.
    let script = ["400 Bad Request", "200 OK"].map(Answer::Status);
    let rest = (0..1000).map(|_| Answer::Status("200 OK"));
    let mut gateway = Gateway::start(script.into_iter().chain(rest)).await;
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let client = gateway.client(&metrics, RETRY);
    // At once, so that a call is over before the next push.
    let at_once = service_fn(|item: String| ready(Ok::<_, Infallible>(item)));
    let mut service = metrics.layer(at_once);
    let working = async {
        for expected in 0..2 {
            let push = gateway.next_push().await;
            assert_eq!(push.number("requests_total{endpoint=\"work\"}"), expected);
            let service = service.ready().await.unwrap();
            service.call(String::new()).await.unwrap();
        }
    };
    let every_moment = Duration::from_millis(1);
    let pushed = push_while(working, &client, every_moment, CancellationToken::new());
    within(pushed).await.unwrap();
}

#[tokio::test]
async fn two_pushes_are_never_on_their_way_at_once() {
    let (go_on, told) = oneshot::channel();
    let script = [Answer::After(told), Answer::Status("200 OK")];
    let mut gateway = Gateway::start(script).await;
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let client = gateway.client(&metrics, RETRY);
    let another = Gateway::start((0..5).map(|_| Answer::Status("200 OK"))).await;
    let elsewhere = another.client(&metrics, RETRY);
    let stop = CancellationToken::new();
    let (dropped, was_dropped) = oneshot::channel::<()>();
    let work = async move {
        let _dropped = dropped;
        pending::<()>().await;
    };
    let worker = push_while(work, &client, Duration::from_millis(1), stop.clone());
    let stopping = async {
        assert!(matches!(gateway.next().await, Event::Push(_)));
        // The work is dropped with a push still on its way.
        stop.cancel();
        was_dropped.await.unwrap_err();
        // As long as it takes to push elsewhere, several times, nothing more comes here.
        for _ in 0..5 {
            elsewhere.push().await.unwrap();
        }
        go_on.send(()).unwrap();
        assert!(matches!(gateway.next().await, Event::Answered));
        assert!(matches!(gateway.next().await, Event::Push(_)));
        assert!(matches!(gateway.next().await, Event::Answered));
    };
    let (pushed, ()) = within(async { tokio::join!(worker, stopping) }).await;
    pushed.unwrap();
}

#[test]
fn a_group_that_is_none_is_named() {
    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    for (url, job, named) in [
        ("http://localhost:9091", "a/b", "\"a/b\""),
        ("http://localhost:9091", "", "\"\""),
        ("http://local host", "a", "\"http://local host\""),
    ] {
        let error = Pushgateway::new(metrics.registry(), url, &[("job", job)], RETRY);
        let error = error.err().expect("an error").to_string();
        assert!(error.contains(named), "{error}");
    }
}
