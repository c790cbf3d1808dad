//! Headers of the user, and the credentials among them. Values are never printed.

use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::exit;

/// Headers that carry the protocol: overriding one would probe something that no client does.
const RESERVED: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// The largest bearer token file.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// A header that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    /// No colon.
    #[error("--header: `{0}` has no `:`; write it like --header 'X-Team: search'")]
    NoColon(String),
    /// Not a header name or value that HTTP allows. The value is not shown.
    #[error("--header {0}: this is no legal {1}")]
    Illegal(String, &'static str),
    /// A header that the protocol itself sets.
    #[error("--header {0}: the probe sets this header itself; remove it")]
    Reserved(String),
    /// A placeholder without its variable.
    #[error("--header {header}: the variable {variable} is not set; export it first")]
    Unset { header: String, variable: String },
    /// A placeholder without its end.
    #[error("--header {0}: a `${{` has no `}}`; write it like ${{MCP_TOKEN}}")]
    Unclosed(String),
    /// The token file cannot be used.
    #[error("--bearer-file {path}: {problem}")]
    BearerFile { path: PathBuf, problem: String },
}

impl HeaderError {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unset { .. } | Self::BearerFile { .. } => exit::CONFIG,
            Self::NoColon(_) | Self::Illegal(..) | Self::Reserved(_) | Self::Unclosed(_) => {
                exit::USAGE
            }
        }
    }
}

/// The headers of the command line, placeholders replaced by `variable`.
pub(crate) fn collect(
    lines: &[String],
    bearer_file: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(HeaderError::NoColon(model::text::line(line, 24)));
        };
        let name = name.trim();
        let shown = model::text::line(name, 64);
        let parsed = name
            .parse::<HeaderName>()
            .map_err(|_| HeaderError::Illegal(shown.clone(), "header name"))?;
        if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
            return Err(HeaderError::Reserved(shown));
        }
        let value = expand(&shown, value.trim(), &variable)?;
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| HeaderError::Illegal(shown, "header value"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    if let Some(path) = bearer_file {
        headers.insert(AUTHORIZATION, bearer(path)?);
    }
    Ok(headers)
}

/// Whether one of the headers is a credential, so that a 401 means that it was rejected.
pub(crate) fn has_credential(headers: &HeaderMap) -> bool {
    let words = ["auth", "cookie", "key", "secret", "token"];
    let names = headers.keys().map(HeaderName::as_str);
    names
        .into_iter()
        .any(|name| words.iter().any(|word| name.contains(word)))
}

fn bearer(path: &Path) -> Result<HeaderValue, HeaderError> {
    let bad = |problem: &str| HeaderError::BearerFile {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || text.len() > MAX_TOKEN_BYTES {
        return Err(bad("the file is empty or larger than 64 KiB"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| bad("the token has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value of `Authorization` for a token, which is visible ASCII.
pub(crate) fn bearer_of(token: &auth::Secret) -> Result<HeaderValue, HeaderError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let illegal = |_| HeaderError::Illegal("Authorization".to_owned(), "header value");
    let mut value = value.map_err(illegal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn expand(
    header: &str,
    value: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<String, HeaderError> {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(HeaderError::Unclosed(header.to_owned()));
        };
        // An empty credential would be sent, refused, and look like the server's fault.
        let found = variable(name).filter(|found| !found.is_empty());
        let Some(found) = found else {
            return Err(HeaderError::Unset {
                header: header.to_owned(),
                variable: model::text::line(name, 64),
            });
        };
        out.push_str(before);
        out.push_str(&found);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(lines: &[&str]) -> Result<HeaderMap, String> {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let variable = |name: &str| match name {
            "T" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        collect(&lines, None, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn placeholders_are_replaced_and_values_marked() {
        let headers = collected(&["Authorization: Bearer ${T}", "x-a: ${T}-${T}"]).unwrap();
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert_eq!(headers["x-a"], "s3cret-s3cret");
        assert!(!format!("{headers:?}").contains("s3cret"));
        assert!(has_credential(&headers));
        assert!(!has_credential(&collected(&["x-team: search"]).unwrap()));
    }

    #[test]
    fn bad_headers_say_what_and_never_show_a_value() {
        let table = [
            (
                "x-a s3cret",
                "--header: `x-a s3cret` has no `:`; write it like --header 'X-Team: search'",
            ),
            ("a b: s3cret", "--header a b: this is no legal header name"),
            (
                "x-a: s3cret\u{1}",
                "--header x-a: this is no legal header value",
            ),
            (
                "Host: s3cret",
                "--header Host: the probe sets this header itself; remove it",
            ),
            (
                "Mcp-Name: s3cret",
                "--header Mcp-Name: the probe sets this header itself; remove it",
            ),
            (
                "x-a: ${NOPE}",
                "--header x-a: the variable NOPE is not set; export it first",
            ),
            (
                "x-a: ${EMPTY}",
                "--header x-a: the variable EMPTY is not set; export it first",
            ),
            (
                "x-a: ${T",
                "--header x-a: a `${` has no `}`; write it like ${MCP_TOKEN}",
            ),
        ];
        for (line, message) in table {
            assert_eq!(collected(&[line]).unwrap_err(), message);
        }
    }
}
