//! `--regions`: the same probe, run through the mesh from those regions, now.

mod request;

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args as ClapArgs;
use http::{Method, StatusCode};
use model::regional::{ALL_REGIONS, RegionalProbe};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::progress::Progress;
use super::wait::{self, End, Next, Seen};
use super::{Error, UsageError};
use crate::api::{self, Options};
use crate::exit;
use crate::output::regional::{Judge, Regional, RegionalRun};
use crate::output::{self, Evidence, Format};
use crate::style::{self, Canvas};
use request::Request;

/// What the coordinator may take beside the probe.
const BESIDE: Duration = Duration::from_secs(10);
/// How long to wait for an answer that is due.
const LATE: Duration = Duration::from_secs(10);

/// Probing from elsewhere.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "From the mesh")]
pub(crate) struct RegionsArgs {
    /// Let agents of these regions probe, now, instead of this host: names, or `all`. The key must
    /// have the scope probe or admin
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', value_parser = region,
        conflicts_with_all = ["repeat", "length"])]
    pub(crate) regions: Vec<String>,
    /// How many agents of each region probe, up to 8
    #[arg(long, value_name = "N", default_value = "1", requires = "regions",
        value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) agents_per_region: u32,
    /// How many regions must be healthy for exit status 0 [default: all]
    #[arg(long, value_name = "N", requires = "regions")]
    pub(crate) min_regions_ok: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) api: Options,
}

fn region(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text == ALL_REGIONS || model::monitor::is_id(text) {
        Ok(text.to_owned())
    } else {
        Err("a region has 1 to 64 letters, digits, `-`, `_` and `.`; `parallax agents` lists them")
    }
}

/// Probes from the regions and prints what they found; the exit status.
pub(super) async fn run(args: &Args) -> Result<u8, Error> {
    if args.wait.interval.is_some() && args.wait.wait.is_none() {
        return Err(UsageError::Interval.into());
    }
    let request = Request::of(args).await?;
    let evidence = args.beside.save.as_deref().map(Evidence::prepare);
    let evidence = evidence.transpose()?;
    let mut session = Session {
        api: &args.mesh.api,
        request,
        judge: Judge {
            fail_on_degraded: args.fail_on.is_some(),
            min_regions_ok: args.mesh.min_regions_ok,
        },
        progress: Progress::of_stderr(args.quiet),
        streams: args.output == Format::Ndjson && !args.quiet,
        cancel: telemetry::signal::shutdown().map_err(Error::Signals)?,
    };
    let ended = match args.wait.wait {
        Some(limit) => session.wait(limit.duration(), &args.wait).await?,
        None => session.once().await?.map(|document| {
            let code = document.code;
            (document.regional, code)
        }),
    };
    session.progress.clear();
    let Some((document, code)) = ended else {
        return Ok(exit::INTERRUPTED); // before anything was known
    };
    let run = RegionalRun {
        document,
        code,
        judge: session.judge,
        place: args.beside.annotate.clone(),
    };
    output::regional::tell_surroundings(&run, args.output);
    if !args.quiet {
        let canvas = Canvas::of_stdout(args.color);
        let text = output::regional::render(&run, args.output, canvas);
        style::print(&text).map_err(Error::Stdout)?;
    }
    evidence.map_or(Ok(()), |evidence| evidence.keep(&run.document))?;
    Ok(output::regional::exit_code(&run, args.output))
}

/// What asking again and again needs.
struct Session<'a> {
    api: &'a Options,
    request: Request,
    judge: Judge,
    progress: Progress,
    /// Whether each document is printed as it comes.
    streams: bool,
    cancel: CancellationToken,
}

/// A document, and its exit status.
struct Judged {
    regional: Regional,
    code: u8,
}

impl Session<'_> {
    /// Asks once; nothing where a signal came first. Then the agents are told to stop.
    async fn once(&self) -> Result<Option<Judged>, Error> {
        let body = Some(&self.request.body);
        let patience = self.request.time + LATE;
        let asked = self
            .api
            .answer_within(Method::POST, "/api/v1/probes", body, patience);
        let Some(answer) = self.cancel.run_until_cancelled(asked).await else {
            return Ok(None);
        };
        let probe: Result<RegionalProbe, _> = serde_json::from_value(answer?.json);
        let probe = probe.map_err(|_| api::Error::Answer("reports that this release can read"))?;
        let (code, regional) = self.judge.judge(probe);
        Ok(Some(Judged { regional, code }))
    }

    /// Asks until the target is healthy from enough regions, for so long.
    async fn wait(
        &mut self,
        limit: Duration,
        args: &wait::WaitArgs,
    ) -> Result<Option<(Regional, u8)>, Error> {
        let begin = Instant::now();
        let pause = args
            .interval
            .map_or(wait::INTERVAL, model::Period::duration);
        let mut tally = wait::Tally::new(limit, pause, args.consecutive);
        let mut last = None;
        loop {
            let seen = match self.once().await {
                Ok(Some(judged)) => {
                    let seen = self.judge.seen(&judged.regional, judged.code);
                    last = Some((judged.regional, judged.code));
                    seen
                }
                Ok(None) => interrupted(),
                // The mesh itself wants to be asked later.
                Err(Error::Api(error)) => too_many(error)?,
                Err(error) => return Err(error),
            };
            let result = seen.result.clone();
            let mut next = tally.see(seen, begin.elapsed());
            let waited = &tally.waited;
            let more = format!(
                "probe {}, {} s of {} s, healthy {} of {}",
                waited.attempts,
                begin.elapsed().as_secs(),
                limit.as_secs(),
                waited.streak,
                waited.consecutive
            );
            self.progress.say(&result, &more);
            if let Next::Pause(pause) = next {
                if let Some((document, _)) = last.as_ref().filter(|_| self.streams) {
                    style::print(&output::line(document)).map_err(Error::Stdout)?;
                }
                let slept = tokio::time::sleep(pause);
                if self.cancel.run_until_cancelled(slept).await.is_none() {
                    next = Next::Stop(End::Interrupted);
                }
            }
            let Next::Stop(end) = next else {
                continue;
            };
            let mut waited = tally.waited;
            waited.end = end;
            waited.elapsed_us = wait::micros(begin.elapsed());
            return Ok(last.map(|(document, code)| ended(document, code, waited)));
        }
    }
}

fn ended(mut document: Regional, code: u8, waited: wait::Waited) -> (Regional, u8) {
    let code = match waited.end {
        End::Interrupted => exit::INTERRUPTED,
        // Healthy, but not as was asked for: a success would be a lie.
        End::TimeUp if code == exit::HEALTHY => exit::TIMEOUT,
        End::Healthy | End::Incurable | End::TimeUp => code,
    };
    document.wait = Some(waited);
    (document, code)
}

fn interrupted() -> Seen {
    Seen {
        result: "interrupted".to_owned(),
        is_healthy: false,
        is_interrupted: true,
        is_curable: true,
        wanted: None,
    }
}

/// A coordinator that has enough for now is asked again when it says.
fn too_many(error: api::Error) -> Result<Seen, Error> {
    match error {
        api::Error::Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after,
            ..
        } => Ok(Seen {
            result: "too_many_probes".to_owned(),
            is_healthy: false,
            is_interrupted: false,
            is_curable: true,
            wanted: retry_after.map(Duration::from_secs),
        }),
        error @ (api::Error::Key { .. }
        | api::Error::Setup(_)
        | api::Error::Unreachable { .. }
        | api::Error::Refused { .. }
        | api::Error::Answer(_)
        | api::Error::Clear(_)
        | api::Error::Stdout(_)) => Err(error.into()),
    }
}
