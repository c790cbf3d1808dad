//! What a coordinator kept, read from its data folder by the store itself.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;
use rpc::v1;
use store::Store as _;
use store_rocksdb::{Durability, Options, RocksStore};

/// Agent, spool epoch and lane.
pub type Lane = (String, u64, u16);

/// By sequence: the monitor of an outcome, and whether a window counts it.
pub type Outcomes = BTreeMap<u64, (String, bool)>;

/// What the store has in the end.
#[derive(Default)]
pub struct Kept {
    /// Outcomes by agent, monitor and slot: how often each is kept, and whether it ended well. Those
    /// that did not were cancelled when their agent was stopped.
    pub outcomes: BTreeMap<(String, String, u64), (u64, bool)>,
    /// By agent, epoch and lane: sequence, monitor, and whether a window counts it.
    pub sequences: BTreeMap<Lane, Outcomes>,
    /// Windows of whole probes: where, monitor, range and count.
    pub windows: Vec<(Lane, v1::LatencyWindow)>,
    /// Records that gap records name.
    pub gaps: u64,
    /// Windows that came as HdrHistogram V2.
    pub hdr_windows: u64,
}

impl Kept {
    /// Everything in a coordinator's data folder.
    ///
    /// # Panics
    /// Where it cannot be read, or a sequence is kept twice.
    pub async fn read(folder: &Path) -> Self {
        let options = Options {
            durability: Durability::Process,
            seed: 0,
        };
        let store = RocksStore::open(folder, &options).unwrap();
        let mut kept = Self::default();
        let mut after = None;
        loop {
            let page = store.evidence(0, after, 1000).await.unwrap();
            let Some(last) = page.last() else {
                return kept;
            };
            after = Some(last.key);
            for batch in page {
                let from = batch.provenance;
                let lane = (from.agent, from.spool_epoch, batch.key.lane);
                for (seq, bytes) in batch.records {
                    kept.take(&lane, seq, v1::Record::decode(&bytes[..]).unwrap());
                }
            }
        }
    }

    fn take(&mut self, lane: &Lane, seq: u64, record: v1::Record) {
        match record.kind.unwrap() {
            v1::record::Kind::Outcome(outcome) => {
                let counts = outcome.kind() == v1::OutcomeKind::Ok;
                let of_lane = self.sequences.entry(lane.clone()).or_default();
                let twice = of_lane.insert(seq, (outcome.monitor_id.clone(), counts));
                assert!(twice.is_none(), "{lane:?} {seq} is kept twice");
                let slot = (lane.0.clone(), outcome.monitor_id, outcome.slot);
                let kept = self.outcomes.entry(slot).or_insert((0, counts));
                kept.0 += 1;
            }
            v1::record::Kind::Window(window)
                if !window.hdr_v2.is_empty() && window.step() != v1::Step::Probe =>
            {
                self.hdr_windows += 1;
            }
            v1::record::Kind::Window(window) if window.step() == v1::Step::Probe => {
                self.hdr_windows += u64::from(!window.hdr_v2.is_empty());
                self.windows.push((lane.clone(), window));
            }
            v1::record::Kind::Gap(gap) => self.gaps += gap.end_seq - gap.first_seq,
            v1::record::Kind::Window(_)
            | v1::record::Kind::Missed(_)
            | v1::record::Kind::SurfaceSeen(_)
            | v1::record::Kind::SurfacePart(_)
            | v1::record::Kind::Attestation(_) => {}
        }
    }

    /// How many outcomes ended well.
    #[must_use]
    pub fn ok(&self) -> usize {
        self.outcomes.values().filter(|(_, ok)| *ok).count()
    }

    /// Checks that every window of whole probes counts the outcomes of the sequences it names.
    ///
    /// # Panics
    /// Where one does not.
    pub fn windows_hold_what_they_name(&self) {
        for (lane, window) in &self.windows {
            let of_lane = &self.sequences[lane];
            let in_range = of_lane.range(window.first_seq..window.end_seq);
            let counted = in_range
                .filter(|(_, (monitor, counts))| *counts && *monitor == window.monitor_id)
                .count();
            assert_eq!(counted as u64, window.count, "{window:?}");
        }
    }
}
