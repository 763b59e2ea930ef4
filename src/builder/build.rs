//! From what a builder was told to a layer.

use super::{Given, MetricsLayerBuilder};
use crate::Error;
use crate::buckets::Buckets;
use crate::classify::ErrorType;
use crate::error_types::{DeclaredTypes, MOST_ERROR_TYPES};
use crate::labels::{Declared, IntoLabels, Labels, Schema};
use crate::layer::MetricsLayer;
use crate::open_telemetry::{self, BODY_SIZE_BUCKETS, DURATION_BUCKETS, Naming};
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, LABEL_SETS, Settings, Streams};
use std::time::Duration;

/// From a second to four hours: for answers that stay open.
const STREAM_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

impl<P> MetricsLayerBuilder<P> {
    /// The layer, with these labels on all its metrics. For no labels, give `()`.
    ///
    /// # Errors
    ///
    /// Names the value that is wrong:
    ///
    /// - a label whose name is invalid, reserved or given twice;
    /// - a prefix that is not the beginning of a name;
    /// - buckets that are empty, not ascending, negative or not finite;
    /// - more error types than a layer has room for (54 of your own, less those that the classifier names);
    /// - a label of a request whose name is invalid, reserved, given twice or that of a constant one, or that is one too many
    ///   (eight of the request, eight of the response);
    /// - a declared label set that names none of those labels, or not all that a request has; or more of them than there may be;
    /// - room for no label set at all, or no time before idle ones leave;
    /// - a setting that would do nothing: one that looks at the heads of requests or responses, as [`filter`](Self::filter) and
    ///   [`label`](Self::label) do, for [unary](MetricsLayer::unary_builder) or [streaming](MetricsLayer::streaming_builder)
    ///   services, which have none; buckets of streams where nothing is a stream, or of sizes without the conventions that have them;
    /// - a metric that is there already and shows a name that an automatic one would, be it
    ///   registered, included, or another layer's with another prefix;
    /// - another layer with the same labels and prefix in the registry that has other settings,
    ///   the clock among them;
    /// - another layer there that may show the same series all the same, for it has as labels of requests what this
    ///   one has as constants, or only empty labels, which are as good as none, tell the two apart.
    pub fn build<L, M>(self, labels: L) -> Result<MetricsLayer<P>, Error>
    where
        L: IntoLabels<M>,
    {
        let Self { given, protocol } = self;
        check_all_do_something(&given)?;
        let label_sets = given.label_sets.unwrap_or(LABEL_SETS);
        let labels = Labels::new(labels.into_labels())?;
        let mut of_request = open_telemetry::labels(given.naming, given.labels);
        for label in given.default_labels {
            if of_request.iter().all(|given| given.name() != label.name()) {
                of_request.push(label);
            }
        }
        let mut schema = Schema::new(of_request, &labels)?;
        let declared = given.declared.iter();
        let declared: Vec<_> = declared
            .map(|pairs| schema.declare(pairs))
            .collect::<Result<_, _>>()?;
        let kind = |bounds: Buckets| {
            let classic = if given.classic_histograms {
                bounds
            } else {
                Buckets::none()
            };
            classic.native(given.native_histograms)
        };
        let buckets = match (given.buckets, given.naming.is_own()) {
            (Some(bounds), _) => Buckets::new(bounds)?,
            (None, true) => Buckets::default(),
            (None, false) => Buckets::new(DURATION_BUCKETS)?,
        };
        let settings = Settings {
            naming: given.naming,
            clock: given.clock,
            buckets: kind(buckets),
            response_head: given.response_head_seconds,
            first_byte: given.first_byte_seconds,
            messages: given.messages,
            error_types: all_error_types(given.classifier_error_types, &given.error_types)?,
            label_sets,
            label_idle: checked_idle(given.label_idle)?,
            declared: within(label_sets, declared)?,
            schema,
            filter: given.filter,
            streams: streams(
                given.stream_requests,
                given.streams,
                given.stream_buckets,
                kind,
            )?,
            exemplars: given.exemplars,
            sizes: size_bounds(given.naming, given.body_size_buckets)?,
        };
        let registry = given
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(given.clock));
        let endpoint = registry.endpoint(&given.prefix, labels, settings)?;
        Ok(MetricsLayer::of(registry, endpoint, protocol))
    }
}

/// A setting that nobody would ever ask for is a mistake.
fn check_all_do_something(given: &Given) -> Result<(), Error> {
    let Given {
        labels,
        label_sets,
        label_idle,
        declared,
        filter,
        streams,
        stream_requests,
        stream_buckets,
        exemplars,
        body_size_buckets,
        naming,
        ..
    } = given;
    let has_streams = streams.is_some() || stream_requests.is_some();
    let about_heads = [
        ("filter", filter.is_some()),
        ("label", !labels.is_empty()),
        ("declare", !declared.is_empty()),
        ("label_sets", label_sets.is_some()),
        ("label_idle", label_idle.is_some()),
        ("exemplars", exemplars.is_some()),
        ("stream_duration_seconds", streams.is_some()),
        ("stream_requests", stream_requests.is_some()),
    ];
    if let Some((setting, _)) = about_heads.iter().find(|(_, is_given)| *is_given)
        && !given.has_heads
    {
        let of = labels.first().filter(|_| *setting == "label");
        let of = of.map_or(String::new(), |label| format!(" of `{}`", label.name()));
        return Err(Error::new(format!(
            "`{setting}`{of} would do nothing: it is about the heads of requests and responses, which unary and streaming services don't have. Take it out, or give a protocol of your own whose `Protocol::head` makes one to `protocol_builder`"
        )));
    }
    if stream_buckets.is_some() && !has_streams {
        return Err(Error::new(
            "`stream_buckets` would do nothing: say what is a stream, by `stream_duration_seconds` or `stream_requests`",
        ));
    }
    if body_size_buckets.is_some() && naming.is_own() {
        return Err(Error::new(
            "`body_size_buckets` would do nothing: sizes are of the conventions that `open_telemetry` and `open_telemetry_client` set",
        ));
    }
    Ok(())
}

/// The declared label sets, if there is room for all.
fn within(most: usize, declared: Vec<Declared>) -> Result<Vec<Declared>, Error> {
    if most == 0 {
        return Err(Error::new(
            "room for 0 label sets: give `label_sets` at least 1",
        ));
    }
    if declared.len() > most {
        return Err(Error::new(format!(
            "{} label sets are declared and there is room for {most}: declare fewer, or give `label_sets` more",
            declared.len()
        )));
    }
    Ok(declared)
}

fn checked_idle(idle: Option<Duration>) -> Result<Option<Duration>, Error> {
    if idle == Some(Duration::ZERO) {
        return Err(Error::new(
            "label sets would leave after 0 s: give `label_idle` the time of some scrapes",
        ));
    }
    Ok(idle)
}

fn streams(
    of_requests: Option<Filter>,
    of_responses: Option<IsStream>,
    bounds: Option<Vec<f64>>,
    kind: impl Fn(Buckets) -> Buckets,
) -> Result<Option<Streams>, Error> {
    let bounds = bounds.unwrap_or_else(|| STREAM_BUCKETS.to_vec());
    let buckets = kind(Buckets::new(bounds)?);
    let any = of_requests.is_some() || of_responses.is_some();
    Ok(any.then_some(Streams {
        of_requests,
        of_responses,
        buckets,
    }))
}

/// The buckets of the sizes of bodies, which only OpenTelemetry's conventions have.
fn size_bounds(naming: Naming, bounds: Option<Vec<u64>>) -> Result<Option<Buckets>, Error> {
    let bounds = Buckets::of_bytes(bounds.unwrap_or_else(|| BODY_SIZE_BUCKETS.to_vec()))?;
    Ok((!naming.is_own()).then_some(bounds))
}

/// The built-in types, those of the classifier and `declared` ones, each once.
fn all_error_types(
    classifier: &[ErrorType],
    declared: &[ErrorType],
) -> Result<DeclaredTypes, Error> {
    let mut all = ErrorType::BUILT_IN.to_vec();
    for error_type in classifier.iter().chain(declared) {
        if !all.contains(error_type) && *error_type != ErrorType::OTHER {
            all.push(*error_type);
        }
    }
    // One place is for what there is no other place for.
    let room = MOST_ERROR_TYPES - 1;
    match all.get(room) {
        None => Ok(DeclaredTypes::new(&all)),
        Some(first) => Err(Error::new(format!(
            "error type `{first}` is one too many: declare at most {} of your own",
            room.saturating_sub(ErrorType::BUILT_IN.len() + classifier.len())
        ))),
    }
}
