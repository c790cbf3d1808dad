//! The whole way: from a challenge to a token, and what to report of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use model::Reason;
use model::report::{Auth, AuthState, AuthStep, ClientAuthentication};
use tokio::time::Instant;
use url::Url;

use crate::cache::Cache;
use crate::client::{Client, Proof, choose};
use crate::discovery::{Challenge, Discovered, Discovery};
use crate::metadata::ServerMetadata;
use crate::net::{Net, Outgoing};
use crate::place;
use crate::token::{self, Grant, Refusal, Terms, Token};

/// Scopes that a report lists, and characters of each text in it.
const MAX_SCOPES: usize = 32;
const MAX_SERVERS: usize = 8;
const MAX_TEXT: usize = 160;

/// A machine's credential: a client of its own, and where it is good.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The client.
    pub client: Client,
    /// The issuer that the credential is for. Where the operator names it, nobody else is asked;
    /// else the target names it.
    pub issuer: Option<Url>,
    /// The token endpoint, without any discovery.
    pub token_url: Option<Url>,
    /// The scope to ask for, in place of what the target says.
    pub scope: Option<String>,
    /// `resource`, in place of what the metadata calls the target.
    pub resource: Option<String>,
    /// How the client proves itself, in place of what the metadata and the proof say.
    pub method: Option<ClientAuthentication>,
}

/// Gets tokens for a credential, and keeps the last one while it is good.
#[derive(Debug)]
pub struct Authorizer {
    credential: Credential,
    cache: Mutex<Cache>,
}

/// What came of asking for a token.
#[derive(Debug)]
pub struct Obtained {
    /// The token, or why there is none.
    pub token: Result<Token, Refusal>,
    /// What was discovered on the way; nothing where the token endpoint was given.
    pub discovered: Option<Discovered>,
    /// What to report.
    pub auth: Auth,
}

/// What a wall looks like from outside.
#[derive(Debug)]
pub struct Examined {
    /// What was discovered.
    pub discovered: Discovered,
    /// What to report.
    pub auth: Auth,
}

/// Looks at what a client would need to get past a wall, without a credential.
pub async fn examine(net: &mut Net, challenge: &Challenge) -> Examined {
    let began = Instant::now();
    let target = net.home().target.as_url().clone();
    let discovered = discover(net, Discovery::new(&target, challenge)).await;
    let state = if discovered.is_healthy() {
        AuthState::WalledHealthy
    } else {
        AuthState::WalledMalformed
    };
    let problems = [&discovered.resource_problem, &discovered.server_problem];
    let problems: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
    let mut auth = describe(&discovered, challenge, net, state);
    auth.detail = (!problems.is_empty()).then(|| problems.join("; "));
    auth.total_us = micros(began.elapsed());
    Examined { discovered, auth }
}

pub(crate) async fn discover(net: &mut Net, mut discovery: Discovery) -> Discovered {
    while let Some(ask) = discovery.poll_ask() {
        let answer = net.send(ask.step, Outgoing::get(&ask.url)).await;
        let problem = discovery.handle_answer(&answer);
        net.remark(problem);
    }
    discovery.finish()
}

impl Authorizer {
    /// For a credential.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            cache: Mutex::default(),
        }
    }

    /// The credential.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The URLs that the operator typed: what lies there is asked without the suspicion that a
    /// stranger's URL deserves.
    #[must_use]
    pub fn typed(&self) -> Vec<Url> {
        let credential = &self.credential;
        let typed = [&credential.issuer, &credential.token_url];
        typed.into_iter().flatten().cloned().collect()
    }

    /// Whether the target's challenge is of use: where the token endpoint is given, nothing else is
    /// asked.
    #[must_use]
    pub const fn wants_challenge(&self) -> bool {
        self.credential.token_url.is_none()
    }

    /// The token of an earlier time, if it is still good.
    #[must_use]
    pub fn kept(&self) -> Option<Token> {
        self.cache().usable(Instant::now().into_std()).cloned()
    }

    /// The server did not accept the token that was kept.
    pub fn reject(&self) {
        self.cache().reject();
    }

    /// Texts that must be in no report: the secret, as it is. One of three characters is none.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        match &self.credential.client.proof {
            Proof::Secret(secret) if secret.expose().len() >= 4 => {
                vec![secret.expose().to_owned()]
            }
            Proof::Secret(_) | Proof::Key(_) | Proof::Nothing => Vec::new(),
        }
    }

    /// Asks for a new token. `now` is in seconds since the Unix epoch.
    pub async fn obtain(&self, net: &mut Net, challenge: &Challenge, now: i64) -> Obtained {
        let began = Instant::now();
        let target = net.home().target.as_url().clone();
        let discovery = match (&self.credential.token_url, &self.credential.issuer) {
            (Some(_), _) => None,
            (None, Some(issuer)) => {
                let issuer = issuer.as_str();
                // `https://as.example.com` is what people mean, and what issuers say.
                let bare = issuer.strip_suffix('/').unwrap_or(issuer);
                Some(Discovery::of_issuer(&target, bare))
            }
            (None, None) => Some(Discovery::new(&target, challenge)),
        };
        let discovered = match discovery {
            Some(discovery) => Some(discover(net, discovery).await),
            None => None,
        };
        let empty = Discovered::default();
        let found = discovered.as_ref().unwrap_or(&empty);
        let asked = self.ask(net, found, challenge, now).await;
        let state = match asked {
            Ok(_) => AuthState::Authorized,
            Err(_) => AuthState::Refused,
        };
        let mut auth = describe(found, challenge, net, state);
        auth.total_us = micros(began.elapsed());
        let token = match asked {
            Ok((token, method)) => {
                auth.client_authentication = Some(method);
                self.cache().put(token.clone(), Instant::now().into_std());
                Ok(token)
            }
            Err(refusal) => {
                auth.detail = Some(refusal.detail.clone());
                Err(refusal)
            }
        };
        Obtained {
            token,
            discovered,
            auth,
        }
    }

    async fn ask(
        &self,
        net: &mut Net,
        found: &Discovered,
        challenge: &Challenge,
        now: i64,
    ) -> Result<(Token, ClientAuthentication), Refusal> {
        let credential = &self.credential;
        let server = found.server.as_ref().map(|(_, server)| server);
        let endpoint = match (&credential.token_url, server) {
            (Some(url), _) => url,
            (None, Some(server)) => server.token_endpoint.as_ref().ok_or_else(|| {
                malformed("the authorization server's metadata names no token_endpoint".to_owned())
            })?,
            (None, None) => {
                let missing = (Reason::AuthMalformed, "there is none".to_owned());
                let (reason, said) = found.problem().unwrap_or(missing);
                return Err(Refusal {
                    reason,
                    detail: format!("no authorization server was found: {said}"),
                    is_final: false,
                    refresh: None,
                });
            }
        };
        let method = match credential.method {
            Some(method) => method,
            None => choose(&credential.client.proof, server)
                .map_err(|error| malformed(error.to_string()))?,
        };
        let named = credential.resource.clone();
        let resource = named.unwrap_or_else(|| resource(net, found));
        let scope = scope(credential, found, challenge);
        let terms = Terms {
            method,
            audience: &audience(credential, server, endpoint),
            resource: &resource,
            scope: scope.as_deref(),
            now,
            nonce: nonce(),
        };
        let asked = request(
            net,
            endpoint,
            &credential.client,
            &Grant::ClientCredentials,
            &terms,
        );
        asked.await.map(|token| (token, method))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a token request.
pub(crate) async fn request(
    net: &mut Net,
    endpoint: &Url,
    client: &Client,
    grant: &Grant<'_>,
    terms: &Terms<'_>,
) -> Result<Token, Refusal> {
    if !place::is_private(endpoint) {
        let shown = place::shown(endpoint);
        return Err(malformed(format!(
            "the token endpoint {shown} is not https: the credential is not sent there"
        )));
    }
    let Some(written) = token::request(client, grant, terms) else {
        return Err(Refusal {
            reason: Reason::ProberInternal,
            detail: "the key does not sign".to_owned(),
            is_final: false,
            refresh: None,
        });
    };
    let body = written.body.expose().to_owned();
    let mut outgoing = Outgoing::post(endpoint, "application/x-www-form-urlencoded", body);
    outgoing.authorization = written.authorization;
    let answer = net.send(AuthStep::Token, outgoing).await;
    let shown = place::shown(endpoint);
    let read = match answer {
        Ok(answer) => {
            let secrets = token::secrets(client, grant);
            token::read(answer.status, &answer.body, &secrets)
        }
        Err(fault) => Err(Refusal {
            reason: Reason::AuthServerDown,
            detail: format!("{}: {}", fault.reason, fault.detail),
            is_final: false,
            refresh: None,
        }),
    };
    read.map_err(|refusal| {
        net.remark(Some(refusal.detail.clone()));
        Refusal {
            detail: format!("the token endpoint {shown} {}", refusal.detail),
            ..refusal
        }
    })
}

/// What the token is to be good for: what the metadata calls it, else its own URL.
pub(crate) fn resource(net: &Net, found: &Discovered) -> String {
    match &found.resource {
        Some((_, metadata)) => metadata.resource.clone(),
        None => place::canonical(net.home().target.as_url()),
    }
}

fn scope(credential: &Credential, found: &Discovered, challenge: &Challenge) -> Option<String> {
    let own = credential.scope.clone();
    own.or_else(|| wanted(found, challenge).map(|scopes| scopes.join(" ")))
}

/// The scopes that the challenge wants; where it names none, those that the resource lists.
pub(crate) fn wanted(found: &Discovered, challenge: &Challenge) -> Option<Vec<String>> {
    let split = |text: &String| text.split_ascii_whitespace().map(str::to_owned).collect();
    let asked: Option<Vec<String>> = challenge.scope.as_ref().map(split);
    let listed = || {
        let (_, metadata) = found.resource.as_ref()?;
        Some(metadata.scopes.clone())
    };
    let scopes = asked.or_else(listed)?;
    // RFC 6749 §3.3: printable ASCII without quote and backslash.
    let is_legal = |scope: &String| {
        scope.len() <= MAX_TEXT
            && scope
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    let legal: Vec<String> = scopes
        .into_iter()
        .filter(is_legal)
        .take(MAX_SCOPES)
        .collect();
    (!legal.is_empty()).then_some(legal)
}

fn audience(credential: &Credential, server: Option<&ServerMetadata>, endpoint: &Url) -> String {
    match (server, &credential.issuer) {
        (Some(server), _) => server.issuer.clone(),
        (None, Some(issuer)) => issuer.as_str().trim_end_matches('/').to_owned(),
        // RFC 7523 §3: the token endpoint may stand for its server.
        (None, None) => endpoint.as_str().to_owned(),
    }
}

pub(crate) fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    // Fails only where the system has no randomness at all; then TLS fails before.
    let _ = SystemRandom::new().fill(&mut nonce);
    nonce
}

pub(crate) const fn malformed(detail: String) -> Refusal {
    Refusal {
        reason: Reason::AuthMalformed,
        detail,
        is_final: false,
        refresh: None,
    }
}

fn describe(found: &Discovered, challenge: &Challenge, net: &Net, state: AuthState) -> Auth {
    let line = |text: &str| model::text::line(text, MAX_TEXT);
    let resource = found.resource.as_ref();
    let servers = resource.map(|(_, metadata)| &metadata.authorization_servers);
    let servers = servers.into_iter().flatten().take(MAX_SERVERS);
    let scopes = wanted(found, challenge).unwrap_or_default();
    Auth {
        state,
        detail: None,
        resource_metadata: resource.map(|(url, _)| place::shown(url)),
        authorization_servers: servers.map(|server| line(server)).collect(),
        issuer: found
            .server
            .as_ref()
            .map(|(_, server)| line(&server.issuer)),
        server_metadata: found.server.as_ref().map(|(url, _)| place::shown(url)),
        scopes: scopes.iter().map(|scope| line(scope)).collect(),
        client_authentication: None,
        exchanges: net.exchanges().to_vec(),
        total_us: 0,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
