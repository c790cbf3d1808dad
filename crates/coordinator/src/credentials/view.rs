//! How a credential stands, as the API says it.

use auth::renewal::{Ms, Record, Trouble};
use model::credential::{CredentialState, ExpiryWarning};
use model::monitor::Grant;
use model::{MonitorSpec, Reason};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Time;
use crate::axis::shown;

/// How the renewer sees a credential.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) grant: Grant,
    /// What cannot be used, and since when.
    pub(super) unfit: Option<(String, Ms)>,
    pub(super) record: Record,
    pub(super) trouble: Option<Trouble>,
    /// When the secret of a registered client ends, seconds since the Unix epoch.
    pub(super) secret_ends_at: Option<i64>,
}

/// Whose end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndOf {
    /// What the operator declared.
    Declared,
    /// A bearer token in the headers, which is a JWT.
    Bearer,
    /// The secret of the client, as its registration said.
    ClientSecret,
    /// A user's access token that cannot be renewed.
    AccessToken,
}

/// When a credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Seconds since the Unix epoch.
    pub(crate) at: i64,
    pub(crate) of: EndOf,
}

/// How a monitor's credential stands. It says nothing of the target.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "CredentialStatus")]
pub(crate) struct CredentialView {
    /// How tokens are got; null where the credential is a header.
    grant: Option<Grant>,
    pub(crate) state: CredentialState,
    /// Why it is refused, or why its token cannot be renewed at the moment.
    reason: Option<Reason>,
    /// Untrusted, escaped.
    detail: Option<String>,
    /// Since when that is so.
    #[schemars(with = "Option<Time>")]
    since: Option<String>,
    /// When the token that agents have was got.
    #[schemars(with = "Option<Time>")]
    renewed_at: Option<String>,
    /// When it ends; it is renewed before.
    #[schemars(with = "Option<Time>")]
    token_expires_at: Option<String>,
    /// When the credential itself ends, as far as is known.
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    /// How that is known.
    expires_by: Option<EndOf>,
    /// 14 days (`note`) and 72 hours (`degrade`) ahead of it.
    warning: Option<ExpiryWarning>,
}

/// The ends that a spec tells.
pub(super) fn ends(spec: &MonitorSpec) -> Vec<End> {
    let declared = spec.declared_end().map(|at| End {
        at,
        of: EndOf::Declared,
    });
    let bearers = spec.headers.iter().filter_map(|(name, value)| {
        if !name.eq_ignore_ascii_case("authorization") {
            return None;
        }
        let (scheme, token) = value.expose().split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        let end = auth::expiry(token.trim()).filter(|_| is_bearer)?;
        Some(End {
            at: end.expires_at,
            of: EndOf::Bearer,
        })
    });
    declared.into_iter().chain(bearers).collect()
}

/// The first end of a credential.
pub(super) fn end(seen: Option<&Seen>, ends: &[End]) -> Option<End> {
    let mut all = ends.to_vec();
    if let Some(seen) = seen {
        all.extend(seen.secret_ends_at.map(|at| End {
            at,
            of: EndOf::ClientSecret,
        }));
        let record = &seen.record;
        let is_renewed = seen.grant == Grant::ClientCredentials || record.refresh.is_some();
        let token = record.access.as_ref().filter(|_| !is_renewed);
        let token = token.and_then(|access| access.ends_at);
        all.extend(token.map(|at| End {
            at: i64::try_from(at / 1000).unwrap_or(i64::MAX),
            of: EndOf::AccessToken,
        }));
    }
    all.into_iter().min_by_key(|end| end.at)
}

/// How a credential stands; nothing where there is nothing to say.
pub(super) fn of(
    seen: Option<&Seen>,
    ends: &[End],
    now: jiff::Timestamp,
) -> Option<CredentialView> {
    let end = end(seen, ends);
    if seen.is_none() && end.is_none() {
        return None;
    }
    let now_ms = crate::keeper::millis(now);
    let warning = end.and_then(|end| ExpiryWarning::about(end.at, now.as_second()));
    let mut state = match seen {
        None => CredentialState::Ok,
        Some(seen) if seen.unfit.is_some() => CredentialState::Refused,
        Some(seen) => seen.record.state(seen.trouble.is_some(), now_ms),
    };
    let is_over = end.is_some_and(|end| end.at <= now.as_second());
    match state {
        CredentialState::Ok | CredentialState::Expiring if is_over => {
            state = CredentialState::Expired;
        }
        CredentialState::Ok if warning.is_some() => state = CredentialState::Expiring,
        CredentialState::Ok
        | CredentialState::Expiring
        | CredentialState::Expired
        | CredentialState::Refused
        | CredentialState::NotYet => {}
    }
    let why = seen.and_then(why);
    let (reason, detail, since) = match why {
        Some((reason, detail, since)) => (Some(reason), Some(detail), Some(shown(since))),
        None => (None, None, None),
    };
    let access = seen.and_then(|seen| seen.record.access.as_ref());
    Some(CredentialView {
        grant: seen.map(|seen| seen.grant),
        state,
        reason,
        detail,
        since,
        renewed_at: access.map(|access| shown(access.got_at)),
        token_expires_at: access.and_then(|access| access.ends_at).map(shown),
        expires_at: end.and_then(|end| {
            let at = jiff::Timestamp::from_second(end.at).ok()?;
            Some(at.to_string())
        }),
        expires_by: end.map(|end| end.of),
        warning,
    })
}

fn why(seen: &Seen) -> Option<(Reason, String, Ms)> {
    if let Some((problem, since)) = &seen.unfit {
        return Some((Reason::AuthMalformed, problem.clone(), *since));
    }
    if let Some(refused) = &seen.record.refused {
        return Some((refused.reason, refused.detail.clone(), refused.since));
    }
    let trouble = seen.trouble.as_ref()?;
    Some((trouble.reason, trouble.detail.clone(), trouble.since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth::Secret;
    use auth::renewal::{Access, Refused};
    use serde_json::json;

    const DAY: i64 = 24 * 3600;

    fn at(seconds: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(seconds).unwrap()
    }

    fn declared(at: i64) -> Vec<End> {
        vec![End {
            at,
            of: EndOf::Declared,
        }]
    }

    fn seen(refresh: bool, ends_at: Option<Ms>) -> Seen {
        Seen {
            grant: Grant::TokenSet,
            unfit: None,
            record: Record {
                refresh: refresh.then(|| Secret::new("hunter2")),
                access: Some(Access {
                    token: Secret::new("hunter3"),
                    got_at: 1,
                    ends_at,
                }),
                refused: None,
            },
            trouble: None,
            secret_ends_at: None,
        }
    }

    #[test]
    fn the_end_of_a_credential_is_told_ahead() {
        let now = at(100 * DAY);
        for (left, state, warning) in [
            (20 * DAY, CredentialState::Ok, None),
            (
                10 * DAY,
                CredentialState::Expiring,
                Some(ExpiryWarning::Note),
            ),
            (
                2 * DAY,
                CredentialState::Expiring,
                Some(ExpiryWarning::Degrade),
            ),
            (0, CredentialState::Expired, Some(ExpiryWarning::Degrade)),
        ] {
            let ends = declared(100 * DAY + left);
            for seen in [None, Some(&seen(true, None))] {
                let view = of(seen, &ends, now).unwrap();
                assert_eq!((view.state, view.warning), (state, warning), "{left}");
                assert_eq!(view.expires_by, Some(EndOf::Declared));
            }
        }
        assert!(of(None, &[], now).is_none());
    }

    #[test]
    fn the_first_end_counts_and_a_token_that_is_renewed_is_none() {
        let mut one = seen(true, Some(5_000));
        assert_eq!(end(Some(&one), &[]), None);
        one.secret_ends_at = Some(50);
        assert_eq!(
            end(Some(&one), &declared(60)).unwrap().of,
            EndOf::ClientSecret
        );
        assert_eq!(end(Some(&one), &declared(40)).unwrap().of, EndOf::Declared);
        let unrenewed = seen(false, Some(5_000));
        let found = end(Some(&unrenewed), &[]).unwrap();
        assert_eq!((found.at, found.of), (5, EndOf::AccessToken));
    }

    #[test]
    fn a_refusal_and_what_cannot_be_used_are_told_with_their_reason() {
        let now = at(10);
        let mut one = seen(true, Some(20_000));
        one.record.refused = Some(Refused {
            reason: Reason::AuthCredentialRefused,
            detail: "refused with invalid_grant (400)".to_owned(),
            since: 7_000,
            is_final: true,
        });
        let view = of(Some(&one), &[], now).unwrap();
        assert_eq!(view.state, CredentialState::Refused);
        assert_eq!(view.since.as_deref(), Some("1970-01-01T00:00:07Z"));
        one.unfit = Some(("it has no JSON".to_owned(), 8_000));
        let view = of(Some(&one), &[], now).unwrap();
        assert_eq!(view.reason, Some(Reason::AuthMalformed));
        let shown = format!("{view:?}{}", serde_json::to_string(&view).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_bearer_token_tells_its_end() {
        // {"alg":"none"}.{"exp":4102444800}. (RFC 7519 §6: unsecured)
        let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.x";
        let spec = json!({ "url": "https://x/", "headers": { "Authorization": format!("Bearer {token}") } });
        let spec: MonitorSpec = serde_json::from_value(spec).unwrap();
        let expected = End {
            at: 4_102_444_800,
            of: EndOf::Bearer,
        };
        assert_eq!(ends(&spec), [expected]);
    }
}
