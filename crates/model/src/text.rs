//! Text that a target wrote, made safe to show.
//!
//! Tool names, error messages and headers come from servers that nobody vouches for. A terminal
//! obeys control characters, and bidirectional overrides make a line read as another one, so
//! nothing of the sort reaches a screen, a log or a page.

/// Cuts `text` to `max` characters on one line and makes every character visible and harmless.
///
/// Control characters become `\u{..}` escapes (line breaks become spaces), and so do the
/// bidirectional and zero-width characters of Unicode TR 36. A cut is shown by `…`.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max) + 3);
    let mut shown = 0;
    for c in text.chars() {
        if shown >= max {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' => {
                out.push(' ');
                shown += 1;
            }
            '\r' => {}
            c if is_deceptive(c) => {
                let escape = c.escape_unicode().to_string();
                shown += escape.len();
                out.push_str(&escape);
            }
            c => {
                out.push(c);
                shown += 1;
            }
        }
    }
    out
}

/// [`line()`] of bytes that may not be UTF-8.
#[must_use]
pub fn line_of_bytes(bytes: &[u8], max: usize) -> String {
    // Four bytes a character at most; one more character shows that there was more.
    let head = &bytes[..bytes.len().min((max + 1) * 4)];
    line(&String::from_utf8_lossy(head), max)
}

const fn is_deceptive(c: char) -> bool {
    c.is_ascii_control()
        || matches!(
            c,
            '\u{80}'..='\u{9f}'
                | '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_text_is_shown_not_obeyed() {
        let table = [
            ("plain", "plain"),
            ("two\r\nlines\tand tab", "two lines and tab"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("c1\u{9b}31m", "c1\\u{9b}31m"),
        ];
        for (given, shown) in table {
            assert_eq!(line(given, 80), shown);
        }
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line_of_bytes(b"\xff\xfeok", 10), "\u{fffd}\u{fffd}ok");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_survives_and_the_length_is_bounded(text: String, max in 0usize..200) {
            let shown = line(&text, max);
            prop_assert!(!shown.chars().any(is_deceptive));
            // One escape may overshoot: `\u{e0001}` is the longest that is escaped.
            prop_assert!(shown.chars().count() <= max + 10 + 1);
        }
    }
}
