//! What a server advertises in `Alt-Svc` (RFC 7838 §3).

use http::HeaderMap;
use http::header::ALT_SVC;
use model::report::Alternative;
use percent_encoding::percent_decode_str;

/// Alternatives that are listed; real servers name one to three.
const MAX_ALTERNATIVES: usize = 8;
/// Bytes of the header that are read.
const MAX_BYTES: usize = 2048;
/// RFC 7838 §3.1: what holds where `ma` is absent.
const DEFAULT_AGE: u64 = 86_400;
const MAX_TEXT: usize = 96;

/// The alternatives of a response; none where it clears them.
pub(crate) fn of(headers: &HeaderMap) -> Vec<Alternative> {
    let mut found = Vec::new();
    for value in headers.get_all(ALT_SVC) {
        let Ok(text) = value.to_str() else {
            continue;
        };
        let text = &text[..text.len().min(MAX_BYTES)];
        for part in split(text, ',') {
            if found.len() == MAX_ALTERNATIVES {
                return found;
            }
            found.extend(alternative(part));
        }
    }
    found
}

/// `protocol="authority"; ma=seconds; …`. What is not of that form says nothing.
fn alternative(text: &str) -> Option<Alternative> {
    let mut parts = split(text, ';');
    let (protocol, authority) = parts.next()?.trim().split_once('=')?;
    let authority = authority.strip_prefix('"')?.strip_suffix('"')?;
    let age = parts.filter_map(|part| part.trim().split_once('='));
    let mut age = age.filter(|(name, _)| name.eq_ignore_ascii_case("ma"));
    let age = age.next().map_or(Some(DEFAULT_AGE), |(_, age)| {
        age.trim_matches('"').parse().ok()
    })?;
    let protocol: Vec<u8> = percent_decode_str(protocol.trim()).collect();
    (!protocol.is_empty()).then(|| Alternative {
        protocol: model::text::line_of_bytes(&protocol, MAX_TEXT),
        authority: model::text::line(&authority.replace('\\', ""), MAX_TEXT),
        max_age_seconds: age,
    })
}

/// The parts between separators that stand in no quoted string (RFC 9110 §5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !escaped => is_escaped = true,
            '"' if !escaped => is_quoted = !is_quoted,
            _ => {}
        }
        c == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> Vec<(String, String, u64)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ALT_SVC, line.parse().unwrap());
        }
        let found = of(&headers).into_iter();
        found
            .map(|a| (a.protocol, a.authority, a.max_age_seconds))
            .collect()
    }

    fn one(protocol: &str, authority: &str, age: u64) -> (String, String, u64) {
        (protocol.to_owned(), authority.to_owned(), age)
    }

    /// The examples of RFC 7838 §3 and RFC 9114 §3.1.1.
    #[test]
    fn the_rfcs_examples_are_read() {
        assert_eq!(
            found(&["h2=\"alt.example.com:8000\", h2=\":443\""]),
            [
                one("h2", "alt.example.com:8000", 86_400),
                one("h2", ":443", 86_400)
            ]
        );
        assert_eq!(found(&["h2=\":443\"; ma=3600"]), [one("h2", ":443", 3600)]);
        assert_eq!(
            found(&["h2=\":443\"; ma=2592000; persist=1"]),
            [one("h2", ":443", 2_592_000)]
        );
        assert_eq!(found(&["w%3Dx%3Ay=\":1\""]), [one("w=x:y", ":1", 86_400)]);
        assert_eq!(found(&["clear"]), []);
        assert_eq!(found(&["h3=\":50781\""]), [one("h3", ":50781", 86_400)]);
        assert_eq!(
            found(&["h3=\":443\"; ma=60", "h2=\"a,b;c:1\";ma=5"]),
            [one("h3", ":443", 60), one("h2", "a,b;c:1", 5)]
        );
    }

    #[test]
    fn what_is_malformed_says_nothing_and_floods_are_cut() {
        for bad in [
            "",
            ",,;=",
            "h3=:443",
            "h3",
            "=\":443\"",
            "h3=\":443",
            "h3=\":1\"; ma=x",
        ] {
            assert_eq!(found(&[bad]), [], "{bad}");
        }
        let flood = "h3=\":443\",".repeat(100);
        assert_eq!(found(&[&flood, &flood]).len(), MAX_ALTERNATIVES);
    }
}
