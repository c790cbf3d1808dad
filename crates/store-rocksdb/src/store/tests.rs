use super::*;
use delivery::Span;
use store::{PIECE_MS, Provenance};

fn options() -> Options {
    Options {
        durability: Durability::Process,
        seed: 7,
    }
}

fn batch(agent: &str, epoch: u64, lane: u16, span: Span, applied: &mut Applied) -> Batch {
    applied.apply(span).unwrap();
    Batch {
        provenance: Provenance {
            agent: agent.to_owned(),
            region: "eu".to_owned(),
            provider: "p".to_owned(),
            spool_epoch: epoch,
            boot_id: "b".to_owned(),
            sent_at_us: 1,
            received_at_ms: PIECE_MS,
        },
        lane,
        applied: applied.clone(),
        records: (span.first..span.end).map(|seq| (seq, vec![1])).collect(),
    }
}

#[tokio::test]
async fn the_embedded_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    let fresh = |durability| {
        next.set(next.get() + 1);
        let options = Options {
            durability,
            ..options()
        };
        RocksStore::open(&folder.path().join(next.get().to_string()), &options).unwrap()
    };
    ::store::conformance::all(|| fresh(Durability::Process)).await;
    ::store::conformance::all(|| fresh(Durability::Power)).await;
}

/// Another life of the store knows everything, gives nothing anew, and fences the one before.
#[tokio::test]
async fn a_store_that_is_opened_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path(), &options()).unwrap();
    let docs: MonitorId = "docs".parse().unwrap();
    let spec = || MonitorSpec::new("https://a/mcp".parse().unwrap());
    let put = store.put_monitor(&docs, spec()).await.unwrap();
    store.ordinal(&docs, "eu-1").await.unwrap();
    assert_eq!(store.ordinal(&docs, "us-1").await.unwrap(), 1);
    let fence = store.take_shard(3).await.unwrap();
    let epoch = store.spool_epoch("eu-1", 0).await.unwrap();
    let mut applied = Applied::default();
    let batch = batch("eu-1", epoch, 3, Span { first: 0, end: 4 }, &mut applied);
    let position = store.append(fence, batch).await.unwrap();
    let lane = docs.lane();
    let owner = store.take_shard(lane).await.unwrap();
    assert!(store.transition(owner, &docs, 0, vec![1]).await.unwrap());
    let replaced = store.replace(Kind::Assignment, "docs", None, Some(vec![2]));
    assert!(replaced.await.unwrap());
    drop(store);

    let other = Options {
        seed: 1_000_000,
        ..options()
    };
    let store = RocksStore::open(folder.path(), &other).unwrap();
    let again = store.put_monitor(&docs, spec()).await.unwrap();
    assert_eq!((again.monitor, again.changed), (put.monitor.clone(), false));
    assert_eq!(store.ordinal(&docs, "us-1").await.unwrap(), 1);
    assert_eq!(store.spool_epoch("eu-1", epoch).await.unwrap(), epoch);
    assert_eq!(
        store.applied("eu-1", epoch).await.unwrap(),
        [(3, applied.clone())]
    );
    let kept = store.evidence(0, None, 10).await.unwrap();
    assert_eq!(kept.len(), 1, "closing writes what was appended");
    assert_eq!(kept[0].records.len(), 4);
    assert!(store.take_shard(3).await.unwrap() > fence);
    assert!(*store.durable().borrow() > position, "positions grow");
    let kept = store.transitions(&docs, 9).await.unwrap();
    assert_eq!(kept, [(1, vec![1])]);
    let owner = store.take_shard(lane).await.unwrap();
    assert!(store.transition(owner, &docs, 1, vec![2]).await.unwrap());
    let assignment = store.entry(Kind::Assignment, "docs").await.unwrap();
    assert_eq!(assignment, Some(vec![2]));
    store.delete_monitor(&docs).await.unwrap();
    let back = store.put_monitor(&docs, spec()).await.unwrap().monitor;
    assert!(back.generation > put.monitor.generation);
    assert_eq!(store.ordinal(&docs, "us-1").await.unwrap(), 0);
}

#[tokio::test]
async fn a_second_coordinator_is_refused_and_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let _first = RocksStore::open(folder.path(), &options()).unwrap();
    let error = RocksStore::open(folder.path(), &options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("in use by another coordinator"));
}

#[tokio::test]
async fn a_lost_key_is_told_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path(), &options()).unwrap();
    let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
    store
        .put_monitor(&"docs".parse().unwrap(), spec)
        .await
        .unwrap();
    drop(store);
    let key = folder.path().join("secrets.key");
    let saved = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = RocksStore::open(folder.path(), &options()).unwrap_err();
    assert!(
        error.to_string().contains("secrets.key: No such file"),
        "{error}"
    );
    Key::open_or_create(&key).unwrap();
    let error = RocksStore::open(folder.path(), &options()).unwrap_err();
    assert!(
        error.to_string().contains("docs: sealed with another key"),
        "{error}"
    );
    std::fs::write(&key, saved).unwrap();
    assert!(RocksStore::open(folder.path(), &options()).is_ok());
}

#[tokio::test]
async fn spools_of_an_agent_without_a_disk_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path(), &options()).unwrap();
    let fence = store.take_shard(3).await.unwrap();
    let first = store.spool_epoch("eu-1", 0).await.unwrap();
    let span = Span { first: 0, end: 2 };
    let kept = batch("eu-10", 1, 3, span, &mut Applied::default());
    store.append(fence, kept).await.unwrap();
    let old = batch("eu-1", first, 3, span, &mut Applied::default());
    store.append(fence, old).await.unwrap();
    assert_eq!(store.applied("eu-1", first).await.unwrap().len(), 1);
    for _ in 0..100 {
        store.spool_epoch("eu-1", 0).await.unwrap();
    }
    assert!(store.applied("eu-1", first).await.unwrap().is_empty());
    assert_eq!(store.applied("eu-10", 1).await.unwrap().len(), 1);
    let rows = prefixed(&store.db, keys::SPOOLS, &keys::of("eu-1", &[])).unwrap();
    assert_eq!(rows.len(), MAX_SPOOLS + 1);
}

/// A folder of a release that knew no transitions.
#[tokio::test]
async fn a_family_that_is_missing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let docs: MonitorId = "docs".parse().unwrap();
    let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
    let store = RocksStore::open(folder.path(), &options()).unwrap();
    store.put_monitor(&docs, spec).await.unwrap();
    drop(store);
    let plain = rocksdb::Options::default();
    let mut db = DB::open_cf(&plain, folder.path().join("db"), keys::ALL).unwrap();
    db.drop_cf(keys::TRANSITIONS).unwrap();
    drop(db);

    let store = RocksStore::open(folder.path(), &options()).unwrap();
    assert!(store.monitor(&docs).await.unwrap().is_some());
    assert!(store.transitions(&docs, 9).await.unwrap().is_empty());
    let fence = store.take_shard(docs.lane()).await.unwrap();
    assert!(store.transition(fence, &docs, 0, vec![1]).await.unwrap());
}
