//! A surface as it travels and is stored: its canonical text, compressed.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use model::json::{self, Refused};
use serde_json::Value;

use crate::limits::MAX_SURFACE_BYTES;
use crate::surface::{Surface, Unfit};

/// Bytes of a fingerprint: SHA-256.
const DIGEST: usize = 32;
/// What the tree of a packed surface may cost: its tools, and the object around them.
const BUDGET: u32 = json::BUDGET + 32;

/// Why bytes are no packed surface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    /// They are no zlib stream (RFC 1950) of a JSON object with `tools`.
    #[error("is no packed surface")]
    Damaged,
    /// Its tools are no surface.
    #[error("{0}")]
    Unfit(#[from] Unfit),
}

impl Surface {
    /// The canonical text as a zlib stream (RFC 1950): about a tenth of it.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        // A vector takes everything.
        let _ = encoder.write_all(self.text().as_bytes());
        encoder.finish().unwrap_or_default()
    }

    /// Whether [`Surface::unpack`] reads it again: every surface of a probe, which keeps no more, but not
    /// every lock file.
    #[must_use]
    pub fn is_packable(&self) -> bool {
        let costs = self.tools().iter().map(|tool| json::weight(tool).0);
        costs.fold(0, u32::saturating_add) <= json::BUDGET
    }

    /// Reads what [`Surface::pack`] wrote. A stream of more than [`MAX_SURFACE_BYTES`] is not read to
    /// its end, and a tree of more values than a probe keeps is not built. Whoever knows the fingerprint
    /// compares it.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn unpack(packed: &[u8]) -> Result<Self, Unpackable> {
        let most = MAX_SURFACE_BYTES as u64 + 1;
        let mut text = Vec::new();
        let read = ZlibDecoder::new(packed).take(most).read_to_end(&mut text);
        read.map_err(|_| Unpackable::Damaged)?;
        if text.len() > MAX_SURFACE_BYTES {
            return Err(Unfit::TooLarge.into());
        }
        let whole = json::parse_within(&text, BUDGET).map_err(|refused| match refused {
            Refused::TooLarge => Unfit::TooLarge.into(),
            Refused::Syntax => Unpackable::Damaged,
        })?;
        let tools = whole.get("tools").and_then(Value::as_array);
        let instructions = match whole.get("instructions") {
            None => None,
            Some(text) => Some(text.as_str().ok_or(Unpackable::Damaged)?),
        };
        Ok(Self::new(tools.ok_or(Unpackable::Damaged)?, instructions)?)
    }
}

/// The fingerprint of so many bytes of SHA-256, as it is written; none where they are another number.
#[must_use]
pub fn fingerprint_of(digest: &[u8]) -> Option<String> {
    if digest.len() != DIGEST {
        return None;
    }
    let mut shown = "sha256:".to_owned();
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(shown, "{byte:02x}");
    }
    Some(shown)
}

/// The bytes of a fingerprint; none where it is none.
#[must_use]
pub fn digest_of(fingerprint: &str) -> Option<Vec<u8>> {
    if !model::contract::is_fingerprint(fingerprint) {
        return None;
    }
    let digits = fingerprint.strip_prefix("sha256:")?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn surface() -> Surface {
        let tools = [
            json!({ "name": "b" }),
            json!({ "name": "a", "description": "x" }),
        ];
        Surface::new(&tools, Some("be kind")).unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_as_the_same_surface() {
        let whole = surface();
        assert_eq!(Surface::unpack(&whole.pack()), Ok(whole));
        let silent = Surface::new(&[json!({ "name": "a" })], None).unwrap();
        assert_eq!(Surface::unpack(&silent.pack()), Ok(silent));
    }

    #[test]
    fn the_largest_surface_is_unpacked_and_a_larger_one_is_none() {
        // Object 9, name 1, array 2, and its items.
        let of = |cost: u32| {
            let tool = json!({ "name": "a", "x": vec![0; cost as usize - 12] });
            Surface::new(&[tool], Some("be kind")).unwrap()
        };
        let whole = of(json::BUDGET);
        assert!(whole.is_packable() && !of(json::BUDGET + 1).is_packable());
        assert_eq!(Surface::unpack(&whole.pack()), Ok(whole));
        let large = Surface::unpack(&of(json::BUDGET + 100).pack());
        assert_eq!(large, Err(Unfit::TooLarge.into()));
    }

    #[test]
    fn a_fingerprint_is_its_bytes() {
        let whole = surface();
        let digest = digest_of(whole.fingerprint()).unwrap();
        assert_eq!(digest.len(), 32);
        assert_eq!(
            fingerprint_of(&digest).as_deref(),
            Some(whole.fingerprint())
        );
        assert_eq!(fingerprint_of(&digest[1..]), None);
        assert_eq!(digest_of(&whole.fingerprint().to_uppercase()), None);
        assert_eq!(digest_of(&"é".repeat(36)), None);
    }

    fn stream(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bombs_and_other_bytes_are_errors() {
        let many = |value: &str| {
            let fill = format!("{value},").repeat(MAX_SURFACE_BYTES / (value.len() + 1) - 10);
            format!(r#"{{"tools":[{fill}{value}]}}"#)
        };
        let bombs = [
            " ".repeat(4 * MAX_SURFACE_BYTES),
            many(r#"{"":0}"#),
            many("[]"),
            many("0"),
            many(r#"{"name":""}"#),
        ];
        for bomb in bombs {
            let packed = stream(bomb.as_bytes());
            assert!(packed.len() < 20_000);
            assert_eq!(Surface::unpack(&packed), Err(Unfit::TooLarge.into()));
        }
        let whole = surface().pack();
        let others: [&[u8]; 4] = [
            b"",
            b"{}",
            &whole[..whole.len() / 2],
            &stream(br#"{"tools":{},"instructions":1}"#),
        ];
        for bytes in others {
            assert_eq!(Surface::unpack(bytes), Err(Unpackable::Damaged));
        }
        let nameless = stream(br#"{"tools":[{}]}"#);
        assert_eq!(Surface::unpack(&nameless), Err(Unfit::Nameless(0).into()));
    }
}
