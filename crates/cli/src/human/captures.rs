//! The pictures in `docs/captures` are what this code makes of the reports beside them.
//!
//! `PARALLAX_ACCEPT_CAPTURES=1` draws them anew. The reports are of real probes: `tests/captures.rs`.

use std::path::{Path, PathBuf};

use super::*;

const NAMES: [&str; 4] = ["healthy", "walled", "drifted", "broken"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/captures")
}

/// Compares a file with what it should be, or makes it so.
fn hold(name: &str, text: &str) {
    let file = folder().join(name);
    if std::env::var_os("PARALLAX_ACCEPT_CAPTURES").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        kept, text,
        "{name}: PARALLAX_ACCEPT_CAPTURES=1 draws it anew"
    );
}

#[test]
fn captures_are_current() {
    for name in NAMES {
        let json = std::fs::read(folder().join(format!("{name}.json"))).unwrap();
        let report: Report = serde_json::from_slice(&json).unwrap();
        let canvas = |color, unicode| Canvas {
            color,
            unicode,
            width: 80,
        };
        let plain = render(&report, canvas(false, true));
        hold(&format!("{name}.txt"), &plain);
        let ascii = render(&report, canvas(false, false));
        assert!(ascii.is_ascii(), "{ascii}");
        hold(&format!("{name}.ascii.txt"), &ascii);
        let colored = render(&report, canvas(true, true));
        hold(
            &format!("{name}.svg"),
            &anstyle_svg::Term::new().render_svg(&colored),
        );
        for line in plain.lines() {
            assert!(line.width() <= 80, "{line}");
        }
    }
}
