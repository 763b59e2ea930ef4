use crate::registry::Selection;
use http::Uri;

/// Returns the families that the query selects by `name[]`, which may be repeated.
///
/// Takes time linear in the length of the query and accepts any query. An invalid encoding is part of
/// the name.
pub(super) fn selection(uri: &Uri) -> Selection {
    let query = uri.query().unwrap_or_default();
    let names = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "name[]")
        .map(|(_, name)| name.into_owned());
    Selection::named(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries and the names that they select.
    const TABLE: &[(&str, &[&str])] = &[
        ("", &[]),
        ("?", &[]),
        ("?name=a&names[]=b&name[0]=c&NAME[]=d", &[]),
        ("?name[]=a", &["a"]),
        ("?name[]=a&name[]=b_total&name[]=a", &["a", "b_total"]),
        ("?collect[]=x&name[]=a&debug", &["a"]),
        ("?name%5B%5D=a", &["a"]),
        ("?%6eame%5b%5d=%61%5Ftotal", &["a_total"]),
        ("?name[]=", &[""]),
        ("?name[]", &[""]),
        ("?name[]=a+b%20c", &["a b c"]),
        ("?name[]=a=b", &["a=b"]),
        ("?name[]=%C3%A9", &["\u{e9}"]),
        // Invalid encodings
        ("?name[]=%&name[]=%4&name[]=%zz", &["%", "%4", "%zz"]),
        ("?name[]=%FF%FE", &["\u{fffd}\u{fffd}"]),
        ("?name[]=a%00%0A", &["a\0\n"]),
        ("?&&&=&=&name[]=a&&", &["a"]),
        ("?name[]=a;name[]=b", &["a;name[]=b"]),
    ];

    #[test]
    fn every_row_of_the_table() {
        for (query, names) in TABLE {
            let uri: Uri = format!("/metrics{query}").parse().expect("a URI");
            let expected = Selection::named(names.iter().copied().map(str::to_owned));
            assert_eq!(selection(&uri), expected, "{query}");
        }
    }

    #[test]
    fn hostile_queries_cost_no_more_than_their_length() {
        for piece in ["&", "name[]=&", "name[]=%", "%", "+=", "name[]=a%26&"] {
            // About the longest URI that the crate `http` accepts.
            let query = piece.repeat(65_000 / piece.len());
            let uri: Uri = format!("/?{query}").parse().expect("a URI");
            selection(&uri);
        }
    }
}
