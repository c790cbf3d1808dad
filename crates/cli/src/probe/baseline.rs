//! `--baseline FILE` and `--write-baseline FILE`: the tools of a server, held against a lock file.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use contract::{Damaged, Lock, Seen, Surface};
use mcp::Listing;
use model::contract::{BaselineReport, ContractReport, Drift};
use model::report::CheckReport;
use model::{CheckId, Failure, Outcome, Phase, Reason, Report, Severity, Step};

use crate::{exit, style};

/// Why a baseline cannot be used. The message names the option, the field and the way out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaselineError {
    /// The file cannot be read.
    #[error(
        "--baseline {0}: {1}; write one with --write-baseline {0}, against a server that you trust"
    )]
    Unread(String, std::io::Error),
    /// The file is no lock file of this version, or was changed.
    #[error("--baseline {0}: {1}; {2}")]
    Damaged(String, Damaged, &'static str),
    /// The new file cannot be written.
    #[error("--write-baseline {0}: {1}; name a file in a folder that can be written")]
    Unwritten(String, std::io::Error),
    /// The tools do not fit into a lock file.
    #[error("--write-baseline {0}: nothing is written: it {1}")]
    TooLarge(String, Damaged),
    /// There is nothing whole to write.
    #[error("--write-baseline {0}: nothing is written: {1}")]
    Nothing(String, String),
}

impl BaselineError {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unread(..) | Self::Damaged(..) | Self::Unwritten(..) => exit::CONFIG,
            Self::TooLarge(..) | Self::Nothing(..) => exit::UNHEALTHY,
        }
    }
}

/// What a probe is held against, and where what it saw is kept.
#[derive(Debug)]
pub(crate) struct Baseline {
    agreed: Option<Lock>,
    severity: Option<Severity>,
    write: Option<PathBuf>,
    /// What is to be written, or why nothing is.
    seen: Option<Result<Lock, String>>,
}

impl Baseline {
    /// Reads the baseline, before anything is asked of the server. `severity` is what the user
    /// wants drift to be, of whatever class.
    pub(crate) fn open(
        compare: Option<&Path>,
        write: Option<&Path>,
        severity: Option<Severity>,
    ) -> Result<Self, BaselineError> {
        Ok(Self {
            agreed: compare.map(read).transpose()?,
            severity,
            write: write.map(Path::to_owned),
            seen: None,
        })
    }

    /// Adds the contract to the report, and what its comparison with the baseline means.
    ///
    /// An earlier failure stays the outcome: drift may be what explains it.
    pub(crate) fn settle(&mut self, report: &mut Report, listing: Option<Listing>) {
        let seen = match listing {
            None => Err("the probe did not get the whole list of tools".to_owned()),
            Some(Listing::TooLarge) => Err(contract::Unfit::TooLarge.to_string()),
            Some(Listing::Whole {
                tools,
                instructions,
            }) => Surface::new(&tools, instructions.as_deref()).map_err(|unfit| unfit.to_string()),
        };
        let surface = match seen {
            Ok(surface) => surface,
            Err(problem) => {
                // A failed probe has said why it has no list.
                let is_asked = self.agreed.is_some() || self.write.is_some();
                if is_asked && matches!(report.outcome, Outcome::Ok | Outcome::Degraded { .. }) {
                    let detail = format!("the tools cannot be compared: {problem}");
                    violate(report, Severity::Fail, Reason::CheckViolated, &detail);
                }
                self.seen = Some(Err(problem));
                return;
            }
        };
        let mut contract = ContractReport {
            fingerprint: surface.fingerprint().to_owned(),
            tools: u32::try_from(surface.tools().len()).unwrap_or(u32::MAX),
            baseline: None,
        };
        let drift = self
            .agreed
            .as_ref()
            .map(|agreed| (contract::diff(&agreed.surface, &surface), agreed));
        if let Some((drift, agreed)) = drift {
            self.judge(report, &drift);
            contract.baseline = Some(BaselineReport {
                fingerprint: agreed.surface.fingerprint().to_owned(),
                drift,
            });
        }
        report.contract = Some(contract);
        self.seen = Some(Ok(Lock {
            surface,
            seen: Seen {
                era: report.era.map(|era| era.to_string()),
                protocol_version: report.protocol_version.map(|revision| revision.to_string()),
                server: report.server.clone(),
            },
        }));
    }

    fn judge(&self, report: &mut Report, drift: &Drift) {
        let Some(worst) = drift.worst() else {
            let severity = CheckId::ContractBaseline.rule().severity;
            examine(report, self.severity.unwrap_or(severity), None);
            let list = report.steps.iter_mut().rev();
            for step in list.filter(|step| step.step == Step::ToolsList && step.reason.is_none()) {
                let listed = step.detail.take().unwrap_or_default();
                step.detail = Some(format!("{listed} = baseline"));
            }
            report.summary = probe::summary(report);
            return;
        };
        let severity = self.severity.unwrap_or_else(|| worst.severity());
        let detail = format!("changed since the baseline: {}", drift.counts());
        violate(report, severity, Reason::ContractDrift, &detail);
    }

    /// Writes what was seen, if that was asked for, at the end of a probe whose exit status would
    /// be `code`; the exit status.
    pub(crate) fn write(&self, code: u8, is_quiet: bool) -> Result<u8, BaselineError> {
        match self.written() {
            Ok(Some(words)) if !is_quiet => style::eprint(&words),
            Ok(_) => {}
            // What the probe found says more than that there was nothing to write.
            Err(error) if code != exit::HEALTHY && error.exit_code() == exit::UNHEALTHY => {
                style::eprint(&format!("parallax: {error}\n"));
            }
            Err(error) => return Err(error),
        }
        Ok(code)
    }

    fn written(&self) -> Result<Option<String>, BaselineError> {
        let (Some(path), Some(seen)) = (&self.write, &self.seen) else {
            return Ok(None);
        };
        let shown = shown(path);
        let lock = match seen {
            Ok(lock) => lock,
            Err(problem) => return Err(BaselineError::Nothing(shown, problem.clone())),
        };
        let text = match lock.write() {
            Ok(text) => text,
            Err(error) => return Err(BaselineError::TooLarge(shown, error)),
        };
        if let Err(error) = replace(path, &text) {
            return Err(BaselineError::Unwritten(shown, error));
        }
        let count = lock.surface.tools().len();
        let plural = if count == 1 { "" } else { "s" };
        let fingerprint = lock.surface.fingerprint();
        Ok(Some(format!(
            "{shown}: written: {count} tool{plural}, {fingerprint}\n"
        )))
    }
}

fn read(path: &Path) -> Result<Lock, BaselineError> {
    // One more byte shows that there is too much.
    let most = contract::limits::MAX_LOCK_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| BaselineError::Unread(shown(path), error))?;
    let text = String::from_utf8(bytes).map_err(|_| Damaged::Syntax("it is not UTF-8".to_owned()));
    text.and_then(|text| Lock::read(&text)).map_err(|damaged| {
        let way_out = match &damaged {
            Damaged::Version(_) => {
                "read it with the parallax that wrote it, or write it anew with --write-baseline"
            }
            Damaged::Fingerprint(_) => {
                "write it anew with --write-baseline, or put that fingerprint in if the edit is meant"
            }
            Damaged::Syntax(_)
            | Damaged::Member(..)
            | Damaged::Unfit(_)
            | Damaged::TooLarge => "restore it, or write it anew with --write-baseline",
        };
        BaselineError::Damaged(shown(path), damaged, way_out)
    })
}

/// Writes the whole file or nothing: a reader never sees half of it. What is no regular file, such
/// as a pipe, is written as it is.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let target = match std::fs::canonicalize(path) {
        Ok(target) if target.is_file() => target,
        Ok(other) => return std::fs::write(other, text),
        Err(_) => path.to_owned(),
    };
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = target.with_file_name(name);
    let written = std::fs::File::create(&part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&part, &target));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn shown(path: &Path) -> String {
    model::text::line(&path.to_string_lossy(), 200)
}

/// Files the check; `detail` says what is wrong.
fn examine(report: &mut Report, severity: Severity, detail: Option<String>) {
    let id = CheckId::ContractBaseline;
    report.checks.retain(|check| check.id != id);
    report.checks.push(CheckReport {
        id,
        passed: detail.is_none(),
        severity,
        source: id.rule().source.to_owned(),
        detail,
    });
    report.checks.sort_by_key(|check| check.id);
}

/// Files a violated check, and draws from it what its severity demands.
fn violate(report: &mut Report, severity: Severity, reason: Reason, detail: &str) {
    examine(report, severity, Some(detail.to_owned()));
    match (severity, &mut report.outcome) {
        (Severity::Fail, Outcome::Ok | Outcome::Degraded { .. }) => fail(report, reason, detail),
        (Severity::Degrade, outcome @ Outcome::Ok) => {
            *outcome = Outcome::Degraded {
                checks: vec![CheckId::ContractBaseline],
            };
        }
        (Severity::Degrade, Outcome::Degraded { checks }) => {
            checks.push(CheckId::ContractBaseline);
            checks.sort_unstable();
        }
        (Severity::Note, _) | (_, Outcome::Failed(_) | Outcome::Inconclusive { .. }) => {}
    }
    report.summary = probe::summary(report);
}

/// The step that lists the tools fails; without one, the step whose answer announces none.
fn fail(report: &mut Report, reason: Reason, detail: &str) {
    let place = |wanted: &[Step]| {
        let mut steps = report.steps.iter();
        steps.rposition(|step| wanted.contains(&step.step))
    };
    let place = place(&[Step::ToolsList]).or_else(|| place(&[Step::Discover, Step::Initialize]));
    let mut failure = Failure {
        step: Step::ToolsList,
        phase: Phase::Receive,
        reason,
    };
    if let Some(step) = place.and_then(|at| report.steps.get_mut(at)) {
        failure.step = step.step;
        step.reason = Some(reason);
        step.failed_phase = Some(failure.phase);
        step.detail = Some(detail.to_owned());
    }
    report.outcome = Outcome::of_failure(failure);
}
