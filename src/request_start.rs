//! When a front proxy has taken a request.

use http::{HeaderMap, HeaderName};
use std::iter;
use std::time::{Duration, SystemTime};

static X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Older times are nonsense, or those of a clock that is wrong.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// Returns the time since the proxy has taken the request. `None` if the header has no time, or none that can be true.
pub(crate) fn since_request_start(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&X_REQUEST_START)?.to_str().ok()?;
    let waited = (SystemTime::UNIX_EPOCH + since_1970(value)?)
        .elapsed()
        .ok()?;
    (waited <= MAX_WAIT).then_some(waited)
}

/// Reads seconds with a fraction (nginx), milliseconds (Heroku) or microseconds (Apache). Units of today differ by their
/// number of digits.
fn since_1970(value: &str) -> Option<Duration> {
    let value = value.trim();
    let value = value.strip_prefix("t=").unwrap_or(value);
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 16 || fraction.len() > 9 {
        return None;
    }
    let number: u64 = whole.parse().ok()?;
    match (whole.len(), fraction.is_empty()) {
        (10, _) => Some(Duration::new(number, nanos(fraction))),
        (13, _) => Some(Duration::from_millis(number)),
        (16, true) => Some(Duration::from_micros(number)),
        _ => None,
    }
}

/// Returns the nanoseconds of up to nine decimal digits after the point.
fn nanos(fraction: &str) -> u32 {
    let digits = fraction.bytes().chain(iter::repeat(b'0')).take(9);
    digits.fold(0, |nanos, digit| 10 * nanos + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_name_the_same_time() {
        let millis = |value| since_1970(value).map(|time| time.as_millis());
        for value in [
            "1512379167.574",
            "t=1512379167.574",
            "1512379167574",
            "t=1512379167574",
            "1512379167574.0",
            "t=1512379167574000",
            " t=1512379167.574 ",
        ] {
            assert_eq!(millis(value), Some(1_512_379_167_574), "{value}");
        }
        assert_eq!(millis("1512379167"), Some(1_512_379_167_000));
    }

    #[test]
    fn nonsense_is_no_time() {
        for value in [
            "",
            "t=",
            "now",
            "-1512379167.574",
            "+1512379167",
            "1512379167.57.4",
            "t=t=1512379167",
            "1e9",
            "151237916757",
            "99999999999999999999",
            "1512379167.5740000001",
        ] {
            assert_eq!(since_1970(value), None, "{value}");
        }
    }

    #[test]
    fn times_in_the_future_and_long_ago_have_no_wait() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap().as_secs();
        let wait_since = |seconds: u64| {
            let value = seconds.to_string().parse().unwrap();
            let headers = HeaderMap::from_iter([(X_REQUEST_START.clone(), value)]);
            since_request_start(&headers)
        };
        assert_eq!(wait_since(now + 100), None);
        assert_eq!(wait_since(now - 4_000), None);
        let waited = wait_since(now - 3_000).unwrap();
        assert!((3_000..3_100).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(since_request_start(&HeaderMap::new()), None);
    }
}
