/// Asserts that a [`Snapshot`](crate::testing::Snapshot) has these numbers.
///
/// | entry | asserts |
/// |---|---|
/// | `"requests_total" {endpoint = "a"} => 1` | the value of the series with exactly these labels |
/// | `"requests_total" {endpoint = "a", ..} => 1` | the sum of all series with at least these labels |
/// | `"requests_total" => 1` | the sum of all series of this name, as `{..}` |
/// | `"request_duration_seconds" {..} => [0.25, 1.5]` | what one histogram has observed, as far as its buckets tell, in any order |
/// | `"requests_total" {endpoint = "b"} => ABSENT` | [that there is no such series](crate::testing::ABSENT) |
/// | `_ => 0`, as the last one | that no counter and no histogram that isn't listed has counted anything |
///
/// Names are those of samples, as on a page: `requests_total`, `request_duration_seconds_count`. A name may be in
/// parentheses to be any expression, and so may be the values of labels. What is not listed is not compared, unless
/// `_ => 0` asks for it. A series that is listed and doesn't exist is a failure, even if 0 is expected: so a misspelled
/// label is found. Observations are compared with [native](crate::MetricsLayerBuilder::native_histograms) buckets, too, if
/// the histogram has some.
///
/// See the [module](crate::testing) for an example.
///
/// # Panics
///
/// Panics if a number differs, with all differences, line by line.
///
/// # Examples
///
/// ```
/// use tower_openmetrics::testing::{ABSENT, Snapshot};
/// use tower_openmetrics::{MetricsLayer, assert_metrics};
///
/// let metrics = MetricsLayer::new([("endpoint", "a")]);
/// assert_metrics!(Snapshot::of(metrics.registry()), {
///     "requests_total" {endpoint = "a"} => 0,
///     "requests_total" {endpoint = "b"} => ABSENT,
///     "request_duration_seconds" {..} => [],
///     _ => 0,
/// });
/// ```
#[macro_export]
macro_rules! assert_metrics {
    ($found:expr, { $($entries:tt)* } $(,)?) => {{
        let expectations = &mut $crate::testing::Expectations::default();
        $crate::assert_metrics!(@entries expectations $($entries)*);
        expectations.assert(&$found);
    }};

    (@entries $expectations:ident) => {};
    (@entries $expectations:ident _ => 0 $(,)?) => {
        $expectations.nothing_else();
    };
    (@entries $expectations:ident $name:tt { $($labels:tt)* } => $expected:expr $(, $($rest:tt)*)?) => {
        let pattern = $crate::testing::Pattern::new($name);
        let pattern = $crate::assert_metrics!(@labels pattern $($labels)*);
        $expectations.push(pattern, $expected);
        $crate::assert_metrics!(@entries $expectations $($($rest)*)?);
    };
    (@entries $expectations:ident $name:tt => $expected:expr $(, $($rest:tt)*)?) => {
        $crate::assert_metrics!(@entries $expectations $name {..} => $expected $(, $($rest)*)?);
    };

    (@labels $pattern:ident) => { $pattern };
    (@labels $pattern:ident ..) => { $pattern.and_others() };
    (@labels $pattern:ident $label:ident = $value:expr $(, $($rest:tt)*)?) => {{
        let pattern = $pattern.label(stringify!($label), $value);
        $crate::assert_metrics!(@labels pattern $($($rest)*)?)
    }};
}
