use super::constant::{check_clashes, check_name};
use super::source::{MOMENTS, Moment};
use super::values::{KeptValue, MAX_LABELS, Value};
use super::{Label, Labels, OTHER, RequestHead, Values};
use crate::Error;
use crate::classify::Head;
use std::any::Any;
use std::array;
use std::borrow::Cow;

/// The request labels of a layer's metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    /// Sorted by name.
    labels: Box<[Label]>,
    /// The labels of each moment, sorted by name.
    moments: [Box<[Label]>; MOMENTS],
    /// Declared values, which have no maximum length.
    declared_values: Vec<Box<str>>,
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
        let mut labels = labels;
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        for label in labels.iter().filter(|label| !label.is_error_type()) {
            check_name(label.name())?;
        }
        if let Some(twice) = labels.windows(2).find(|two| two[0].name() == two[1].name()) {
            return Err(Error::new(format!(
                "label `{}` is given twice: give it once, or another name by `named`",
                twice[0].name()
            )));
        }
        for (name, value) in constant.iter() {
            if labels.iter().any(|label| label.name() == name) {
                return Err(Error::new(format!(
                    "label `{name}` is a request label and a constant label (with the value {value:?}): give one of them another name"
                )));
            }
        }
        let constant_names = constant.iter().map(|(name, _)| name);
        check_clashes(labels.iter().map(Label::name).chain(constant_names))?;
        let known_at = |moment| -> Result<Box<[Label]>, Error> {
            let labels = labels.iter().filter(|label| label.moment() == moment);
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
            declared_values: Vec::new(),
        })
    }

    /// Whether there are only constant labels.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether clients can make up values that only the server's answers prove to exist.
    pub(crate) fn has_to_be_proven(&self) -> bool {
        let mut labels = self.moments[Moment::Begin as usize].iter();
        labels.any(Label::has_to_be_proven)
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

    /// For requests that are not HTTP.
    pub(crate) fn absent_request_values<'a>(&'a self, values: &mut Values<'a>) {
        self.fill(values, Moment::Begin, Label::absent_value);
    }

    #[inline]
    pub(crate) fn response_values<'a>(&'a self, head: &'a Head<'_>, values: &mut Values<'a>) {
        self.fill(values, Moment::Head, |label| label.response_value(head));
    }

    /// For calls that end without a response.
    pub(crate) fn absent_response_values<'a>(&'a self, values: &mut Values<'a>) {
        self.fill(values, Moment::Head, Label::absent_value);
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
            let is_other =
                label.is_too_long(value) && !self.is_declared(value) || label.is_undeclared(value);
            values.push(if is_other { Value::Text(OTHER) } else { value });
        }
    }

    /// Whether the value is declared for any label.
    #[cold]
    fn is_declared(&self, value: Value<'_>) -> bool {
        let mut declared = self.declared_values.iter();
        declared.any(|declared| Value::Text(declared) == value)
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
        labels.map(Label::moment).max().unwrap_or(Moment::Begin)
    }

    /// Returns the shown values of the labels that these metrics carry, in the order of the names. All of them must be
    /// known.
    pub(crate) fn project(&self, carrier: Carrier, known: Known<'_>) -> Box<[Box<str>]> {
        let mut known = known.map(<[_]>::iter);
        let values = self.labels.iter().filter_map(|label| {
            let value = known[label.moment() as usize].next()?;
            carries(carrier, label).then(|| label.shown(value))
        });
        values.collect()
    }

    /// Returns the label set that `given` declares. A label of the response that it leaves out has its expected value.
    ///
    /// # Errors
    ///
    /// Returns an error that names the label if it is unknown, given twice or missing, or never has the value.
    pub(crate) fn declare(&mut self, given: &[(String, String)]) -> Result<Declared, Error> {
        for (i, (name, value)) in given.iter().enumerate() {
            let Some(label) = self.labels.iter().find(|label| label.name() == name) else {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}`, which is not a request label of the layer: give it to the builder by `label`"
                )));
            };
            if !label.can_be(value) {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}` as {value:?}, a value that no call has: give it as the page shows it"
                )));
            }
            if given[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}` given twice: give it once"
                )));
            }
        }
        let mut of_request = self.moments[Moment::Begin as usize].iter();
        let is_given = |label: &&Label| given.iter().any(|(name, _)| name == label.name());
        if let Some(missing) = of_request.find(|label| !is_given(label)) {
            return Err(Error::new(format!(
                "a label set is declared without `{}`: give every label of the request a value",
                missing.name()
            )));
        }
        let declared = self.moments.each_ref().map(|labels| {
            let value = |label: &Label| {
                let given = given.iter().find(|(name, _)| name == label.name());
                label.value_of(given.map_or(label.expected(), |(_, value)| value))
            };
            labels.iter().map(value).collect()
        });
        for label in self.moments.iter_mut().flatten().chain(&mut self.labels) {
            let given = given.iter().find(|(name, _)| name == label.name());
            let expected = label.expected().to_owned();
            label.declare(given.map_or(&expected, |(_, value)| value));
        }
        self.declared_values
            .extend(given.iter().map(|(_, value)| value.clone().into()));
        Ok(declared)
    }
}

/// The table in the module's documentation.
fn carries(carrier: Carrier, label: &Label) -> bool {
    match carrier {
        Carrier::Ready => false,
        Carrier::Begin => label.moment() == Moment::Begin && label.on_begin,
        Carrier::Head => label.moment() != Moment::End,
        Carrier::End => !label.is_error_type(),
        Carrier::Duration => label.on_duration,
        Carrier::Errors => label.on_errors && !label.is_error_type(),
    }
}
