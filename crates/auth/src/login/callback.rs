//! What the browser brings back (RFC 6749 §4.1.2, RFC 9207).

use url::form_urlencoded;

use crate::login::Login;
use crate::secret::Secret;

/// The longest code that is taken.
const MAX_CODE_BYTES: usize = 4096;

/// A redirect that brings no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// Somebody else's redirect, or a forged one: the right one may still come.
    #[error("the redirect is not of this login (its state differs)")]
    State,
    /// Another authorization server than the one that was asked.
    #[error("the redirect is of the issuer \"{0}\", which was not asked (RFC 9207)")]
    Issuer(String),
    /// The server said no.
    #[error("the authorization server refused with {0}")]
    Refused(String),
    /// No code, or none that can be.
    #[error("the redirect has no code")]
    NoCode,
}

/// Reads the query of a redirect.
///
/// # Errors
/// It brings no code that may be used.
pub fn read_callback(login: &Login, query: &str) -> Result<Secret, BadCallback> {
    let server = &login.server;
    read(query, &login.state, &server.issuer, server.names_itself)
}

fn read(query: &str, state: &str, issuer: &str, names_itself: bool) -> Result<Secret, BadCallback> {
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    };
    if field("state").as_deref() != Some(state) {
        return Err(BadCallback::State);
    }
    match field("iss") {
        Some(named) if named != issuer => {
            return Err(BadCallback::Issuer(model::text::line(&named, 120)));
        }
        None if names_itself => return Err(BadCallback::Issuer(String::new())),
        Some(_) | None => {}
    }
    if let Some(error) = field("error") {
        let description = field("error_description").unwrap_or_default();
        let said = match description.as_str() {
            "" => model::text::line(&error, 60),
            text => format!(
                "{}: {}",
                model::text::line(&error, 60),
                model::text::line(text, 120)
            ),
        };
        return Err(BadCallback::Refused(said));
    }
    let code = field("code").filter(|code| (1..=MAX_CODE_BYTES).contains(&code.len()));
    code.map(Secret::new).ok_or(BadCallback::NoCode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ISSUER: &str = "https://as.example.com";

    /// RFC 9207 §2.4 beside RFC 6749 §4.1.2.
    #[test]
    fn only_the_right_redirect_brings_a_code() {
        let table = [
            (
                "code=SplxlOBeZQQYbYS6WxSbIA&state=xyz",
                false,
                Ok("SplxlOBeZQQYbYS6WxSbIA"),
            ),
            (
                "code=a&state=xyz&iss=https%3A%2F%2Fas.example.com",
                true,
                Ok("a"),
            ),
            (
                "code=a&state=xyz",
                true,
                Err(BadCallback::Issuer(String::new())),
            ),
            (
                "code=a&state=xyz&iss=https%3A%2F%2Fas.example.com%2F",
                false,
                Err(BadCallback::Issuer("https://as.example.com/".to_owned())),
            ),
            ("code=a&state=other", false, Err(BadCallback::State)),
            ("code=a", false, Err(BadCallback::State)),
            ("state=xyz", false, Err(BadCallback::NoCode)),
            ("code=&state=xyz", false, Err(BadCallback::NoCode)),
            (
                "error=access_denied&error_description=no%1B&state=xyz",
                false,
                Err(BadCallback::Refused("access_denied: no\\u{1b}".to_owned())),
            ),
        ];
        for (query, names_itself, expected) in table {
            let found = read(query, "xyz", ISSUER, names_itself);
            assert_eq!(found, expected.map(Secret::new), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_without_the_state_brings_a_code(query: String) {
            prop_assert!(read(&query, "f0rg3-m3-n0t", ISSUER, false).is_err());
        }
    }
}
