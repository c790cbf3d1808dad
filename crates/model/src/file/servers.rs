//! What clients of MCP keep: `mcpServers` (Claude, Cursor and others) or `servers` (VS Code). Its
//! other fields are for those clients, and ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::own::object;
use super::problem::{Problem, Problems};
use super::{Entry, Listed, Skipped};
use crate::MonitorId;
use crate::monitor::FieldError;

/// The longest name of a monitor.
const MAX_NAME: usize = 63;

/// What `mcpServers` lists.
pub(super) fn listed(
    file: &str,
    servers: Value,
    problems: &mut Problems,
) -> Result<Listed, Problems> {
    let Value::Object(servers) = servers else {
        problems.push(Problem {
            pointer: "/mcpServers".to_owned(),
            detail: "is no map from names to servers".to_owned(),
            ..Problem::of(file)
        });
        return Ok(Listed::default());
    };
    let mut listed = Listed::default();
    let mut slugs: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in servers {
        let Some(mut server) = object(file, &name, value, problems) else {
            continue;
        };
        if let Some(why) = no_monitor(&server) {
            let name = crate::text::line(&name, 64);
            listed.skipped.push(Skipped { name, why });
            continue;
        }
        let mut fields = Map::new();
        for field in ["url", "headers"] {
            if let Some(value) = server.remove(field) {
                fields.insert(field.to_owned(), value);
            }
        }
        let slug = slug(&name);
        if slug.is_empty() {
            let detail = "has no letter or digit of ASCII, which a monitor's name needs";
            problems.of_monitor(file, &name, vec![FieldError::new("/name", detail)]);
            continue;
        }
        if let Some(other) = slugs.get(&slug) {
            let other = crate::text::line(other, 64);
            let detail = format!("it would be named {slug}, and so would {other}; rename one");
            problems.of_monitor(file, &name, vec![FieldError::new("/name", detail)]);
            continue;
        }
        slugs.insert(slug.clone(), name.clone());
        listed.entries.push(Entry {
            shown: name,
            name: Some(slug),
            fields,
        });
    }
    Ok(listed)
}

/// Why an entry is nothing to watch from outside.
fn no_monitor(server: &Map<String, Value>) -> Option<String> {
    if server.get("disabled") == Some(&Value::Bool(true)) {
        return Some("is disabled".to_owned());
    }
    let kind = server.get("type").and_then(Value::as_str);
    if kind == Some("stdio") || (kind.is_none() && server.contains_key("command")) {
        let why = "is a program on the machine of its user; only a URL can be probed from outside";
        return Some(why.to_owned());
    }
    match kind {
        None | Some("http" | "sse" | "streamable-http" | "streamableHttp") => None,
        Some(kind) => Some(format!("its type is {}", crate::text::line(kind, 32))),
    }
}

/// A name as a monitor's: lower-case, and `-` for what a monitor's name cannot have.
fn slug(name: &str) -> String {
    if name.parse::<MonitorId>().is_ok() {
        return name.to_owned();
    }
    let legal = |c: char| {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        }
    };
    let slug: String = name.chars().map(legal).collect();
    let slug = slug.trim_matches('-');
    let cut = &slug[..slug.len().min(MAX_NAME)];
    cut.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_names_of_monitors() {
        let table = [
            ("docs", "docs"),
            ("My Docs (EU)", "my-docs--eu"),
            ("github.com/x", "github-com-x"),
            ("Ünïcode", "n-code"),
        ];
        for (name, expected) in table {
            assert_eq!(slug(name), expected);
        }
    }

    proptest! {
        /// What has a letter or a digit of ASCII has a name; nothing else has.
        #[test]
        fn slugs_are_legal(name: String) {
            let named = name.chars().any(|c| c.is_ascii_alphanumeric());
            prop_assert_eq!(slug(&name).parse::<MonitorId>().is_ok(), named);
        }
    }
}
