use super::*;
use rpc::v1::record::Kind;
use serde_json::{Value, json};
use std::time::Duration;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn listing(names: &[&str]) -> Listing {
    Listing::Whole {
        tools: names.iter().map(|name| json!({ "name": name })).collect(),
        instructions: None,
    }
}

fn seen(generation: u64) -> v1::SurfaceSeen {
    v1::SurfaceSeen {
        monitor_id: "docs".into(),
        generation,
        ..Default::default()
    }
}

/// A probe lists these: what is handed in.
async fn probe(surfaces: &mut Surfaces, listing: Listing, at: Instant) -> Vec<Kind> {
    let examined = surfaces.examiner("docs").examine(Some(listing)).await;
    let records = surfaces.handle_examined(seen(1), examined.unwrap(), at);
    records.into_iter().map(|r| r.kind.unwrap()).collect()
}

fn said(kinds: &[Kind]) -> &v1::SurfaceSeen {
    match kinds {
        [Kind::SurfaceSeen(seen)] => seen,
        kinds => panic!("{kinds:?}"),
    }
}

fn request(fingerprint: &[u8]) -> v1::SurfaceRequest {
    v1::SurfaceRequest {
        monitor_id: "docs".into(),
        fingerprint: fingerprint.to_owned(),
    }
}

/// Puts parts together again.
fn whole(kinds: impl IntoIterator<Item = Kind>) -> Vec<u8> {
    let mut packed = Vec::new();
    for (n, kind) in (0..).zip(kinds) {
        let Kind::SurfacePart(part) = kind else {
            panic!("{kind:?}");
        };
        assert!(part.part == n && part.data.len() <= limits::SURFACE_PART_BYTES);
        packed.extend(part.data);
    }
    packed
}

#[tokio::test]
async fn a_surface_is_said_once_until_it_changes_or_an_hour_is_over() {
    let mut surfaces = Surfaces::default();
    let (at, second) = (now(), Duration::from_secs(1));
    let first = probe(&mut surfaces, listing(&["a", "b"]), at).await;
    let expected = Surface::new(&[json!({ "name": "a" }), json!({ "name": "b" })], None).unwrap();
    let fingerprint = contract::digest_of(expected.fingerprint()).unwrap();
    assert_eq!(said(&first).fingerprint, fingerprint);
    assert_eq!((said(&first).tools, said(&first).is_sendable), (2, true));

    let again = surfaces
        .examiner("docs")
        .examine(Some(listing(&["a", "b"])));
    assert!(matches!(again.await, Some(Examined::Same)));
    assert_eq!(
        probe(&mut surfaces, listing(&["a", "b"]), at + second).await,
        []
    );
    // Another order is another list and the same surface.
    assert_eq!(
        probe(&mut surfaces, listing(&["b", "a"]), at + second).await,
        []
    );
    let changed = probe(&mut surfaces, listing(&["a"]), at + 2 * second).await;
    assert_ne!(said(&changed).fingerprint, fingerprint);
    let later = at + 2 * second + limits::SURFACE_AGAIN;
    assert_eq!(
        probe(&mut surfaces, listing(&["a"]), later - second).await,
        []
    );
    let again = probe(&mut surfaces, listing(&["a"]), later).await;
    assert_eq!(said(&again).fingerprint, said(&changed).fingerprint);
    assert_eq!(said(&again).tools, 1);
    surfaces.handle_opened();
    let told = probe(&mut surfaces, listing(&["a"]), later).await;
    assert_eq!(said(&told).fingerprint, said(&changed).fingerprint);
    // A probe that got no list knows nothing.
    assert!(surfaces.examiner("docs").examine(None).await.is_none());
}

#[tokio::test]
async fn another_generation_or_credential_is_said() {
    let mut surfaces = Surfaces::default();
    probe(&mut surfaces, listing(&["a"]), now()).await;
    let records = surfaces.handle_examined(seen(2), Examined::Same, now());
    assert_eq!(records.len(), 1);
    let with_key = v1::SurfaceSeen {
        credential: "authorization".into(),
        ..seen(2)
    };
    let records = surfaces.handle_examined(with_key, Examined::Same, now());
    assert_eq!(records.len(), 1);
}

#[tokio::test]
async fn what_is_asked_for_is_handed_in_at_once_or_with_the_next_probe() {
    let mut surfaces = Surfaces::default();
    let first = probe(&mut surfaces, listing(&["a"]), now()).await;
    let fingerprint = said(&first).fingerprint.clone();
    let parts = surfaces.handle_request(request(&fingerprint));
    let packed = whole(parts.into_iter().map(|record| record.kind.unwrap()));
    let surface = Surface::unpack(&packed).unwrap();
    assert_eq!(
        contract::digest_of(surface.fingerprint()).unwrap(),
        fingerprint
    );

    surfaces.at_hand.clear();
    assert_eq!(surfaces.handle_request(request(&fingerprint)), []);
    let next = probe(&mut surfaces, listing(&["a"]), now()).await;
    assert_eq!(whole(next), packed);
    assert_eq!(probe(&mut surfaces, listing(&["a"]), now()).await, []);
    assert_eq!(surfaces.handle_request(request(&[7; 32])), [], "never seen");
    surfaces.remove("docs");
    assert_eq!(surfaces.handle_request(request(&fingerprint)), []);
}

/// Text that does not shrink: hexadecimal digits of a generator.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut text = String::new();
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

fn of(tools: Vec<Value>) -> Listing {
    Listing::Whole {
        tools,
        instructions: None,
    }
}

#[tokio::test]
async fn what_is_too_large_is_said_and_not_kept() {
    let mut surfaces = Surfaces::default();
    let large = noise(3 * limits::MAX_SURFACE_BYTES);
    let large = of(vec![json!({ "name": "a", "description": large })]);
    let found = probe(&mut surfaces, large, now()).await;
    let found = said(&found).clone();
    assert!(!found.is_sendable && found.fingerprint.len() == 32);
    assert_eq!(surfaces.handle_request(request(&found.fingerprint)), []);
    assert!(surfaces.at_hand.is_empty());

    let found = probe(&mut surfaces, Listing::TooLarge, now()).await;
    assert_eq!(said(&found).unfit, "too_large");
    assert!(said(&found).fingerprint.is_empty());
    assert_eq!(probe(&mut surfaces, Listing::TooLarge, now()).await, []);
    let found = probe(&mut surfaces, of(vec![json!({})]), now()).await;
    assert_eq!(said(&found).unfit, "nameless");
}

#[tokio::test]
async fn few_surfaces_are_at_hand_and_the_largest_fits_its_records_into_a_frame() {
    use prost::Message as _;
    let mut surfaces = Surfaces::default();
    for n in 0..20 {
        let text = noise(limits::MAX_SURFACE_BYTES / 2 + n);
        let listing = of(vec![json!({ "name": "a", "description": text })]);
        let name = format!("m{n}");
        let examined = surfaces.examiner(&name).examine(Some(listing)).await;
        let seen = v1::SurfaceSeen {
            monitor_id: name,
            ..seen(1)
        };
        surfaces.handle_examined(seen, examined.unwrap(), now());
    }
    let held: usize = surfaces
        .at_hand
        .iter()
        .map(|(_, _, packed)| packed.len())
        .sum();
    assert!(held <= KEEP_BYTES && surfaces.at_hand.len() > 1);
    let monitor = "m".repeat(64);
    let records: Vec<_> = parts(&monitor, &[1; 32], &[0; limits::MAX_SURFACE_BYTES]).collect();
    let slice = records.iter().take(limits::SLICE_RECORDS);
    let bytes: usize = slice.map(|record| record.encoded_len() + 8).sum();
    assert!(limits::FRAME_BYTES + bytes <= limits::MAX_FRAME_BYTES);
}
