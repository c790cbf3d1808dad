//! Values of the `Mcp-Name` header (2026-07-28 transports/streamable-http, "Value Encoding").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// A value as it may stand in a header: itself if it is printable ASCII without surrounding white
/// space and does not look encoded, else the base64 form.
pub(crate) fn encode(value: &str) -> String {
    let printable = value
        .bytes()
        .all(|b| b == b'\t' || (0x20..=0x7e).contains(&b));
    let looks_encoded = value.starts_with(OPEN) && value.ends_with(CLOSE);
    if printable && !looks_encoded && value.trim() == value {
        return value.to_owned();
    }
    format!("{OPEN}{}{CLOSE}", STANDARD.encode(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_from_the_specification() {
        let table = [
            ("get_weather", "get_weather"),
            ("with inner space", "with inner space"),
            (" padded", "=?base64?IHBhZGRlZA==?="),
            ("日本語", "=?base64?5pel5pys6Kqe?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
            ("", ""),
        ];
        for (value, header) in table {
            assert_eq!(encode(value), header);
        }
    }

    proptest! {
        #[test]
        fn every_value_is_a_legal_header_and_decodes_to_itself(value: String) {
            let header = encode(&value);
            prop_assert!(http::HeaderValue::from_str(&header).is_ok());
            let decoded = match header.strip_prefix(OPEN).and_then(|h| h.strip_suffix(CLOSE)) {
                Some(inner) => String::from_utf8(STANDARD.decode(inner).unwrap()).unwrap(),
                None => header,
            };
            prop_assert_eq!(decoded, value);
        }
    }
}
