//! Writes numbers as text.

/// A number as layers record it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    /// Nanoseconds. Pages show them in seconds.
    Nanos(u128),
}

// === impl Number ===

impl Number {
    /// Appends the exact number.
    pub(super) fn push(self, out: &mut String) {
        match self {
            Self::Whole(number) => push_integer(out, number),
            Self::Nanos(nanos) => push_seconds(out, nanos),
        }
    }

    /// Returns the number that a reader of the text gets.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Nanos(_) => {
                let mut text = String::new();
                self.push(&mut text);
                text.parse().unwrap_or(f64::NAN)
            }
        }
    }
}

pub(super) fn push_integer(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends whole nanoseconds as decimal seconds, exactly: `0.00025`, `3.0`.
pub(super) fn push_seconds(out: &mut String, nanos: u128) {
    const SECOND: u128 = 1_000_000_000;
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(nanos / SECOND));
    out.push('.');
    let fraction = digits.format((nanos % SECOND) as u32);
    let significant = fraction.trim_end_matches('0');
    if significant.is_empty() {
        out.push('0');
    } else {
        out.push_str(&"000000000"[fraction.len()..]);
        out.push_str(significant);
    }
}

/// Returns a float in its canonical form: the shortest digits that parse to the same float, as Go's
/// `%g` writes them, with `.0` if it would look like an integer. A bucket's bound must always have the
/// same text, or its series would change identity (OpenMetrics 1.0, "Considerations: Canonical
/// Numbers").
pub(super) fn canonical(value: f64) -> String {
    if let Some(name) = not_finite(value) {
        return name.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 6..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

/// Returns the text of a number that is not finite. It is the same in both formats.
pub(super) fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => value.is_nan().then_some("NaN"),
    }
}

/// Converts a timestamp from decimal seconds to whole milliseconds.
pub(super) fn millis(seconds: &str) -> String {
    let millis = seconds.parse::<f64>().unwrap_or_default() * 1e3;
    // The cast saturates.
    (millis.round() as i64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (nanos, expected) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (487_937, "0.000487937"),
            (1_000_000_000, "1.0"),
            (10_500_000_000, "10.5"),
            (u128::from(u64::MAX), "18446744073.709551615"),
        ] {
            let mut text = String::from("x ");
            Number::Nanos(nanos).push(&mut text);
            assert_eq!(text, format!("x {expected}"));
        }
    }

    #[test]
    fn seconds_are_the_same_as_in_text() {
        for (nanos, expected) in [
            (0, 0.0),
            (250_000_000, 0.25),
            (1, 1e-9),
            // 2^53 + 3 nanoseconds, which a division would round twice.
            (9_007_199_254_740_995, 9_007_199.254_740_994),
        ] {
            assert_eq!(Number::Nanos(nanos).to_f64(), expected);
        }
    }

    #[test]
    fn timestamps_are_in_milliseconds() {
        for (seconds, expected) in [
            ("0", "0"),
            ("1.5", "1500"),
            ("-2", "-2000"),
            ("1700000000.123", "1700000000123"),
        ] {
            assert_eq!(millis(seconds), expected);
        }
    }

    /// The examples of OpenMetrics 1.0, and Go's thresholds.
    #[test]
    fn floats_are_canonical() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-10, "1.5e-10"),
            (2.5, "2.5"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e100, "1e+100"),
            (-42.0, "-42.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(canonical(value), expected);
        }
    }
}
