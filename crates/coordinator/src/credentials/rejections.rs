//! What agents say of tokens that targets do not accept.

use auth::renewal::Ms;
use model::MonitorId;
use rpc::{limits, v1};

use crate::assigning::Assigned;

/// A probe whose token was turned away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) id: MonitorId,
    pub(crate) generation: u64,
    /// When the probe began.
    pub(crate) began: Ms,
}

/// The rejections in what an agent hands in at `at`: of the monitors that it watches, as a renewal
/// costs the authorization server something.
pub(crate) fn read(
    frame: &v1::EvidenceFrame,
    agent: &str,
    assigned: &Assigned,
    at: Ms,
) -> Vec<Rejection> {
    let records = frame.slices.iter().flat_map(|slice| &slice.records);
    let records = records.take(2 * limits::FRAME_RECORDS);
    let rejections = records.filter_map(|record| {
        let Some(v1::record::Kind::Outcome(outcome)) = &record.kind else {
            return None;
        };
        // What began in another boot began before any token of now.
        if outcome.reason() != v1::Reason::AuthTokenRejected || !record.other_boot_id.is_empty() {
            return None;
        }
        let id = outcome.monitor_id.parse().ok()?;
        let watchers = assigned.watchers(&id)?;
        let age = frame.sent_at_us.saturating_sub(outcome.started_at_us) / 1000;
        watchers.iter().any(|one| one == agent).then(|| Rejection {
            id,
            generation: outcome.generation,
            began: at.saturating_sub(age),
        })
    });
    rejections.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(reason: v1::Reason, other_boot_id: &str) -> v1::EvidenceFrame {
        let outcome = v1::ProbeOutcome {
            monitor_id: "docs".to_owned(),
            generation: 3,
            started_at_us: 2_000_000,
            reason: reason.into(),
            ..Default::default()
        };
        let record = v1::Record {
            kind: Some(v1::record::Kind::Outcome(outcome)),
            other_boot_id: other_boot_id.to_owned(),
        };
        v1::EvidenceFrame {
            sent_at_us: 7_000_000,
            slices: vec![v1::Slice {
                records: vec![record],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn only_who_watches_a_monitor_is_believed() {
        let assigned = Assigned::default();
        let id: MonitorId = "docs".parse().unwrap();
        assigned.set(&id, Some(vec!["a".to_owned()]));
        let rejected = frame(v1::Reason::AuthTokenRejected, "");
        let found = read(&rejected, "a", &assigned, 100_000);
        let began = 95_000;
        let generation = 3;
        assert_eq!(
            found,
            [Rejection {
                id,
                generation,
                began
            }]
        );
        assert_eq!(read(&rejected, "b", &assigned, 100_000), []);
        assert_eq!(read(&rejected, "a", &Assigned::default(), 100_000), []);
        for nothing in [
            frame(v1::Reason::AuthTokenRejected, "another"),
            frame(v1::Reason::AuthRequired, ""),
        ] {
            assert_eq!(read(&nothing, "a", &assigned, 100_000), []);
        }
    }
}
