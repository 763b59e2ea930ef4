use crate::classify::{Classify, ErrorType, Fault, Head, HttpStatus};

/// As [`HttpStatus`], and any other 4xx is a failure too, of the type `4xx`: to a client, an answer that
/// says that it did something wrong is not what it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientErrorsToo;

const CLIENT_ERROR: ErrorType = ErrorType::from_static("4xx");

impl Classify for ClientErrorsToo {
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        let other = || head.status.is_client_error().then_some(CLIENT_ERROR.into());
        HttpStatus.head(head).or_else(other)
    }
}
