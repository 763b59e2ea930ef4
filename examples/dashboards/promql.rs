//! As much of PromQL, and of the samples of a page, as it takes to find names.

/// Words of PromQL that may stand where a name may, without a parenthesis after them.
pub(crate) const KEYWORDS: [&str; 9] = [
    "and", "or", "unless", "offset", "bool", "sum", "count", "min", "max",
];

/// Words of PromQL before a list of labels.
pub(crate) const BEFORE_LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Returns the labels in braces, each with the text that it is compared with.
pub(crate) fn matchers(expression: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut parts = expression.split('"');
    while let (Some(before), Some(value)) = (parts.next(), parts.next()) {
        let label = before.trim_end_matches(['=', '!', '~']);
        let start = label.rfind(['{', ',']).map_or(0, |at| at + 1);
        found.push((label[start..].trim(), value));
    }
    found
}

/// Removes what stands in braces and brackets.
pub(crate) fn without_matchers(expression: &str) -> String {
    let mut depth = 0;
    let outside = |&c: &char| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => return depth == 0,
        }
        false
    };
    expression.chars().filter(outside).collect()
}

/// Returns the words that begin with a letter, each with the next character that is no space.
pub(crate) fn words(expression: &str) -> impl Iterator<Item = (&str, Option<char>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut rest = expression;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(is_part)?;
            let end = rest[start..]
                .find(|c| !is_part(c))
                .map_or(rest.len(), |at| start + at);
            let word = &rest[start..end];
            rest = &rest[end..];
            if !word.starts_with(|c: char| c.is_ascii_digit()) {
                return Some((word, rest.trim_start().chars().next()));
            }
        }
    })
}
