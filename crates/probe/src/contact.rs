//! Whom the owner of a target can write to: part of what every request says of its sender.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// The longest contact, bytes.
const MAX_BYTES: usize = 200;

/// Where to reach whoever runs the probes: a web page, or a mail address. `parallax/<version>
/// (+https://…)` is the form in which crawlers say it, so that those who read access logs know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contact(String);

/// A text that is no contact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "contact: `{0}` is neither a page nor a mail address; write it like https://example.com/monitoring or mailto:ops@example.com, or `none`"
)]
pub struct ContactError(String);

impl Contact {
    /// Nobody. Whoever runs a mesh should name themselves.
    pub const DEFAULT: &str = "none";

    /// The `User-Agent` of every request of a probe (RFC 9110 section 10.1.5).
    #[must_use]
    pub fn user_agent(&self) -> HeaderValue {
        let version = env!("CARGO_PKG_VERSION");
        let text = match self.0.as_str() {
            Self::DEFAULT => format!("parallax/{version} (MCP monitor)"),
            contact => format!("parallax/{version} (+{contact})"),
        };
        // A contact is printable ASCII.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("parallax"))
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for Contact {
    type Err = ContactError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ContactError(model::text::line(text, 64));
        // Comments of the header end at a parenthesis.
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'\\');
        if text.len() > MAX_BYTES || !text.bytes().all(is_plain) {
            return Err(error());
        }
        let is_page = text.parse::<model::TargetUrl>().is_ok();
        let mail = text
            .strip_prefix("mailto:")
            .and_then(|mail| mail.split_once('@'));
        let is_mail = mail.is_some_and(|(user, host)| {
            !user.is_empty()
                && format!("https://{host}/")
                    .parse::<model::TargetUrl>()
                    .is_ok()
        });
        (is_page || is_mail || text == Self::DEFAULT)
            .then(|| Self(text.to_owned()))
            .ok_or_else(error)
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_a_page_or_a_mail_address() {
        for good in [
            "https://example.com/monitoring",
            "http://status.example.com",
            "mailto:ops@example.com",
        ] {
            let contact: Contact = good.parse().unwrap();
            let agent = contact.user_agent();
            let agent = agent.to_str().unwrap();
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(agent, format!("parallax/{version} (+{good})"));
        }
        let long = format!("https://example.com/{}", "a".repeat(200));
        for bad in [
            "",
            "ops@example.com",
            "example.com",
            "mailto:example.com",
            "mailto:@example.com",
            "mailto:ops@",
            "ftp://example.com",
            "https://example.com/a b",
            "https://example.com/)",
            "https://example.com/\r\nx-evil: 1",
            "https://user:secret@example.com/",
            &long,
        ] {
            let error = bad.parse::<Contact>().unwrap_err().to_string();
            assert!(error.starts_with("contact: `"), "{error}");
        }
        assert_eq!(Contact::DEFAULT.parse(), Ok(Contact::default()));
        let nobody = Contact::default().user_agent();
        assert!(nobody.to_str().unwrap().ends_with(" (MCP monitor)"));
    }
}
