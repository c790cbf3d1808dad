//! The agent's half: which sequences of a lane to offer next.

use std::collections::VecDeque;

use crate::MAX_RUNS;
use crate::applied::{Applied, Span};

/// A span to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Which sequences.
    pub span: Span,
    /// Whether it is what has just happened, and not what an interruption left behind.
    pub is_live: bool,
}

/// What one lane of one session has still to hand in.
///
/// On (re)connect the coordinator states what it has applied. Everything the spool holds beyond
/// that is backlog; what is made from now on is live, and is offered first. Only where the lane
/// already has eight runs does the newest hole go first, because a live record would open a
/// ninth.
#[derive(Debug)]
pub struct Courier {
    /// Records below are no longer in the spool: acknowledged or dropped.
    oldest: u64,
    /// The sequence that the next record will get.
    next: u64,
    /// The next live sequence to offer.
    live: u64,
    /// What an interruption left behind, ascending.
    backlog: VecDeque<Span>,
    /// Whether live records must wait for a hole to be filled.
    holes_first: bool,
    applied: Applied,
}

impl Courier {
    /// A lane at the begin of a session. The spool holds `oldest..next`; the coordinator has
    /// applied `applied`.
    #[must_use]
    pub fn new(oldest: u64, next: u64, applied: Applied) -> Self {
        let backlog: VecDeque<Span> = applied
            .missing(Span {
                first: oldest,
                end: next,
            })
            .into();
        // A live record would begin a new run unless everything before it is applied.
        let opens_run = !backlog.is_empty() || applied.prefix_end() < next;
        let holes_first = opens_run && applied.runs().len() >= MAX_RUNS;
        Self {
            oldest,
            next,
            live: next,
            backlog,
            holes_first,
            applied,
        }
    }

    /// The spool now ends before `next`: records were added.
    pub fn handle_added(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The spool dropped what is below `oldest`: it will never be offered.
    pub fn handle_dropped(&mut self, oldest: u64) {
        self.oldest = self.oldest.max(oldest);
        self.live = self.live.max(self.oldest);
        for span in &mut self.backlog {
            span.first = span.first.max(oldest);
        }
        self.backlog.retain(|span| !span.is_empty());
    }

    /// What to send next, at most `most` records; it is not offered again over this stream.
    pub fn poll_offer(&mut self, most: usize) -> Option<Offer> {
        if self.holes_first
            && let Some(span) = self.backlog.pop_back()
        {
            // From its begin, which touches the run before it: its end may touch nothing yet.
            let (first, rest) = split(span, most);
            self.backlog.extend(rest);
            self.holes_first = rest.is_some();
            return Some(Offer {
                span: first,
                is_live: false,
            });
        }
        if self.live < self.next {
            let (span, rest) = split(
                Span {
                    first: self.live,
                    end: self.next,
                },
                most,
            );
            self.live = rest.map_or(self.next, |rest| rest.first);
            return Some(Offer {
                span,
                is_live: true,
            });
        }
        self.poll_backlog(most)
    }

    /// Like [`Self::poll_offer`], but only what has just happened.
    pub fn poll_live(&mut self, most: usize) -> Option<Offer> {
        if self.holes_first || self.live >= self.next {
            return None;
        }
        self.poll_offer(most)
    }

    /// Like [`Self::poll_offer`], but only what an interruption left behind.
    pub fn poll_backlog(&mut self, most: usize) -> Option<Offer> {
        let span = self.backlog.pop_front()?;
        let (span, rest) = split(span, most);
        if let Some(rest) = rest {
            self.backlog.push_front(rest);
        }
        Some(Offer {
            span,
            is_live: false,
        })
    }

    /// The coordinator acknowledged: what it states is durable. The records below the result may
    /// leave the spool.
    pub fn handle_ack(&mut self, applied: Applied) -> u64 {
        if applied.prefix_end() >= self.applied.prefix_end() {
            self.applied = applied;
        }
        self.oldest = self.oldest.max(self.applied.prefix_end().min(self.next));
        self.oldest
    }
}

fn split(span: Span, most: usize) -> (Span, Option<Span>) {
    let cut = Span::of(span.first, most).map_or(span.end, |s| s.end.min(span.end));
    let rest = Span {
        first: cut,
        end: span.end,
    };
    (
        Span {
            first: span.first,
            end: cut,
        },
        (!rest.is_empty()).then_some(rest),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(first: u64, end: u64) -> Span {
        Span { first, end }
    }

    #[test]
    fn live_records_go_first_and_the_backlog_beside_them() {
        let mut lane = Courier::new(0, 10, Applied::new(4, vec![]).unwrap());
        lane.handle_added(12);
        assert_eq!(
            lane.poll_offer(8),
            Some(Offer {
                span: span(10, 12),
                is_live: true
            })
        );
        assert_eq!(
            lane.poll_offer(4),
            Some(Offer {
                span: span(4, 8),
                is_live: false
            })
        );
        lane.handle_added(13);
        assert_eq!(
            lane.poll_offer(4),
            Some(Offer {
                span: span(12, 13),
                is_live: true
            })
        );
        assert_eq!(
            lane.poll_offer(4),
            Some(Offer {
                span: span(8, 10),
                is_live: false
            })
        );
        assert_eq!(lane.poll_offer(4), None);
        assert_eq!(lane.handle_ack(Applied::new(13, vec![]).unwrap()), 13);
    }

    #[test]
    fn at_eight_runs_the_newest_hole_goes_first() {
        let runs: Vec<Span> = (1..=8).map(|n| span(n * 10, n * 10 + 5)).collect();
        let mut lane = Courier::new(0, 90, Applied::new(0, runs).unwrap());
        lane.handle_added(91);
        let first = lane.poll_offer(100).unwrap();
        assert_eq!((first.span, first.is_live), (span(85, 90), false));
        assert!(lane.poll_offer(100).unwrap().is_live);
    }

    proptest! {
        /// An agent and a coordinator over a link that loses frames and breaks at any moment:
        /// at the end everything is applied, each record exactly once, with never more than
        /// eight runs.
        #[test]
        fn everything_arrives_once(
            script in proptest::collection::vec((0u8..5, 1u64..9, 1usize..7), 1..200),
        ) {
            let (mut next, mut oldest) = (0u64, 0u64);
            let mut coordinator = Applied::default();
            let mut counted = 0u64;
            let mut lane = Courier::new(0, 0, Applied::default());
            for (act, n, most) in script {
                match act {
                    0 | 1 => {
                        next += n;
                        lane.handle_added(next);
                    }
                    2 | 3 => {
                        if let Some(offer) = lane.poll_offer(most) {
                            let new = coordinator.apply(offer.span);
                            prop_assert!(new.is_ok(), "an honest agent is never refused");
                            counted += new.unwrap().into_iter().map(Span::len).sum::<u64>();
                            oldest = lane.handle_ack(coordinator.clone());
                        }
                    }
                    // The link breaks with an offer on its way that never arrives.
                    _ => {
                        let _ = lane.poll_offer(most);
                        lane = Courier::new(oldest, next, coordinator.clone());
                    }
                }
            }
            lane = Courier::new(oldest, next, coordinator.clone());
            while let Some(offer) = lane.poll_offer(5) {
                let new = coordinator.apply(offer.span).unwrap();
                counted += new.into_iter().map(Span::len).sum::<u64>();
            }
            prop_assert_eq!((coordinator.prefix_end(), coordinator.runs().len()), (next, 0));
            prop_assert_eq!(counted, next);
        }
    }
}
