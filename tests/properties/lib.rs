//! Random scripts of requests, responses, failures, pauses and drops, checked against a simple model of the numbers.
//!
//! The model doesn't use the library. It applies the rules of the contract to the same script, or to events seen
//! outside of the library.

#![cfg(test)]

mod grpc;
mod http;
mod protobuf;
mod publishing;
mod streams;
#[path = "../streams_support/mod.rs"]
mod streams_support;
#[path = "../support/mod.rs"]
mod support;

use self::streams_support::{Numbers, SECOND};
use proptest::test_runner::Config;
use tower_openmetrics::classify::{ErrorType, Fault};

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Completed,
    Cancelled,
    Failed(ErrorType),
}

/// One call, as far as the model has followed it.
#[derive(Debug, Default)]
struct Model {
    seconds: u32,
    request_bytes: u64,
    request_messages: u64,
    response_bytes: u64,
    response_messages: u64,
    head: Option<u32>,
    first_byte: Option<u32>,
    /// An upgrade that is not followed, and so is not timed.
    is_upgrade: bool,
    /// The first thing that went wrong.
    fault: Option<Ending>,
    /// How it ended, and when.
    end: Option<(Ending, u32)>,
}

fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

// === impl Model ===

impl Model {
    fn fault(&mut self, fault: Ending) {
        if self.end.is_none() {
            self.fault.get_or_insert(fault);
        }
    }

    fn fail(&mut self, error_type: ErrorType) {
        self.fault(Ending::Failed(error_type));
    }

    fn responds(&mut self, bytes: u64) {
        self.response_bytes += bytes;
        self.first_byte.get_or_insert(self.seconds);
    }

    /// Ends the call. Only the first end counts.
    fn ends(&mut self, unless_it_had_a_fault: Ending) {
        let ending = self.fault.unwrap_or(unless_it_had_a_fault);
        self.end.get_or_insert((ending, self.seconds));
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn add_to(&self, numbers: &mut Numbers) {
        let (ending, seconds) = self.end.expect("a call that has ended");
        numbers.requests += 1;
        if !self.is_upgrade {
            numbers.duration.count += 1;
            numbers.duration.sum += SECOND * seconds;
        }
        numbers.request.bytes += self.request_bytes;
        numbers.request.messages += self.request_messages;
        numbers.response.bytes += self.response_bytes;
        numbers.response.messages += self.response_messages;
        for (times, moment) in [
            (&mut numbers.head, self.head),
            (&mut numbers.first_byte, self.first_byte),
        ] {
            if let Some(seconds) = moment {
                times.count += 1;
                times.sum += SECOND * seconds;
            }
        }
        match ending {
            Ending::Completed => {}
            Ending::Cancelled => numbers.cancellations += 1,
            Ending::Failed(error_type) => {
                let name = error_type.as_str().to_owned();
                *numbers.errors.entry(name).or_default() += 1;
            }
        }
    }
}

impl From<Ending> for Fault {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Failed(error_type) => error_type.into(),
            Ending::Cancelled => Fault::Cancelled,
            Ending::Completed => unreachable!("no fault"),
        }
    }
}

/// The faults that handlers and transports report by a handle.
mod reports {
    use super::Ending;
    use proptest::prelude::*;
    use tower_openmetrics::ErrorType;

    const UNDECLARED: ErrorType = ErrorType::from_static("undeclared");

    pub(crate) fn any() -> impl Strategy<Value = Ending> {
        proptest::sample::select(vec![
            Ending::Cancelled,
            Ending::Failed(ErrorType::DESERIALIZATION),
            Ending::Failed(UNDECLARED),
        ])
    }
}
