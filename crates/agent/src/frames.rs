//! When a frame is due, and what goes into it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use delivery::{Applied, Courier, Offer, Span};
use prost::Message as _;
use rpc::{limits, v1};

use crate::spool::Spool;

/// What is handed in over one report stream.
#[derive(Debug)]
pub(crate) struct Frames {
    session: u64,
    couriers: BTreeMap<u16, Courier>,
    /// Records of frames that are not yet acknowledged.
    on_the_way: VecDeque<usize>,
    credit: usize,
    oldest: Option<Instant>,
    urgent: bool,
    /// Records that were not yet sent over this stream.
    pending: usize,
    last: Option<Instant>,
}

impl Frames {
    /// A stream was opened: the coordinator states what it has applied.
    pub(crate) fn open(opened: &v1::ReportOpened, spool: &Spool, now: Instant) -> Self {
        let mut couriers = BTreeMap::new();
        for lane in spool.lanes() {
            let stated = opened
                .lanes
                .iter()
                .find(|state| state.lane == u32::from(lane));
            let applied = stated.and_then(read).unwrap_or_default();
            couriers.insert(
                lane,
                Courier::new(spool.oldest(lane), spool.next(lane), applied),
            );
        }
        Self {
            session: opened.session,
            couriers,
            on_the_way: VecDeque::new(),
            credit: usize::try_from(opened.credit_records).unwrap_or(usize::MAX),
            // What waited for the link is due at once.
            oldest: (spool.len() > 0).then_some(now),
            urgent: spool.len() > 0,
            pending: spool.len(),
            last: None,
        }
    }

    /// A record was spooled.
    pub(crate) fn handle_added(&mut self, lane: u16, spool: &Spool, urgent: bool, now: Instant) {
        let next = spool.next(lane);
        let courier = self.couriers.entry(lane).or_insert_with(|| {
            Courier::new(
                next.saturating_sub(1),
                next.saturating_sub(1),
                Applied::default(),
            )
        });
        courier.handle_added(next);
        self.oldest.get_or_insert(now);
        self.urgent |= urgent;
        self.pending += 1;
    }

    /// The spool made room: what it dropped is not offered any more.
    pub(crate) fn handle_dropped(&mut self, lane: u16, spool: &Spool) {
        if let Some(courier) = self.couriers.get_mut(&lane) {
            courier.handle_dropped(spool.oldest(lane));
        }
    }

    /// When the next frame is due; `None` while there is nothing to send, or no credit.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.oldest.filter(|_| self.has_credit())?;
        if self.pending >= limits::FRAME_RECORDS {
            return Some(oldest);
        }
        if self.urgent {
            return Some(
                self.last
                    .map_or(oldest, |last| last + limits::URGENT_FRAME_GAP),
            );
        }
        Some(oldest + limits::FRAME_AGE)
    }

    /// The next frame, if there is something to send.
    pub(crate) fn poll_frame(
        &mut self,
        spool: &Spool,
        sent_at_us: u64,
        now: Instant,
    ) -> Option<v1::EvidenceFrame> {
        if !self.has_credit() {
            return None;
        }
        let mut frame = v1::EvidenceFrame {
            session: self.session,
            slices: Vec::new(),
            sent_at_us,
        };
        let (mut records, mut bytes) = (0, 0);
        while records < limits::FRAME_RECORDS && bytes < limits::FRAME_BYTES {
            let most = limits::SLICE_RECORDS.min(limits::FRAME_RECORDS - records);
            let Some((lane, offer)) = self.offer(most) else {
                break;
            };
            let (first_seq, slice) = spool.read(lane, offer.span);
            if slice.is_empty() {
                continue; // dropped since
            }
            records += slice.len();
            bytes += slice.iter().map(prost::Message::encoded_len).sum::<usize>();
            frame.slices.push(v1::Slice {
                lane: lane.into(),
                first_seq,
                records: slice,
            });
        }
        self.last = Some(now);
        if frame.slices.is_empty() {
            (self.oldest, self.urgent, self.pending) = (None, false, 0);
            return None;
        }
        self.pending = self.pending.saturating_sub(records);
        self.on_the_way.push_back(records);
        debug_assert!(frame.encoded_len() <= limits::MAX_FRAME_BYTES);
        Some(frame)
    }

    /// What is live in any lane goes before what an interruption left behind in any other.
    fn offer(&mut self, most: usize) -> Option<(u16, Offer)> {
        let lanes = &mut self.couriers;
        let live = lanes
            .iter_mut()
            .find_map(|(lane, c)| Some((*lane, c.poll_live(most)?)));
        live.or_else(|| {
            lanes
                .iter_mut()
                .find_map(|(lane, c)| Some((*lane, c.poll_offer(most)?)))
        })
    }

    /// The coordinator acknowledged a frame: what it states may leave the spool.
    pub(crate) fn handle_ack(&mut self, ack: &v1::ReportAck, spool: &mut Spool) {
        self.on_the_way.pop_front();
        for state in &ack.lanes {
            let Some(lane) = u16::try_from(state.lane).ok() else {
                continue;
            };
            if let (Some(courier), Some(applied)) = (self.couriers.get_mut(&lane), read(state)) {
                spool.release(lane, courier.handle_ack(applied));
            }
        }
    }

    fn has_credit(&self) -> bool {
        let waiting: usize = self.on_the_way.iter().sum();
        waiting + limits::FRAME_RECORDS <= self.credit
    }
}

fn read(state: &v1::LaneState) -> Option<Applied> {
    let runs = state.runs.iter().map(|run| Span {
        first: run.first,
        end: run.end,
    });
    Applied::new(state.prefix_end, runs.collect()).ok()
}
