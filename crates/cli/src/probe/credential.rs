//! Credentials that are more than a header: a client of an authorization server, a certificate.
//! Files and variables are named, never values: others on this machine can read a command line.

use std::path::{Path, PathBuf};

use auth::{
    Authorizer, BadKey, Client, Credential, Home, Net, Proof, Refusal, Secret, SigningKey, Way,
    place,
};
use dial::{ClientIdentity, Dialer, Origin, Proxy};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use model::TargetUrl;
use url::Url;

use crate::exit;
use crate::token_file::{self, BadFile};

/// The largest file with a secret or a key.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Whose token to probe with.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Authorization")]
#[group(id = "authorization")]
pub(crate) struct Options {
    /// Get a token by client credentials (OAuth 2.1) for this client, and probe with it
    #[arg(
        long,
        value_name = "ID",
        requires = "proof",
        conflicts_with = "bearer_file"
    )]
    client_id: Option<String>,
    /// A file with the client's secret
    #[arg(long, value_name = "FILE", group = "proof", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// A variable of the environment with the client's secret
    #[arg(long, value_name = "VAR", group = "proof", requires = "client_id")]
    client_secret_env: Option<String>,
    /// A PEM file with the client's private key, EC P-256 or RSA: the client signs assertions
    /// (private_key_jwt)
    #[arg(long, value_name = "FILE", group = "proof", requires = "client_id")]
    private_key_file: Option<PathBuf>,
    /// The issuer that the credential is for. Without it the server names its authorization server,
    /// and that one gets the credential
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// The token endpoint, without any discovery
    #[arg(long, value_name = "URL", requires = "client_id")]
    token_url: Option<String>,
    /// The scope to ask for, in place of what the server says
    #[arg(long, value_name = "SCOPE", requires = "client_id")]
    scope: Option<String>,
    /// A file of `parallax auth login`: its tokens are sent, and renewed when needed
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["client_id", "bearer_file"]
    )]
    token_set: Option<PathBuf>,
    /// A PEM file with a certificate for servers that ask for one (mutual TLS)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// A PEM file with the private key of --client-cert
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// A credential that cannot be used. No value is shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// A file cannot be used.
    #[error("{option} {}: {problem}", path.display())]
    File {
        option: &'static str,
        path: PathBuf,
        problem: String,
    },
    /// A variable is not set.
    #[error("--client-secret-env {0}: the variable is not set, or is empty; export it first")]
    Variable(String),
    /// A URL cannot be used.
    #[error("{option}: {problem}")]
    Url {
        option: &'static str,
        problem: &'static str,
    },
    /// A file of tokens cannot be used.
    #[error("{0}")]
    TokenFile(#[from] BadFile),
    /// The tokens are for somewhere else.
    #[error(
        "--token-set {}: its tokens are for {url}, and go nowhere else; sign in with parallax auth login", path.display()
    )]
    Foreign { path: PathBuf, url: String },
    /// The tokens cannot be renewed.
    #[error(
        "--token-set {}: {}: {}; sign in again with parallax auth login", path.display(), refusal.reason, refusal.detail
    )]
    Refused { path: PathBuf, refusal: Refusal },
    /// Two credentials for one header.
    #[error(
        "a header Authorization is given beside --client-id or --token-set; leave one of them out"
    )]
    Twice,
}

impl CredentialError {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Variable(_) | Self::TokenFile(_) => exit::CONFIG,
            Self::Url { .. } | Self::Twice | Self::Foreign { .. } => exit::USAGE,
            Self::Refused { .. } => exit::REFUSED,
        }
    }
}

impl Options {
    /// What gets the token, if a client is given. `headers` are those that the user gives.
    pub(crate) fn authorizer(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Authorizer>, CredentialError> {
        let brings_token = self.client_id.is_some() || self.token_set.is_some();
        if brings_token && headers.contains_key(AUTHORIZATION) {
            return Err(CredentialError::Twice);
        }
        let Some(id) = &self.client_id else {
            return Ok(None);
        };
        let client = Client {
            id: id.clone(),
            proof: self.proof()?,
        };
        Ok(Some(Authorizer::new(Credential {
            client,
            issuer: url("--issuer", self.issuer.as_deref())?,
            token_url: url("--token-url", self.token_url.as_deref())?,
            scope: self.scope.clone(),
            resource: None,
            method: None,
        })))
    }

    /// Whether a client of an authorization server is given.
    pub(crate) const fn has_client(&self) -> bool {
        self.client_id.is_some()
    }

    /// Whether the credential is one whose end somebody sees to.
    pub(crate) const fn is_renewed(&self) -> bool {
        self.token_set.is_some()
    }

    /// The token of the file, renewed where it has ended; what is new is kept before it is used.
    pub(crate) async fn token(
        &self,
        dialer: &Dialer,
        target: &TargetUrl,
        proxy: Option<Proxy>,
        way: Way,
        user_agent: HeaderValue,
    ) -> Result<Option<Secret>, CredentialError> {
        const OPTION: &str = "--token-set";
        let Some(path) = &self.token_set else {
            return Ok(None);
        };
        let read = || {
            let set = token_file::read(OPTION, path)?;
            if set.is_for(target.as_url()) {
                return Ok(set);
            }
            Err(CredentialError::Foreign {
                path: path.clone(),
                url: model::text::line(&set.url, 120),
            })
        };
        let mut set = read()?;
        let wall = || telemetry::clock::wall().as_second();
        if set.is_stale(wall()) {
            let lock = token_file::lock(OPTION, path).await?;
            // Another command may have renewed them meanwhile.
            set = read()?;
            if set.is_stale(wall()) {
                let home = Home {
                    target: target.clone(),
                    origin: Origin::Operator,
                    proxy,
                    address: None,
                    // The file is the user's own.
                    typed: vec![set.token_endpoint.clone()],
                    way,
                    user_agent,
                };
                let renewed = set.refresh(&mut Net::new(dialer, home), wall()).await;
                let is_kept = renewed.as_ref().is_err_and(|no| no.refresh.is_none());
                if !is_kept {
                    token_file::write(OPTION, path, &set, &lock)?;
                }
                renewed.map_err(|refusal| CredentialError::Refused {
                    path: path.clone(),
                    refusal,
                })?;
            }
        }
        Ok(Some(set.access_token))
    }

    /// The certificate for mutual TLS.
    pub(crate) fn identity(&self) -> Option<ClientIdentity> {
        Some(ClientIdentity {
            certificates: self.client_cert.clone()?,
            key: self.client_key.clone()?,
        })
    }

    fn proof(&self) -> Result<Proof, CredentialError> {
        if let Some(path) = &self.private_key_file {
            let option = "--private-key-file";
            let key = SigningKey::from_pem(&read(option, path)?);
            let key = key.map_err(|error: BadKey| CredentialError::File {
                option,
                path: path.clone(),
                problem: error.to_string(),
            })?;
            return Ok(Proof::Key(key));
        }
        if let Some(path) = &self.client_secret_file {
            let text = read("--client-secret-file", path)?;
            return Ok(Proof::Secret(Secret::new(text.trim())));
        }
        let name = self.client_secret_env.as_deref().unwrap_or_default();
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| CredentialError::Variable(model::text::line(name, 64)))?;
        Ok(Proof::Secret(Secret::new(value)))
    }
}

/// A URL that a secret may travel to.
pub(crate) fn url(
    option: &'static str,
    text: Option<&str>,
) -> Result<Option<Url>, CredentialError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let bad = |problem| CredentialError::Url { option, problem };
    let url = Url::parse(text)
        .map_err(|_| bad("this is no URL; write it like https://auth.example.com"))?;
    if !place::is_private(&url) {
        return Err(bad("a secret goes over https only; write https://…"));
    }
    Ok(Some(url))
}

/// The text of a file, bounded and not empty.
pub(crate) fn read(option: &'static str, path: &Path) -> Result<String, CredentialError> {
    use std::io::Read as _;
    let bad = |problem: String| CredentialError::File {
        option,
        path: path.to_owned(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| bad(error.to_string()))?;
    if text.trim().is_empty() || text.len() as u64 > MAX_FILE_BYTES {
        return Err(bad("the file is empty or larger than 64 KiB".to_owned()));
    }
    Ok(text)
}
