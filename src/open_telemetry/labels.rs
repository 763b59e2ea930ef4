//! The labels of the conventions.

use crate::labels::Label;
use crate::naming::Naming;

/// Renames `given` labels to the names of the conventions, and adds the labels that the conventions require.
pub(crate) fn labels(naming: Naming, given: Vec<Label>) -> Vec<Label> {
    if !naming.is_open_telemetry() {
        return given;
    }
    let mut labels: Vec<Label> = given
        .into_iter()
        .map(|label| conventional(naming, label))
        .collect();
    for label in common_labels(naming) {
        if labels.iter().all(|given| given.name() != label.name()) {
            labels.push(label);
        }
    }
    labels
}

/// Returns the labels that every call has, on servers and clients.
fn common_labels(naming: Naming) -> [Label; 5] {
    // A client's request does not have the version that is spoken, if the two sides negotiate one.
    let version = match naming {
        Naming::OpenTelemetryClient => Label::version_of_response(),
        _ => Label::version(),
    };
    let labels = [Label::method(), Label::scheme(), Label::status(), version];
    let [method, scheme, status, version] = labels.map(|label| conventional(naming, label));
    [method, scheme, status, version, Label::error_type()]
}

/// Renames a label of this crate that has its default name, and moves it to the metrics that have it in the conventions.
/// Returns other labels unchanged.
fn conventional(naming: Naming, label: Label) -> Label {
    let is = |own: Label| label.is_like(&own);
    if is(Label::method()) {
        label.named("http_request_method")
    } else if is(Label::scheme()) {
        // Servers must have a scheme, and HTTP/1 requests have none.
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
        // A label of this name is the route, no matter which function reads it, or whether from the response.
        let label = label.named(match naming {
            Naming::OpenTelemetryClient => "url_template",
            _ => "http_route",
        });
        label.on_begin(false).absent_by_default("")
    } else {
        label
    }
}
