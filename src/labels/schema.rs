use super::constant::{check_distinct, check_name};
use super::source::{MOMENTS, Moment};
use super::values::{KeptValue, MAX_LABELS, Value};
use super::{Label, Labels, OTHER, RequestHead, Values};
use crate::Error;
use crate::classify::Head;
use std::any::Any;
use std::array;
use std::borrow::Cow;
use std::collections::HashMap;

/// The request labels of a layer's metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    /// Sorted by name.
    labels: Box<[Label]>,
    /// The labels of each moment, sorted by name, with their declared values.
    moments: [Box<[Label]>; MOMENTS],
}

/// Metrics that carry the same labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Waits for the service, before there is a request.
    Ready,
    /// `concurrent_requests`, and what the service reads of the request.
    Begin,
    /// What the caller takes of the response.
    Head,
    /// The outcome of the call.
    End,
    /// Histograms that are recorded at the end.
    Duration,
    /// `errors_total`.
    Errors,
}

/// Label values read from the message that a call begins with, in the order of the schema.
///
/// An array on the stack, so that borrowed values cost no allocation.
pub(crate) type MessageTexts<'a> = [Option<Cow<'a, str>>; MAX_LABELS];

/// The label values of a call, by moment.
pub(crate) type Known<'a> = [&'a [KeptValue]; MOMENTS];

/// A declared label set, by moment.
pub(crate) type Declared = [Box<[KeptValue]>; MOMENTS];

// === impl Carrier ===

impl Carrier {
    pub(crate) const ALL: [Self; 6] = [
        Self::Ready,
        Self::Begin,
        Self::Head,
        Self::End,
        Self::Duration,
        Self::Errors,
    ];
}

// === impl Schema ===

impl Schema {
    /// # Errors
    ///
    /// Returns an error that names the label if it is invalid, reserved, given twice, also constant, or one too many.
    pub(crate) fn new(labels: Vec<Label>, constant: &Labels) -> Result<Self, Error> {
        let mut labels: Vec<_> = labels.into_iter().map(Label::settled).collect();
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        for label in labels.iter().filter(|label| !label.is_error_type()) {
            check_name(label.name())?;
        }
        let of_calls = labels.iter();
        let of_calls = of_calls.map(|label| (label.name(), "a request label".to_owned()));
        check_distinct(of_calls.chain(constant.described("the constant")))?;
        let known_at = |moment| -> Result<Box<[Label]>, Error> {
            let labels = labels
                .iter()
                .filter(|label| label.source.moment() == moment);
            let labels: Vec<Label> = labels.cloned().collect();
            match labels.get(MAX_LABELS) {
                None => Ok(labels.into()),
                Some(first) => Err(Error::new(format!(
                    "label `{}` is one too many: a layer has at most {MAX_LABELS} labels of the request, and as many of the response",
                    first.name()
                ))),
            }
        };
        Ok(Self {
            moments: [
                known_at(Moment::Begin)?,
                known_at(Moment::Head)?,
                known_at(Moment::End)?,
            ],
            labels: labels.into(),
        })
    }

    /// Whether there are only constant labels.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether clients can make up values that only the server's answers prove to exist.
    pub(crate) fn has_to_be_proven(&self) -> bool {
        let mut labels = self.moments[Moment::Begin as usize].iter();
        labels.any(|label| label.has_to_be_proven)
    }

    /// Whether some labels become known at this moment.
    #[inline]
    pub(crate) fn asks(&self, moment: Moment) -> bool {
        !self.moments[moment as usize].is_empty()
    }

    #[inline]
    pub(crate) fn request_values<'a>(&'a self, head: &RequestHead<'a>, values: &mut Values<'a>) {
        self.fill(values, Moment::Begin, |label| label.request_value(head));
    }

    /// Reads labels from the message that a call begins with.
    pub(crate) fn message_texts<'a>(&self, message: &'a dyn Any) -> MessageTexts<'a> {
        let mut labels = self.moments[Moment::Begin as usize].iter();
        array::from_fn(|_| labels.next()?.message_text(message))
    }

    /// For calls that begin with a message, with a head or without.
    pub(crate) fn message_values<'a>(
        &'a self,
        head: Option<&RequestHead<'a>>,
        texts: &'a MessageTexts<'_>,
        values: &mut Values<'a>,
    ) {
        let mut texts = texts.iter();
        self.fill(values, Moment::Begin, |label| {
            label.message_value(head, texts.next().and_then(Option::as_deref))
        });
    }

    /// For requests and calls that have nothing to read labels from at this moment.
    pub(crate) fn absent_values<'a>(&'a self, moment: Moment, values: &mut Values<'a>) {
        self.fill(values, moment, Label::absent_value);
    }

    #[inline]
    pub(crate) fn response_values<'a>(&'a self, head: &'a Head<'_>, values: &mut Values<'a>) {
        self.fill(values, Moment::Head, |label| label.response_value(head));
    }

    #[inline]
    pub(crate) fn end_values<'a>(
        &'a self,
        code: Option<u8>,
        error: Option<&'a str>,
        values: &mut Values<'a>,
    ) {
        self.fill(values, Moment::End, |label| label.end_value(code, error));
    }

    /// Fills `values` in place: moving them would cost more than finding them.
    #[inline]
    fn fill<'a>(
        &'a self,
        values: &mut Values<'a>,
        moment: Moment,
        mut value: impl FnMut(&'a Label) -> Value<'a>,
    ) {
        for label in &self.moments[moment as usize] {
            let value = value(label);
            values.push(match label.hides(value) {
                true => Value::Text(OTHER),
                false => value,
            });
        }
    }

    /// Returns the label set in which every label is `_OTHER`.
    pub(crate) fn overflow(&self) -> Declared {
        let other = |_: &Label| KeptValue::Text(OTHER.into());
        self.moments
            .each_ref()
            .map(|labels| labels.iter().map(other).collect())
    }

    /// Returns the names of the labels that these metrics carry, sorted.
    pub(crate) fn names(&self, carrier: Carrier) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter();
        labels
            .filter(move |label| carries(carrier, label))
            .map(Label::name)
    }

    /// Returns the moment at which all labels that these metrics carry are known.
    pub(crate) fn known_at(&self, carrier: Carrier) -> Moment {
        let labels = self.labels.iter().filter(|label| carries(carrier, label));
        labels
            .map(|label| label.source.moment())
            .max()
            .unwrap_or(Moment::Begin)
    }

    /// Returns the shown values of the labels that these metrics carry, in the order of the names. All of them must be
    /// known.
    pub(crate) fn project(&self, carrier: Carrier, known: Known<'_>) -> Box<[Box<str>]> {
        let mut known = known.map(<[_]>::iter);
        let values = self.labels.iter().filter_map(|label| {
            let value = known[label.source.moment() as usize].next()?;
            carries(carrier, label).then(|| label.source.shown(value))
        });
        values.collect()
    }

    /// Returns the label set that the `pairs` declare. A label of the response that it leaves out has its expected value.
    ///
    /// # Errors
    ///
    /// Returns an error that names the label if it is unknown, given twice or missing, or never has the value.
    pub(crate) fn declare(&mut self, pairs: &[(String, String)]) -> Result<Declared, Error> {
        let mut given = HashMap::new();
        for (name, value) in pairs {
            let Some(label) = self.labels.iter().find(|label| label.name() == name) else {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}`, which is not a request label of the layer: give it to the builder by `label`"
                )));
            };
            if !label.can_be(value) {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}` as {value:?}, a value that no call has: give one that the page can show"
                )));
            }
            if given.insert(&**name, &**value).is_some() {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}` given twice: give it once"
                )));
            }
        }
        let mut of_request = self.moments[Moment::Begin as usize].iter();
        if let Some(missing) = of_request.find(|label| !given.contains_key(label.name())) {
            return Err(Error::new(format!(
                "a label set is declared without `{}`: give every label of the request a value",
                missing.name()
            )));
        }
        Ok(self.moments.each_mut().map(|labels| {
            let declare = |label: &mut Label| {
                let shown = given.get(label.name()).copied();
                let value = label.source.value_of(shown.unwrap_or(label.expected()));
                label.declare(value.clone());
                value
            };
            labels.iter_mut().map(declare).collect()
        }))
    }
}

/// The table in the module's documentation.
fn carries(carrier: Carrier, label: &Label) -> bool {
    match carrier {
        Carrier::Ready => false,
        Carrier::Begin => label.source.moment() == Moment::Begin && label.on_begin,
        Carrier::Head => label.source.moment() != Moment::End,
        Carrier::End => !label.is_error_type(),
        Carrier::Duration => label.on_duration,
        Carrier::Errors => label.on_errors && !label.is_error_type(),
    }
}
