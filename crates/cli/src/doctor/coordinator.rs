//! What only the coordinator can tell: the time, its version, what a key may do.

use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Line, What};
use crate::api::{Error, Options};

/// The most that this host's clock may differ from the coordinator's: beyond it, times that are
/// shown mislead, and something is wrong with the host's time keeping. The `Date` header counts
/// whole seconds.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// What a coordinator said of itself.
pub(super) struct Health {
    version: String,
    revision: Option<String>,
    /// How far this host's clock is ahead of the coordinator's.
    ahead: Option<SignedDuration>,
}

/// Asks `/health`; nothing where no API was named.
pub(super) async fn health(api: Option<&Options>) -> Option<Result<Health, Error>> {
    let api = api?;
    let before = telemetry::clock::wall();
    let answer = api.answer(Method::GET, "/health", None).await;
    let after = telemetry::clock::wall();
    Some(answer.and_then(|answer| {
        let version = answer.json["version"]
            .as_str()
            .ok_or(Error::Answer("version"))?;
        let date = answer.headers.get(header::DATE);
        let date = date.and_then(|date| date.to_str().ok());
        Ok(Health {
            version: model::text::line(version, 40),
            revision: answer.json["revision"]
                .as_str()
                .map(|revision| model::text::line(revision, 40)),
            ahead: date.and_then(|date| ahead(date, before, after)),
        })
    }))
}

/// How far the clock that said `before` and `after` is ahead of the one that said `date` between.
/// The header was cut to the second: half of one is the best guess of the rest.
fn ahead(date: &str, before: Timestamp, after: Timestamp) -> Option<SignedDuration> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()?;
    let middle = before.checked_add(before.duration_until(after) / 2).ok()?;
    let ahead = date.duration_until(middle);
    Some(ahead - SignedDuration::from_millis(500))
}

const NO_API: &str = "no coordinator was named";
const NAME_API: &str = "give --api URL";

pub(super) fn clock(health: &Option<Result<Health, Error>>) -> Line {
    let what = What::Clock;
    let ahead = match health {
        None => return Line::skipped(what, NO_API, NAME_API),
        Some(Err(_)) => return Line::skipped(what, "the coordinator gave no time", "see `api`"),
        Some(Ok(health)) => health.ahead,
    };
    let Some(ahead) = ahead else {
        let cure = "something between here and the coordinator removes the Date header";
        return Line::skipped(what, "the coordinator gave no time", cure);
    };
    let word = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let seconds = ahead.abs().as_secs_f64();
    let detail = format!("{seconds:.1} s {word} the coordinator's");
    if ahead.abs() > MAX_SKEW {
        let cure = "let NTP set the clock: timedatectl set-ntp true (chrony or systemd-timesyncd)";
        return Line::fail(what, detail, cure);
    }
    Line::pass(what, detail)
}

pub(super) fn api(health: &Option<Result<Health, Error>>) -> Line {
    match health {
        None => Line::skipped(What::Api, NO_API, NAME_API),
        Some(Ok(health)) => {
            let revision = health
                .revision
                .as_deref()
                .map_or_else(String::new, |r| format!(" ({r})"));
            Line::pass(
                What::Api,
                format!("coordinator {}{revision}", health.version),
            )
        }
        Some(Err(error)) => Line::fail(
            What::Api,
            error.to_string(),
            "check --api, the firewall, and with a private authority --api-ca-file",
        ),
    }
}

pub(super) fn version(health: &Option<Result<Health, Error>>) -> Line {
    let what = What::Version;
    let ours = env!("CARGO_PKG_VERSION");
    match health {
        None => Line::skipped(what, format!("{ours}; {NO_API}"), NAME_API),
        Some(Err(_)) => Line::skipped(
            what,
            format!("{ours}; the coordinator gave none"),
            "see `api`",
        ),
        Some(Ok(health)) => skew(ours, &health.version),
    }
}

/// Versions go together within `major.minor`.
fn skew(ours: &str, theirs: &str) -> Line {
    let detail = format!("this is {ours}, the coordinator {theirs}");
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    };
    match (minor(ours), minor(theirs)) {
        (Some(ours), Some(theirs)) if ours == theirs => Line::pass(What::Version, detail),
        (Some(ours), Some(theirs)) => {
            let cure = if ours < theirs {
                "update this host"
            } else {
                "update the coordinator"
            };
            Line::fail(What::Version, detail, cure)
        }
        _ => Line::fail(What::Version, detail, "is --api a coordinator of Parallax?"),
    }
}

/// Asks for the list of keys, which any key may read, and looks for its own.
pub(super) async fn key(api: Option<&Options>) -> Line {
    let what = What::ApiKey;
    let Some(api) = api else {
        return Line::skipped(
            what,
            "no key was named",
            "give --api URL and --api-key-file FILE",
        );
    };
    let key = match api.key() {
        Ok(key) => key.unwrap_or_default(),
        Err(error) => return Line::fail(what, error.to_string(), "name a file with a key"),
    };
    match api.call(Method::GET, "/api/v1/keys", None).await {
        Ok(list) => Line::pass(what, scope(&key, &list)),
        Err(Error::Refused { status, detail, .. }) if status == StatusCode::UNAUTHORIZED => {
            Line::fail(
                what,
                detail,
                "make another with an admin key: parallax key create --name NAME",
            )
        }
        Err(error) => Line::fail(what, error.to_string(), "see `api`"),
    }
}

/// What a key may do, by the list of all. A key is `plxk_ID_SECRET`; only its id is shown.
fn scope(key: &str, list: &Value) -> String {
    let id = key
        .strip_prefix("plxk_")
        .and_then(|rest| rest.split_once('_'));
    let known = list["keys"].as_array().into_iter().flatten();
    let own = id.and_then(|(id, _)| known.into_iter().find(|known| known["id"] == id));
    match own.and_then(|own| own["scope"].as_str()) {
        Some("read") => "the key may read, and change nothing".to_owned(),
        Some("admin") => "the key may read and change everything".to_owned(),
        Some(_) | None => "the key may read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict;
    use super::*;

    /// The example of RFC 9110 §5.6.7.
    #[test]
    fn skew_is_counted_from_the_middle_of_the_request() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (before, after) = (at("1994-11-06T08:49:40Z"), at("1994-11-06T08:49:42Z"));
        let ahead = ahead("Sun, 06 Nov 1994 08:49:37 GMT", before, after);
        assert_eq!(ahead, Some(SignedDuration::from_millis(3500)));
    }

    #[test]
    fn a_clock_may_differ_by_seconds() {
        let of = |millis| {
            let ahead = Some(SignedDuration::from_millis(millis));
            let (version, revision) = ("0.1.0".to_owned(), None);
            clock(&Some(Ok(Health {
                version,
                revision,
                ahead,
            })))
        };
        assert_eq!(of(-400).result, Verdict::Pass);
        let late = of(-61_000);
        assert_eq!(late.result, Verdict::Fail);
        assert_eq!(late.detail, "61.0 s behind the coordinator's");
        assert!(late.cure.contains("NTP"));
    }

    #[test]
    fn versions_go_together_within_a_minor() {
        for (ours, theirs, result, cure) in [
            ("0.2.0", "0.2.9", Verdict::Pass, ""),
            ("0.2.0", "0.3.0", Verdict::Fail, "update this host"),
            ("1.0.0", "0.3.0", Verdict::Fail, "update the coordinator"),
            (
                "0.2.0",
                "nginx",
                Verdict::Fail,
                "is --api a coordinator of Parallax?",
            ),
        ] {
            let line = skew(ours, theirs);
            assert_eq!(
                (line.result, line.cure.as_str()),
                (result, cure),
                "{theirs}"
            );
        }
    }

    #[test]
    fn a_key_is_found_by_its_id() {
        let list = json!({ "keys": [
            { "id": "a1", "scope": "admin" },
            { "id": "b2", "scope": "read" },
        ] });
        assert!(scope("plxk_b2_secret", &list).contains("change nothing"));
        assert!(scope("plxk_a1_secret", &list).contains("everything"));
        assert!(!scope("plxk_zz_secret", &list).contains("secret"));
    }
}
