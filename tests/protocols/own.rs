//! A custom protocol: each datagram is answered by several datagrams.

use super::streams_support::{Numbers, Stage, now, panics};
use bytes::Bytes;
use std::net::Ipv4Addr;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Call, CallHandle, ErrorType, MetricsLayer};

/// Datagrams from this machine need no response.
#[derive(Clone, Copy, Debug, Default)]
struct Datagrams {
    is_local: bool,
}

#[derive(Clone, Debug)]
struct Datagram {
    payload: Bytes,
    from: Ipv4Addr,
}

/// Datagrams to send, and the call that ends once they are sent.
#[derive(Debug)]
struct Outbox {
    waiting: Vec<Bytes>,
    call: Call,
}

impl Protocol<Datagram> for Datagrams {
    type Request = (Datagram, CallHandle);

    fn open(&mut self, call: &mut Call, datagram: Datagram) -> Self::Request {
        call.request_bytes(datagram.payload.len() as u64);
        self.is_local = datagram.from.is_loopback();
        (datagram, call.handle())
    }
}

impl<E> Answer<Vec<Bytes>, E> for Datagrams {
    type Response = Outbox;

    fn answer(&self, mut call: Call, answers: Vec<Bytes>) -> Outbox {
        call.head();
        if self.is_local {
            call.owes_nothing(); // no one waits for a response
        }
        Outbox {
            waiting: answers,
            call,
        }
    }

    fn failed(&self, call: Call, _: &E) {
        call.fail(ErrorType::GENERATE);
    }
}

impl Outbox {
    fn send(mut self, most: usize) {
        let count = self.waiting.len();
        for sent in self.waiting.iter().take(most) {
            self.call.response_bytes(sent.len() as u64);
        }
        if most >= count {
            self.call.complete();
        }
    }
}

fn asked(from: [u8; 4]) -> Datagram {
    Datagram {
        payload: Bytes::from_static(b"abc"),
        from: from.into(),
    }
}

fn answers() -> Result<Vec<Bytes>, BoxError> {
    Ok(vec!["de".into(), "f".into()])
}

#[test]
fn a_custom_protocol_has_every_outcome() {
    const AWAY: [u8; 4] = [192, 0, 2, 1];
    const HERE: [u8; 4] = [127, 0, 0, 1];
    for (from, most, ended, bytes) in [
        (AWAY, 2, Numbers::completed(1), 3),
        (AWAY, 1, Numbers::cancelled(1), 2),
        (HERE, 1, Numbers::completed(1), 2),
    ] {
        let stage = Stage::new(MetricsLayer::protocol_builder(Datagrams::default()));
        let outbox = stage.call(asked(from), |_| answers()).unwrap();
        assert_eq!(stage.numbers().concurrent, 1);
        outbox.send(most);
        let expected = ended.request(3, 0).response(bytes, 0).head_after(1);
        stage.expect("answered", &expected.first_byte_after(1));
    }

    let stage = Stage::new(MetricsLayer::protocol_builder(Datagrams::default()));
    let refused = stage.call(asked(AWAY), |_| Err::<Vec<Bytes>, _>(()));
    assert!(refused.is_err());
    let expected = Numbers::failed("generate", 1).request(3, 0);
    stage.expect("refused", &expected);

    let stage = Stage::new(MetricsLayer::protocol_builder(Datagrams::default()));
    let outbox = stage.call(asked(AWAY), |(_, call)| {
        call.fault(ErrorType::OVERLOADED);
        answers()
    });
    outbox.unwrap().send(2);
    let expected = Numbers::failed("overloaded", 1).request(3, 0);
    let expected = expected.response(3, 0).head_after(1).first_byte_after(1);
    stage.expect("said by the handler", &expected);

    let stage = Stage::new(MetricsLayer::protocol_builder(Datagrams::default()));
    let handler = |_| -> Result<Vec<Bytes>, BoxError> { panic!("a panic") };
    assert!(panics(|| drop(stage.call(asked(AWAY), handler))));
    let expected = Numbers::failed("panic", 1).request(3, 0);
    stage.expect("panicked", &expected);
}

#[test]
fn each_call_has_a_protocol_of_its_own() {
    let stage = Stage::new(MetricsLayer::protocol_builder(Datagrams::default()));
    let mut service = stage.layer.layer(service_fn(async |_| answers()));
    let calls = [[192, 0, 2, 1], [127, 0, 0, 1]].map(|from| service.call(asked(from)));
    // Nothing is sent: only the local call owes nothing.
    for call in calls {
        drop(now(call).unwrap());
    }
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.cancellations), (2, 1));
}

/// `open` runs within `Service::call`.
#[test]
fn a_panicking_protocol_fails_the_call() {
    #[derive(Clone)]
    struct Touchy;
    impl Protocol<()> for Touchy {
        type Request = ();
        fn open(&mut self, _: &mut Call, (): ()) {
            panic!("touchy")
        }
    }
    impl<E> Answer<(), E> for Touchy {
        type Response = ();
        fn answer(&self, call: Call, (): ()) {
            call.complete();
        }
        fn failed(&self, call: Call, _: &E) {
            call.fail(ErrorType::GENERATE);
        }
    }
    let stage = Stage::new(MetricsLayer::protocol_builder(Touchy));
    assert!(panics(|| drop(stage.call((), Ok::<_, BoxError>))));
    stage.expect("open", &Numbers::failed("panic", 0));
}

#[test]
fn pass_handle_works_with_a_custom_protocol() {
    let builder = MetricsLayer::protocol_builder(Datagrams::default());
    let stage = Stage::new(builder).pass_handle(|datagram: &mut Datagram, call: CallHandle| {
        if datagram.payload.is_empty() {
            call.fault(ErrorType::INVALID_MESSAGE);
        }
    });
    let service = stage.layer.layer(service_fn(async |_| answers()));
    let empty = Datagram {
        payload: Bytes::new(),
        from: Ipv4Addr::UNSPECIFIED,
    };
    now(service.oneshot(empty)).unwrap().send(2);
    let expected = Numbers::failed("invalid_message", 0).response(3, 0);
    stage.expect("passed", &expected.head_after(0).first_byte_after(0));
}
