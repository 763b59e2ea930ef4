use super::{Labels, push_escaped};

/// The text of constant labels, rendered once and kept, in which there is
/// room for one more label at its place in the order of names.
#[derive(Debug)]
pub(crate) struct LabelText {
    /// `a="1",b="2"`
    text: String,
    /// The same with a comma before it, if there is any.
    opened: String,
    /// The same with a comma after it, if there is any.
    closed: String,
    /// The names, and where in the text each begins.
    names: Vec<(String, usize)>,
}

impl LabelText {
    pub(crate) fn new(labels: &Labels) -> Self {
        let mut text = String::new();
        let mut names = Vec::new();
        for (name, value) in labels.iter() {
            if !text.is_empty() {
                text.push(',');
            }
            names.push((name.to_owned(), text.len()));
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(&mut text, value);
            text.push('"');
        }
        let comma = if text.is_empty() { "" } else { "," };
        Self {
            opened: format!("{comma}{text}"),
            closed: format!("{text}{comma}"),
            text,
            names,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before and after a further label called `name`, commas
    /// included: `a="1",` and `,z="2"`.
    pub(crate) fn around(&self, name: &str) -> (&str, &str) {
        let before = self.names.partition_point(|(other, _)| &**other < name);
        match self.names.get(before) {
            None => (&self.closed, ""),
            Some((_, 0)) => ("", &self.opened),
            // The comma goes with what follows, so the other side ends in one too.
            Some((_, begins)) => (&self.text[..*begins], &self.text[begins - 1..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_label_goes_to_its_place() {
        let labels = Labels::new([("component", "c"), ("namespace", "n")]).unwrap();
        let text = LabelText::new(&labels);
        assert_eq!(text.as_str(), r#"component="c",namespace="n""#);
        for (name, expected) in [
            ("a", r#"a="",component="c",namespace="n""#),
            ("le", r#"component="c",le="",namespace="n""#),
            ("z", r#"component="c",namespace="n",z="""#),
        ] {
            let (before, after) = text.around(name);
            assert_eq!(format!("{before}{name}=\"\"{after}"), expected);
        }
        let none = LabelText::new(&Labels::default());
        assert_eq!((none.as_str(), none.around("le")), ("", ("", "")));
    }
}
