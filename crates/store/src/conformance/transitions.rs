//! Changes of verdicts: one after the other, bounded, fenced, gone with their monitor.

use model::MonitorId;

use super::{id, spec};
use crate::{MAX_TRANSITIONS, Store, StoreError};

async fn put<S: Store>(store: &S, monitor: &MonitorId) -> u64 {
    let put = store.put_monitor(monitor, spec("https://a/mcp")).await;
    put.expect("put");
    store.take_shard(monitor.lane()).await.expect("take")
}

async fn append<S: Store>(store: &S, fence: u64, monitor: &MonitorId, expected: u64) -> bool {
    let row = expected.to_be_bytes().to_vec();
    let appended = store.transition(fence, monitor, expected, row).await;
    appended.expect("transition")
}

async fn numbers<S: Store>(store: &S, monitor: &MonitorId, most: usize) -> Vec<u64> {
    let kept = store.transitions(monitor, most).await.expect("transitions");
    let number = |(number, row): (u64, Vec<u8>)| {
        assert_eq!(row, (number - 1).to_be_bytes(), "its own row");
        number
    };
    kept.into_iter().map(number).collect()
}

/// Only who knows the last one appends, and only under the fence of the monitor's lane.
pub(super) async fn compared_and_set<S: Store>(store: &S) {
    // names of which one begins as the other does
    let (docs, docs_2) = (id("docs"), id("docs-2"));
    let old = put(store, &docs).await;
    let other = put(store, &docs_2).await;
    let fence = put(store, &docs).await;
    let refused = store.transition(old, &docs, 0, vec![9]).await;
    let shard = docs.lane();
    assert_eq!(refused, Err(StoreError::Fenced { shard, fence }));
    let nobody = id("nobody");
    let its_fence = store.take_shard(nobody.lane()).await.expect("take");
    assert!(!append(store, its_fence, &nobody, 0).await, "unknown");
    assert!(!append(store, fence, &docs, 1).await, "there is none yet");
    for expected in 0..3 {
        assert!(append(store, fence, &docs, expected).await);
        assert!(!append(store, fence, &docs, expected).await, "not the last");
    }
    assert!(!append(store, fence, &docs, 4).await, "not there yet");
    assert!(append(store, other, &docs_2, 0).await, "each its own");
    assert_eq!(numbers(store, &docs, 9).await, [3, 2, 1], "newest first");
    assert_eq!(numbers(store, &docs, 2).await, [3, 2]);
    assert!(numbers(store, &docs, 0).await.is_empty());
    assert_eq!(numbers(store, &docs_2, 9).await, [1]);
    assert!(numbers(store, &nobody, 9).await.is_empty());
}

/// The oldest make room; numbers go on.
pub(super) async fn bounded<S: Store>(store: &S) {
    let docs = id("docs");
    let fence = put(store, &docs).await;
    let last = u64::try_from(MAX_TRANSITIONS).expect("small") + 2;
    for expected in 0..last {
        assert!(append(store, fence, &docs, expected).await);
    }
    let wanted: Vec<u64> = (3..=last).rev().collect();
    assert_eq!(numbers(store, &docs, usize::MAX).await, wanted);
}

/// A monitor that comes back begins anew; others keep what they have.
pub(super) async fn gone_with_their_monitor<S: Store>(store: &S) {
    let (docs, docs_2) = (id("docs"), id("docs-2"));
    let fence = put(store, &docs).await;
    let other = put(store, &docs_2).await;
    assert!(append(store, fence, &docs, 0).await);
    assert!(append(store, fence, &docs, 1).await);
    assert!(append(store, other, &docs_2, 0).await);
    assert!(store.delete_monitor(&docs).await.expect("delete"));
    assert!(numbers(store, &docs, 9).await.is_empty());
    assert!(!append(store, fence, &docs, 2).await, "unknown");
    let fence = put(store, &docs).await;
    assert!(!append(store, fence, &docs, 2).await, "another life");
    assert!(append(store, fence, &docs, 0).await);
    assert_eq!(numbers(store, &docs, 9).await, [1]);
    assert_eq!(numbers(store, &docs_2, 9).await, [1]);
}
