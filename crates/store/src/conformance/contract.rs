//! What is kept of contracts: a small row for each monitor, and surfaces of hundreds of KiB.

use crate::{Kind, Store};

/// Surfaces lie beside each other and beside the row of their monitor; the names of monitors that
/// begin alike are told apart, and a surface of the largest size comes back as it was.
///
/// # Panics
/// Where the store does not conform.
pub(super) async fn surfaces_by_monitor<S: Store>(store: &S) {
    let put = async |kind, id: &str, value: &[u8]| {
        let put = store.replace(kind, id, None, Some(value.to_vec())).await;
        assert!(put.expect("replace"), "{id} is new");
    };
    let large: Vec<u8> = (0..512 << 10_u32)
        .map(|n: u32| n.to_le_bytes()[0])
        .collect();
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let (one, two) = (digest("1"), digest("2"));
    put(Kind::Contract, "docs", b"{}").await;
    put(Kind::Surface, &format!("docs {one}"), &large).await;
    put(Kind::Surface, &format!("docs {two}"), b"two").await;
    put(Kind::Surface, &format!("docs-2 {one}"), b"other").await;

    let get = async |id: &str| store.entry(Kind::Surface, id).await.expect("entry");
    assert_eq!(get(&format!("docs {one}")).await, Some(large.clone()));
    assert_eq!(get(&format!("docs-2 {one}")).await, Some(b"other".to_vec()));
    let rows = store.entries(Kind::Contract).await.expect("entries");
    assert_eq!(
        rows,
        [("docs".to_owned(), b"{}".to_vec())],
        "no surface among them"
    );

    let gone = format!("docs {one}");
    let removed = store
        .replace(Kind::Surface, &gone, Some(&large), None)
        .await;
    assert!(removed.expect("replace"));
    assert_eq!(get(&gone).await, None);
    assert_eq!(get(&format!("docs {two}")).await, Some(b"two".to_vec()));
}
