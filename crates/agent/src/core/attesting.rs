//! The self-test at work: canaries are asked, and failures vouched for.

use std::time::Instant;

use tokio::task::JoinError;

use super::state::wall_ms;
use super::{Core, now};
use crate::canary;
use crate::record;
use crate::self_test::RoundId;

/// What became of asking a canary.
pub(super) struct Answer {
    round: RoundId,
    /// Which: its place in the settings.
    bit: usize,
    answer: Result<(), String>,
}

impl Core {
    /// Does what the self-test has to do now.
    pub(super) fn test(&mut self, at: Instant) {
        self.self_test.handle_timeout(at);
        while let Some(round) = self.self_test.poll_round(at) {
            self.peers.ask();
            self.ask_canaries(round);
        }
        while let Some((failure, canaries)) = self.self_test.poll_tested() {
            let others = self.others.count(&failure.monitor, failure.began);
            let lane = failure.lane;
            let peers = self.peers.reached(failure.began, at);
            let lag = self.lag.worst(at);
            // Evidence too: it waits in the spool while the link is down.
            self.spool(
                lane,
                record::attestation(failure, canaries, peers, others, lag),
                true,
            );
        }
        while let Some(name) = self.self_test.poll_kept() {
            if let Some(disk) = &self.disk {
                disk.canary(&name, Some(wall_ms()));
            }
        }
        if let Some(masks) = self.self_test.poll_change() {
            let (asked, answered) = (masks.asked.count_ones(), masks.answered.count_ones());
            if masks.is_bad() {
                tracing::warn!(
                    asked,
                    answered,
                    "most canaries do not answer: what this agent sees may not count"
                );
            } else {
                tracing::info!(asked, answered, "canaries answer again");
            }
            self.beat(at);
        }
    }

    /// All at once: a round takes as long as the slowest.
    fn ask_canaries(&mut self, round: RoundId) {
        for (bit, name) in self.config.canaries.iter().enumerate() {
            let (dialer, name) = (self.dialer.clone(), name.clone());
            self.asking.spawn(async move {
                let answer = canary::ask(&dialer, &name).await;
                Answer { round, bit, answer }
            });
        }
    }

    pub(super) fn handle_answer(&mut self, answer: Result<Answer, JoinError>) {
        match answer {
            Ok(Answer { round, bit, answer }) => {
                if let Err(problem) = &answer {
                    let canary = self.config.canaries.get(bit);
                    tracing::debug!(canary, problem, "a canary does not answer");
                }
                let answers = answer.is_ok();
                self.self_test.handle_answer(round, bit, answers, now());
            }
            // A bug of ours: the round ends without it.
            Err(error) => tracing::error!(%error, "asking a canary failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::tests::server;
    use crate::config::Config;
    use crate::core::Inbox;
    use crate::core::tests::{closed, config, core, schedule, spooled};
    use crate::disk::{Disk, DiskEvent};
    use crate::link::LinkEvent;
    use delivery::Span;
    use rpc::v1;
    use rpc::v1::record::Kind;
    use std::path::{Path, PathBuf};
    use tokio::sync::mpsc;

    fn attestation(core: &Core) -> Option<v1::Attestation> {
        spooled(core).into_iter().find_map(|kind| match kind {
            Kind::Attestation(attestation) => Some(attestation),
            Kind::Outcome(_)
            | Kind::Window(_)
            | Kind::Gap(_)
            | Kind::Missed(_)
            | Kind::SurfaceSeen(_)
            | Kind::SurfacePart(_) => None,
        })
    }

    /// A core whose first canary never answers and whose second does, and which is asked to probe
    /// what nobody listens at.
    async fn failing(folder: &Path, state_dir: Option<PathBuf>) -> (Core, Inbox) {
        let (address, certificate) = server().await;
        let root = folder.join("root.pem");
        std::fs::write(&root, certificate).unwrap();
        let nobody = closed().await;
        let nobody = nobody
            .trim_start_matches("http://")
            .trim_end_matches("/mcp");
        let (mut core, inbox) = core(Config {
            extra_roots: vec![root],
            canaries: vec![nobody.to_owned(), address],
            state_dir,
            ..config()
        });
        schedule(&mut core, &closed().await, &["docs"]);
        core.handle_link(LinkEvent::Confirm(v1::ConfirmationRequest {
            confirmation_id: "c-1".into(),
            monitor_id: "docs".into(),
            generation: 3,
            ..Default::default()
        }));
        (core, inbox)
    }

    fn check(found: &v1::Attestation) {
        assert_eq!((found.canaries_asked, found.canaries_ok), (0b10, 0b10));
        assert_eq!((found.of_seq, &found.monitor_id[..]), (0, "docs"));
    }

    #[tokio::test]
    async fn a_failure_is_vouched_for_while_nobody_is_connected() {
        let folder = tempfile::tempdir().unwrap();
        let (mut core, mut inbox) = failing(folder.path(), None).await;
        let work = async {
            loop {
                core.handle_time();
                if attestation(&core).is_some() {
                    return;
                }
                let wake = core.poll_timeout();
                core.turn(&mut inbox, wake).await;
            }
        };
        let in_time = tokio::time::timeout(canary::PATIENCE * 5, work).await;
        in_time.unwrap();
        check(&attestation(&core).unwrap());
    }

    /// The round that a failure waits for is waited for at the end too, and which canaries answer
    /// is known to the next life.
    #[tokio::test]
    async fn what_failed_before_the_end_is_vouched_for() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state");
        let (mut core, mut inbox) = failing(folder.path(), Some(state_dir.clone())).await;
        let done = core.probes.join_next_with_id().await.unwrap();
        core.handle_done(done);
        core.drain(&mut inbox).await;
        let address = core.config.canaries[1].clone();
        core.close(inbox).await;

        let (tells, mut events) = mpsc::channel(64);
        let (disk, state) = Disk::open(&state_dir, tells).unwrap();
        let kept: Vec<&String> = state.canaries.keys().collect();
        assert_eq!(kept, [&address]);
        disk.load((1, 1), 5, Span { first: 1, end: 2 });
        let Some(DiskEvent::Loaded { records, .. }) = events.recv().await else {
            panic!("records are due");
        };
        match records[0].kind.as_ref().unwrap() {
            Kind::Attestation(attestation) => check(attestation),
            Kind::Outcome(_)
            | Kind::Window(_)
            | Kind::Gap(_)
            | Kind::Missed(_)
            | Kind::SurfaceSeen(_)
            | Kind::SurfacePart(_) => {
                panic!("{records:?}")
            }
        }
    }
}
