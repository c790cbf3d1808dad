//! The user flow (OAuth 2.1 §4.1, RFC 8252): once, on a workstation, in a browser.

mod callback;
mod pkce;
mod registration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::report::{AuthStep, ClientAuthentication};
use url::Url;

use crate::authorizer::{self, discover, malformed};
use crate::client::{Client, Proof, choose};
use crate::discovery::{Challenge, Discovered, Discovery};
use crate::metadata::ServerMetadata;
use crate::net::{Net, Outgoing};
use crate::place;
use crate::secret::Secret;
use crate::token::{Grant, Refusal, Terms};
use crate::token_set::TokenSet;
use pkce::Pkce;
use registration::Registered;

pub use callback::{BadCallback, read_callback};

/// Who asks, and for what.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A client that the authorization server knows.
    pub client: Option<Client>,
    /// The URL of a client id metadata document, for servers that take one.
    pub metadata_document: Option<Url>,
    /// The issuer, in place of what the target names.
    pub issuer: Option<Url>,
    /// The scope, in place of what the target says.
    pub scope: Option<String>,
}

/// A user flow that waits for its user.
#[derive(Debug)]
pub struct Login {
    /// Where the user is to go.
    pub url: Url,
    /// What the redirect must bring back.
    pub state: String,
    /// The authorization server.
    pub server: ServerMetadata,
    client: Client,
    method: ClientAuthentication,
    /// When the secret of a client that was registered ends, seconds since the Unix epoch.
    secret_expires_at: Option<i64>,
    endpoint: Url,
    resource: String,
    scope: Option<String>,
    redirect_uri: String,
    pkce: Pkce,
}

/// Finds the authorization server, becomes its client, and writes the URL for the user.
/// `redirect_uri` is where somebody listens.
///
/// # Errors
/// Why there is no way to sign in.
pub async fn begin(
    net: &mut Net,
    challenge: &Challenge,
    request: &Request,
    redirect_uri: &str,
) -> Result<Login, Refusal> {
    let target = net.home().target.as_url().clone();
    let discovery = match &request.issuer {
        Some(issuer) => {
            let issuer = issuer.as_str();
            Discovery::of_issuer(&target, issuer.strip_suffix('/').unwrap_or(issuer))
        }
        None => Discovery::new(&target, challenge),
    };
    let found = discover(net, discovery).await;
    let server = server(net, &found)?;
    let (Some(authorization), Some(endpoint)) = (
        server.authorization_endpoint.clone(),
        server.token_endpoint.clone(),
    ) else {
        return Err(malformed(
            "the authorization server names no authorization_endpoint and token_endpoint"
                .to_owned(),
        ));
    };
    if !place::is_private(&authorization) {
        let shown = place::shown(&authorization);
        return Err(malformed(format!(
            "the authorization endpoint {shown} is not https"
        )));
    }
    let Registered {
        client,
        method,
        secret_expires_at,
    } = client(net, request, &server, redirect_uri).await?;
    let resource = authorizer::resource(net, &found);
    let scope = scope(request, &found, challenge, &server);
    let (pkce, state) = (Pkce::new(random()), URL_SAFE_NO_PAD.encode(random()));
    let mut url = authorization;
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", &state)
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &resource);
        if let Some(scope) = &scope {
            query.append_pair("scope", scope);
        }
    }
    Ok(Login {
        url,
        state,
        server,
        client,
        method,
        secret_expires_at,
        endpoint,
        resource,
        scope,
        redirect_uri: redirect_uri.to_owned(),
        pkce,
    })
}

impl Login {
    /// The code came back: exchanges it for tokens. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The token endpoint gives none.
    pub async fn finish(self, net: &mut Net, code: &Secret, now: i64) -> Result<TokenSet, Refusal> {
        let grant = Grant::Code {
            code,
            redirect_uri: &self.redirect_uri,
            verifier: &self.pkce.verifier,
        };
        let terms = Terms {
            method: self.method,
            audience: &self.server.issuer,
            resource: &self.resource,
            // RFC 6749 §4.1.3: the code has its scope.
            scope: None,
            now,
            nonce: authorizer::nonce(),
        };
        let token = authorizer::request(net, &self.endpoint, &self.client, &grant, &terms).await?;
        let mut set = TokenSet {
            url: place::canonical(net.home().target.as_url()),
            resource: self.resource,
            issuer: self.server.issuer,
            token_endpoint: self.endpoint,
            client_id: self.client.id,
            client_secret: match self.client.proof {
                Proof::Secret(secret) => Some(secret),
                Proof::Key(_) | Proof::Nothing => None,
            },
            method: self.method,
            client_secret_expires_at: self.secret_expires_at,
            scope: self.scope,
            access_token: Secret::new(""),
            refresh_token: None,
            expires_at: None,
        };
        set.take(token, now);
        Ok(set)
    }
}

/// The authorization server, fit for the user flow.
fn server(net: &Net, found: &Discovered) -> Result<ServerMetadata, Refusal> {
    if let Some((_, server)) = &found.server {
        if !server.has_s256() {
            // 2025-11-25 basic/authorization: clients must refuse to go on.
            return Err(malformed(
                "the authorization server does not list S256 in code_challenge_methods_supported"
                    .to_owned(),
            ));
        }
        return Ok(server.clone());
    }
    let (reason, detail) = found.problem().unwrap_or_else(|| {
        let refusal = malformed("no authorization server was found".to_owned());
        (refusal.reason, refusal.detail)
    });
    // 2025-03-26: without any metadata the endpoints lie at the server's own origin.
    if found.is_absent {
        let origin = net.home().target.as_url().origin().ascii_serialization();
        return Ok(ServerMetadata::assumed(&origin));
    }
    Err(Refusal {
        reason,
        detail,
        is_final: false,
        refresh: None,
    })
}

/// Becomes a client: one that is known, one that describes itself at a URL, or a new one.
async fn client(
    net: &mut Net,
    request: &Request,
    server: &ServerMetadata,
    redirect_uri: &str,
) -> Result<Registered, Refusal> {
    let known = |client: Client, method: ClientAuthentication| Registered {
        client,
        method,
        secret_expires_at: None,
    };
    let public = |id: &str| Client {
        id: id.to_owned(),
        proof: Proof::Nothing,
    };
    if let Some(client) = &request.client {
        let method = choose(&client.proof, Some(server));
        let method = method.unwrap_or(ClientAuthentication::None);
        return Ok(known(client.clone(), method));
    }
    if let Some(document) = &request.metadata_document
        && server.takes_metadata_documents
    {
        let client = public(document.as_str());
        return Ok(known(client, ClientAuthentication::None));
    }
    let Some(endpoint) = server.registration_endpoint.as_ref() else {
        return Err(malformed(
            "the authorization server registers no clients: register one there, and name it with --client-id"
                .to_owned(),
        ));
    };
    if !place::is_private(endpoint) {
        let shown = place::shown(endpoint);
        return Err(malformed(format!(
            "the registration endpoint {shown} is not https"
        )));
    }
    let body = registration::request(server, redirect_uri);
    let outgoing = Outgoing::post(endpoint, "application/json", body);
    let answer = net.send(AuthStep::Registration, outgoing).await;
    registration::read(&answer, server).map_err(|refusal| {
        net.remark(Some(refusal.detail.clone()));
        Refusal {
            detail: format!(
                "the registration endpoint {} {}",
                place::shown(endpoint),
                refusal.detail
            ),
            ..refusal
        }
    })
}

/// The user's word, else the challenge's, else the metadata's; and that the tokens outlive the
/// user's presence, where the server offers it.
fn scope(
    request: &Request,
    found: &Discovered,
    challenge: &Challenge,
    server: &ServerMetadata,
) -> Option<String> {
    if request.scope.is_some() {
        return request.scope.clone();
    }
    const OFFLINE: &str = "offline_access";
    let mut scopes = authorizer::wanted(found, challenge).unwrap_or_default();
    let offered = server.scopes.iter().flatten().any(|scope| scope == OFFLINE);
    if offered && !scopes.iter().any(|scope| scope == OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    (!scopes.is_empty()).then(|| scopes.join(" "))
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Fails only where the system has no randomness at all; then TLS fails before.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}
