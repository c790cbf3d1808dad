//! Column families, and how their keys are made: big-endian, so that bytes sort as numbers do.

use store::EvidenceKey;

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

/// All of them.
pub(crate) const ALL: [&str; 6] = [CONTROL, MONITORS, ORDINALS, SPOOLS, APPLIED, EVIDENCE];

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
    }
}
