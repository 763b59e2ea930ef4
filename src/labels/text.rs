use crate::escaping::escaped;
use std::ops::Range;

/// The labels of a series as text, rendered once. One more label can be written between them, in the order of names.
///
/// The text is owned, or [borrowed](LabelStr), or [a range](Span) of the [texts of a page](LabelTexts).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelText<T = Box<str>> {
    /// `,a="1",b="2",`, or a lone comma if there are no labels.
    text: T,
    /// Where in the text each [`ExtraLabel`] belongs. Searching for it on every page would cost more than writing the line.
    offsets: [usize; 2],
}

pub(crate) type LabelStr<'a> = LabelText<&'a str>;

pub(crate) type Span = LabelText<Range<usize>>;

/// Copies of many texts in one string, so that a page reads memory in order.
#[derive(Debug, Default)]
pub(crate) struct LabelTexts {
    texts: String,
}

/// A label that differs between the samples of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtraLabel {
    ErrorType,
    Le,
}

const NAMES: [&str; 2] = ["error_type", "le"];

// === impl LabelText ===

impl LabelText {
    /// Renders labels that are sorted by name.
    pub(crate) fn new<'a, N: AsRef<str>>(sorted: impl IntoIterator<Item = (N, &'a str)>) -> Self {
        let mut text = String::from(",");
        let mut offsets = [None; 2];
        for (name, value) in sorted {
            let name = name.as_ref();
            for (offset, extra) in offsets.iter_mut().zip(NAMES) {
                if name >= extra {
                    offset.get_or_insert(text.len());
                }
            }
            text.push_str(name);
            text.push_str("=\"");
            text.push_str(&escaped(value));
            text.push_str("\",");
        }
        Self {
            offsets: offsets.map(|offset| offset.unwrap_or(text.len())),
            text: text.into(),
        }
    }

    /// `a="1",b="2"`
    pub(crate) fn as_str(&self) -> &str {
        self.borrow().as_str()
    }

    fn borrow(&self) -> LabelStr<'_> {
        LabelText {
            text: &self.text,
            offsets: self.offsets,
        }
    }
}

// === impl LabelStr ===

impl<'a> LabelStr<'a> {
    /// `a="1",b="2"`
    pub(crate) fn as_str(self) -> &'a str {
        self.text.get(1..self.text.len() - 1).unwrap_or("")
    }

    /// Returns what to write before and after one more label, with commas: `a="1",` and `,z="2"`.
    pub(crate) fn around(self, extra: ExtraLabel) -> (&'a str, &'a str) {
        let offset = self.offsets[extra as usize];
        // Both parts include the comma between them.
        (
            &self.text[1..offset],
            &self.text[offset - 1..self.text.len() - 1],
        )
    }
}

// === impl LabelTexts ===

impl LabelTexts {
    pub(crate) fn push(&mut self, text: &LabelText) -> Span {
        let before = self.texts.len();
        self.texts.push_str(&text.text);
        LabelText {
            text: before..self.texts.len(),
            offsets: text.offsets,
        }
    }

    pub(crate) fn get(&self, span: &Span) -> LabelStr<'_> {
        LabelText {
            text: &self.texts[span.text.clone()],
            offsets: span.offsets,
        }
    }
}

// === impl ExtraLabel ===

impl ExtraLabel {
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Labels;
    use super::*;

    #[test]
    fn an_extra_label_is_written_in_the_order_of_names() {
        let labels = Labels::new([("component", "c"), ("namespace", "n")]).unwrap();
        let text = LabelText::new(labels.iter());
        assert_eq!(text.as_str(), r#"component="c",namespace="n""#);
        let with = |text: &LabelText, extra: ExtraLabel| {
            let (before, after) = text.borrow().around(extra);
            format!("{before}{}=\"\"{after}", extra.name())
        };
        assert_eq!(
            with(&text, ExtraLabel::ErrorType),
            r#"component="c",error_type="",namespace="n""#
        );
        assert_eq!(
            with(&text, ExtraLabel::Le),
            r#"component="c",le="",namespace="n""#
        );
        let (first, last) = (LabelText::new([("m", "1")]), LabelText::new([("a", "1")]));
        assert_eq!(with(&first, ExtraLabel::Le), r#"le="",m="1""#);
        assert_eq!(with(&last, ExtraLabel::Le), r#"a="1",le="""#);
        let none = LabelText::new([("", ""); 0]);
        assert_eq!(
            (none.as_str(), none.borrow().around(ExtraLabel::Le)),
            ("", ("", ""))
        );
    }

    #[test]
    fn each_text_is_found_again_by_its_span() {
        let mut texts = LabelTexts::default();
        let spans = [
            texts.push(&LabelText::new([("a", "1")])),
            texts.push(&LabelText::new([("m", "2")])),
        ];
        let [first, second] = spans.map(|span| {
            let text = texts.get(&span);
            (text.as_str().to_owned(), text.around(ExtraLabel::Le))
        });
        assert_eq!(first, (r#"a="1""#.to_owned(), (r#"a="1","#, "")));
        assert_eq!(second, (r#"m="2""#.to_owned(), ("", r#",m="2""#)));
    }
}
