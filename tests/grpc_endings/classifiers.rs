//! Outcomes decided by classifiers and handles.

use super::Ending::{self, Cancelled, Completed, Failed};
use super::support::Step::{Bytes, Fail, Field};
use super::support::take_to_end;
use super::{STATUS, Seen, built, call, message, request, response_of};
use http::Request;
use std::pin::pin;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::{
    Classify, Fault, GrpcCode, Head, HttpStatus, ServerErrorsOnly, by_error, expecting,
};
use tower_openmetrics::{CallHandle, ErrorType, MetricsLayer};

/// Treats `NOT_FOUND` as a success, and some other codes differently.
#[derive(Clone, Copy, Debug)]
struct Search;

const EXPIRED: ErrorType = ErrorType::from_static("expired");

impl Classify for Search {
    fn head(&self, _: &Head<'_>) -> Option<Fault> {
        unreachable!("not asked about the HTTP of gRPC");
    }

    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        match code {
            GrpcCode::NotFound => None,
            GrpcCode::DeadlineExceeded => Some(EXPIRED.into()),
            GrpcCode::Ok => Some(Fault::Cancelled),
            code => HttpStatus.grpc_status(code),
        }
    }
}

/// Checks the outcome of a code in trailers and in headers.
#[track_caller]
fn expect<C: Classify>(classifier: C, code: GrpcCode, ending: Ending) {
    let digits = (code as u32).to_string();
    let in_trailers = response_of("application/grpc", [Field(STATUS, digits.clone().leak())]);
    let mut in_headers = response_of("application/grpc", []);
    in_headers
        .headers_mut()
        .insert(STATUS, digits.parse().unwrap());
    for response in [in_trailers, in_headers] {
        let layer = built(MetricsLayer::grpc_builder().classifier(classifier.clone()));
        let response = call(&layer, Ok(response)).unwrap();
        take_to_end(pin!(response.into_body()));
        assert_eq!(Seen::of(&layer), ending.of_nothing(), "{code}");
    }
}

#[test]
fn a_classifier_decides_the_outcome_of_a_code() {
    for (code, ending) in [
        (GrpcCode::NotFound, Completed),
        (GrpcCode::DeadlineExceeded, Failed("expired")),
        (GrpcCode::Ok, Cancelled),
        (GrpcCode::Aborted, Failed("generate")),
    ] {
        expect(Search, code, ending);
    }
    // Closures for errors and for heads leave codes to the next classifier.
    let errors = by_error(|_: &BoxError, _| Some(EXPIRED)).or(Search);
    expect(errors, GrpcCode::NotFound, Completed);
    let heads = expecting(|_| false);
    expect(heads.or(Search), GrpcCode::NotFound, Completed);
    expect(heads.or(errors), GrpcCode::NotFound, Completed);
    expect(errors.or(heads.or(Search)), GrpcCode::NotFound, Completed);
    let server_only = heads.or(ServerErrorsOnly);
    expect(server_only, GrpcCode::NotFound, Completed);
    expect(server_only, GrpcCode::Internal, Failed("generate"));
}

#[test]
fn server_errors_only_ignores_client_errors() {
    expect(ServerErrorsOnly, GrpcCode::InvalidArgument, Completed);
    expect(ServerErrorsOnly, GrpcCode::Internal, Failed("generate"));
    expect(ServerErrorsOnly, GrpcCode::Cancelled, Cancelled);

    let layer = built(MetricsLayer::grpc_builder().classifier(ServerErrorsOnly));
    let mut response = response_of("text/plain", [Bytes(b"who are you?".into())]);
    *response.status_mut() = http::StatusCode::UNAUTHORIZED;
    let response = call(&layer, Ok(response)).unwrap();
    take_to_end(pin!(response.into_body()));
    assert_eq!(Seen::of(&layer), Completed.with_response(12, 0));
}

#[test]
fn a_classifier_decides_the_outcome_of_an_error() {
    let known = || by_error(|_: &BoxError, _| Some(EXPIRED));
    let layer = built(MetricsLayer::grpc_builder().classifier(known()));
    call(&layer, Err("lost".into())).unwrap_err();
    assert_eq!(Seen::of(&layer), Failed("expired").of_nothing());

    let layer = built(MetricsLayer::grpc_builder().classifier(known()));
    let steps = [Bytes(message("")), Fail(|| "lost".into())];
    let response = call(&layer, Ok(response_of("application/grpc", steps)));
    take_to_end(pin!(response.unwrap().into_body()));
    assert_eq!(Seen::of(&layer), Failed("expired").with_response(5, 1));
}

#[test]
fn a_handle_decides_the_outcome() {
    let layer = MetricsLayer::grpc([("endpoint", "stage")]).pass_handle(
        |request: &mut Request<_>, call: CallHandle| {
            request.extensions_mut().insert(call);
        },
    );
    let service = layer.layer(service_fn(async |request: Request<_>| {
        request
            .extensions()
            .get::<CallHandle>()
            .unwrap()
            .fault(EXPIRED);
        Ok::<_, BoxError>(response_of("application/grpc", [Field(STATUS, "3")]))
    }));
    let response = super::now(service.oneshot(request())).unwrap();
    take_to_end(pin!(response.into_body()));
    let errors = super::support::Numbers::of(&layer).errors.into_iter();
    let errors: Vec<_> = errors.filter(|(_, count)| *count > 0).collect();
    assert_eq!(errors, [("expired".to_owned(), 1)]);
}
