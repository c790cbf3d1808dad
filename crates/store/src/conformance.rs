//! What every store must do, as assertions. A store's own tests call [`all`].

mod contract;
mod transitions;

use delivery::{Applied, Span};
use model::{MonitorId, MonitorSpec};

use crate::{Batch, EvidenceKey, Kind, PIECE_MS, Provenance, Store, StoreError};

/// Runs the whole suite, each part on a fresh store.
///
/// # Panics
/// Where the store does not conform.
pub async fn all<S: Store>(fresh: impl Fn() -> S) {
    monitors(&fresh()).await;
    ordinals(&fresh()).await;
    evidence(&fresh()).await;
    spools(&fresh()).await;
    fences(&fresh()).await;
    history(&fresh()).await;
    entries(&fresh()).await;
    contract::surfaces_by_monitor(&fresh()).await;
    transitions::compared_and_set(&fresh()).await;
    transitions::bounded(&fresh()).await;
    transitions::gone_with_their_monitor(&fresh()).await;
}

fn spec(url: &str) -> MonitorSpec {
    MonitorSpec::new(url.parse().expect("a literal of this suite"))
}

fn id(name: &str) -> MonitorId {
    name.parse().expect("a literal of this suite")
}

fn provenance(agent: &str, spool_epoch: u64, received_at_ms: u64) -> Provenance {
    Provenance {
        agent: agent.to_owned(),
        region: "eu".to_owned(),
        provider: "p".to_owned(),
        spool_epoch,
        boot_id: "b".to_owned(),
        sent_at_us: 9,
        received_at_ms,
    }
}

async fn monitors<S: Store>(store: &S) {
    let docs = id("docs");
    let first = store
        .put_monitor(&docs, spec("https://a/mcp"))
        .await
        .expect("put");
    assert!(first.created && first.changed);
    let again = store
        .put_monitor(&docs, spec("https://a/mcp"))
        .await
        .expect("put");
    assert!(
        !again.created && !again.changed,
        "an equal spec changes nothing"
    );
    assert_eq!(again.monitor.generation, first.monitor.generation);
    let changed = store
        .put_monitor(&docs, spec("https://b/mcp"))
        .await
        .expect("put");
    assert!(!changed.created && changed.changed);
    assert!(changed.monitor.generation > first.monitor.generation);
    assert_eq!(
        store.monitor(&docs).await.expect("get"),
        Some(changed.monitor.clone())
    );
    store
        .put_monitor(&id("abc"), spec("https://c/mcp"))
        .await
        .expect("put");
    let names: Vec<String> = store
        .monitors()
        .await
        .expect("list")
        .into_iter()
        .map(|monitor| monitor.id.to_string())
        .collect();
    assert_eq!(names, ["abc", "docs"], "ordered by name");
    assert!(store.delete_monitor(&docs).await.expect("delete"));
    assert!(!store.delete_monitor(&docs).await.expect("delete"));
    let back = store
        .put_monitor(&docs, spec("https://b/mcp"))
        .await
        .expect("put");
    assert!(back.created);
    assert!(
        back.monitor.generation > changed.monitor.generation,
        "a new life, a new generation"
    );
}

async fn ordinals<S: Store>(store: &S) {
    let docs = id("docs");
    let mut given = Vec::new();
    for agent in ["a", "b", "a", "c", "b"] {
        given.push(store.ordinal(&docs, agent).await.expect("ordinal"));
    }
    assert_eq!(given, [0, 1, 0, 2, 1], "given once, kept");
    assert_eq!(store.ordinal(&id("other"), "c").await.expect("ordinal"), 0);
}

async fn evidence<S: Store>(store: &S) {
    let fence = store.take_shard(7).await.expect("take");
    let epoch = store.spool_epoch("agent", 0).await.expect("epoch");
    assert!(
        store
            .applied("agent", epoch)
            .await
            .expect("applied")
            .is_empty()
    );
    let mut applied = Applied::default();
    let mut last = *store.durable().borrow();
    for first in [0, 5, 2] {
        applied
            .apply(Span {
                first,
                end: first + 2,
            })
            .expect("few runs");
        let batch = Batch {
            provenance: provenance("agent", epoch, 1),
            lane: 7,
            applied: applied.clone(),
            records: vec![(first, vec![1]), (first + 1, vec![2])],
        };
        let position = store.append(fence, batch).await.expect("append");
        assert!(position > last, "positions grow");
        last = position;
    }
    let mut durable = store.durable();
    durable
        .wait_for(|durable| *durable >= last)
        .await
        .expect("becomes durable");
    assert_eq!(
        store.applied("agent", epoch).await.expect("applied"),
        [(7, applied)]
    );
}

/// A spool is known by the epoch that this store gave to its agent.
async fn spools<S: Store>(store: &S) {
    let epoch = store.spool_epoch("agent", 0).await.expect("epoch");
    let next = store.spool_epoch("agent", 0).await.expect("epoch");
    assert!(next > epoch);
    assert_eq!(
        store.spool_epoch("agent", epoch).await.expect("epoch"),
        epoch,
        "kept"
    );
    assert_ne!(
        store.spool_epoch("other", epoch).await.expect("epoch"),
        epoch,
        "not its own"
    );
    assert_ne!(
        store.spool_epoch("agent", 12).await.expect("epoch"),
        12,
        "never given"
    );
    assert!(
        store
            .applied("agent", next)
            .await
            .expect("applied")
            .is_empty(),
        "a new spool"
    );
    assert!(
        store
            .applied("other", epoch)
            .await
            .expect("applied")
            .is_empty()
    );
}

async fn fences<S: Store>(store: &S) {
    let old = store.take_shard(1).await.expect("take");
    let new = store.take_shard(1).await.expect("take");
    assert!(new > old);
    let batch = Batch {
        provenance: provenance("agent", 1, 1),
        lane: 1,
        applied: Applied::default(),
        records: Vec::new(),
    };
    let refused = store.append(old, batch.clone()).await;
    assert_eq!(
        refused,
        Err(StoreError::Fenced {
            shard: 1,
            fence: new
        })
    );
    store.append(new, batch).await.expect("the newest fence");
}

/// Evidence is read back as it was appended, by hour and lane, in pages, and dropped by the hour.
async fn history<S: Store>(store: &S) {
    let lanes = [(2, 10), (1, 10), (2, 10), (1, 11), (2, 12)];
    let mut last = 0;
    let mut wanted = Vec::new();
    for (n, (lane, hour)) in lanes.into_iter().enumerate() {
        let fence = store.take_shard(lane).await.expect("take");
        let n = u8::try_from(n).expect("few");
        let batch = Batch {
            provenance: provenance("agent", 1, hour * PIECE_MS + u64::from(n)),
            lane,
            applied: Applied::default(),
            records: vec![(u64::from(n), vec![n; 3])],
        };
        last = store.append(fence, batch.clone()).await.expect("append");
        let key = EvidenceKey {
            hour: u32::try_from(hour).expect("small"),
            lane,
            position: last,
        };
        wanted.push((key, batch.provenance, batch.records));
    }
    let mut durable = store.durable();
    let survived = durable.wait_for(|durable| *durable >= last).await;
    survived.expect("becomes durable");
    wanted.sort_by_key(|(key, _, _)| *key);
    let read = async |since_ms: u64| {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = store.evidence(since_ms, after, 2).await.expect("evidence");
            assert!(page.len() <= 2, "at most what was asked for");
            let Some(end) = page.last() else { return all };
            after = Some(end.key);
            all.extend(page.into_iter().map(|k| (k.key, k.provenance, k.records)));
        }
    };
    assert_eq!(read(0).await, wanted);
    assert_eq!(read(11 * PIECE_MS + 5).await, wanted[3..], "whole hours");
    let forgotten = store.forget_evidence(12 * PIECE_MS).await;
    forgotten.expect("forget");
    assert_eq!(read(0).await, wanted[4..]);
}

/// Entries change only for those who know what they are.
async fn entries<S: Store>(store: &S) {
    let replace = async |kind, id: &str, expected: Option<&[u8]>, new: Option<&[u8]>| {
        let new = new.map(<[u8]>::to_vec);
        let replaced = store.replace(kind, id, expected, new).await;
        replaced.expect("replace")
    };
    assert!(replace(Kind::Token, "b", None, Some(b"1")).await);
    assert!(!replace(Kind::Token, "b", None, Some(b"2")).await, "exists");
    assert!(replace(Kind::Token, "a", None, Some(b"")).await);
    assert!(replace(Kind::Agent, "b", None, Some(b"other")).await);
    assert!(replace(Kind::Assignment, "b", None, Some(b"eu-1")).await);
    assert!(
        !replace(Kind::Token, "b", Some(b"9"), None).await,
        "differs"
    );
    assert!(replace(Kind::Token, "b", Some(b"1"), Some(b"3")).await);
    let entry = store.entry(Kind::Token, "b").await.expect("entry");
    assert_eq!(entry, Some(b"3".to_vec()));
    let all = store.entries(Kind::Token).await.expect("entries");
    let wanted = [
        ("a".to_owned(), b"".to_vec()),
        ("b".to_owned(), b"3".to_vec()),
    ];
    assert_eq!(all, wanted, "of the kind alone, by id");
    assert!(replace(Kind::Token, "b", Some(b"3"), None).await);
    assert_eq!(store.entry(Kind::Token, "b").await.expect("entry"), None);
    let assignment = store.entry(Kind::Assignment, "b").await.expect("entry");
    assert_eq!(assignment, Some(b"eu-1".to_vec()));
}
