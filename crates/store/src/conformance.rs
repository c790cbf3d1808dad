//! What every store must do, as assertions. A store's own tests call [`all`].

use delivery::{Applied, Span};
use model::{MonitorId, MonitorSpec};

use crate::{Batch, Store, StoreError};

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
}

fn spec(url: &str) -> MonitorSpec {
    MonitorSpec::new(url.parse().expect("a literal of this suite"))
}

fn id(name: &str) -> MonitorId {
    name.parse().expect("a literal of this suite")
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
            agent: "agent".to_owned(),
            spool_epoch: epoch,
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
        agent: "agent".to_owned(),
        spool_epoch: 1,
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
