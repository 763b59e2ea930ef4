use super::constant::check_name;
use super::label::Moment;
use super::values::MOST_LABELS;
use super::{Label, Labels, OTHER, RequestHead, Values};
use crate::Error;
use crate::classify::Head;

/// The labels of a request that a layer's metrics carry.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    /// By name.
    labels: Box<[Label]>,
    /// Those of each moment, by name.
    begin: Box<[Label]>,
    head: Box<[Label]>,
    end: Box<[Label]>,
}

/// Metrics that carry the same labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Begin,
    Head,
    End,
    Duration,
}

/// The values of all labels of a call, moment by moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) begin: &'a [Box<str>],
    pub(crate) head: &'a [Box<str>],
    pub(crate) end: &'a [Box<str>],
}

/// A declared label set, moment by moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declared {
    pub(crate) begin: Box<[String]>,
    pub(crate) head: Box<[String]>,
    pub(crate) end: Box<[String]>,
}

// === impl Schema ===

impl Schema {
    /// # Errors
    ///
    /// Names the label that is invalid, reserved, given twice, constant too, or one too many.
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
                    "label `{name}` is a label of the request and, as {value:?}, a constant one: give one of them another name"
                )));
            }
        }
        let of = |moment| -> Result<Box<[Label]>, Error> {
            let labels = labels.iter().filter(|label| label.moment() == moment);
            let labels: Vec<Label> = labels.cloned().collect();
            match labels.get(MOST_LABELS) {
                None => Ok(labels.into()),
                Some(first) => Err(Error::new(format!(
                    "label `{}` is one too many: a layer has at most {MOST_LABELS} labels of the request, and as many of the response",
                    first.name()
                ))),
            }
        };
        Ok(Self {
            begin: of(Moment::Begin)?,
            head: of(Moment::Head)?,
            end: of(Moment::End)?,
            labels: labels.into(),
        })
    }

    /// Whether there are none, so that constant labels are all there is.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether a request has to be looked at for its labels.
    #[inline]
    pub(crate) fn asks_request(&self) -> bool {
        !self.begin.is_empty()
    }

    /// Whether a response has to be looked at for its labels.
    #[inline]
    pub(crate) fn asks_response(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether the end has labels of its own.
    #[inline]
    pub(crate) fn asks_end(&self) -> bool {
        !self.end.is_empty()
    }

    #[inline]
    pub(crate) fn of_request<'a>(&'a self, head: &RequestHead<'a>) -> Values<'a> {
        values(&self.begin, |label| label.of_request(head))
    }

    /// For requests that are not HTTP's.
    pub(crate) fn of_no_request(&self) -> Values<'_> {
        values(&self.begin, Label::absent_value)
    }

    #[inline]
    pub(crate) fn of_response<'a>(&'a self, head: &'a Head<'_>) -> Values<'a> {
        values(&self.head, |label| label.of_response(head))
    }

    /// For calls that end without a response.
    pub(crate) fn of_no_response(&self) -> Values<'_> {
        values(&self.head, Label::absent_value)
    }

    #[inline]
    pub(crate) fn of_end<'a>(&'a self, code: Option<u8>, error: Option<&'a str>) -> Values<'a> {
        values(&self.end, |label| label.of_end(code, error))
    }

    /// `_OTHER` for every label, moment by moment.
    pub(crate) fn overflow(&self) -> [Box<[Box<str>]>; 3] {
        [&self.begin, &self.head, &self.end]
            .map(|labels| labels.iter().map(|_| OTHER.into()).collect())
    }

    /// The names of the labels that these metrics carry, in order.
    pub(crate) fn names(&self, carrier: Carrier) -> impl Iterator<Item = &str> {
        self.carried(carrier).map(Label::name)
    }

    /// The values of the labels that these metrics carry, in the order of the names.
    pub(crate) fn project(&self, carrier: Carrier, known: Known<'_>) -> Vec<Box<str>> {
        let mut moments = [
            (Moment::Begin, known.begin),
            (Moment::Head, known.head),
            (Moment::End, known.end),
        ]
        .map(|(moment, values)| (moment, values.iter()));
        let mut values = Vec::new();
        for label in &self.labels {
            let moment = moments
                .iter_mut()
                .find(|(moment, _)| *moment == label.moment());
            let value = moment.and_then(|(_, values)| values.next());
            if let Some(value) = value.filter(|_| carries(carrier, label)) {
                values.push(value.clone());
            }
        }
        values
    }

    /// The label set that `given` declares; what it does not name is as expected.
    ///
    /// # Errors
    ///
    /// Names the label that there is none of, is given twice, or is missing.
    pub(crate) fn declared(&self, given: &[(String, String)]) -> Result<Declared, Error> {
        for (i, (name, _)) in given.iter().enumerate() {
            if !self.labels.iter().any(|label| label.name() == name) {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}`, which is none of the layer's labels of a request: give it to the builder by `label`"
                )));
            }
            if given[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::new(format!(
                    "a label set is declared with `{name}` given twice: give it once"
                )));
            }
        }
        let value = |label: &Label| {
            let value = given.iter().find(|(name, _)| name == label.name());
            match value {
                Some((_, value)) => Ok(value.clone()),
                None if label.moment() == Moment::Begin => Err(Error::new(format!(
                    "a label set is declared without `{}`: give every label of the request a value",
                    label.name()
                ))),
                None => Ok(label.expected().to_owned()),
            }
        };
        let all = |labels: &[Label]| {
            labels
                .iter()
                .map(value)
                .collect::<Result<Box<[String]>, Error>>()
        };
        Ok(Declared {
            begin: all(&self.begin)?,
            head: all(&self.head)?,
            end: all(&self.end)?,
        })
    }

    fn carried(&self, carrier: Carrier) -> impl Iterator<Item = &Label> {
        self.labels
            .iter()
            .filter(move |label| carries(carrier, label))
    }
}

/// The table in the module's documentation.
fn carries(carrier: Carrier, label: &Label) -> bool {
    match carrier {
        Carrier::Begin => label.moment() == Moment::Begin && label.is_at_begin(),
        Carrier::Head => label.moment() != Moment::End,
        Carrier::End => !label.is_error_type(),
        Carrier::Duration => label.is_on_duration(),
    }
}

#[inline]
fn values<'a>(labels: &'a [Label], value: impl Fn(&'a Label) -> &'a str) -> Values<'a> {
    let mut values = Values::NONE;
    for label in labels {
        values.push(value(label));
    }
    values
}

// === impl Declared ===

impl Declared {
    pub(crate) fn values(of_moment: &[String]) -> Values<'_> {
        let mut values = Values::NONE;
        for value in of_moment {
            values.push(value);
        }
        values
    }
}
