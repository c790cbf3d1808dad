//! `parallax probe URL`.

mod args;
mod baseline;
pub(crate) mod credential;
mod demands;
mod headers;
pub(crate) mod load;
mod network;
mod progress;
mod proxy;
mod regions;
pub(crate) mod repeat;
mod session;
pub(crate) mod wait;

use std::sync::{Arc, Mutex, PoisonError};

use dial::{AddressPolicy, Dialer, DialerOptions, Family, Origin, TlsOptions};
use mcp::{ClientInfo, Plan};
use model::{CheckId, Outcome, Period, Report, TargetUrl};
use tokio_util::sync::CancellationToken;

pub(crate) use args::Args;
use args::UsageError;
pub(crate) use baseline::replace;
use progress::Progress;
use session::Session;

use crate::exit;
use crate::output::{self, Document, Evidence, Format, Run, SaveError};
use crate::style::{self, Canvas};

/// Why a probe could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line contradicts itself.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// A header cannot be used.
    #[error("{0}")]
    Header(#[from] headers::HeaderError),
    /// A client or a certificate cannot be used.
    #[error("{0}")]
    Credential(#[from] credential::CredentialError),
    /// A proxy cannot be used.
    #[error("{0}")]
    Proxy(#[from] proxy::BadProxy),
    /// A demand cannot be used.
    #[error("{0}")]
    Demands(#[from] demands::BadDemands),
    /// A baseline cannot be read or written.
    #[error("{0}")]
    Baseline(#[from] baseline::BaselineError),
    /// The host's configuration cannot be used.
    #[error("{0}")]
    Setup(#[from] dial::SetupError),
    /// The coordinator does not do what it is asked for.
    #[error("{0}")]
    Api(#[from] crate::api::Error),
    /// The evidence cannot be kept.
    #[error("{0}")]
    Save(#[from] SaveError),
    /// The report cannot be written.
    #[error("stdout: {0}")]
    Stdout(#[source] std::io::Error),
    /// Signals cannot be handled.
    #[error("signal handlers: {0}")]
    Signals(#[source] std::io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Demands(demands::BadDemands::Fields(_)) => exit::USAGE,
            Self::Demands(_) => exit::CONFIG,
            Self::Baseline(error) => error.exit_code(),
            Self::Header(error) => error.exit_code(),
            Self::Credential(error) => error.exit_code(),
            Self::Proxy(error) => error.exit_code(),
            Self::Api(error) => error.exit_code(),
            Self::Setup(_) | Self::Save(_) => exit::CONFIG,
            Self::Stdout(_) | Self::Signals(_) => exit::INTERNAL,
        }
    }
}

/// Runs what the command line asks for and prints what it found; the exit status.
pub(crate) async fn run(args: Args) -> Result<u8, Error> {
    let (format, quiet) = (args.output, args.quiet);
    let ended = probe(args).await;
    if let Err(error) = &ended {
        output::tell_pod(&error.to_string());
    }
    match ended {
        // Nagios takes 2 for CRITICAL; what is wrong with the command is UNKNOWN.
        Err(error) if format == Format::Nagios => {
            let (line, code) = output::nagios_unknown(&error.to_string());
            if !quiet {
                style::print(&line).map_err(Error::Stdout)?;
            }
            Ok(code)
        }
        ended => ended,
    }
}

async fn probe(args: Args) -> Result<u8, Error> {
    if !args.mesh.regions.is_empty() {
        return regions::run(&args).await;
    }
    let prober = Prober::of(&args).await?;
    let baseline = Arc::clone(&prober.baseline);
    let load = args.load.plan()?;
    if args.wait.interval.is_some() && args.wait.wait.is_none() && args.repeat.repeat.is_none() {
        return Err(UsageError::Interval.into());
    }
    let evidence = args.beside.save.as_deref().map(Evidence::prepare);
    let evidence = evidence.transpose()?;
    let cancel = telemetry::signal::shutdown().map_err(Error::Signals)?;
    let mut session = Session {
        progress: Progress::of_stderr(args.quiet),
        streams: args.output == Format::Ndjson && !args.quiet,
        cancel,
        prober,
    };
    let (document, code) = if let Some(plan) = load {
        session.load(plan).await
    } else if let Some(times) = args.repeat.repeat {
        let pause = args.wait.interval.map(Period::duration);
        session.repeat(times, pause.unwrap_or_default()).await?
    } else if let Some(limit) = args.wait.wait {
        session.wait(limit.duration(), &args.wait).await?
    } else {
        let report = session.prober.once(&session.cancel).await;
        let code = session.prober.exit_code(&report);
        (Document::of(report), code)
    };
    session.progress.clear();
    let run = Run {
        document,
        code,
        fail_on_degraded: args.fail_on.is_some(),
        place: args.beside.annotate,
    };
    output::tell_surroundings(&run, args.output);
    if !args.quiet {
        let text = output::render(&run, args.output, Canvas::of_stdout(args.color));
        style::print(&text).map_err(Error::Stdout)?;
    }
    // Last, so that a disk that is full takes no verdict away.
    evidence.map_or(Ok(()), |evidence| evidence.keep(&run.document))?;
    let code = output::exit_code(&run, args.output);
    let baseline = baseline.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(baseline.write(code, args.quiet)?)
}

/// What it takes to probe, again and again.
#[derive(Clone)]
pub(crate) struct Prober {
    dialer: Dialer,
    job: probe::Job,
    /// What the tools are held against. Shared, because each probe tells it what it saw.
    baseline: Arc<Mutex<baseline::Baseline>>,
    fail_on_degraded: bool,
}

impl Prober {
    async fn of(args: &Args) -> Result<Self, Error> {
        let mut headers = headers::collect(&args.header, args.bearer_file.as_deref(), |name| {
            std::env::var(name).ok()
        })?;
        let authorizer = args.credential.authorizer(&headers)?;
        let target = args.target()?;
        let proxy = proxy::choose(&args.proxy, &target, |name| std::env::var(name).ok())?;
        if args.network.wants_all_addresses() && proxy.is_some() {
            return Err(UsageError::AddressesBehindProxy.into());
        }
        args.check_http3(&target, proxy.is_some())?;
        let mut plan = plan(args, target)?;
        if headers.contains_key(http::header::ORIGIN) && !plan.expect.origin.is_empty() {
            return Err(UsageError::Origin.into());
        }
        let baseline = baseline::Baseline::open(
            args.baseline.as_deref(),
            args.write_baseline.as_deref(),
            plan.severities.get(&CheckId::ContractBaseline).copied(),
        )?;
        let health = args.demands.health()?;
        let dialer = dialer(args)?;
        let network = args.network.network();
        let (way, user_agent) = (network.way(), args.contact.user_agent());
        let token = args
            .credential
            .token(&dialer, &plan.url, proxy.clone(), way, user_agent)
            .await?;
        if let Some(token) = token {
            headers.insert(http::header::AUTHORIZATION, headers::bearer_of(&token)?);
        }
        plan.has_credential = headers::has_credential(&headers);
        let job = probe::Job {
            plan,
            headers,
            // Typed on the command line: private addresses and plain http are the user's own choice.
            origin: Origin::Operator,
            proxy,
            network,
            health,
            alpn: args.alpn(),
            authorizer: authorizer.map(Arc::new),
            is_renewed: args.credential.is_renewed(),
            examines_walls: true,
            wall: telemetry::clock::wall(),
            contact: args.contact.clone(),
        };
        Ok(Self {
            dialer,
            job,
            baseline: Arc::new(Mutex::new(baseline)),
            fail_on_degraded: args.fail_on.is_some(),
        })
    }

    /// One probe, on connections of its own.
    pub(crate) async fn once(&self, cancel: &CancellationToken) -> Report {
        let mut job = self.job.clone();
        job.wall = telemetry::clock::wall();
        let survey = probe::survey(&self.dialer, job, cancel).await;
        let mut report = survey.report;
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        baseline.settle(&mut report, survey.listing);
        report
    }

    pub(crate) fn exit_code(&self, report: &Report) -> u8 {
        exit::of(&report.outcome, self.fail_on_degraded)
    }

    pub(crate) fn is_healthy(&self, report: &Report) -> bool {
        self.exit_code(report) == exit::HEALTHY
    }
}

fn plan(args: &Args, target: TargetUrl) -> Result<Plan, Error> {
    let mut plan = Plan::new(target, ClientInfo::parallax());
    plan.era = args.era;
    plan.calls = args.calls()?;
    plan.step_timeout = args.step_timeout.duration();
    plan.call_timeout = args
        .call_timeout
        .unwrap_or(args.step_timeout)
        .duration()
        .min(Plan::MAX_CALL_TIMEOUT);
    plan.total_timeout = args.timeout.duration();
    plan.severities = args.severity.iter().copied().collect();
    args.demands.add_to(&mut plan)?;
    plan.instance = args.network.instance();
    plan.keep_listing = true;
    Ok(plan)
}

fn dialer(args: &Args) -> Result<Dialer, Error> {
    Ok(Dialer::new(DialerOptions {
        name_servers: args.resolver.clone(),
        family: match (args.ipv4, args.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            (false, false) => Family::Any,
        },
        tls: TlsOptions {
            extra_roots: args.ca_file.clone(),
            client: args.credential.identity(),
        },
        policy: AddressPolicy::default(),
    })?)
}

/// What a probe came to, in the words of the closed lists: an outcome, or where and why it failed.
pub(crate) fn result(report: &Report) -> String {
    match &report.outcome {
        Outcome::Ok | Outcome::Degraded { .. } => report.outcome.as_str().to_owned(),
        Outcome::Failed(failure) => format!("{} at {}", failure.reason, failure.step),
        Outcome::Inconclusive { reason } => reason.to_string(),
    }
}
