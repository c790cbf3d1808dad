//! The ways to probe more than once: each ends with one document and one exit status.

use std::time::Duration;

use model::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::wait::{self, End, Next, WaitArgs};
use super::{Error, Prober, load, repeat, result};
use crate::output::{self, Document};
use crate::{exit, style};

/// What all of them need.
pub(super) struct Session {
    pub(super) prober: Prober,
    pub(super) progress: Progress,
    /// Whether each report is printed as it comes.
    pub(super) streams: bool,
    /// Fires when the command is to end.
    pub(super) cancel: CancellationToken,
}

impl Session {
    /// Probes until a server is healthy, for so long.
    pub(super) async fn wait(
        &mut self,
        limit: Duration,
        args: &WaitArgs,
    ) -> Result<(Document, u8), Error> {
        let begin = Instant::now();
        let pause = args
            .interval
            .map_or(wait::INTERVAL, model::Period::duration);
        let mut tally = wait::Tally::new(limit, pause, args.consecutive);
        loop {
            let report = self.prober.once(&self.cancel).await;
            let code = self.prober.exit_code(&report);
            let mut next = tally.take(&report, code == exit::HEALTHY, begin.elapsed());
            let waited = &tally.waited;
            let seconds = begin.elapsed().as_secs();
            let more = format!(
                "probe {}, {seconds} s of {} s, healthy {} of {}",
                waited.attempts,
                limit.as_secs(),
                waited.streak,
                waited.consecutive
            );
            self.progress.say(&result(&report), &more);
            let mut document = Document::of(report);
            if let Next::Pause(pause) = next {
                self.stream(&document)?;
                if !self.pause(pause).await {
                    next = Next::Stop(End::Interrupted);
                }
            }
            let Next::Stop(end) = next else {
                continue;
            };
            let mut waited = tally.waited;
            waited.end = end;
            waited.elapsed_us = wait::micros(begin.elapsed());
            let code = match end {
                End::Interrupted => exit::INTERRUPTED,
                // Healthy, but not as was asked for: a success would be a lie.
                End::TimeUp if code == exit::HEALTHY => exit::TIMEOUT,
                End::Healthy | End::Incurable | End::TimeUp => code,
            };
            document.wait = Some(waited);
            return Ok((document, code));
        }
    }

    /// Probes so many times.
    pub(super) async fn repeat(
        &mut self,
        times: u32,
        pause: Duration,
    ) -> Result<(Document, u8), Error> {
        let mut tally = repeat::Tally::default();
        let mut deciding = None;
        let mut n = 0;
        loop {
            n += 1;
            let report = self.prober.once(&self.cancel).await;
            let code = self.prober.exit_code(&report);
            let is_cut = report.outcome.reason() == Some(Reason::Cancelled);
            if !is_cut {
                tally.take(&report, code == exit::HEALTHY);
            }
            self.progress
                .say(&result(&report), &format!("probe {n} of {times}"));
            let document = Document::of(report);
            let mut is_last = n >= times || is_cut;
            if !is_last {
                self.stream(&document)?;
                is_last = !self.pause(pause).await;
            }
            if is_last {
                let is_interrupted = self.cancel.is_cancelled() && n < times;
                // The last that was not healthy decides; of a stream the last line is the last probe.
                let (mut document, code) = match deciding {
                    Some(decided) if code == exit::HEALTHY && !self.streams => decided,
                    Some((_, decided)) if code == exit::HEALTHY => (document, decided),
                    _ => (document, code),
                };
                document.repeat = Some(tally.finish());
                let code = if is_interrupted {
                    exit::INTERRUPTED
                } else {
                    code
                };
                return Ok((document, code));
            }
            if code != exit::HEALTHY {
                deciding = Some((document, code));
            }
        }
    }

    /// Makes a load, after a probe that says whether there is anybody to take it.
    pub(super) async fn load(&mut self, plan: load::Plan) -> (Document, u8) {
        let report = self.prober.once(&self.cancel).await;
        let code = self.prober.exit_code(&report);
        let mut document = Document::of(report);
        if code != exit::HEALTHY {
            return (document, code);
        }
        let mut prober = self.prober.clone();
        // A wall that comes up under the load is counted; its authorization server is left alone.
        prober.job.examines_walls = false;
        let loaded = load::run(prober, plan, &self.cancel, &mut self.progress).await;
        let code = match (loaded.interrupted, loaded.holds()) {
            (true, _) => exit::INTERRUPTED,
            (false, true) => exit::HEALTHY,
            (false, false) => exit::UNHEALTHY,
        };
        document.load = Some(loaded);
        (document, code)
    }

    /// Whether the pause came to its end before the command had to.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn stream(&self, document: &Document) -> Result<(), Error> {
        if !self.streams {
            return Ok(());
        }
        style::print(&output::line(document)).map_err(Error::Stdout)
    }
}
