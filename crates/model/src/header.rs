//! What HTTP allows as a header (RFC 9110, sections 5.1 and 5.5).

/// The longest name that is accepted.
const MAX_NAME_BYTES: usize = 128;

/// Whether a text is a header name: a token.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(legal)
}

/// Whether a text is a header value: no control character but the tab.
#[must_use]
pub fn is_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

/// Whether a header's name says that its value gets past a wall.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    const WORDS: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_values_are_lines() {
        for good in ["authorization", "X-Api-Key", "a"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a:", "é", "a\n", &"a".repeat(129)] {
            assert!(!is_name(bad), "{bad}");
        }
        for (value, legal) in [
            ("", true),
            ("a\tb é", true),
            ("a\nb", false),
            ("\u{7f}", false),
        ] {
            assert_eq!(is_value(value), legal, "{value:?}");
        }
    }
}
