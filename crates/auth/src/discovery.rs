//! From a challenge to an authorization server, one question at a time.

use std::collections::VecDeque;

use model::Reason;
use model::report::AuthStep;
use url::Url;

use crate::metadata::{Fit, IssuerFit, ResourceMetadata, ServerMetadata};
use crate::net::{Answer, Fault};
use crate::place::{self, Origin};

/// Authorization servers of a resource that are asked; a fourth is nobody's practice.
const MAX_SERVERS: usize = 3;

/// What a 401 or 403 says about how to get in, as far as it says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `resource_metadata` (RFC 9728 §5.1).
    pub resource_metadata: Option<String>,
    /// `scope` (RFC 6750 §3): authoritative for the operation.
    pub scope: Option<String>,
}

/// A document to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What it is.
    pub step: AuthStep,
    /// Where it may be.
    pub url: Url,
}

/// What was found, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Discovered {
    /// The protected resource metadata that is used, and where it was.
    pub resource: Option<(Url, ResourceMetadata)>,
    /// The authorization server metadata that is used, and where it was.
    pub server: Option<(Url, ServerMetadata)>,
    /// What is wrong with the resource metadata.
    pub resource_problem: Option<String>,
    /// What is wrong with the server metadata.
    pub server_problem: Option<String>,
    /// Whether the last document that was missed is missing because nobody answered.
    pub is_down: bool,
    /// Whether there is no metadata at all, of resource or server: every place answered, and none
    /// had a document.
    pub is_absent: bool,
}

impl Discovered {
    /// Whether a client that follows the specification gets to a token endpoint.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        self.resource.is_some() && self.server.is_some() && self.server_problem.is_none()
    }

    /// Why there is no authorization server, where there is none.
    #[must_use]
    pub fn problem(&self) -> Option<(Reason, String)> {
        if self.server.is_some() {
            return None;
        }
        let reason = if self.is_down {
            Reason::AuthServerDown
        } else {
            Reason::AuthMalformed
        };
        let said = [&self.resource_problem, &self.server_problem];
        let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
        Some((reason, said.join("; ")))
    }
}

#[derive(Debug)]
enum Stage {
    Resource(VecDeque<(Origin, Url)>),
    Server {
        issuer: String,
        places: VecDeque<Url>,
        others: VecDeque<String>,
    },
    Done,
}

/// The walk from a challenge to an authorization server: [`Self::poll_ask`], then
/// [`Self::handle_answer`], until there is nothing to ask. At most 12 questions.
#[derive(Debug)]
pub struct Discovery {
    target: Url,
    stage: Stage,
    asked: Option<(Option<Origin>, Url)>,
    /// What is wrong with the place that the challenge names: a flaw even if another one is good.
    misled: Option<String>,
    /// Whether any place had something, right or wrong.
    has_document: bool,
    found: Discovered,
}

impl Discovery {
    /// For a target, with the challenge that it answered with.
    #[must_use]
    pub fn new(target: &Url, challenge: &Challenge) -> Self {
        let mut misled = None;
        let named = challenge.resource_metadata.as_deref().and_then(|text| {
            let url = Url::parse(text).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none() {
                let shown = model::text::line(text, 80);
                misled = Some(format!("resource_metadata=\"{shown}\" is no URL"));
            }
            url
        });
        Self {
            stage: Stage::Resource(place::of_resource(target, named.as_ref()).into()),
            target: target.clone(),
            asked: None,
            found: Discovered {
                resource_problem: misled.clone(),
                ..Discovered::default()
            },
            misled,
            has_document: false,
        }
    }

    /// For an issuer that the operator names: no metadata of the resource is asked for.
    #[must_use]
    pub fn of_issuer(target: &Url, issuer: &str) -> Self {
        let mut discovery = Self {
            target: target.clone(),
            stage: Stage::Done,
            asked: None,
            misled: None,
            has_document: false,
            found: Discovered::default(),
        };
        discovery.ask_servers(VecDeque::from([issuer.to_owned()]));
        discovery
    }

    /// The next document to fetch; `None` at the end.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        match &mut self.stage {
            Stage::Resource(places) => {
                let (origin, url) = places.pop_front()?;
                self.asked = Some((Some(origin), url.clone()));
                let step = AuthStep::ResourceMetadata;
                Some(Ask { step, url })
            }
            Stage::Server { places, .. } => {
                let url = places.pop_front()?;
                self.asked = Some((None, url.clone()));
                let step = AuthStep::ServerMetadata;
                Some(Ask { step, url })
            }
            Stage::Done => None,
        }
    }

    /// What came of the question; what is wrong with it, in a few words.
    pub fn handle_answer(&mut self, answer: &Result<Answer, Fault>) -> Option<String> {
        let (origin, url) = self.asked.take()?;
        let body = match answer {
            Ok(answer) if answer.status == 200 => Ok(&answer.body[..]),
            Ok(answer) => Err((lack(answer), answer.status >= 500)),
            Err(fault) => Err((format!("{}: {}", fault.reason, fault.detail), true)),
        };
        self.has_document |= body.is_ok();
        match (origin, body) {
            (Some(origin), Ok(body)) => self.resource(origin, url, body),
            (None, Ok(body)) => self.server(url, body),
            (origin, Err((problem, is_down))) => {
                if origin == Some(Origin::Challenge) {
                    self.misled = Some(format!("{} {problem}", place::shown(&url)));
                }
                self.miss(&url, &problem, is_down);
                None
            }
        }
    }

    /// What was found in all.
    #[must_use]
    pub fn finish(mut self) -> Discovered {
        self.found.is_absent = !self.has_document && !self.found.is_down;
        self.found
    }

    fn resource(&mut self, origin: Origin, url: Url, body: &[u8]) -> Option<String> {
        let Some(metadata) = ResourceMetadata::read(body) else {
            if origin == Origin::Challenge {
                self.misled = Some(format!("{} is no JSON object", place::shown(&url)));
            }
            return self.miss(&url, "is no JSON object", false);
        };
        let resource = model::text::line(&metadata.resource, 120);
        let problem = match (metadata.fit(&self.target), origin) {
            (Fit::Same, _) | (Fit::Parent, Origin::Root) => None,
            (Fit::Parent, Origin::Challenge | Origin::Path) => Some(format!(
                "{} is about {resource}, which is above this URL",
                place::shown(&url)
            )),
            (Fit::Other, _) => {
                // RFC 9728 §3.3: it must not be used.
                let problem = format!(
                    "{} is about \"{resource}\", not about this URL",
                    place::shown(&url)
                );
                self.found.resource_problem = Some(problem.clone());
                self.found.is_down = false;
                self.stage = Stage::Done;
                return Some(problem);
            }
        };
        // That a well-known place has nothing is no flaw where a later one has it.
        self.found.resource_problem = problem.clone().or_else(|| self.misled.take());
        let issuers: VecDeque<String> = metadata
            .authorization_servers
            .iter()
            .take(MAX_SERVERS)
            .cloned()
            .collect();
        if issuers.is_empty() {
            let problem = format!("{} names no authorization_servers", place::shown(&url));
            self.found.resource_problem = Some(problem.clone());
            self.found.is_down = false;
            self.stage = Stage::Done;
            return Some(problem);
        }
        self.found.resource = Some((url, metadata));
        self.ask_servers(issuers);
        problem
    }

    fn server(&mut self, url: Url, body: &[u8]) -> Option<String> {
        let Stage::Server { issuer, .. } = &self.stage else {
            return None;
        };
        let Some(metadata) = ServerMetadata::read(body) else {
            return self.miss(&url, "is no JSON object", false);
        };
        let own = model::text::line(&metadata.issuer, 120);
        let wanted = model::text::line(issuer, 120);
        let mut problem = metadata.problem();
        match metadata.fit(issuer) {
            IssuerFit::Same => {}
            IssuerFit::Slash => {
                let detail = format!("its issuer is {own}, which differs from {wanted} by a slash");
                problem.get_or_insert(detail);
            }
            IssuerFit::Other => {
                // RFC 8414 §3.3: it must not be used.
                return self.miss(
                    &url,
                    &format!("has the issuer \"{own}\", not {wanted}"),
                    false,
                );
            }
        }
        let problem = problem.map(|problem| format!("{}: {problem}", place::shown(&url)));
        self.found.server_problem.clone_from(&problem);
        self.found.server = Some((url, metadata));
        self.stage = Stage::Done;
        problem
    }

    /// A place has no document that can be used: the next one, if there is one.
    fn miss(&mut self, url: &Url, problem: &str, is_down: bool) -> Option<String> {
        let said = format!("{} {problem}", place::shown(url));
        self.found.is_down = is_down;
        match &mut self.stage {
            Stage::Resource(places) => {
                self.found.resource_problem.get_or_insert(said);
                if places.is_empty() {
                    // Before RFC 9728 the MCP server's own origin was the issuer (2025-03-26).
                    let origin = self.target.origin().ascii_serialization();
                    self.ask_servers(VecDeque::from([origin]));
                }
            }
            Stage::Server { places, others, .. } => {
                self.found.server_problem.get_or_insert(said);
                if places.is_empty() {
                    let others = std::mem::take(others);
                    self.ask_servers(others);
                }
            }
            Stage::Done => {}
        }
        Some(problem.to_owned())
    }

    /// Asks the first of `issuers` that is a URL.
    fn ask_servers(&mut self, mut issuers: VecDeque<String>) {
        while let Some(issuer) = issuers.pop_front() {
            let url = Url::parse(&issuer).ok();
            let url = url.filter(|url| {
                // RFC 8414 §2: https, and neither query nor fragment.
                place::is_private(url) && url.query().is_none() && url.fragment().is_none()
            });
            let Some(url) = url else {
                let shown = model::text::line(&issuer, 120);
                let problem = format!("the issuer \"{shown}\" is no https URL");
                self.found.server_problem.get_or_insert(problem);
                self.found.is_down = false;
                continue;
            };
            self.stage = Stage::Server {
                issuer,
                places: place::of_server(&url).into(),
                others: issuers,
            };
            return;
        }
        self.stage = Stage::Done;
    }
}

fn lack(answer: &Answer) -> String {
    match answer.status {
        300..=399 => format!("redirects ({}), which is not followed", answer.status),
        status => format!("answers {status}"),
    }
}

#[cfg(test)]
mod tests;
