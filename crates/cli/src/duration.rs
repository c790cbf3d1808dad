//! Durations on the command line: `500ms`, `10s`, `2m`, `1h`.

use std::time::Duration;

/// Nothing on the command line takes longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a duration with its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!(
            "`{}` is no duration; write it like 500ms, 10s or 2m",
            model::text::line(text, 32)
        )
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    };
    let duration = duration.filter(|d| !d.is_zero()).ok_or_else(bad)?;
    if duration > LONGEST {
        return Err("more than 24h".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_required_and_known() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "0s",
            "10 s",
            "-1s",
            "99999999999999999999s",
            "1d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("25h").unwrap_err(), "more than 24h");
        assert_eq!(parse("24h"), Ok(LONGEST));
        assert_eq!(
            parse("10").unwrap_err(),
            "`10` is no duration; write it like 500ms, 10s or 2m"
        );
    }
}
