use crate::labels::RequestHead;

/// The trace and span of a call, for [exemplars](crate::MetricsLayerBuilder::exemplars).
///
/// An exemplar has the labels `trace_id` and `span_id`, with 32 and 16 hexadecimal digits as in
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header). Together they have 63 characters.
/// OpenMetrics allows 128.
///
/// ```
/// use tower_openmetrics::{MetricsLayer, TraceContext};
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let layer = MetricsLayer::builder()
///     .exemplars(TraceContext::from_traceparent)
///     .build([("endpoint", "a")])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
}

impl TraceContext {
    /// Returns the context of a span in a trace.
    pub const fn new(trace_id: u128, span_id: u64) -> Self {
        Self { trace_id, span_id }
    }

    /// Returns the context in the header `traceparent`, whose span is the caller's.
    ///
    /// Returns `None` if there is no `traceparent`, if it is repeated or invalid by
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header), or if the trace is not sampled. A trace
    /// that is not sampled can't be looked up.
    pub fn from_traceparent(head: &RequestHead<'_>) -> Option<Self> {
        let mut all = head.headers.get_all("traceparent").iter();
        let header = all.next()?.to_str().ok()?;
        match all.next() {
            None => parse(header),
            Some(_) => None,
        }
    }

    /// Returns the id of the trace.
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// Returns the id of the span.
    pub const fn span_id(&self) -> u64 {
        self.span_id
    }

    pub(crate) fn to_words(self) -> [u64; 3] {
        [
            (self.trace_id >> 64) as u64,
            self.trace_id as u64,
            self.span_id,
        ]
    }

    pub(crate) fn from_words([high, low, span_id]: [u64; 3]) -> Self {
        Self {
            trace_id: u128::from(high) << 64 | u128::from(low),
            span_id,
        }
    }
}

/// Parses `version-trace_id-parent_id-flags`. Versions after 00 may have more fields.
fn parse(header: &str) -> Option<TraceContext> {
    const SAMPLED: u128 = 1;
    let mut fields = header.splitn(5, '-');
    let mut field = |digits| hex(fields.next()?, digits);
    let version = field(2)?;
    let trace_id = field(32)?;
    let span_id = field(16)? as u64;
    let flags = field(2)?;
    let ends = fields.next().is_none();
    let valid = version != 0xff && (version > 0 || ends) && trace_id != 0 && span_id != 0;
    (valid && flags & SAMPLED == SAMPLED).then_some(TraceContext { trace_id, span_id })
}

/// Parses exactly `digits` lower-case hexadecimal digits.
fn hex(field: &str, digits: usize) -> Option<u128> {
    let lower = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if field.len() != digits || !field.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(field, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn of(headers: &[&str]) -> Option<TraceContext> {
        let mut request = Request::builder();
        for header in headers {
            request = request.header("traceparent", *header);
        }
        TraceContext::from_traceparent(&RequestHead::of(&request.body(()).unwrap()))
    }

    #[test]
    fn a_sampled_trace_is_parsed() {
        let expected = TraceContext::new(
            0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            0xb7ad_6b71_6920_3331,
        );
        assert_eq!(of(&[&format!("00-{TRACE}-{SPAN}-01")]), Some(expected));
        assert_eq!(of(&[&format!("00-{TRACE}-{SPAN}-03")]), Some(expected));
        assert_eq!(
            of(&[&format!("cc-{TRACE}-{SPAN}-01-what-comes")]),
            Some(expected)
        );
        assert_eq!(TraceContext::from_words(expected.to_words()), expected);
    }

    #[test]
    fn invalid_repeated_and_unsampled_headers_are_none() {
        let zeros = "0".repeat(32);
        for header in [
            String::new(),
            format!("00-{TRACE}-{SPAN}-00"),
            format!("00-{TRACE}-{SPAN}"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        ] {
            assert_eq!(of(&[&header]), None, "{header}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(of(&[&good, &good]), None, "repeated");
        assert_eq!(of(&[]), None);
    }
}
