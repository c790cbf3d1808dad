//! What a module may say, and what is said of a bad one.

use std::io::Write as _;
use std::time::Duration;

use model::{EraPolicy, ListKind};
use serde_json::{Value, json};

use super::*;

fn read(tables: &Value) -> Result<Modules, String> {
    let variable = |name: &str| (name == "DOCS_TOKEN").then(|| "s3cret-of-docs\n".to_owned());
    let modules = Modules::read(tables.as_object().unwrap(), &variable);
    modules.map_err(|error| error.to_string())
}

#[test]
fn a_module_has_the_fields_of_a_monitor() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "k3y-of-docs").unwrap();
    let modules = read(&json!({ "docs": {
        "targets": ["https://Docs.example.com:443"],
        "era": "legacy", "lists": ["prompts"], "total_timeout": "8s",
        "calls": [{ "name": "search", "arguments": { "q": "x" } }],
        "expect": { "tools": ["search"] },
        "headers": {
            "authorization": { "env": "DOCS_TOKEN", "prefix": "Bearer " },
            "x-key": { "file": secret.path() },
            "x-team": "search",
        },
    }}));
    let modules = modules.unwrap();
    assert_eq!(modules.names(), ["docs", "mcp"]);
    let docs = modules.named("docs").unwrap();
    let target: TargetUrl = "https://docs.example.com/mcp".parse().unwrap();
    assert!(docs.is_for(&target));
    for other in [
        "https://docs.example.com.evil.net/mcp",
        "http://docs.example.com/mcp",
        "https://docs.example.com:8443/mcp",
    ] {
        assert!(!docs.is_for(&other.parse().unwrap()), "{other}");
    }
    let plan = docs.plan(target.clone());
    assert_eq!((plan.era, &plan.url), (EraPolicy::Legacy, &target));
    assert!(plan.has_credential && plan.lists.contains(&ListKind::Prompts));
    assert_eq!(plan.total_timeout, Duration::from_secs(8));
    assert_eq!(plan.calls[0].name, "search");
    assert_eq!(plan.expect.tools, ["search"]);
    let header = |name: &str| docs.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("authorization"), "Bearer s3cret-of-docs");
    assert_eq!(header("x-key"), "k3y-of-docs");
    assert_eq!(header("x-team"), "search");
    assert!(!format!("{docs:?}").contains("s3cret"));
    // The one that is always there sends nothing, and goes anywhere.
    let plain = modules.named(DEFAULT_MODULE).unwrap();
    assert!(plain.headers().is_empty() && plain.is_for(&target));
}

#[test]
fn each_bad_field_is_named_with_the_way_out() {
    let table = [
        (json!({ "a b": {} }), "modules.a b: use 1 to 64 letters"),
        (json!({ "m": 3 }), "modules.m: write a table"),
        (
            json!({ "m": { "interval": "60s" } }),
            "modules.m.interval: is no field of a module; they are era, calls",
        ),
        (
            json!({ "m": { "url": "https://x/" } }),
            "modules.m.url: is no field of a module",
        ),
        (
            json!({ "m": { "era": "old" } }),
            "modules.m.era: `old` is not a era policy; use one of: auto, modern, legacy",
        ),
        (
            json!({ "m": { "expect": { "tolls": [] } } }),
            "modules.m.expect.tolls: unknown field `tolls`",
        ),
        (
            json!({ "m": { "total_timeout": "10m" } }),
            "modules.m.total_timeout: 10m is not within 1s to 300s",
        ),
        (
            json!({ "m": { "headers": { "x": "y" } } }),
            "modules.m.targets: is not set; a module with headers says which servers get them",
        ),
        (
            json!({ "m": { "targets": ["https://x/mcp"] } }),
            "modules.m.targets: `https://x/mcp` has a path; write a list of origins",
        ),
        (
            json!({ "m": { "targets": [] } }),
            "modules.m.targets: name 1 to 256 origins",
        ),
        (
            json!({ "m": { "headers": { "x": { "env": "NOT_THERE" } } } }),
            "modules.m.headers.x: the variable NOT_THERE is not set",
        ),
        (
            json!({ "m": { "headers": { "x": { "file": "/no/such" } } } }),
            "modules.m.headers.x: /no/such: No such file",
        ),
        (
            json!({ "m": { "headers": { "x": { "env": "DOCS_TOKEN", "fiel": "y" } } } }),
            "modules.m.headers.x: write a text, { env = \"NAME\" } or { file = \"PATH\" }",
        ),
        (
            json!({ "m": { "ca": "x" } }),
            "modules.m.ca: has no certificate",
        ),
        (
            json!({ "m": { "sni": "a b" } }),
            "modules.m.sni: is no name",
        ),
    ];
    for (tables, message) in table {
        let error = read(&tables).map(|_| ()).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn values_of_other_types_are_named_too() {
    let table = [
        (
            json!({ "m": { "headers": { "x": 3 } } }),
            "modules.m.headers.x: write a text",
        ),
        (
            json!({ "m": { "ca_file": "/no/such" } }),
            "modules.m.ca_file: /no/such: No such file",
        ),
    ];
    for (tables, message) in table {
        let error = read(&tables).map(|_| ()).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn there_are_not_too_many() {
    let many = (0..65).map(|n| (format!("m{n}"), json!({})));
    let error = read(&Value::Object(many.collect()))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error, "modules: 65 are too many; name at most 64");
}
