use std::ops::Range;

/// The text of a sample's labels, rendered once and kept, in which there is
/// room for one more label at its place in the order of names.
#[derive(Debug)]
pub(crate) struct LabelText {
    /// `,a="1",b="2",`, and a lone comma if there are no labels.
    text: String,
    places: Places,
}

/// Where in the text `error_type` and `le` have their places: looking for them each time a page is made would cost
/// more than to write the line.
type Places = [usize; 2];

/// A [`LabelText`] that lies among others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelStr<'a> {
    text: &'a str,
    places: Places,
}

/// Copies of many texts, one after the other: who reads them in their order does not have to fetch each from a
/// place of its own.
#[derive(Debug, Default)]
pub(crate) struct LabelTexts {
    texts: String,
}

/// Where a text lies among [`LabelTexts`].
#[derive(Clone, Debug)]
pub(crate) struct Span {
    range: Range<usize>,
    places: Places,
}

/// A label that comes to those of a series: not all its samples have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    ErrorType,
    Le,
}

const NAMES: [&str; 2] = ["error_type", "le"];

impl LabelText {
    /// Labels come in the order of their names.
    pub(crate) fn new<'a>(sorted: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::from(",");
        let mut places = [None; 2];
        for (name, value) in sorted {
            for (place, added) in places.iter_mut().zip(NAMES) {
                if name >= added {
                    place.get_or_insert(text.len());
                }
            }
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(&mut text, value);
            text.push_str("\",");
        }
        Self {
            places: places.map(|place| place.unwrap_or(text.len())),
            text,
        }
    }

    /// `a="1",b="2"`
    pub(crate) fn as_str(&self) -> &str {
        self.borrow().as_str()
    }

    fn borrow(&self) -> LabelStr<'_> {
        LabelStr {
            text: &self.text,
            places: self.places,
        }
    }
}

// === impl LabelStr ===

impl<'a> LabelStr<'a> {
    /// `a="1",b="2"`
    pub(crate) fn as_str(self) -> &'a str {
        self.text.get(1..self.text.len() - 1).unwrap_or("")
    }

    /// What stands before and after a further label, commas
    /// included: `a="1",` and `,z="2"`.
    pub(crate) fn around(self, added: Added) -> (&'a str, &'a str) {
        let place = self.places[added as usize];
        // The comma between the two stands on both sides.
        (
            &self.text[1..place],
            &self.text[place - 1..self.text.len() - 1],
        )
    }
}

// === impl LabelTexts ===

impl LabelTexts {
    pub(crate) fn push(&mut self, text: &LabelText) -> Span {
        let before = self.texts.len();
        self.texts.push_str(&text.text);
        Span {
            range: before..self.texts.len(),
            places: text.places,
        }
    }

    pub(crate) fn get(&self, span: &Span) -> LabelStr<'_> {
        LabelStr {
            text: &self.texts[span.range.clone()],
            places: span.places,
        }
    }
}

// === impl Added ===

impl Added {
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Appends a label's value: backslash, quote and line feed are escaped, as
/// both formats have it.
pub(crate) fn push_escaped(out: &mut String, value: &str) {
    if !value
        .bytes()
        .any(|byte| matches!(byte, b'\\' | b'"' | b'\n'))
    {
        return out.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Labels;
    use super::*;

    #[test]
    fn one_more_label_goes_to_its_place() {
        let labels = Labels::new([("component", "c"), ("namespace", "n")]).unwrap();
        let text = LabelText::new(labels.iter());
        assert_eq!(text.as_str(), r#"component="c",namespace="n""#);
        let with = |text: &LabelText, added: Added| {
            let (before, after) = text.borrow().around(added);
            format!("{before}{}=\"\"{after}", added.name())
        };
        assert_eq!(
            with(&text, Added::ErrorType),
            r#"component="c",error_type="",namespace="n""#
        );
        assert_eq!(
            with(&text, Added::Le),
            r#"component="c",le="",namespace="n""#
        );
        let (first, last) = (LabelText::new([("m", "1")]), LabelText::new([("a", "1")]));
        assert_eq!(with(&first, Added::Le), r#"le="",m="1""#);
        assert_eq!(with(&last, Added::Le), r#"a="1",le="""#);
        let none = LabelText::new([]);
        assert_eq!(
            (none.as_str(), none.borrow().around(Added::Le)),
            ("", ("", ""))
        );
    }

    #[test]
    fn texts_lie_after_each_other() {
        let mut texts = LabelTexts::default();
        let spans = [
            texts.push(&LabelText::new([("a", "1")])),
            texts.push(&LabelText::new([("m", "2")])),
        ];
        let [first, second] = spans.map(|span| {
            let text = texts.get(&span);
            (text.as_str().to_owned(), text.around(Added::Le))
        });
        assert_eq!(first, (r#"a="1""#.to_owned(), (r#"a="1","#, "")));
        assert_eq!(second, (r#"m="2""#.to_owned(), ("", r#",m="2""#)));
    }
}
