//! Builds a layer from its settings.

use super::check::check;
use super::{MetricsLayerBuilder, Options};
use crate::Error;
use crate::buckets::{Buckets, ITEM_GAPS};
use crate::classify::ErrorType;
use crate::error_types::OTHER_INDEX;
use crate::labels::{ConstantLabels, Label, Labels, Schema};
use crate::layer::MetricsLayer;
use crate::measured::{ByMeasured, Measured};
use crate::open_telemetry::{self, BODY_SIZE_BUCKETS};
use crate::registry::MetricsRegistry;
use crate::settings::{CARDINALITY_LIMIT, Settings};

/// From a second to four hours, for responses that stay open.
const STREAM_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

/// From 100 µs, which a handler may well take, to 10 s.
const POLLS: [f64; 6] = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];

impl<P> MetricsLayerBuilder<P> {
    /// Builds the layer. Panics with the name of the `constructor` and the error.
    #[track_caller]
    pub(crate) fn build_or_panic<M>(
        self,
        constructor: &str,
        labels: impl ConstantLabels<M>,
    ) -> MetricsLayer<P> {
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
    /// - a declared label set names a label that the layer doesn't have, gives one a value that no call has, such as the method
    ///   `get`, or leaves out a label of the request;
    /// - more label sets are declared than the cardinality limit allows;
    /// - the cardinality limit, the idle timeout or the bound of slow polls is 0;
    /// - a setting has no effect for this layer:
    ///   - it reads heads, like [`filter`](Self::filter), and [unary](MetricsLayer::unary_builder) and
    ///     [streaming](MetricsLayer::streaming_builder) services have none;
    ///   - it reads messages, like [`filter_messages`](Self::filter_messages), and the layer is for HTTP or gRPC;
    ///   - it is about request labels, like [`cardinality_limit`](Self::cardinality_limit), and there is no
    ///     [`label`](Self::label);
    ///   - it sets the buckets of a metric that the layer doesn't have, or has
    ///     [without classic buckets](Self::classic_histograms);
    ///   - later settings replace it: another preset, or the [buckets of both](MetricsLayerBuilder::request_body_size_buckets) body
    ///     sizes after [`body_size_buckets`](MetricsLayerBuilder::body_size_buckets);
    ///   - it is [`error_types`](Self::error_types), and the layer has the names of a convention without `errors_total`;
    ///   - it is [`messages_total`](Self::messages_total), and the layer is for HTTP;
    ///   - it is about items, and [nothing finds them](Self::items_in_frames) in HTTP;
    /// - another metric has the name of an automatic one: a registered or included metric, one of a layer with another
    ///   prefix, or one of a registry that [shows](MetricsRegistry::register_in) this one;
    /// - a layer with the same labels and prefix is in the registry and has other settings, such as another clock;
    /// - a layer in the registry might show the same series, because it has this layer's constant labels as request labels, or
    ///   because the two differ only in labels with empty values, which count as absent.
    pub fn build<M>(self, labels: impl ConstantLabels<M>) -> Result<MetricsLayer<P>, Error> {
        let Self { options, protocol } = self;
        check(&options)?;
        let naming = options.naming();
        let (duration, histograms) = options.histograms()?;
        let clock = options.settings.clock;
        let registry = options
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(clock));
        let mut constant = registry.with_common(Labels::new(labels)?)?;
        let conventional = |label| open_telemetry::conventional(naming, label);
        let mut labels: Vec<_> = options.labels.into_iter().map(conventional).collect();
        let has = |labels: &[Label], name: &str| labels.iter().any(|label| label.name() == name);
        for default in options.default_labels.into_iter().map(conventional) {
            if !has(&labels, default.name()) {
                labels.push(default);
            }
        }
        if let Some((name, value)) = open_telemetry::constant_label(naming)
            && !has(&labels, name)
        {
            constant = constant.with_default(name, value);
        }
        let mut schema = Schema::new(labels, &constant)?;
        let declared = options.declared.iter();
        let declared: Vec<_> = declared
            .map(|pairs| schema.declare(pairs))
            .collect::<Result<_, _>>()?;
        let limit = options.cardinality_limit.unwrap_or(CARDINALITY_LIMIT);
        if declared.len() > limit {
            return Err(Error::new(format!(
                "{} label sets are declared, and `cardinality_limit` is {limit}: declare fewer, or raise the limit",
                declared.len()
            )));
        }
        let mut settings = Settings {
            duration,
            histograms,
            errors: !naming.is_open_telemetry(),
            error_types: all_error_types(options.classifier_error_types, &options.error_types)?,
            schema,
            cardinality_limit: limit,
            declared,
            ..options.settings
        };
        if let Some(on_end) = &mut settings.on_end {
            on_end.constant = constant.clone();
        }
        let endpoint = registry.endpoint(naming, &options.prefix, constant, settings)?;
        Ok(MetricsLayer::from_parts(registry, endpoint, protocol))
    }
}

impl Options {
    /// Returns the buckets of the duration, and those of all other histograms that the layer has.
    fn histograms(&self) -> Result<(Buckets, ByMeasured<Option<Buckets>>), Error> {
        let shaped = |buckets: Buckets| match self.without_classic_histograms {
            true => Buckets::none().native(self.native_histograms),
            false => buckets.native(self.native_histograms),
        };
        let duration = self.buckets(Measured::Duration, &Buckets::default())?;
        let mut histograms = ByMeasured::default();
        let others = Measured::ALL.into_iter().filter(|of| self.measures(*of));
        for measured in others.filter(|of| *of != Measured::Duration) {
            let buckets = self.buckets(measured, &duration)?;
            histograms[measured] = Some(match measured.is_size() {
                true => buckets,
                false => shaped(buckets),
            });
        }
        Ok((shaped(duration), histograms))
    }

    /// Returns the buckets of a histogram: the given ones, or the default of a convention or of this crate, or else those
    /// of the `duration`.
    fn buckets(&self, measured: Measured, duration: &Buckets) -> Result<Buckets, Error> {
        let given = self.given_buckets(measured);
        let bounds = match given {
            Some(given) => given.bounds.clone(),
            None => match self.default_bounds(measured) {
                Some(bounds) => bounds,
                None => return Ok(duration.clone()),
            },
        };
        let buckets = match measured.is_size() {
            true => Buckets::of_bytes(&bounds),
            false => Buckets::new(&bounds),
        };
        let setter = given.map_or("buckets", |given| given.setter);
        buckets.map_err(|error| Error::new(format!("`{setter}`: {error}")))
    }

    fn default_bounds(&self, measured: Measured) -> Option<Vec<f64>> {
        if let Some(advised) = open_telemetry::buckets(self.naming(), measured) {
            return Some(advised.to_vec());
        }
        match measured {
            Measured::ItemGap | Measured::TimePerItem => Some(ITEM_GAPS.into()),
            Measured::HandlerPoll => Some(POLLS.into()),
            Measured::StreamDuration => Some(STREAM_BUCKETS.into()),
            _ if measured.is_size() => Some(BODY_SIZE_BUCKETS.map(|bytes| bytes as f64).into()),
            _ => None,
        }
    }
}

/// Returns the built-in types, the classifier's and the `declared` ones, each once.
fn all_error_types(
    classifier: &[ErrorType],
    declared: &[ErrorType],
) -> Result<Vec<ErrorType>, Error> {
    let mut all = ErrorType::BUILT_IN.to_vec();
    for error_type in classifier.iter().chain(declared) {
        if !all.contains(error_type) && *error_type != ErrorType::OTHER {
            all.push(*error_type);
        }
    }
    // The last index counts the types that have none of their own.
    match all.get(OTHER_INDEX) {
        None => Ok(all),
        Some(first) => Err(Error::new(format!(
            "error type `{first}` is one too many: declare at most {} of your own",
            OTHER_INDEX.saturating_sub(ErrorType::BUILT_IN.len() + classifier.len())
        ))),
    }
}
