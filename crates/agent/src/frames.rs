//! When a frame is due, and what goes into it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use delivery::{Applied, Courier, Offer, Span};
use prost::Message as _;
use rpc::{limits, v1};

use crate::spool::{Found, Spool};

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
    /// What must be read from disk before anything else is offered: one thing at a time.
    loading: Option<Loading>,
    /// What was read.
    loaded: VecDeque<(u16, u64, v1::Record)>,
    /// Streams and questions so far.
    asked: LoadId,
}

/// A span on its way from the disk.
#[derive(Debug)]
struct Loading {
    id: LoadId,
    lane: u16,
    span: Span,
    is_asked: bool,
}

/// Which answer of the disk belongs to which question: the stream, as the agent counts them, and
/// the number of the question.
pub(crate) type LoadId = (u64, u64);

impl Frames {
    /// A stream was opened, the agent's `stream`th: the coordinator states what it has applied.
    pub(crate) fn open(
        stream: u64,
        opened: &v1::ReportOpened,
        spool: &Spool,
        now: Instant,
    ) -> Self {
        let mut couriers = BTreeMap::new();
        for lane in spool.lanes() {
            let stated = opened
                .lanes
                .iter()
                .find(|state| state.lane == u32::from(lane));
            let applied = stated.and_then(read).unwrap_or_default();
            couriers.insert(
                lane,
                Courier::new(spool.oldest(lane), spool.end(lane), applied),
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
            pending: usize::try_from(spool.len()).unwrap_or(usize::MAX),
            last: None,
            loading: None,
            loaded: VecDeque::new(),
            asked: (stream, 0),
        }
    }

    /// A record may be sent now.
    pub(crate) fn handle_added(&mut self, lane: u16, spool: &Spool, urgent: bool, now: Instant) {
        let courier = self.couriers.entry(lane).or_insert_with(|| {
            // The lane is younger than the stream: all of it is live.
            let oldest = spool.oldest(lane);
            Courier::new(oldest, oldest, Applied::default())
        });
        courier.handle_added(spool.end(lane));
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
        if self.loading.is_some() && self.loaded.is_empty() {
            return None;
        }
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
            let Some(slice) = self.slice(spool, most) else {
                break;
            };
            records += slice.records.len();
            let sizes = slice.records.iter().map(prost::Message::encoded_len);
            bytes += sizes.sum::<usize>();
            frame.slices.push(slice);
        }
        self.last = Some(now);
        if frame.slices.is_empty() {
            if self.loading.is_none() {
                (self.oldest, self.urgent, self.pending) = (None, false, 0);
            }
            return None;
        }
        self.pending = self.pending.saturating_sub(records);
        self.on_the_way.push_back(records);
        debug_assert!(frame.encoded_len() <= limits::MAX_FRAME_BYTES);
        Some(frame)
    }

    /// Records of one lane that go next.
    fn slice(&mut self, spool: &Spool, most: usize) -> Option<v1::Slice> {
        if !self.loaded.is_empty() {
            return self.loaded_slice(most);
        }
        while self.loading.is_none() {
            let (lane, offer) = self.offer(most)?;
            match spool.read(lane, offer.span) {
                Found::Here(_, records) if records.is_empty() => {} // dropped since
                Found::Here(first_seq, records) => {
                    return Some(v1::Slice {
                        lane: lane.into(),
                        first_seq,
                        records,
                    });
                }
                Found::OnDisk(span) => self.want(lane, span),
            }
        }
        None
    }

    /// What was read from disk, as far as it belongs together.
    fn loaded_slice(&mut self, most: usize) -> Option<v1::Slice> {
        let (lane, first_seq, record) = self.loaded.pop_front()?;
        let mut records = vec![record];
        while records.len() < most {
            let next = first_seq + records.len() as u64;
            let fits = |(of, seq, _): &mut (u16, u64, v1::Record)| *of == lane && *seq == next;
            let Some((_, _, record)) = self.loaded.pop_front_if(fits) else {
                break;
            };
            records.push(record);
        }
        Some(v1::Slice {
            lane: lane.into(),
            first_seq,
            records,
        })
    }

    fn want(&mut self, lane: u16, span: Span) {
        self.asked.1 += 1;
        self.loading = Some(Loading {
            id: self.asked,
            lane,
            span,
            is_asked: false,
        });
    }

    /// What to read from disk now: told once.
    pub(crate) fn poll_load(&mut self) -> Option<(LoadId, u16, Span)> {
        let loading = self.loading.as_mut().filter(|loading| !loading.is_asked)?;
        loading.is_asked = true;
        Some((loading.id, loading.lane, loading.span))
    }

    /// Records were read from disk.
    pub(crate) fn handle_loaded(&mut self, id: LoadId, first: u64, records: Vec<v1::Record>) {
        let is_it = |loading: &mut Loading| loading.id == id;
        let Some(loading) = self.loading.take_if(is_it) else {
            return; // asked for over an earlier stream
        };
        let end = first + records.len() as u64;
        if !records.is_empty() && end < loading.span.end {
            // There is a hole, or there was more than is read at once.
            let span = Span {
                first: end,
                end: loading.span.end,
            };
            self.want(loading.lane, span);
        }
        let numbered = (first..).zip(records);
        let loaded = numbered.map(|(seq, record)| (loading.lane, seq, record));
        self.loaded.extend(loaded);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Lane;
    use std::collections::BTreeMap;

    const CREDIT: u32 = 8192;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn record(n: u64) -> v1::Record {
        v1::Record {
            other_boot_id: n.to_string(),
            ..Default::default()
        }
    }

    /// A spool with so many records of a lane on disk, and none of them in memory.
    fn on_disk(lane: u16, records: u64) -> Spool {
        let mut held = Lane::found(0, 0);
        for _ in 0..records {
            held.find(10);
        }
        Spool::on_disk("b", u64::MAX, BTreeMap::from([(lane, held)]))
    }

    fn opened() -> v1::ReportOpened {
        v1::ReportOpened {
            session: 1,
            credit_records: CREDIT,
            ..Default::default()
        }
    }

    fn sent(frame: &v1::EvidenceFrame) -> Vec<(u32, u64, usize)> {
        let slices = frame.slices.iter();
        slices
            .map(|slice| (slice.lane, slice.first_seq, slice.records.len()))
            .collect()
    }

    /// What is on disk goes in pieces, each asked for once and due when it is there; a hole in it
    /// keeps nothing else from going.
    #[test]
    fn what_is_on_disk_is_read_piece_by_piece_over_holes() {
        let spool = on_disk(3, 100);
        let mut frames = Frames::open(1, &opened(), &spool, now());
        assert!(frames.poll_frame(&spool, 0, now()).is_none());
        assert_eq!(frames.poll_timeout(), None, "it waits for the disk");
        let (id, lane, span) = frames.poll_load().unwrap();
        assert_eq!((lane, span), (3, Span { first: 0, end: 64 }));
        assert_eq!(frames.poll_load(), None, "asked once");
        // The records 10 to 20 are lost.
        frames.handle_loaded(id, 0, (0..10).map(record).collect());
        assert!(frames.poll_timeout().is_some(), "what is there is due");
        let (rest, _, span) = frames.poll_load().unwrap();
        assert_eq!(span, Span { first: 10, end: 64 });
        let frame = frames.poll_frame(&spool, 0, now()).unwrap();
        assert_eq!(sent(&frame), [(3, 0, 10)]);
        frames.handle_loaded(rest, 20, (20..64).map(record).collect());
        let frame = frames.poll_frame(&spool, 0, now()).unwrap();
        assert_eq!(sent(&frame), [(3, 20, 44)]);
        let (last, _, span) = frames.poll_load().unwrap();
        assert_eq!(
            span,
            Span {
                first: 64,
                end: 100
            }
        );
        frames.handle_loaded(last, 64, (64..100).map(record).collect());
        let frame = frames.poll_frame(&spool, 0, now()).unwrap();
        assert_eq!(sent(&frame), [(3, 64, 36)]);
        assert!(frames.poll_frame(&spool, 0, now()).is_none());
        assert_eq!(frames.poll_timeout(), None);
    }

    /// Coordinators count sessions from 1 each: an answer of the disk is known by our own count.
    #[test]
    fn an_answer_to_an_earlier_stream_is_not_taken() {
        let spool = on_disk(3, 10);
        let mut before = Frames::open(1, &opened(), &spool, now());
        assert!(before.poll_frame(&spool, 0, now()).is_none());
        let (late, _, _) = before.poll_load().unwrap();
        let mut frames = Frames::open(2, &opened(), &spool, now());
        assert!(frames.poll_frame(&spool, 0, now()).is_none());
        frames.handle_loaded(late, 0, (0..10).map(record).collect());
        assert!(frames.poll_frame(&spool, 0, now()).is_none());
        assert!(frames.poll_load().is_some(), "still to be asked");
    }
}
