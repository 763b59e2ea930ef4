//! Builds a layer from its settings.

use super::{MetricsLayerBuilder, Options, check};
use crate::Error;
use crate::buckets::Buckets;
use crate::classify::ErrorType;
use crate::ended::OnEnd;
use crate::error_types::{DeclaredTypes, MOST_ERROR_TYPES};
use crate::labels::{ConstantLabels, Declared, Labels, Schema};
use crate::layer::MetricsLayer;
use crate::measured::{Histograms, Measured};
use crate::open_telemetry::{self, BODY_SIZE_BUCKETS};
use crate::registry::MetricsRegistry;
use crate::settings::{CARDINALITY_LIMIT, Filter, IsStream, Settings, Streams};
use std::time::Duration;

/// From a second to four hours, for responses that stay open.
const STREAM_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

impl<P> MetricsLayerBuilder<P> {
    /// Builds the layer. Panics with the name of the `constructor` and the error.
    #[track_caller]
    pub(crate) fn build_or_panic<L, M>(self, constructor: &str, labels: L) -> MetricsLayer<P>
    where
        L: ConstantLabels<M>,
    {
        match self.build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::{constructor}`: {error}"),
        }
    }

    /// Builds the layer, with these constant labels on all its metrics. For no labels, give `()`.
    ///
    /// # Errors
    ///
    /// Returns an error that names the value if
    ///
    /// - a constant label has a name that is invalid, reserved or given twice;
    /// - the prefix is not the beginning of a valid name;
    /// - buckets are empty, not ascending, negative or not finite;
    /// - there are too many error types (at most 54 of your own and of the classifier's);
    /// - a request label has a name that is invalid, reserved, given twice or a constant label's, or is one too many
    ///   (at most eight of the request and eight of the response);
    /// - a declared label set names a label that the layer doesn't have, or leaves out a label of the request;
    /// - more label sets are declared than the cardinality limit allows;
    /// - the cardinality limit, the idle timeout or the bound of slow polls is 0;
    /// - a setting has no effect for this layer:
    ///   - it reads heads, like [`filter`](Self::filter), and [unary](MetricsLayer::unary_builder) and
    ///     [streaming](MetricsLayer::streaming_builder) services have none;
    ///   - it reads messages, like [`filter_messages`](Self::filter_messages), and the layer is for HTTP or gRPC;
    ///   - it is about request labels, like [`cardinality_limit`](Self::cardinality_limit), and there is no
    ///     [`label`](Self::label);
    ///   - it sets the buckets of a metric that the layer doesn't have;
    ///   - it is [`messages_total`](Self::messages_total), and the layer is for HTTP;
    ///   - it is about items, and [nothing finds them](Self::items_in_frames) in HTTP;
    /// - another metric has the name of an automatic one: a registered or included metric, one of a layer with another
    ///   prefix, or one of a registry that [shows](MetricsRegistry::register_in) this one;
    /// - a layer with the same labels and prefix is in the registry and has other settings, such as another clock;
    /// - a layer in the registry might show the same series, because it has this layer's constant labels as request labels, or
    ///   because the two differ only in labels with empty values, which count as absent.
    pub fn build<L, M>(self, labels: L) -> Result<MetricsLayer<P>, Error>
    where
        L: ConstantLabels<M>,
    {
        let Self { options, protocol } = self;
        check::all_have_effect(&options)?;
        let sizes = size_bounds(&options)?;
        let cardinality_limit = options.cardinality_limit.unwrap_or(CARDINALITY_LIMIT);
        let registry = options
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(options.clock));
        let mut labels = registry.with_common(Labels::new(labels.into_labels())?)?;
        let mut request_labels = open_telemetry::labels(options.naming, options.labels);
        if let Some((name, value)) = open_telemetry::constant_label(options.naming)
            && request_labels.iter().all(|own| own.name() != name)
        {
            labels = labels.with_default(name, value);
        }
        for label in options.default_labels {
            if request_labels.iter().all(|own| own.name() != label.name()) {
                request_labels.push(label);
            }
        }
        let mut schema = Schema::new(request_labels, &labels)?;
        let declared = options.declared.iter();
        let declared: Vec<_> = declared
            .map(|pairs| schema.declare(pairs))
            .collect::<Result<_, _>>()?;
        let histogram = |bounds: Buckets| {
            let classic = if options.classic_histograms {
                bounds
            } else {
                Buckets::none()
            };
            classic.native(options.native_histograms)
        };
        let advised = open_telemetry::duration_buckets(options.naming);
        let buckets = match (options.buckets, advised) {
            (Some(bounds), _) => seconds("buckets", bounds)?,
            (None, None) => Buckets::default(),
            (None, Some(bounds)) => Buckets::new(bounds.iter().copied())?,
        };
        let mut histograms = Histograms::default();
        for timing in options.timings.buckets(&buckets) {
            let (measured, buckets) = timing?;
            histograms.set(measured, Some(histogram(buckets)));
        }
        if options.streams.is_some() || options.stream_requests.is_some() {
            let bounds = options.stream_buckets.unwrap_or(STREAM_BUCKETS.to_vec());
            let buckets = histogram(seconds("stream_buckets", bounds)?);
            histograms.set(Measured::StreamDuration, Some(buckets));
        }
        if options.naming.is_open_telemetry_http() {
            let [request, response] = sizes;
            histograms.set(Measured::RequestSize, Some(request));
            histograms.set(Measured::ResponseSize, Some(response));
        }
        let on_end = options.on_end.map(|hear| OnEnd {
            hear,
            constant: labels.clone(),
        });
        let settings = Settings {
            clock: options.clock,
            duration: histogram(buckets),
            histograms,
            messages: options.messages,
            items: options.items,
            items_in_frames: options.items_in_frames,
            oldest: options.oldest,
            longest: options.longest,
            slow_polls: checked_slow_polls(options.slow_polls)?,
            on_end,
            errors: !options.naming.is_open_telemetry(),
            error_types: all_error_types(options.classifier_error_types, &options.error_types)?,
            cardinality_limit,
            series_idle_timeout: checked_idle(options.series_idle_timeout)?,
            declared: checked_declared(declared, cardinality_limit)?,
            schema,
            filter: options.filter,
            filter_messages: options.filter_messages,
            streams: streams(options.stream_requests, options.streams),
            exemplars: options.exemplars,
        };
        let endpoint = registry.endpoint(options.naming, &options.prefix, labels, settings)?;
        Ok(MetricsLayer::from_parts(registry, endpoint, protocol))
    }
}

fn checked_slow_polls(bound: Option<Duration>) -> Result<Option<Duration>, Error> {
    if bound == Some(Duration::ZERO) {
        return Err(Error::new(
            "`slow_polls_total` has a bound of 0 s, so every poll would be slow: give some milliseconds",
        ));
    }
    Ok(bound)
}

/// Checks that the limit leaves room for all declared label sets.
fn checked_declared(declared: Vec<Declared>, limit: usize) -> Result<Vec<Declared>, Error> {
    if limit == 0 {
        return Err(Error::new(
            "`cardinality_limit` is 0, which leaves no room for a label set: give at least 1",
        ));
    }
    if declared.len() > limit {
        return Err(Error::new(format!(
            "{} label sets are declared, and `cardinality_limit` is {limit}: declare fewer, or raise the limit",
            declared.len()
        )));
    }
    Ok(declared)
}

fn checked_idle(idle: Option<Duration>) -> Result<Option<Duration>, Error> {
    if idle == Some(Duration::ZERO) {
        return Err(Error::new(
            "`series_idle_timeout` is 0 s, so every label set would leave at once: give the time of several scrapes",
        ));
    }
    Ok(idle)
}

fn streams(of_requests: Option<Filter>, of_responses: Option<IsStream>) -> Option<Streams> {
    let any = of_requests.is_some() || of_responses.is_some();
    any.then_some(Streams {
        of_requests,
        of_responses,
    })
}

/// Returns the buckets for the body sizes of requests and of responses.
fn size_bounds(options: &Options) -> Result<[Buckets; 2], Error> {
    let both = options.body_size_buckets.clone();
    let bounds = |setting, own: &Option<Vec<u64>>| {
        let (setting, bounds) = match own {
            Some(own) => (setting, own.clone()),
            None => (
                "body_size_buckets",
                both.clone().unwrap_or(BODY_SIZE_BUCKETS.to_vec()),
            ),
        };
        Buckets::of_bytes(bounds).map_err(|error| in_setting(setting, &error))
    };
    Ok([
        bounds(
            "request_body_size_buckets",
            &options.request_body_size_buckets,
        )?,
        bounds(
            "response_body_size_buckets",
            &options.response_body_size_buckets,
        )?,
    ])
}

pub(super) fn seconds(setting: &str, bounds: Vec<f64>) -> Result<Buckets, Error> {
    Buckets::new(bounds).map_err(|error| in_setting(setting, &error))
}

fn in_setting(setting: &str, error: &Error) -> Error {
    Error::new(format!("`{setting}`: {error}"))
}

/// Returns the built-in types, the classifier's and the `declared` ones, each once.
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
    // The last slot counts the types that have no slot of their own.
    let room = MOST_ERROR_TYPES - 1;
    match all.get(room) {
        None => Ok(DeclaredTypes::new(&all)),
        Some(first) => Err(Error::new(format!(
            "error type `{first}` is one too many: declare at most {} of your own",
            room.saturating_sub(ErrorType::BUILT_IN.len() + classifier.len())
        ))),
    }
}
