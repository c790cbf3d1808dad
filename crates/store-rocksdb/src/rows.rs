//! What is kept, as bytes. Rows are protobuf, but for a sealed monitor, which is JSON:
//! fields are only ever added.

use delivery::{Applied, Span};
use model::{Monitor, MonitorId, MonitorSpec};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use store::{EvidenceKey, Kept, Provenance, StoreError};
use vault::Key;

/// A batch of evidence.
#[derive(Clone, PartialEq, prost::Message)]
struct BatchRow {
    #[prost(string, tag = "1")]
    agent: String,
    #[prost(string, tag = "2")]
    region: String,
    #[prost(string, tag = "3")]
    provider: String,
    #[prost(uint64, tag = "4")]
    spool_epoch: u64,
    #[prost(string, tag = "5")]
    boot_id: String,
    #[prost(uint64, tag = "6")]
    sent_at_us: u64,
    #[prost(uint64, tag = "7")]
    received_at_ms: u64,
    #[prost(message, repeated, tag = "8")]
    records: Vec<RecordRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RecordRow {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(bytes = "vec", tag = "2")]
    record: Vec<u8>,
}

/// A run table: `first` and `end` by turns, the prefix before them.
#[derive(Clone, PartialEq, prost::Message)]
struct AppliedRow {
    #[prost(uint64, tag = "1")]
    prefix_end: u64,
    #[prost(uint64, repeated, tag = "2")]
    runs: Vec<u64>,
}

/// A monitor under its id, before it is sealed.
#[derive(Serialize, Deserialize)]
struct MonitorRow {
    generation: u64,
    spec: serde_json::Value,
}

fn damaged(what: &str) -> StoreError {
    StoreError::Io(format!("{what} is damaged"))
}

/// The bytes of a batch.
pub(crate) fn batch(from: Provenance, records: Vec<(u64, Vec<u8>)>) -> Vec<u8> {
    let records = records.into_iter();
    let row = BatchRow {
        agent: from.agent,
        region: from.region,
        provider: from.provider,
        spool_epoch: from.spool_epoch,
        boot_id: from.boot_id,
        sent_at_us: from.sent_at_us,
        received_at_ms: from.received_at_ms,
        records: records
            .map(|(seq, record)| RecordRow { seq, record })
            .collect(),
    };
    row.encode_to_vec()
}

/// Reads what [`batch`] wrote.
pub(crate) fn kept(key: EvidenceKey, bytes: &[u8]) -> Result<Kept, StoreError> {
    let row = BatchRow::decode(bytes).map_err(|_| damaged("a batch of evidence"))?;
    let records = row.records.into_iter();
    Ok(Kept {
        key,
        provenance: Provenance {
            agent: row.agent,
            region: row.region,
            provider: row.provider,
            spool_epoch: row.spool_epoch,
            boot_id: row.boot_id,
            sent_at_us: row.sent_at_us,
            received_at_ms: row.received_at_ms,
        },
        records: records.map(|row| (row.seq, row.record)).collect(),
    })
}

/// The bytes of a run table.
pub(crate) fn applied(applied: &Applied) -> Vec<u8> {
    let runs = applied.runs().iter().flat_map(|run| [run.first, run.end]);
    let row = AppliedRow {
        prefix_end: applied.prefix_end(),
        runs: runs.collect(),
    };
    row.encode_to_vec()
}

/// Reads what [`applied`] wrote.
pub(crate) fn applied_of(bytes: &[u8]) -> Result<Applied, StoreError> {
    let row = AppliedRow::decode(bytes).map_err(|_| damaged("a run table"))?;
    let spans = row.runs.chunks_exact(2).map(|run| Span {
        first: run[0],
        end: run[1],
    });
    Applied::new(row.prefix_end, spans.collect()).map_err(|_| damaged("a run table"))
}

/// A monitor as it is kept: sealed for its id, secrets and all.
pub(crate) fn monitor(monitor: &Monitor, key: &Key) -> Result<Vec<u8>, StoreError> {
    let unwritable = |_| StoreError::Io("a spec cannot be written".to_owned());
    let mut spec = serde_json::to_value(&monitor.spec).map_err(unwritable)?;
    for (name, secret) in &monitor.spec.headers {
        // Shown, it would be hidden; here it is kept.
        spec["headers"][name] = secret.expose().into();
    }
    if let Some(authorization) = &monitor.spec.authorization {
        spec["authorization"] = authorization.written();
    }
    let row = MonitorRow {
        generation: monitor.generation,
        spec,
    };
    let plain = serde_json::to_vec(&row).map_err(unwritable)?;
    let sealed = key.seal(monitor.id.as_str().as_bytes(), &plain);
    sealed.map_err(|error| StoreError::Io(error.to_string()))
}

/// Reads what [`monitor`] wrote.
pub(crate) fn monitor_of(id: &[u8], sealed: &[u8], key: &Key) -> Result<Monitor, StoreError> {
    let name = std::str::from_utf8(id).map_err(|_| damaged("a monitor's name"))?;
    let named = |problem: String| StoreError::Io(format!("monitor {name}: {problem}"));
    let plain = key.open_sealed(id, sealed);
    let plain = plain.map_err(|error| named(error.to_string()))?;
    let row: MonitorRow =
        serde_json::from_slice(&plain).map_err(|_| named("is damaged".to_owned()))?;
    // An error of this could show a part of the spec.
    let spec: MonitorSpec = serde_json::from_value(row.spec)
        .map_err(|_| named("was written by another release".to_owned()))?;
    let id: MonitorId = name.parse().map_err(|_| damaged("a monitor's name"))?;
    Ok(Monitor {
        id,
        generation: row.generation,
        spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_is_kept_with_its_secrets_and_shows_none() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open_or_create(&folder.path().join("k")).unwrap();
        let spec = serde_json::json!({
            "url": "https://a/mcp", "headers": { "Authorization": "Bearer s3cret" },
        });
        let docs = Monitor {
            id: "docs".parse().unwrap(),
            generation: 7,
            spec: serde_json::from_value(spec).unwrap(),
        };
        let sealed = monitor(&docs, &key).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_eq!(monitor_of(b"docs", &sealed, &key).unwrap(), docs);
        let moved = monitor_of(b"shop", &sealed, &key).unwrap_err().to_string();
        assert!(moved.contains("shop") && moved.contains("another key"));
    }

    #[test]
    fn what_tokens_are_got_with_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open_or_create(&folder.path().join("k")).unwrap();
        let table = [
            serde_json::json!({
                "grant": "client_credentials", "client_id": "me", "client_secret": "s3cret",
            }),
            serde_json::json!({
                "grant": "client_credentials", "client_id": "me", "private_key": "s3cret",
            }),
            serde_json::json!({ "grant": "token_set", "tokens": "s3cret" }),
            serde_json::json!({ "grant": "token_set" }),
        ];
        for authorization in table {
            let spec =
                serde_json::json!({ "url": "https://a/mcp", "authorization": authorization });
            let docs = Monitor {
                id: "docs".parse().unwrap(),
                generation: 1,
                spec: serde_json::from_value(spec).unwrap(),
            };
            let sealed = monitor(&docs, &key).unwrap();
            assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
            let opened = monitor_of(b"docs", &sealed, &key).unwrap();
            assert_eq!(opened, docs);
            let written = opened.spec.authorization.unwrap().written();
            assert_eq!(written, authorization, "no secret is hidden");
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        assert!(applied_of(&[0xff, 0xff]).is_err());
        let overlapping = AppliedRow {
            prefix_end: 5,
            runs: vec![3, 9],
        };
        assert!(applied_of(&overlapping.encode_to_vec()).is_err());
        let key = EvidenceKey {
            hour: 0,
            lane: 0,
            position: 0,
        };
        assert!(kept(key, &[0x0a, 0xff]).is_err());
    }
}
