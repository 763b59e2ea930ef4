//! What each error type means to the person who is woken by it.

/// What stands in the runbook of an error type.
#[derive(Debug)]
pub(crate) struct ErrorTypeText {
    pub(crate) name: &'static str,
    /// What it means on a server. Empty if only clients have it.
    pub(crate) server: &'static str,
    pub(crate) client: &'static str,
    pub(crate) causes: &'static [&'static str],
    pub(crate) actions: &'static [&'static str],
}

pub(crate) static ERROR_TYPES: [ErrorTypeText; 11] = [
    ErrorTypeText {
        name: "connect",
        server: "",
        client: "No connection to the server could be made. The request was not sent.",
        causes: &[
            "The server is down, or its name doesn't resolve.",
            "A firewall, a wrong port, a certificate that has expired.",
        ],
        actions: &[
            "Connect by hand, from the same machine: `curl -v`.",
            "Look at `TargetDown` of the server's job.",
        ],
    },
    ErrorTypeText {
        name: "deserialization",
        server: "The request could not be decoded: 400 or 422, or `INVALID_ARGUMENT`. The caller's fault.",
        client: "The server could not decode our request: 400 or 422.",
        causes: &[
            "A deployment of a client that speaks another version.",
            "A deployment of the service that no longer accepts what clients send.",
        ],
        actions: &[
            "Compare with the deployments of both sides.",
            "Find the client by route and user agent in the access log.",
        ],
    },
    ErrorTypeText {
        name: "generate",
        server: "The handler returned an error or answered 5xx. The service's fault.",
        client: "The server answered 5xx, or the connection broke before its answer.",
        causes: &[
            "A bug in what was deployed last.",
            "A database or service behind it that fails.",
        ],
        actions: &[
            "Read the handler's log, on the route that fails.",
            "Roll back if a deployment is younger than the failures.",
        ],
    },
    ErrorTypeText {
        name: "invalid_message",
        server: "The request was not of the expected form, or its body broke although the client stayed: 405, 411, 413, 414, 415, 431. The caller's fault.",
        client: "Our request was not of the form that the server expects, or its body failed while it was sent.",
        causes: &[
            "A client that sends too much, or another content type.",
            "A proxy that changes or cuts requests.",
            "Somebody who scans the service for weaknesses.",
        ],
        actions: &[
            "Find the client by route and user agent in the access log.",
            "If it is a proxy, send the request past it and compare.",
        ],
    },
    ErrorTypeText {
        name: "overloaded",
        server: "There was no room for the call: 503, `RESOURCE_EXHAUSTED`, `UNAVAILABLE`, or tower's `Overloaded`.",
        client: "The server had no room for the call: 429 or 503.",
        causes: &[
            "More calls than usual, or slower ones.",
            "A limit that is too low for this machine.",
            "Callers that retry without pause.",
        ],
        actions: &["Follow the runbook `CallsRefused`."],
    },
    ErrorTypeText {
        name: "panic",
        server: "The handler panicked. A bug.",
        client: "The client's own code panicked while it called. A bug.",
        causes: &[
            "Unexpected input.",
            "A lock that an earlier panic poisoned.",
        ],
        actions: &["Follow the runbook `Panicked`."],
    },
    ErrorTypeText {
        name: "publish_final",
        server: "The answer failed at its very end: another length than its `Content-Length`, a terminator that could not be sent, a gRPC status that never came.",
        client: "The connection broke after the whole answer, or the answer has another length than it promised.",
        causes: &[
            "A handler that sets `Content-Length` itself.",
            "A middleware that changes the body and not its length.",
            "A file that grew while it was sent.",
        ],
        actions: &["Ask for the route with `curl -v` and compare the length with the header."],
    },
    ErrorTypeText {
        name: "publish_response",
        server: "The answer broke off after its first bytes. Its caller has a part of it, with status 200.",
        client: "The connection broke in the middle of the answer.",
        causes: &[
            "The stream forwards another one, which broke off.",
            "A cursor of a database that timed out.",
        ],
        actions: &[
            "Read the handler's log: the error came from the body, not from the handler.",
            "See whether the service or database behind it restarts.",
        ],
    },
    ErrorTypeText {
        name: "rejected",
        server: "",
        client: "The server refused the request by a 4xx: 401, 403, 404, 409. A retry would not help.",
        causes: &[
            "A token that has expired, or a permission that was taken away.",
            "A route that the server no longer has.",
        ],
        actions: &[
            "Look at the status: with 401 and 403 renew the credentials.",
            "With 404, compare with the server's last deployment.",
        ],
    },
    ErrorTypeText {
        name: "response_stream",
        server: "The handler said 200, and then its answer could not begin.",
        client: "The connection broke after the head of the answer and before its first byte.",
        causes: &[
            "The source of the stream failed at its first read.",
            "A model, a queue or a database that is not ready.",
        ],
        actions: &["Read the handler's log: the error came from the body, not from the handler."],
    },
    ErrorTypeText {
        name: "timeout",
        server: "A time limit passed: 408, 504, `DEADLINE_EXCEEDED`, or tower's `Elapsed`.",
        client: "A time limit passed while we waited for the server.",
        causes: &[
            "A database or service that is slow.",
            "A pool without a free connection: calls in flight rise with it.",
            "A client that uploads too slowly, with 408.",
        ],
        actions: &[
            "Find out what the handler of that route waits for.",
            "Compare its duration with the time limit: is the limit new?",
        ],
    },
];
