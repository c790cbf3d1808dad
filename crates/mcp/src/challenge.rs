//! `WWW-Authenticate` (RFC 9110 §11.6.1): what a 401 says about how to get in.

/// One challenge of the header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// The scheme, lower-case.
    pub scheme: String,
    /// Its parameters, names lower-case, in order.
    pub params: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header value, as far as it is well-formed. At most 8 challenges of at
/// most 16 parameters each are read.
#[must_use]
pub fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (token, after) = split_token(rest);
        if token.is_empty() {
            return challenges;
        }
        if let Some(value) = after.trim_start().strip_prefix('=')
            && let Some(current) = challenges.last_mut()
        {
            let (value, after) = split_value(value.trim_start());
            if current.params.len() < 16 {
                current.params.push((token.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            if challenges.len() == 8 {
                return challenges;
            }
            challenges.push(Challenge {
                scheme: token.to_ascii_lowercase(),
                params: Vec::new(),
            });
            rest = skip_token68(after);
        }
    }
}

/// The Bearer challenge among several header lines.
#[must_use]
pub fn bearer<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    values
        .into_iter()
        .flat_map(parse)
        .find(|challenge| challenge.scheme == "bearer")
}

const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn split_token(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|b| !is_token(b))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A scheme may be followed by a token68 instead of parameters; it tells nothing here.
fn skip_token68(text: &str) -> &str {
    let trimmed = text.trim_start();
    let end = trimmed
        .bytes()
        .position(|b| !(is_token(b) || matches!(b, b'/' | b'=')))
        .unwrap_or(trimmed.len());
    let (candidate, after) = trimmed.split_at(end);
    let is_token68 = after.is_empty() || after.trim_start().starts_with(',');
    let has_name = candidate.trim_end_matches('=').contains('=');
    if is_token68 && !has_name && !candidate.is_empty() {
        after
    } else {
        text
    }
}

fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_of_the_field() {
        let python = r#"Bearer error="invalid_token", error_description="Authentication required", resource_metadata="https://h/.well-known/oauth-protected-resource/mcp""#;
        let challenge = bearer([python]).unwrap();
        assert_eq!(challenge.param("error"), Some("invalid_token"));
        assert_eq!(
            challenge.param("resource_metadata"),
            Some("https://h/.well-known/oauth-protected-resource/mcp")
        );
        // RFC 9110 §11.6.1: several challenges in one field, with escapes
        let value = r#"Basic realm="simple, \"quoted\"", Newauth realm=apps, type=1, BEARER"#;
        let all = parse(value);
        assert_eq!(
            all.iter().map(|c| c.scheme.as_str()).collect::<Vec<_>>(),
            ["basic", "newauth", "bearer"]
        );
        assert_eq!(all[0].param("realm"), Some("simple, \"quoted\""));
        assert_eq!(all[1].param("type"), Some("1"));
        assert_eq!(
            parse("Negotiate a87421000492aa874209af8bc028==, Bearer").len(),
            2
        );
        assert_eq!(bearer(["Basic realm=x"]), None);
        assert_eq!(parse(""), []);
    }

    proptest! {
        #[test]
        fn no_text_panics_or_runs_away(text: String) {
            prop_assert!(parse(&text).len() <= 8);
        }
    }
}
