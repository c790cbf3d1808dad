//! When a server wants to be asked again (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

use crate::exchange::Head;
use crate::limits::MAX_RETRY_AFTER;

/// What a `Retry-After` asks for, seconds from the answer. A date counts from the server's own
/// (`Date`, section 6.6.1), whose clock it is of, or else from ours, since the Unix epoch; one that
/// has passed is 0. None where there is no legal value.
fn seconds(head: &Head, wall: Option<Duration>) -> Option<u64> {
    let value = head.header("retry-after")?.trim();
    // More than fits is as good as for ever.
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u64::MAX));
    }
    let until = date(value)?;
    let theirs = head.header("date").and_then(|value| date(value.trim()));
    let now = theirs.or(wall)?;
    let left = until.saturating_sub(now);
    Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// What a response that turns a client away asks for (`Retry-After`), seconds, at most
/// [`MAX_RETRY_AFTER`]; `wall` is the time now since the Unix epoch, for dates of a server that does
/// not say what time it thinks it is.
#[must_use]
pub fn retry_after(head: &Head, wall: Option<Duration>) -> Option<u64> {
    seconds(head, wall).map(|seconds| seconds.min(MAX_RETRY_AFTER))
}

/// An HTTP date in any of the three forms of RFC 9110 section 5.6.7, since the Unix epoch.
fn date(text: &str) -> Option<Duration> {
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    /// The example of RFC 9110 section 10.2.3, and its second since the epoch.
    const DATE: &str = "Fri, 31 Dec 1999 23:59:59 GMT";
    const EPOCH: u64 = 946_684_799;

    fn head(headers: &[(&'static str, &str)]) -> Head {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Head {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: all,
        }
    }

    #[test]
    fn seconds_and_dates_are_told_in_seconds() {
        let table = [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("-1", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
            // The three forms of a date (section 5.6.7), 90 s after the server's own.
            (DATE, Some("Fri, 31 Dec 1999 23:58:29 GMT"), Some(90)),
            (
                "Friday, 31-Dec-99 23:59:59 GMT",
                Some("Fri, 31 Dec 1999 23:58:29 GMT"),
                Some(90),
            ),
            (
                "Fri Dec 31 23:59:59 1999",
                Some("Fri, 31 Dec 1999 23:58:29 GMT"),
                Some(90),
            ),
            (DATE, Some("Sat, 01 Jan 2000 00:00:00 GMT"), Some(0)),
            // A date of theirs that is none: ours counts.
            (DATE, Some("yesterday"), Some(30)),
            (DATE, None, Some(30)),
        ];
        let wall = Duration::from_millis((EPOCH - 30) * 1000 + 400);
        for (value, date, expected) in table {
            let mut headers = vec![("retry-after", value)];
            headers.extend(date.map(|date| ("date", date)));
            let got = seconds(&head(&headers), Some(wall));
            assert_eq!(got, expected, "{value} {date:?}");
        }
        assert_eq!(seconds(&head(&[("retry-after", DATE)]), None), None);
        assert_eq!(seconds(&head(&[]), Some(wall)), None);
    }
}
