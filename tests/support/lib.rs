//! What several test files need.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

pub mod http_client;
#[cfg(feature = "rocksdb")]
pub mod kept;
pub mod mesh;
pub mod openapi;
pub mod process;
pub mod real;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth::Authorizer;
use dial::{AddressPolicy, Alpn, Dialer, DialerOptions, Origin, Proxy, TlsOptions};
use mcp::{ClientInfo, EraRecord, Plan, ToolCall};
use model::expect::HealthSpec;
use model::{Outcome, Reason, Report, Step, TargetUrl};
use probe::Network;
use tokio_util::sync::CancellationToken;

/// A probe in the making.
pub struct Probe {
    /// What to do.
    pub plan: Plan,
    /// Headers of the user.
    pub headers: http::HeaderMap,
    /// Who named the target.
    pub origin: Origin,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// How the target is reached.
    pub network: Network,
    /// Name servers; one that is nowhere unless a test says otherwise.
    pub name_servers: Vec<SocketAddr>,
    /// Which HTTP versions to offer.
    pub alpn: Alpn,
    /// Whom to trust beside the system's authorities.
    pub ca_file: Vec<PathBuf>,
    /// What is opened to targets of remote origin.
    pub policy: AddressPolicy,
    /// What to ask beside the sequence.
    pub health: Option<HealthSpec>,
    /// What gets the token of the probe.
    pub authorizer: Option<Arc<Authorizer>>,
    /// Whether the metadata behind a wall is looked at.
    pub examines_walls: bool,
    /// Ends the probe.
    pub cancel: CancellationToken,
}

impl Probe {
    /// A probe of `url` with short timeouts, as an operator would run it.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let url: TargetUrl = url.parse().unwrap();
        let mut plan = Plan::new(url, ClientInfo::parallax());
        plan.step_timeout = Duration::from_secs(5);
        plan.total_timeout = Duration::from_secs(20);
        Self {
            plan,
            headers: http::HeaderMap::new(),
            origin: Origin::Operator,
            proxy: None,
            network: Network::default(),
            // Tests name addresses or localhost: no query leaves the machine.
            name_servers: vec!["127.0.0.1:9".parse().unwrap()],
            health: None,
            alpn: Alpn::Any,
            ca_file: Vec::new(),
            policy: AddressPolicy::default(),
            authorizer: None,
            examines_walls: true,
            cancel: CancellationToken::new(),
        }
    }

    /// The same probe with another time for each step.
    #[must_use]
    pub fn patience(mut self, step: Duration) -> Self {
        self.plan.step_timeout = step;
        self.plan.call_timeout = step;
        self
    }

    /// The same probe, with a health page beside it.
    #[must_use]
    pub fn beside(mut self, page: HealthSpec) -> Self {
        self.health = Some(page);
        self
    }

    /// The same probe, with a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The same probe, calling a tool.
    #[must_use]
    pub fn calling(mut self, tool: &str, arguments: &serde_json::Value) -> Self {
        let arguments = arguments.as_object().unwrap().clone();
        self.plan.calls.push(ToolCall::new(tool, arguments));
        self
    }

    /// What opens its connections.
    #[must_use]
    pub fn dialer(&self) -> Dialer {
        Dialer::new(DialerOptions {
            name_servers: self.name_servers.clone(),
            tls: TlsOptions {
                extra_roots: self.ca_file.clone(),
                ..TlsOptions::default()
            },
            policy: self.policy.clone(),
            ..DialerOptions::default()
        })
        .unwrap()
    }

    /// Runs it.
    pub async fn run(self) -> (Report, Option<EraRecord>) {
        let dialer = self.dialer();
        self.run_over(&dialer).await
    }

    /// Runs it over a dialer that was made before: making one reads every authority of the system.
    pub async fn run_over(self, dialer: &Dialer) -> (Report, Option<EraRecord>) {
        let job = probe::Job {
            contact: probe::Contact::default(),
            plan: self.plan,
            headers: self.headers,
            origin: self.origin,
            proxy: self.proxy,
            network: self.network,
            health: self.health,
            alpn: self.alpn,
            authorizer: self.authorizer,
            is_renewed: false,
            examines_walls: self.examines_walls,
            wall: telemetry::clock::wall(),
        };
        let (report, era) = probe::run(dialer, job, &self.cancel).await;
        assert_eq!(
            report.total_us,
            report.steps.iter().map(|step| step.total_us).sum::<u64>(),
            "steps sum to the total"
        );
        for step in &report.steps {
            assert_eq!(
                step.total_us,
                step.phases_us.values().sum::<u64>(),
                "phases sum to the step"
            );
        }
        (report, era)
    }

    /// Runs it and gives the report.
    pub async fn report(self) -> Report {
        self.run().await.0
    }
}

/// Where and why a report failed.
#[must_use]
pub fn failure(report: &Report) -> (Step, Reason) {
    match report.outcome {
        Outcome::Failed(failure) => (failure.step, failure.reason),
        Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => {
            panic!("expected a failure: {report:#?}")
        }
    }
}

/// Waits until `holds`, for at most half a minute: the longest that a slot of 10 s can take.
///
/// # Panics
/// Where it does not come to hold.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen within half a minute: {what}");
}
