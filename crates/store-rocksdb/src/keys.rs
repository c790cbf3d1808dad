//! Column families, and how their keys are made: big-endian, so that bytes sort as numbers do.

use store::{EvidenceKey, Kind};

/// Counters and the format's version.
pub(crate) const CONTROL: &str = "control";
/// Monitor id → sealed spec.
pub(crate) const MONITORS: &str = "monitors";
/// Monitor id, 0, agent → ordinal.
pub(crate) const ORDINALS: &str = "ordinals";
/// Agent, 0, spool epoch → nothing.
pub(crate) const SPOOLS: &str = "spools";
/// Agent, 0, spool epoch, lane → run table.
pub(crate) const APPLIED: &str = "applied";
/// Hour, lane, position → batch.
pub(crate) const EVIDENCE: &str = "evidence";

/// Kind, id → sealed value.
pub(crate) const ENTRIES: &str = "entries";

/// Monitor id, 0, number → change of its verdict.
pub(crate) const TRANSITIONS: &str = "transitions";

/// All of them. One that an older release did not have is made when the folder is opened.
pub(crate) const ALL: [&str; 8] = [
    CONTROL,
    MONITORS,
    ORDINALS,
    SPOOLS,
    APPLIED,
    EVIDENCE,
    ENTRIES,
    TRANSITIONS,
];

/// In [`CONTROL`]: the layout of everything else.
pub(crate) const FORMAT: &[u8] = b"format";
/// In [`CONTROL`]: how often the store was opened.
pub(crate) const LIVES: &[u8] = b"lives";
/// In [`CONTROL`]: the last generation of any monitor.
pub(crate) const GENERATIONS: &[u8] = b"generations";
/// In [`CONTROL`]: the last spool epoch that was given.
pub(crate) const SPOOL_EPOCHS: &[u8] = b"spool-epochs";

/// In [`CONTROL`]: the fence of a shard.
pub(crate) fn fence(shard: u16) -> Vec<u8> {
    [b"fence-", &shard.to_be_bytes()[..]].concat()
}

/// What is kept by name. The numbers are never used again.
const KINDS: [(Kind, u8); 10] = [
    (Kind::Authority, 1),
    (Kind::Agent, 2),
    (Kind::Token, 3),
    (Kind::ApiKey, 4),
    (Kind::Assignment, 5),
    (Kind::Managed, 6),
    (Kind::Credential, 9),
    (Kind::Wall, 10),
    (Kind::Contract, 7),
    (Kind::Surface, 8),
];

/// An entry.
pub(crate) fn entry(kind: Kind, id: &str) -> Vec<u8> {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    let number = known.map_or(0, |(_, number)| *number);
    [&[number], id.as_bytes()].concat()
}

/// Reads what [`entry`] wrote.
pub(crate) fn entry_of(key: &[u8]) -> Option<(Kind, String)> {
    let (number, id) = key.split_first()?;
    let (kind, _) = KINDS.iter().find(|(_, known)| known == number)?;
    Some((*kind, String::from_utf8(id.to_vec()).ok()?))
}

/// A name and what belongs to it. Neither monitors nor agents have a 0 in their names.
pub(crate) fn of(name: &str, rest: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], rest].concat()
}

/// The spool of an agent.
pub(crate) fn spool(agent: &str, epoch: u64) -> Vec<u8> {
    of(agent, &epoch.to_be_bytes())
}

/// A lane of a spool.
pub(crate) fn lane(agent: &str, epoch: u64, lane: u16) -> Vec<u8> {
    [&spool(agent, epoch)[..], &lane.to_be_bytes()].concat()
}

/// The lane at the end of its key.
pub(crate) fn lane_of(key: &[u8]) -> Option<u16> {
    key.last_chunk().copied().map(u16::from_be_bytes)
}

/// A change of a monitor's verdict.
pub(crate) fn transition(monitor: &str, number: u64) -> Vec<u8> {
    of(monitor, &number.to_be_bytes())
}

/// The number at the end of its key.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// Where a batch lies.
pub(crate) fn evidence(key: EvidenceKey) -> Vec<u8> {
    let mut bytes = key.hour.to_be_bytes().to_vec();
    bytes.extend(key.lane.to_be_bytes());
    bytes.extend(key.position.to_be_bytes());
    bytes
}

/// Reads what [`evidence`] wrote.
pub(crate) fn evidence_of(bytes: &[u8]) -> Option<EvidenceKey> {
    let (hour, rest) = bytes.split_first_chunk()?;
    let (lane, rest) = rest.split_first_chunk()?;
    Some(EvidenceKey {
        hour: u32::from_be_bytes(*hour),
        lane: u16::from_be_bytes(*lane),
        position: u64::from_be_bytes(rest.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_has_a_number() {
        let kinds = [
            Kind::Authority,
            Kind::Agent,
            Kind::Token,
            Kind::ApiKey,
            Kind::Assignment,
            Kind::Managed,
            Kind::Credential,
            Kind::Wall,
            Kind::Contract,
            Kind::Surface,
        ];
        for kind in kinds {
            assert_eq!(entry_of(&entry(kind, "x")), Some((kind, "x".to_owned())));
        }
    }

    proptest! {
        /// Keys sort as what they are made of, and are read back.
        #[test]
        fn evidence_keys_sort_as_their_parts(
            a in (any::<u32>(), any::<u16>(), any::<u64>()),
            b in (any::<u32>(), any::<u16>(), any::<u64>()),
        ) {
            let key = |(hour, lane, position)| EvidenceKey { hour, lane, position };
            prop_assert_eq!(evidence(key(a)).cmp(&evidence(key(b))), key(a).cmp(&key(b)));
            prop_assert_eq!(evidence_of(&evidence(key(a))), Some(key(a)));
            prop_assert_eq!(lane_of(&lane("eu-1", a.2, a.1)), Some(a.1));
        }

        /// Also where one monitor's name begins as another's.
        #[test]
        fn transitions_sort_by_their_numbers_and_beside_no_other_monitors(a: u64, b: u64) {
            let key = |number| transition("docs", number);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(number_of(&key(a)), Some(a));
            prop_assert!(key(a) < transition("docs-2", b));
            prop_assert!(!transition("docs-2", b).starts_with(&of("docs", &[])));
        }
    }
}
