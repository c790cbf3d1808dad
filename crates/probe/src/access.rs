//! Before and after the sequence: the token that it runs with, and the wall that it met.

use std::net::SocketAddr;
use std::time::Duration;

use auth::{Authorizer, Challenge, Discovered, Fault, Home, Net, Refusal};
use dial::Dialer;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use mcp::{ClientInfo, Command, Findings, Plan, Sequence};
use model::report::{Auth, AuthState, Connection, Credential};
use model::{CheckId, EraPolicy, Failure, Phase, Reason, Step, TargetUrl};

use crate::clock::now;
use crate::job::Job;
use crate::report::Probed;

/// Below this a credential's remaining life is `degrade`.
const SHORT: Duration = Duration::from_secs(72 * 3600);
/// Below this it is a note.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What the shell knows of authorization, beside the sequence.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// For the report.
    pub(crate) auth: Option<Auth>,
    /// For the report.
    pub(crate) credential: Option<Credential>,
    discovered: Option<Discovered>,
    /// Whether the token was there already: then a 401 may only mean that it is old.
    pub(crate) is_kept: bool,
    has_token: bool,
}

/// Gets a token and puts it into the job's headers.
pub(crate) async fn authorize(
    dialer: &Dialer,
    job: &mut Job,
    authorizer: &Authorizer,
) -> Result<Access, (Refusal, Box<Access>)> {
    if let Some(token) = authorizer.kept() {
        carry(&mut job.headers, token.access.expose());
        job.plan.has_credential = true;
        return Ok(Access {
            is_kept: true,
            has_token: true,
            ..Access::default()
        });
    }
    let mut net = Net::new(dialer, home(job, None, authorizer.typed()));
    let mut challenge = Challenge::default();
    if authorizer.wants_challenge() {
        let (headers, body) = opening(&job.plan);
        match net.challenge(headers, body).await {
            Ok(answer) => challenge = read(&answer.challenges),
            // The target is not there: the probe says so better.
            Err(_) => return Ok(Access::default()),
        }
    }
    let obtained = authorizer.obtain(&mut net, &challenge, job.wall.as_second());
    let obtained = obtained.await;
    let access = Access {
        auth: Some(obtained.auth),
        discovered: obtained.discovered,
        has_token: obtained.token.is_ok(),
        ..Access::default()
    };
    match obtained.token {
        Ok(token) => {
            carry(&mut job.headers, token.access.expose());
            job.plan.has_credential = true;
            Ok(access)
        }
        Err(refusal) => Err((refusal, Box::new(access))),
    }
}

/// What the target says about how to get in, asked without a credential.
///
/// # Errors
/// Nobody answers there.
pub async fn challenge(net: &mut Net, target: &TargetUrl) -> Result<Challenge, Fault> {
    let (headers, body) = opening(&Plan::new(target.clone(), ClientInfo::parallax()));
    let answer = net.challenge(headers, body).await?;
    Ok(read(&answer.challenges))
}

/// Looks at the wall that the sequence met, if it met one without a credential.
pub(crate) async fn examine(dialer: &Dialer, job: &Job, probed: &mut Probed) {
    let challenges = probed.challenges.as_deref();
    let Some(challenges) = challenges.filter(|_| job.examines_walls && !job.plan.has_credential)
    else {
        return;
    };
    let connection = probed.facts.connection.as_ref();
    let challenge = read(challenges);
    let mut net = Net::new(dialer, home(job, connection, Vec::new()));
    let mut examined = auth::examine(&mut net, &challenge).await;
    if bearer(challenges).is_none() {
        // RFC 9110 §11.6.1: without a challenge a client does not know that it may ask.
        examined.auth.state = AuthState::WalledMalformed;
    }
    probed.access.auth = Some(examined.auth);
    probed.access.discovered = Some(examined.discovered);
}

/// The checks about authorization.
pub(crate) fn check(job: &Job, access: &mut Access, findings: &mut Findings) {
    if let Some(found) = &access.discovered {
        let step = Step::Authorize;
        // With an issuer that the operator named, the resource's metadata was not asked for.
        if found.resource.is_some() || found.resource_problem.is_some() {
            let problem = found.resource_problem.as_deref();
            let (holds, detail) = (problem.is_none(), problem.unwrap_or_default());
            findings.demand(holds, CheckId::AuthPrm, step, detail);
        }
        if found.server.is_some() || found.server_problem.is_some() {
            let problem = found.server_problem.as_deref();
            let (holds, detail) = (problem.is_none(), problem.unwrap_or_default());
            findings.demand(holds, CheckId::AuthAs, step, detail);
        }
    }
    if access.has_token {
        let failure = findings.failure.map(|failure| failure.reason);
        let is_rejected = failure == Some(Reason::AuthTokenRejected);
        let detail = "the server does not accept the token that its authorization server gave";
        findings.demand(!is_rejected, CheckId::AuthToken, Step::Authorize, detail);
    }
    uniform(findings);
    if job.authorizer.is_none() && !job.is_renewed {
        access.credential = expiry(&job.headers, job.wall, findings);
    }
}

/// The probe did not begin: the authorization server gave no token.
pub(crate) fn refuse(refusal: &Refusal, access: &mut Access, findings: &mut Findings) {
    let exchanges = access.auth.as_ref().map(|auth| &auth.exchanges);
    let is_answered = exchanges
        .and_then(|exchanges| exchanges.last())
        .is_some_and(|last| last.http_status.is_some());
    let phase = if is_answered {
        Phase::Receive
    } else {
        Phase::Wait
    };
    findings.failure = Some(Failure {
        step: Step::Authorize,
        phase,
        reason: refusal.reason,
    });
    findings.violate(CheckId::AuthToken, Step::Authorize, &refusal.detail);
}

/// The lines of `WWW-Authenticate` as the challenge that counts.
pub(crate) fn read(lines: &[String]) -> Challenge {
    let Some(found) = bearer(lines) else {
        return Challenge::default();
    };
    Challenge {
        resource_metadata: found.param("resource_metadata").map(str::to_owned),
        scope: found.param("scope").map(str::to_owned),
    }
}

fn bearer(lines: &[String]) -> Option<mcp::challenge::Challenge> {
    mcp::challenge::bearer(lines.iter().map(String::as_str))
}

/// A first request of the modern era: it opens no session at a server of either era.
pub(crate) fn opening(plan: &Plan) -> (HeaderMap, String) {
    let mut plan = plan.clone();
    plan.era = EraPolicy::Auto;
    plan.known = None;
    match Sequence::new(plan, now()).poll_command() {
        Some(Command::Send { request, .. }) => (
            request.headers,
            String::from_utf8_lossy(&request.body).into_owned(),
        ),
        Some(Command::Release(_) | Command::Abort(_)) | None => Default::default(),
    }
}

fn home(job: &Job, connection: Option<&Connection>, typed: Vec<url::Url>) -> Home {
    let address = connection
        .filter(|connection| connection.proxy.is_none())
        .and_then(|connection| connection.address.parse::<SocketAddr>().ok());
    Home {
        target: job.plan.url.clone(),
        origin: job.origin,
        proxy: job.proxy.clone(),
        address: address.map(|address| address.ip()),
        typed,
        way: job.network.way(),
        user_agent: job.contact.user_agent(),
    }
}

fn carry(headers: &mut HeaderMap, token: &str) {
    // Tokens are read as visible ASCII.
    if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

/// A wall that stands in the middle: some steps go through, another one is turned away.
fn uniform(findings: &mut Findings) {
    let is_walled = |reason: Option<Reason>| {
        matches!(
            reason,
            Some(
                Reason::AuthRequired
                    | Reason::AuthMalformed
                    | Reason::AuthTokenRejected
                    | Reason::AuthScope
            )
        )
    };
    let asked = findings
        .steps
        .iter()
        .filter(|step| step.step != Step::Close);
    let answered = asked.filter(|step| step.http_status.is_some());
    let (walled, open): (Vec<_>, Vec<_>) = answered.partition(|step| is_walled(step.reason));
    let open = open.iter().find(|step| step.reason.is_none());
    let Some(first) = walled.first() else {
        if open.is_some() {
            findings.pass(CheckId::AuthUniform);
        }
        return;
    };
    let (at, status) = (first.step, first.http_status.unwrap_or_default());
    let detail = open.map(|open| format!("{} is open, {at} is answered with {status}", open.step));
    let holds = detail.is_none();
    findings.demand(holds, CheckId::AuthUniform, at, detail.unwrap_or_default());
}

/// When the bearer token of the user ends, if it is a JWT that says so.
fn expiry(
    headers: &HeaderMap,
    wall: jiff::Timestamp,
    findings: &mut Findings,
) -> Option<Credential> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let found = auth::expiry(token.trim())?;
    let left = found.expires_at.saturating_sub(wall.as_second());
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    // A token that is made for less than the margin is renewed by whoever makes it.
    let life = found
        .issued_at
        .map(|made| found.expires_at.saturating_sub(made));
    let is_short_lived = |margin| life.is_some_and(|life| life <= seconds(margin));
    let detail = match left {
        ..=0 => format!("the token ended {} h ago", left.saturating_neg() / 3600),
        _ => format!("the token ends in {} h", left / 3600),
    };
    let (id, step) = (CheckId::AuthExpiry, Step::Authorize);
    if left <= 0 || (left < seconds(SHORT) && !is_short_lived(SHORT)) {
        findings.violate(id, step, detail);
    } else if left < seconds(NOTICE) && !is_short_lived(NOTICE) {
        findings.violate_mildly(id, model::Severity::Note, step, detail);
    } else {
        findings.pass(id);
    }
    let expires_at = jiff::Timestamp::from_second(found.expires_at).ok()?;
    Some(Credential {
        expires_at: expires_at.to_string(),
    })
}
