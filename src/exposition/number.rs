//! Writes numbers as text.

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

pub(super) fn push_integer(out: &mut String, value: u64) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Returns a float in its canonical form: the shortest digits that parse to the same float, as Go's
/// `%g` writes them, with `.0` if it would look like an integer. A bucket's bound must always have the
/// same text, or its series would change identity (OpenMetrics 1.0, "Considerations: Canonical
/// Numbers").
pub(super) fn canonical(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 6..)) if !(exponent == 0 || value == 0.0) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

/// Converts a timestamp from decimal seconds to whole milliseconds.
pub(super) fn millis(seconds: &str) -> String {
    // The cast saturates.
    format!(
        "{}",
        (seconds.parse::<f64>().unwrap_or_default() * 1e3).round() as i64
    )
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
            push_seconds(&mut text, nanos);
            assert_eq!(text, format!("x {expected}"));
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
