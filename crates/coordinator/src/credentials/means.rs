//! What a token is asked for with, and the asking.

use auth::renewal::{Access, Ms, Record};
use auth::{
    Authorizer, Challenge, Client, Credential, Home, Net, Proof, Refusal, Secret, SigningKey,
    Token, TokenSet, Way,
};
use dial::{Dialer, Origin};
use http::HeaderValue;
use model::monitor::{Authorization, FieldError, Grant};
use model::{MonitorSpec, Reason, TargetUrl};

/// What is asked with.
#[derive(Debug, Clone)]
pub(super) enum Means {
    /// A client of its own.
    Client(Box<Credential>),
    /// A user's tokens; the refresh token that counts is kept elsewhere.
    User(Box<TokenSet>),
}

/// Why nothing can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lacking {
    /// It is to be given yet.
    NotGiven,
    /// A field cannot be used: which, and why.
    Unfit(&'static str, String),
}

/// Reads an authorization.
pub(super) fn read(from: &Authorization, url: &TargetUrl) -> Result<Means, Lacking> {
    match from.grant {
        Grant::ClientCredentials => client(from).map(|client| Means::Client(Box::new(client))),
        Grant::TokenSet => {
            let text = from.tokens.as_ref().ok_or(Lacking::NotGiven)?;
            let unfit = |problem: String| Lacking::Unfit("tokens", problem);
            let set = TokenSet::read(text.expose()).map_err(|error| unfit(error.to_string()))?;
            if !set.is_for(url.as_url()) {
                let own = model::text::line(&set.url, 120);
                return Err(unfit(format!("are for {own}, and go nowhere else")));
            }
            Ok(Means::User(Box::new(set)))
        }
    }
}

fn client(from: &Authorization) -> Result<Credential, Lacking> {
    let proof = match (&from.client_secret, &from.private_key) {
        (Some(secret), _) => Proof::Secret(Secret::new(secret.expose())),
        (None, Some(pem)) => {
            let key = SigningKey::from_pem(pem.expose());
            let unfit = |problem: String| Lacking::Unfit("private_key", problem);
            Proof::Key(key.map_err(|error| unfit(error.to_string()))?)
        }
        (None, None) => return Err(Lacking::NotGiven),
    };
    let url = |name: &'static str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(url) => Ok(Some(url)),
            Err(_) => Err(Lacking::Unfit(name, "is no URL".to_owned())),
        },
    };
    Ok(Credential {
        client: Client {
            id: from.client_id.clone().unwrap_or_default(),
            proof,
        },
        issuer: url("issuer", &from.issuer)?,
        token_url: url("token_url", &from.token_url)?,
        scope: from.scope.clone(),
        resource: from.resource.clone(),
        method: from.method,
    })
}

/// What cannot be used of an authorization, below a JSON Pointer.
pub(super) fn problems(from: &Authorization, url: &TargetUrl, at: &str) -> Vec<FieldError> {
    match read(from, url) {
        Ok(_) | Err(Lacking::NotGiven) => Vec::new(),
        Err(Lacking::Unfit(field, problem)) => {
            vec![FieldError::new(format!("{at}{field}"), problem)]
        }
    }
}

impl Means {
    /// What is known before anything was asked.
    pub(super) fn record(&self, now: Ms) -> Record {
        match self {
            Self::Client(_) => Record::default(),
            Self::User(set) => {
                let end = set.expires_at.and_then(|end| u64::try_from(end).ok());
                Record {
                    refresh: set.refresh_token.clone(),
                    access: Some(Access {
                        token: set.access_token.clone(),
                        got_at: now,
                        ends_at: end.map(|end| end.saturating_mul(1000)),
                    }),
                    refused: None,
                }
            }
        }
    }

    pub(super) const fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }

    /// When the client's secret ends, if its registration said so, seconds since the Unix epoch.
    pub(super) fn secret_ends_at(&self) -> Option<i64> {
        match self {
            Self::Client(_) => None,
            Self::User(set) => set.client_secret_expires_at,
        }
    }

    /// The URLs that the operator named beside the target.
    fn named(&self) -> Vec<url::Url> {
        match self {
            Self::Client(credential) => {
                let named = [&credential.issuer, &credential.token_url];
                named.into_iter().flatten().cloned().collect()
            }
            Self::User(set) => vec![set.token_endpoint.clone()],
        }
    }
}

/// Asks for a token, once. All of it is of remote origin: the address policy of the coordinator
/// holds for target and authorization server.
pub(super) async fn ask(
    dialer: Dialer,
    spec: &MonitorSpec,
    means: Means,
    refresh: Option<Secret>,
    now: i64,
) -> Result<Token, Refusal> {
    let roots = spec.ca.as_ref().and_then(|pem| pem.parse().ok());
    let dialer = match roots {
        Some(roots) => dialer.clone().trusting(&roots).unwrap_or(dialer),
        None => dialer,
    };
    let host = spec.host_header.as_ref();
    let home = Home {
        target: spec.url.clone(),
        origin: Origin::Remote,
        proxy: None,
        address: None,
        typed: means.named(),
        way: Way {
            connect_to: spec.connect_to.clone(),
            sni: spec.sni.as_ref().and_then(|name| name.parse().ok()),
            host: host.and_then(|host| HeaderValue::from_str(host).ok()),
        },
        user_agent: HeaderValue::from_static(concat!("parallax/", env!("CARGO_PKG_VERSION"))),
    };
    let mut net = Net::new(&dialer, home);
    match (means, refresh) {
        (Means::Client(credential), _) => {
            let authorizer = Authorizer::new(*credential);
            // Without a challenge the metadata is looked for at its well-known places.
            let challenge = Challenge::default();
            let obtained = authorizer.obtain(&mut net, &challenge, now).await;
            obtained.token
        }
        (Means::User(set), Some(refresh)) => set.exchange(&refresh, &mut net, now).await,
        // Who has no refresh token does not ask.
        (Means::User(_), None) => Err(Refusal {
            reason: Reason::AuthCredentialRefused,
            detail: "there is no refresh token".to_owned(),
            is_final: true,
            refresh: None,
        }),
    }
}
