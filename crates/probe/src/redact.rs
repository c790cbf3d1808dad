//! Servers repeat what they were sent. A credential must not travel on with what they say.

use mcp::Listing;
use serde_json::Value;

/// Takes the secrets out of a text.
pub(crate) fn text(text: &mut String, secrets: &[String]) {
    for secret in secrets {
        if text.contains(secret) {
            *text = text.replace(secret, "[redacted]");
        }
    }
}

/// Takes the secrets out of listed tools, names of members included.
pub(crate) fn listing(listing: &mut Listing, secrets: &[String]) {
    match listing {
        Listing::TooLarge => {}
        Listing::Whole {
            tools,
            instructions,
        } => {
            for tool in tools {
                value(tool, secrets);
            }
            if let Some(instructions) = instructions {
                text(instructions, secrets);
            }
        }
    }
}

fn value(found: &mut Value, secrets: &[String]) {
    match found {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(string) => text(string, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| value(item, secrets)),
        Value::Object(members) => {
            let tells = |name: &String| secrets.iter().any(|secret| name.contains(secret));
            if members.keys().any(tells) {
                let renamed = std::mem::take(members).into_iter();
                *members = renamed
                    .map(|(mut name, value)| {
                        text(&mut name, secrets);
                        (name, value)
                    })
                    .collect();
            }
            members
                .values_mut()
                .for_each(|member| value(member, secrets));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_nowhere_in_what_was_listed() {
        let tool = json!({ "name": "say s3cr3t", "inputSchema":
            { "properties": { "s3cr3t": { "enum": ["a", "xs3cr3tx", 1] }, "b": {} } } });
        let mut found = Listing::Whole {
            tools: vec![tool],
            instructions: Some("use s3cr3t".to_owned()),
        };
        listing(&mut found, &["s3cr3t".to_owned()]);
        let expected = json!({ "name": "say [redacted]", "inputSchema":
            { "properties": { "[redacted]": { "enum": ["a", "x[redacted]x", 1] }, "b": {} } } });
        let expected = Listing::Whole {
            tools: vec![expected],
            instructions: Some("use [redacted]".to_owned()),
        };
        assert_eq!(found, expected);
    }
}
