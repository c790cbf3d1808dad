//! What becomes of records when the disk is left: they go on under the sequences of a new spool.

use std::collections::BTreeMap;

use rpc::v1;
use rpc::v1::record::Kind;

/// What becomes of records when the disk is left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Records that the disk has, or not: they are left to it.
    pub(crate) unsure: u64,
    /// For each lane, the first sequence that goes on in the new spool: as 0.
    pub(crate) firsts: BTreeMap<u16, u64>,
}

/// Makes a record speak of the new sequences of its lane, in which `begin` is 0. One that vouches
/// for an outcome which stays with the disk says nothing here, and takes its place all the same.
pub(super) fn renumber(record: &mut v1::Record, begin: u64) {
    match &mut record.kind {
        Some(Kind::Attestation(attestation)) => match attestation.of_seq.checked_sub(begin) {
            Some(seq) => attestation.of_seq = seq,
            None => record.kind = None,
        },
        // Their outcomes may be in either spool.
        Some(Kind::Window(window)) => (window.first_seq, window.end_seq) = (0, 0),
        Some(
            Kind::Outcome(_)
            | Kind::Missed(_)
            | Kind::Gap(_)
            | Kind::SurfaceSeen(_)
            | Kind::SurfacePart(_),
        )
        | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vouches_speaks_of_the_new_sequences_or_says_nothing() {
        let attested = |of_seq| v1::Record {
            kind: Some(Kind::Attestation(v1::Attestation {
                of_seq,
                ..Default::default()
            })),
            ..Default::default()
        };
        let table = [
            (7, attested(0)),
            (9, attested(2)),
            (6, v1::Record::default()),
        ];
        for (of_seq, expected) in table {
            let mut record = attested(of_seq);
            renumber(&mut record, 7);
            assert_eq!(record, expected, "{of_seq}");
        }
    }
}
