use super::push_escaped;

/// The text of a sample's labels, rendered once and kept, in which there is
/// room for one more label at its place in the order of names.
#[derive(Debug)]
pub(crate) struct LabelText {
    /// `,a="1",b="2",`, and a lone comma if there are no labels.
    text: String,
    /// Where in the text each label begins, in the order of names.
    labels: Box<[(Box<str>, usize)]>,
}

impl LabelText {
    /// Labels come in the order of their names.
    pub(crate) fn new<'a>(sorted: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::from(",");
        let mut labels = Vec::new();
        for (name, value) in sorted {
            labels.push((name.into(), text.len()));
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(&mut text, value);
            text.push_str("\",");
        }
        Self {
            text,
            labels: labels.into(),
        }
    }

    /// `a="1",b="2"`
    pub(crate) fn as_str(&self) -> &str {
        self.text.get(1..self.text.len() - 1).unwrap_or("")
    }

    /// What stands before and after a further label called `name`, commas
    /// included: `a="1",` and `,z="2"`.
    pub(crate) fn around(&self, name: &str) -> (&str, &str) {
        let before = self.labels.partition_point(|(other, _)| &**other < name);
        let begins = |(_, begins): &(_, usize)| *begins;
        let place = self.labels.get(before).map_or(self.text.len(), begins);
        // The comma between the two stands on both sides.
        (
            &self.text[1..place],
            &self.text[place - 1..self.text.len() - 1],
        )
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
        for (name, expected) in [
            ("a", r#"a="",component="c",namespace="n""#),
            ("le", r#"component="c",le="",namespace="n""#),
            ("z", r#"component="c",namespace="n",z="""#),
        ] {
            let (before, after) = text.around(name);
            assert_eq!(format!("{before}{name}=\"\"{after}"), expected);
        }
        let none = LabelText::new([]);
        assert_eq!((none.as_str(), none.around("le")), ("", ("", "")));
    }
}
