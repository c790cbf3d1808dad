//! Protected resource metadata (RFC 9728).

use url::Url;

use crate::place;

/// The protected resource metadata of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceMetadata {
    /// `resource`: what it is about.
    pub resource: String,
    /// `authorization_servers`: the issuers that the resource trusts.
    pub authorization_servers: Vec<String>,
    /// `scopes_supported`.
    pub scopes: Vec<String>,
}

/// How `resource` stands to the URL that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Identical, as RFC 9728 §3.3 demands.
    Same,
    /// Of the same origin and above it: no identity, but clients of the field accept it.
    Parent,
    /// About something else: not to be used.
    Other,
}

impl ResourceMetadata {
    /// Reads a document; `None` where it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let document = super::object(body)?;
        Some(Self {
            resource: super::text(&document, "resource").unwrap_or_default(),
            authorization_servers: super::list(&document, "authorization_servers")
                .unwrap_or_default(),
            scopes: super::list(&document, "scopes_supported").unwrap_or_default(),
        })
    }

    /// How its `resource` stands to `target`.
    #[must_use]
    pub fn fit(&self, target: &Url) -> Fit {
        let Ok(resource) = Url::parse(&self.resource) else {
            return Fit::Other;
        };
        // RFC 8707 §2: no fragment. Another query is another resource.
        let query_fits = resource.query().is_none() || resource.query() == target.query();
        let is_legal = resource.fragment().is_none() && resource.username().is_empty();
        if resource.origin() != target.origin() || !query_fits || !is_legal {
            return Fit::Other;
        }
        let (own, asked) = (
            place::without_query(&resource),
            place::without_query(target),
        );
        let (above, path) = (own.path().trim_end_matches('/'), asked.path());
        if own == asked {
            Fit::Same
        } else if path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            Fit::Parent
        } else {
            Fit::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_resource_is_the_url_itself() {
        let table = [
            ("https://h/mcp", "https://h/mcp", Fit::Same),
            ("https://H:443/mcp", "https://h/mcp", Fit::Same),
            ("https://h", "https://h/", Fit::Same),
            ("https://h/mcp", "https://h/mcp?key=x", Fit::Same),
            ("https://h", "https://h/mcp", Fit::Parent),
            ("https://h/", "https://h/a/mcp", Fit::Parent),
            ("https://h/a", "https://h/a/mcp", Fit::Parent),
            ("https://h/mcp/", "https://h/mcp", Fit::Parent),
            ("https://h/m", "https://h/mcp", Fit::Other),
            ("https://h/mcp/x", "https://h/mcp", Fit::Other),
            ("https://evil.example.com/mcp", "https://h/mcp", Fit::Other),
            ("http://h/mcp", "https://h/mcp", Fit::Other),
            ("https://h:8443/mcp", "https://h/mcp", Fit::Other),
            ("https://h/mcp#x", "https://h/mcp", Fit::Other),
            ("https://u@h/mcp", "https://h/mcp", Fit::Other),
            ("https://h/mcp?a=b", "https://h/mcp", Fit::Other),
            ("/mcp", "https://h/mcp", Fit::Other),
            ("", "https://h/mcp", Fit::Other),
        ];
        for (resource, target, fit) in table {
            let metadata = ResourceMetadata {
                resource: resource.to_owned(),
                authorization_servers: Vec::new(),
                scopes: Vec::new(),
            };
            assert_eq!(
                metadata.fit(&target.parse().unwrap()),
                fit,
                "{resource} {target}"
            );
        }
    }

    /// The document of RFC 9728 §3.2.
    #[test]
    fn a_document_is_read() {
        let body = br#"{"resource":"https://resource.example.com",
            "authorization_servers":["https://as1.example.com","https://as2.example.net"],
            "bearer_methods_supported":["header","body"],"scopes_supported":["profile","email"],
            "resource_documentation":"https://resource.example.com/d.html"}"#;
        let read = ResourceMetadata::read(body).unwrap();
        assert_eq!(read.resource, "https://resource.example.com");
        assert_eq!(read.authorization_servers.len(), 2);
        assert_eq!(read.scopes, ["profile", "email"]);
        for no_document in [&b"[]"[..], b"<html>", b"", b"\"x\""] {
            assert_eq!(ResourceMetadata::read(no_document), None);
        }
        let odd =
            br#"{"resource":7,"authorization_servers":"https://a","scopes_supported":[1,"a",""]}"#;
        let read = ResourceMetadata::read(odd).unwrap();
        assert_eq!(
            (read.resource.as_str(), read.authorization_servers.len()),
            ("", 0)
        );
        assert_eq!(read.scopes, ["a"]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>, target in "https://[a-z]{1,5}/[a-z/]{0,8}") {
            if let Some(read) = ResourceMetadata::read(&body) {
                let _ = read.fit(&target.parse().unwrap());
            }
        }

        /// What is used is always of the target's own origin.
        #[test]
        fn what_fits_is_of_the_same_origin(resource in "(https?://)?[a-c]{1,2}(:[0-9]{1,4})?/?[a-z/?#]{0,6}") {
            let target: Url = "https://a/mcp".parse().unwrap();
            let metadata = ResourceMetadata {
                resource: resource.clone(), authorization_servers: Vec::new(), scopes: Vec::new(),
            };
            if metadata.fit(&target) != Fit::Other {
                prop_assert_eq!(Url::parse(&resource).unwrap().origin(), target.origin());
            }
        }
    }
}
