//! Text that XML 1.0 can hold.

/// `text` without the characters that no XML document may have, escaped or not (XML 1.0 §2.2 `Char`;
/// the discouraged controls too): each becomes U+FFFD.
pub(super) fn chars(text: &str) -> String {
    let legal = |c: char| match c {
        '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' => true,
        c => c >= '\u{a0}' && !matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff),
    };
    let legal = |c| if legal(c) { c } else { '\u{fffd}' };
    text.chars().map(legal).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(
            super::chars("a\0b\x1b\u{7f}\u{ffff}ü"),
            "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}ü"
        );
    }
}
