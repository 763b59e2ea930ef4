//! From what a builder was told to a layer.

use super::{Given, MetricsLayerBuilder, check};
use crate::Error;
use crate::buckets::Buckets;
use crate::classify::ErrorType;
use crate::error_types::{DeclaredTypes, MOST_ERROR_TYPES};
use crate::labels::{ConstantLabels, Declared, Labels, Schema};
use crate::layer::MetricsLayer;
use crate::open_telemetry::{self, BODY_SIZE_BUCKETS, DURATION_BUCKETS};
use crate::registry::MetricsRegistry;
use crate::settings::{CARDINALITY_LIMIT, Filter, IsStream, Settings, Streams};
use std::time::Duration;

/// From a second to four hours: for answers that stay open.
const STREAM_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

impl<P> MetricsLayerBuilder<P> {
    /// The layer, or a panic that says what was called.
    #[track_caller]
    pub(crate) fn build_or_panic<L, M>(self, called: &str, labels: L) -> MetricsLayer<P>
    where
        L: ConstantLabels<M>,
    {
        match self.build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::{called}`: {error}"),
        }
    }

    /// Builds the layer, with these constant labels on all its metrics. For no labels, give `()`.
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
    /// - a cardinality limit of 0, or no time before idle label sets leave;
    /// - a setting that would do nothing for this layer: one that looks at the heads of requests or responses, as
    ///   [`filter`](Self::filter) does, for [unary](MetricsLayer::unary_builder) or
    ///   [streaming](MetricsLayer::streaming_builder) services, which have none; one that looks at messages, as
    ///   [`filter_messages`](Self::filter_messages) does, for HTTP or gRPC; one about labels of calls, as
    ///   [`cardinality_limit`](Self::cardinality_limit) is, where no [`label`](Self::label) is given; buckets of a metric that
    ///   is not there; [`messages_total`](Self::messages_total) of HTTP;
    /// - a metric that is there already and shows a name that an automatic one would, be it
    ///   registered, included, another layer's with another prefix, or of a registry that [shows](MetricsRegistry::register_in)
    ///   this one;
    /// - another layer with the same labels and prefix in the registry that has other settings,
    ///   the clock among them;
    /// - another layer there that may show the same series all the same, for it has as labels of requests what this
    ///   one has as constants, or only empty labels, which are as good as none, tell the two apart.
    pub fn build<L, M>(self, labels: L) -> Result<MetricsLayer<P>, Error>
    where
        L: ConstantLabels<M>,
    {
        let Self { given, protocol } = self;
        check::all_do_something(&given)?;
        let sizes = size_bounds(&given)?;
        let cardinality_limit = given.cardinality_limit.unwrap_or(CARDINALITY_LIMIT);
        let registry = given
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(given.clock));
        let labels = registry.with_common(Labels::new(labels.into_labels())?)?;
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
        let buckets = match (given.buckets, given.naming.is_open_telemetry()) {
            (Some(bounds), _) => seconds("buckets", bounds)?,
            (None, false) => Buckets::default(),
            (None, true) => Buckets::new(DURATION_BUCKETS)?,
        };
        let or_same = |setting, bounds: Option<Vec<f64>>| match bounds {
            Some(bounds) => seconds(setting, bounds),
            None => Ok(buckets.clone()),
        };
        let response_head = or_same("response_head_buckets", given.response_head_buckets)?;
        let first_byte = or_same("first_byte_buckets", given.first_byte_buckets)?;
        let settings = Settings {
            naming: given.naming,
            clock: given.clock,
            response_head: given.response_head_seconds.then(|| kind(response_head)),
            first_byte: given.first_byte_seconds.then(|| kind(first_byte)),
            buckets: kind(buckets),
            messages: given.messages,
            error_types: all_error_types(given.classifier_error_types, &given.error_types)?,
            cardinality_limit,
            series_idle_timeout: checked_idle(given.series_idle_timeout)?,
            declared: within(cardinality_limit, declared)?,
            schema,
            filter: given.filter,
            filter_messages: given.filter_messages,
            streams: streams(
                given.stream_requests,
                given.streams,
                given.stream_buckets,
                kind,
            )?,
            exemplars: given.exemplars,
            sizes: given.naming.is_open_telemetry().then_some(sizes),
        };
        let endpoint = registry.endpoint(&given.prefix, labels, settings)?;
        Ok(MetricsLayer::of(registry, endpoint, protocol))
    }
}

/// The declared label sets, if there is room for all.
fn within(most: usize, declared: Vec<Declared>) -> Result<Vec<Declared>, Error> {
    if most == 0 {
        return Err(Error::new(
            "room for 0 label sets: give `cardinality_limit` at least 1",
        ));
    }
    if declared.len() > most {
        return Err(Error::new(format!(
            "{} label sets are declared and there is room for {most}: declare fewer, or give `cardinality_limit` more",
            declared.len()
        )));
    }
    Ok(declared)
}

fn checked_idle(idle: Option<Duration>) -> Result<Option<Duration>, Error> {
    if idle == Some(Duration::ZERO) {
        return Err(Error::new(
            "label sets would leave after 0 s: give `series_idle_timeout` the time of some scrapes",
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
    let buckets = kind(seconds("stream_buckets", bounds)?);
    let any = of_requests.is_some() || of_responses.is_some();
    Ok(any.then_some(Streams {
        of_requests,
        of_responses,
        buckets,
    }))
}

/// The buckets of the sizes of requests' and responses' bodies.
fn size_bounds(given: &Given) -> Result<[Buckets; 2], Error> {
    let both = given.body_size_buckets.clone();
    let bounds = |setting, own: &Option<Vec<u64>>| {
        let (setting, bounds) = match own {
            Some(own) => (setting, own.clone()),
            None => (
                "body_size_buckets",
                both.clone().unwrap_or(BODY_SIZE_BUCKETS.to_vec()),
            ),
        };
        Buckets::of_bytes(bounds).map_err(|error| of_setting(setting, &error))
    };
    Ok([
        bounds(
            "request_body_size_buckets",
            &given.request_body_size_buckets,
        )?,
        bounds(
            "response_body_size_buckets",
            &given.response_body_size_buckets,
        )?,
    ])
}

fn seconds(setting: &str, bounds: Vec<f64>) -> Result<Buckets, Error> {
    Buckets::new(bounds).map_err(|error| of_setting(setting, &error))
}

fn of_setting(setting: &str, error: &Error) -> Error {
    Error::new(format!("`{setting}`: {error}"))
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
