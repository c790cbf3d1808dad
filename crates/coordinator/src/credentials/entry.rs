//! A credential as it is kept, and as it is given in place of a spec's.

use auth::Secret;
use auth::renewal::{Access, Record, Refused};
use aws_lc_rs::digest::{SHA256, digest};
use model::monitor::{Authorization, Secret as Shown};
use model::{MonitorSpec, Reason};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::secret::hex;

/// A credential that is given in place of the one that the spec has; one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Credential")]
pub(crate) struct Given {
    /// The client's secret, for the grant `client_credentials`.
    #[serde(default)]
    pub(crate) client_secret: Option<Shown>,
    /// The client's private key, PEM, in place of a secret.
    #[serde(default)]
    pub(crate) private_key: Option<Shown>,
    /// The text that `parallax auth login` wrote, for the grant `token_set`.
    #[serde(default)]
    pub(crate) tokens: Option<Shown>,
}

impl Given {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let each = [&self.client_secret, &self.private_key, &self.tokens];
        each.iter().filter(|one| one.is_some()).count()
    }

    /// The spec's authorization with what was given in place of its own.
    pub(crate) fn over(&self, authorization: &Authorization) -> Authorization {
        let mut whole = authorization.clone();
        if self.client_secret.is_some() || self.private_key.is_some() {
            whole.client_secret.clone_from(&self.client_secret);
            whole.private_key.clone_from(&self.private_key);
        }
        if self.tokens.is_some() {
            whole.tokens.clone_from(&self.tokens);
        }
        whole
    }
}

/// A credential as it is kept. The store seals it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// What the spec said when it was made: another spec's tokens are none.
    pub(super) basis: String,
    pub(super) given: Given,
    /// The tokens, once there are any.
    pub(super) record: Option<Record>,
}

impl Entry {
    /// Nothing yet, for a spec.
    pub(super) fn of(spec: &MonitorSpec) -> Self {
        let authorization = spec.authorization.as_ref().map(Authorization::written);
        let said = json!([spec.url.to_string(), authorization]).to_string();
        Self {
            basis: hex(digest(&SHA256, said.as_bytes()).as_ref()),
            ..Self::default()
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let shown = |secret: &Option<Shown>| secret.as_ref().map(|s| s.expose().to_owned());
        let record = self.record.as_ref();
        let access = record.and_then(|record| record.access.as_ref());
        let refused = record.and_then(|record| record.refused.as_ref());
        let json = json!({
            "basis": self.basis,
            "client_secret": shown(&self.given.client_secret),
            "private_key": shown(&self.given.private_key),
            "tokens": shown(&self.given.tokens),
            "has_record": record.is_some(),
            "refresh": record.and_then(|r| r.refresh.as_ref()).map(Secret::expose),
            "access": access.map(|access| json!({
                "token": access.token.expose(),
                "got_at": access.got_at,
                "ends_at": access.ends_at,
            })),
            "refused": refused.map(|refused| json!({
                "reason": refused.reason,
                "detail": refused.detail,
                "since": refused.since,
                "is_final": refused.is_final,
            })),
        });
        json.to_string().into_bytes()
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(bytes).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let given = |name: &str| text(&json[name]).map(Shown::new);
        let access = &json["access"];
        let refused = &json["refused"];
        let record = Record {
            refresh: text(&json["refresh"]).map(Secret::new),
            access: match access {
                Value::Object(_) => Some(Access {
                    token: Secret::new(text(&access["token"])?),
                    got_at: access["got_at"].as_u64()?,
                    ends_at: access["ends_at"].as_u64(),
                }),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => None,
            },
            refused: match refused {
                Value::Object(_) => Some(Refused {
                    reason: refused["reason"].as_str()?.parse::<Reason>().ok()?,
                    detail: text(&refused["detail"])?,
                    since: refused["since"].as_u64()?,
                    is_final: refused["is_final"].as_bool()?,
                }),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => None,
            },
        };
        Some(Self {
            basis: text(&json["basis"])?,
            given: Given {
                client_secret: given("client_secret"),
                private_key: given("private_key"),
                tokens: given("tokens"),
            },
            record: json["has_record"].as_bool()?.then_some(record),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(url: &str, secret: &str) -> MonitorSpec {
        let spec = json!({ "url": url, "authorization": { "grant": "client_credentials",
            "client_id": "c", "client_secret": secret } });
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bare = Entry::of(&spec("https://a/mcp", "s"));
        assert_eq!(Entry::read(&bare.write()).as_ref(), Some(&bare));
        let full = Entry {
            given: Given {
                tokens: Some(Shown::new("hunter2")),
                ..Given::default()
            },
            record: Some(Record {
                refresh: Some(Secret::new("hunter3")),
                access: Some(Access {
                    token: Secret::new("hunter4"),
                    got_at: 1,
                    ends_at: Some(2),
                }),
                refused: Some(Refused {
                    reason: Reason::AuthCredentialRefused,
                    detail: "no".to_owned(),
                    since: 3,
                    is_final: true,
                }),
            }),
            ..bare
        };
        assert_eq!(Entry::read(&full.write()).as_ref(), Some(&full));
        assert!(!format!("{full:?}").contains("hunter"));
        for bytes in [&b""[..], b"{}", b"[]", b"{\"basis\":1}"] {
            assert_eq!(Entry::read(bytes), None);
        }
    }

    #[test]
    fn tokens_belong_to_what_the_spec_said() {
        let basis = |url, secret| Entry::of(&spec(url, secret)).basis;
        let one = basis("https://a/mcp", "s");
        assert_eq!(one, basis("https://a/mcp", "s"));
        assert_ne!(one, basis("https://b/mcp", "s"), "another target");
        assert_ne!(one, basis("https://a/mcp", "t"), "another secret");
        let mut slower = spec("https://a/mcp", "s");
        slower.interval = model::Period::seconds(300);
        assert_eq!(one, Entry::of(&slower).basis, "whatever else changes");
    }

    #[test]
    fn what_is_given_takes_the_place_of_the_proof() {
        let spec = spec("https://a/mcp", "s");
        let given = Given {
            private_key: Some(Shown::new("pem")),
            ..Given::default()
        };
        let whole = given.over(spec.authorization.as_ref().unwrap());
        assert_eq!(whole.client_secret, None);
        assert_eq!(whole.private_key.unwrap().expose(), "pem");
        assert_eq!(whole.client_id.as_deref(), Some("c"));
    }
}
