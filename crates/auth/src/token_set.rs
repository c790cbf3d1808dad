//! The tokens of a user, as a file keeps them.

use std::time::Duration;

use model::report::ClientAuthentication;
use serde_json::{Value, json};
use url::Url;

use crate::authorizer;
use crate::client::{Client, Proof};
use crate::net::Net;
use crate::place;
use crate::secret::Secret;
use crate::token::{Grant, Refusal, Terms, Token};

/// How much earlier than its end an access token is renewed.
const SKEW: Duration = Duration::from_secs(60);

/// The tokens of one user for one MCP server, and what is needed to renew them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// The MCP server, canonical: the tokens go nowhere else.
    pub url: String,
    /// What the tokens are for (`resource`).
    pub resource: String,
    /// Who gave them.
    pub issuer: String,
    /// Where they are renewed.
    pub token_endpoint: Url,
    /// The client that they were given to.
    pub client_id: String,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// How it authenticates.
    pub method: ClientAuthentication,
    /// When that secret ends, if the registration said so: seconds since the Unix epoch.
    pub client_secret_expires_at: Option<i64>,
    /// What they allow.
    pub scope: Option<String>,
    /// The token to send.
    pub access_token: Secret,
    /// The token to renew it with; many servers give a new one each time.
    pub refresh_token: Option<Secret>,
    /// When the access token ends, seconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

/// A text that is no [`TokenSet`]. Nothing of the text is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no {0}; make it with parallax auth login URL --out FILE")]
pub struct BadTokenSet(&'static str);

impl TokenSet {
    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn read(text: &str) -> Result<Self, BadTokenSet> {
        let json: Value = serde_json::from_str(text).map_err(|_| BadTokenSet("JSON"))?;
        let optional = |name: &str| json[name].as_str().map(str::to_owned);
        let field = |name: &'static str| optional(name).ok_or(BadTokenSet(name));
        let is_header =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let access = field("access_token")?;
        let endpoint: Option<Url> = field("token_endpoint")?.parse().ok();
        let endpoint = endpoint.filter(place::is_private);
        Ok(Self {
            url: field("url")?,
            resource: field("resource")?,
            issuer: field("issuer")?,
            token_endpoint: endpoint.ok_or(BadTokenSet("token_endpoint"))?,
            client_id: field("client_id")?,
            client_secret: optional("client_secret").map(Secret::new),
            method: field("token_endpoint_auth_method")?
                .parse()
                .map_err(|_| BadTokenSet("token_endpoint_auth_method"))?,
            client_secret_expires_at: json["client_secret_expires_at"].as_i64(),
            scope: optional("scope"),
            access_token: Some(access)
                .filter(is_header)
                .map(Secret::new)
                .ok_or(BadTokenSet("access_token"))?,
            refresh_token: optional("refresh_token").map(Secret::new),
            expires_at: json["expires_at"].as_i64(),
        })
    }

    /// The text for the file. It has secrets: mode 0600.
    #[must_use]
    pub fn write(&self) -> Secret {
        let shown = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        let json = json!({
            "url": self.url,
            "resource": self.resource,
            "issuer": self.issuer,
            "token_endpoint": self.token_endpoint,
            "client_id": self.client_id,
            "client_secret": shown(&self.client_secret),
            "token_endpoint_auth_method": self.method,
            "client_secret_expires_at": self.client_secret_expires_at,
            "scope": self.scope,
            "access_token": self.access_token.expose(),
            "refresh_token": shown(&self.refresh_token),
            "expires_at": self.expires_at,
        });
        let text = serde_json::to_string_pretty(&json).unwrap_or_default();
        Secret::new(format!("{text}\n"))
    }

    /// Whether the tokens are for this URL.
    #[must_use]
    pub fn is_for(&self, target: &Url) -> bool {
        self.url == place::canonical(target)
    }

    /// Whether the access token has ended, or will within a minute.
    #[must_use]
    pub fn is_stale(&self, now: i64) -> bool {
        let skew = i64::try_from(SKEW.as_secs()).unwrap_or(0);
        self.expires_at
            .is_some_and(|end| end.saturating_sub(skew) <= now)
    }

    /// Takes a new token. The refresh token stays where no new one came (RFC 6749 §6).
    pub fn take(&mut self, token: Token, now: i64) {
        self.access_token = token.access;
        self.expires_at = token.life.map(|life| {
            let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
            now.saturating_add(seconds)
        });
        if token.refresh.is_some() {
            self.refresh_token = token.refresh;
        }
    }

    /// Renews the access token. What comes back must be kept at once: the old refresh token may be
    /// used up.
    ///
    /// # Errors
    /// There is no refresh token, or it is not accepted any more. Where the refusal has another one,
    /// that is to be kept too.
    pub async fn refresh(&mut self, net: &mut Net, now: i64) -> Result<(), Refusal> {
        let Some(refresh) = self.refresh_token.clone() else {
            return Err(Refusal {
                reason: model::Reason::AuthCredentialRefused,
                detail: "the access token has ended, and there is no refresh token".to_owned(),
                is_final: true,
                refresh: None,
            });
        };
        match self.exchange(&refresh, net, now).await {
            Ok(token) => {
                self.take(token, now);
                Ok(())
            }
            Err(refusal) => {
                if refusal.refresh.is_some() {
                    self.refresh_token.clone_from(&refusal.refresh);
                }
                Err(refusal)
            }
        }
    }

    /// Exchanges a refresh token for new tokens. They must be kept at once: the old refresh token may
    /// be used up.
    ///
    /// # Errors
    /// It is not accepted any more, or nobody answers.
    pub async fn exchange(
        &self,
        refresh: &Secret,
        net: &mut Net,
        now: i64,
    ) -> Result<Token, Refusal> {
        let client = Client {
            id: self.client_id.clone(),
            proof: match &self.client_secret {
                Some(secret) => Proof::Secret(secret.clone()),
                None => Proof::Nothing,
            },
        };
        let terms = Terms {
            method: self.method,
            audience: &self.issuer,
            resource: &self.resource,
            scope: None,
            now,
            nonce: authorizer::nonce(),
        };
        let (endpoint, grant) = (&self.token_endpoint, Grant::Refresh(refresh));
        authorizer::request(net, endpoint, &client, &grant, &terms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> TokenSet {
        TokenSet {
            url: "https://mcp.example.com/mcp".to_owned(),
            resource: "https://mcp.example.com".to_owned(),
            issuer: "https://as.example.com".to_owned(),
            token_endpoint: "https://as.example.com/token".parse().unwrap(),
            client_id: "c".to_owned(),
            client_secret: None,
            method: ClientAuthentication::None,
            client_secret_expires_at: Some(2_000),
            scope: Some("a b".to_owned()),
            access_token: Secret::new("hunter2"),
            refresh_token: Some(Secret::new("hunter3")),
            expires_at: Some(1_000),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_never_shown() {
        let text = set().write();
        assert_eq!(TokenSet::read(text.expose()).unwrap(), set());
        assert!(!format!("{:?} {text:?}", set()).contains("hunter"));
        for (spoiled, field) in [
            (text.expose().replace("access_token", "x"), "access_token"),
            (text.expose().replace("hunter2", "a\\nb"), "access_token"),
            (
                text.expose()
                    .replace("https://as.example.com/t", "http://as.example.com/t"),
                "token_endpoint",
            ),
            ("hunter2".to_owned(), "JSON"),
        ] {
            let error = TokenSet::read(&spoiled).unwrap_err();
            assert_eq!(error, BadTokenSet(field));
            assert!(!error.to_string().contains("hunter"));
        }
    }

    #[test]
    fn tokens_go_to_their_own_server_only() {
        for (url, own) in [
            ("https://mcp.example.com/mcp", true),
            ("https://mcp.example.com/mcp?x=y", true),
            ("https://mcp.example.com/other", false),
            ("http://mcp.example.com/mcp", false),
            ("https://evil.example.com/mcp", false),
        ] {
            assert_eq!(set().is_for(&url.parse().unwrap()), own, "{url}");
        }
    }

    #[test]
    fn a_token_is_stale_a_minute_before_its_end_and_a_refresh_token_stays() {
        assert!(!set().is_stale(939) && set().is_stale(940));
        let mut renewed = set();
        let token = |refresh: Option<&str>| Token {
            access: Secret::new("new"),
            life: Some(Duration::from_secs(600)),
            refresh: refresh.map(Secret::new),
            scope: None,
        };
        renewed.take(token(None), 2_000);
        assert_eq!(renewed.refresh_token, Some(Secret::new("hunter3")));
        assert_eq!(renewed.expires_at, Some(2_600));
        renewed.take(token(Some("rotated")), 2_000);
        assert_eq!(renewed.refresh_token, Some(Secret::new("rotated")));
    }
}
