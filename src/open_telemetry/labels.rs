//! The labels of the conventions.

use crate::labels::Label;
use crate::naming::Naming;

/// `given` by the names of the conventions, and with them what the conventions have besides.
pub(crate) fn labels(naming: Naming, given: Vec<Label>) -> Vec<Label> {
    if !naming.is_open_telemetry() {
        return given;
    }
    let mut labels: Vec<Label> = given
        .into_iter()
        .map(|label| conventional(naming, label))
        .collect();
    for label in of_all(naming) {
        if labels.iter().all(|given| given.name() != label.name()) {
            labels.push(label);
        }
    }
    labels
}

/// What every call has, wherever the layer stands.
fn of_all(naming: Naming) -> [Label; 5] {
    // What a client asks for is not yet what is spoken, if the two sides come to terms on a version.
    let version = match naming {
        Naming::OpenTelemetryClient => Label::version_of_response(),
        _ => Label::version(),
    };
    let labels = [Label::method(), Label::scheme(), Label::status(), version];
    let [method, scheme, status, version] = labels.map(|label| conventional(naming, label));
    [method, scheme, status, version, Label::error_type()]
}

/// A label that goes by the name that it has by itself goes by that of the conventions instead, and is
/// where they have it.
fn conventional(naming: Naming, label: Label) -> Label {
    let is = |own: Label| label.is_like(&own);
    if is(Label::method()) {
        label.named("http_request_method")
    } else if is(Label::scheme()) {
        // Servers must say one, and HTTP/1 does not bring it.
        let absent = match naming {
            Naming::OpenTelemetryServer => "http",
            _ => "",
        };
        label.named("url_scheme").absent_by_default(absent)
    } else if is(Label::version()) || is(Label::version_of_response()) {
        let label = label.named("network_protocol_version");
        label.on_begin(false).absent_by_default("")
    } else if is(Label::status()) {
        let label = label.named("http_response_status_code");
        label.on_duration(true).absent_by_default("")
    } else if label.name() == "route" {
        // Whatever finds it, and be it in the response.
        let label = label.named(match naming {
            Naming::OpenTelemetryClient => "url_template",
            _ => "http_route",
        });
        label.on_begin(false).absent_by_default("")
    } else {
        label
    }
}
