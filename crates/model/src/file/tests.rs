use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn variable(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret".to_owned()),
        "HOST" => Some("mcp.example.com".to_owned()),
        _ => None,
    }
}

fn read(text: &str, format: Format) -> Result<MonitorFile, String> {
    let source = Source {
        name: "file",
        text,
        format,
    };
    parse(source, &variable).map_err(|problems| problems.to_string())
}

const TOML: &str = r#"
[[monitors]]
name = "docs"
url = "https://${HOST}/mcp"
interval = "2m"
headers = { authorization = "Bearer ${TOKEN}" }
calls = [{ name = "echo", arguments = { text = "$${x}", n = 1.5 } }]

[[monitors]]
url = "https://other.example.com/mcp"
"#;

const JSON: &str = r#"{"monitors": [
  {"name": "docs", "url": "https://${HOST}/mcp", "interval": "2m",
   "headers": {"authorization": "Bearer ${TOKEN}"},
   "calls": [{"name": "echo", "arguments": {"text": "$${x}", "n": 1.5}}]},
  {"url": "https://other.example.com/mcp"}
]}"#;

const YAML: &str = r"
monitors:
  - name: docs
    url: https://${HOST}/mcp
    interval: 2m
    headers: {authorization: 'Bearer ${TOKEN}'}
    calls: [{name: echo, arguments: {text: '$${x}', n: 1.5}}]
  - url: https://other.example.com/mcp
";

#[test]
fn three_formats_say_the_same() {
    let toml = read(TOML, Format::Toml).unwrap();
    assert_eq!(read(JSON, Format::Json).as_ref(), Ok(&toml));
    assert_eq!(read(YAML, Format::Yaml).as_ref(), Ok(&toml));
    let (id, docs) = &toml.monitors[0];
    assert_eq!(id.as_str(), "docs");
    assert_eq!(docs.url.to_string(), "https://mcp.example.com/mcp");
    assert_eq!(docs.headers["authorization"].expose(), "Bearer s3cret");
    assert_eq!(docs.calls[0].arguments["text"], "${x}");
    let (id, other) = &toml.monitors[1];
    assert_eq!(*id, MonitorId::of_url(&other.url), "named by its URL");
}

#[test]
fn a_map_from_names_is_a_list_too() {
    let toml = "[monitors.docs]\nurl = 'https://a/mcp'\n[monitors.x]\nurl = 'https://b/mcp'";
    let yaml = "monitors:\n  docs: &d {url: https://a/mcp}\n  x: {<<: *d, url: https://b/mcp}\n";
    let toml = read(toml, Format::Toml).unwrap();
    assert_eq!(toml.monitors.len(), 2);
    assert_eq!(read(yaml, Format::Yaml), Ok(toml));
    assert_eq!(
        read("monitors: []", Format::Yaml),
        Ok(MonitorFile::default())
    );
}

#[test]
fn files_of_clients_are_read_and_programs_skipped() {
    let text = r#"{"inputs": [], "mcpServers": {
        "My Docs": {"type": "http", "url": "https://a/mcp", "headers": {"x": "${env:TOKEN}"},
            "timeout": 5, "autoApprove": []},
        "old": {"type": "sse", "url": "https://b/sse"},
        "files": {"command": "npx", "args": ["-y", "${NOPE}"]},
        "off": {"url": "https://c/", "disabled": true},
        "socket": {"type": "ws", "url": "wss://c/"}}}"#;
    for text in [text.to_owned(), text.replace("mcpServers", "servers")] {
        let file = read(&text, Format::Json).unwrap();
        let names: Vec<&str> = file.monitors.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(names, ["my-docs", "old"]);
        assert_eq!(file.monitors[0].1.headers["x"].expose(), "s3cret");
        let skipped: Vec<&str> = file.skipped.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(skipped, ["files", "off", "socket"]);
        assert!(file.skipped[0].why.contains("a program"));
    }
}

/// Format, file, and what is said of it.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_problem_is_named_with_its_place() {
    let table = [
        (Format::Toml, "a = [", "file:1:6: "),
        (
            Format::Json,
            "{\"monitors\": [}",
            "file:1:15: expected value",
        ),
        (Format::Yaml, "monitors: [a\nb: c", "file:"),
        (
            Format::Json,
            "[]",
            "file: is no map; write a list `monitors`",
        ),
        (Format::Toml, "", "file: has no monitors; write a list"),
        (
            Format::Yaml,
            "monitors: 5",
            "file: /monitors: is neither a list",
        ),
        (
            Format::Yaml,
            "monitors: []\nmonitor: []",
            "file: /monitor: is unknown",
        ),
        (
            Format::Yaml,
            "monitors: [5]",
            "file: monitor number 1: is no map",
        ),
        (
            Format::Yaml,
            "monitors: [{name: 5, url: 'https://a/'}]",
            "number 1: /name: is no text",
        ),
        (
            Format::Yaml,
            "monitors: [{name: A b, url: 'https://a/'}]",
            "monitor A b: /name: name: `A b`",
        ),
        (
            Format::Yaml,
            "monitors: [{name: a}]",
            "monitor a: /url: is missing",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'ftp://x'}}",
            "monitor a: /url: url: scheme `ftp`",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'https://${NOPE}/'}}",
            "/url: the variable NOPE is not set",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'https://a/', headers: {x: '${NOPE}'}}}",
            "monitor a: /headers/x: the variable NOPE is not set",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'https://a/', headers: {x: 5}}}",
            "monitor a: /headers/x: is no text",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'https://a/', headers: {'x y': z}}}",
            "/headers/x y: this is no legal header name",
        ),
        (
            Format::Toml,
            "[[monitors]]\nurl='https://a/'\n[[monitors]]\nurl='https://a/'",
            "monitor number 2: /name: there is another a-",
        ),
        (
            Format::Yaml,
            "monitors: {a: {url: 'https://a/'}, a: {url: 'https://b/'}}",
            "file:1:36: duplicate mapping key: a",
        ),
        (
            Format::Json,
            r#"{"monitors": {"a": {}, "a": {}}}"#,
            "`a` is there twice",
        ),
        (
            Format::Json,
            r#"{"mcpServers": {"A b": {"url": "https://a/"}, "a-b": {"url": "https://b/"}}}"#,
            "monitor a-b: /name: it would be named a-b, and so would A b",
        ),
        (
            Format::Json,
            r#"{"mcpServers": {"?": {"url": "https://a/"}}}"#,
            "monitor ?: /name: has no letter",
        ),
        (
            Format::Json,
            r#"{"mcpServers": []}"#,
            "/mcpServers: is no map",
        ),
        (
            Format::Json,
            r#"{"mcpServers": {"a": {}}}"#,
            "monitor a: /url: is missing",
        ),
        (
            Format::Toml,
            "[[monitors]]\nname='a'\nurl=2026-01-01",
            "no field is a date",
        ),
        (
            Format::Yaml,
            "monitors: []\n---\nmonitors: []",
            "more than one document",
        ),
        (Format::Yaml, "monitors: [.nan]", "finite"),
    ];
    for (format, text, expected) in table {
        let problem = read(text, format).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

#[test]
fn everything_is_said_at_once() {
    let text = r"
monitors:
  - {name: a, url: 'https://a/', intervall: 1m, interval: 1s, max_agents: x, headers: {b: '${NOPE}'}}
  - {name: b, url: 'ftp://b/', regions: [a b]}
";
    let problems = read(text, Format::Yaml).unwrap_err();
    for expected in [
        "monitor a: /intervall: unknown field `intervall`",
        "monitor a: /interval: 1s is not within",
        "monitor a: /max_agents: invalid type",
        "monitor a: /headers/b: the variable NOPE",
        "monitor b: /url: url: scheme",
        "monitor b: /regions/0: ",
    ] {
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
    assert_eq!(problems.lines().count(), 6, "{problems}");
}

#[test]
fn names_are_unique_over_files() {
    let text = "monitors: {a: {url: 'https://a/'}}";
    let source = |name| Source {
        name,
        text,
        format: Format::Yaml,
    };
    let both = parse_all(&[source("one.yaml"), source("two.yaml")], &variable);
    let problem = both.unwrap_err().to_string();
    assert_eq!(
        problem,
        "two.yaml: monitor a: /name: a is in one.yaml too; each name may be in one file"
    );
}

/// Values of variables and of headers are in no message.
#[test]
fn secrets_are_not_told() {
    let table = [
        "monitors: {a: {url: '${TOKEN}'}}",
        "monitors: {a: {url: 'https://a:b/${TOKEN}'}}",
        "monitors: {a: {url: 'https://a/', interval: '${TOKEN}'}}",
        "monitors: {a: {url: 'https://a/', regions: ['a ${TOKEN}']}}",
        "monitors: {a: {url: 'https://a/', labels: '${TOKEN}'}}",
        "monitors: {a: {url: 'https://a/', headers: s3cret}}",
        "monitors: {a: {url: 'https://a/', headers: [s3cret]}}",
        "monitors: {a: {url: 'https://a/', headers: {a: [s3cret]}}}",
        "monitors: {a: {url: 'https://a/', headers: {a: \"s3cret\\n\"}}}",
    ];
    for text in table {
        let problem = read(text, Format::Yaml).unwrap_err();
        assert!(!problem.contains("s3cret"), "{text}: {problem}");
        assert!(problem.contains("monitor a: /"), "{text}: {problem}");
    }
}

#[test]
fn formats_are_known_by_the_end_of_a_name() {
    let table = [
        ("a.toml", Some(Format::Toml)),
        ("a.b.JSON", Some(Format::Json)),
        ("a.yaml", Some(Format::Yaml)),
        ("a.yml", Some(Format::Yaml)),
        ("yaml", None),
        ("a.txt", None),
    ];
    for (name, format) in table {
        assert_eq!(Format::of_name(name), format, "{name}");
    }
}

/// Texts that grow when they are read, or nest without end.
#[test]
fn hostile_files_are_refused_within_bounds() {
    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 9].join(",");
        writeln!(laughs, "a{n}: &a{n} [{list}]").unwrap();
    }
    let mut merges = "a0: &a0 {x: 1}\n".to_owned();
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 9].join(",");
        writeln!(merges, "a{n}: &a{n} {{<<: [{list}]}}").unwrap();
    }
    let long = format!(
        "a: &a {}\nb: [{}]",
        "x".repeat(1 << 20),
        "*a,".repeat(10_000)
    );
    let table = [
        (Format::Yaml, laughs),
        (Format::Yaml, merges),
        (Format::Yaml, long),
        (Format::Yaml, "a: &a [*a]".to_owned()),
        (Format::Yaml, "[".repeat(100_000)),
        (Format::Yaml, "- ".repeat(100_000)),
        (Format::Yaml, "? ".repeat(100_000)),
        (Format::Yaml, "!!a ".repeat(100_000)),
        (Format::Json, "[".repeat(1_000_000)),
        (Format::Json, format!("[{}0]", "{\"\":0},".repeat(500_000))),
        (Format::Toml, format!("a={}", "[".repeat(100_000))),
        (Format::Toml, format!("a{}=1", ".a".repeat(1000))),
        (Format::Toml, format!("a=[{}]", "{},".repeat(1_000_000))),
        (Format::Json, " ".repeat(MAX_FILE_BYTES + 1)),
    ];
    for (format, text) in table {
        let problem = read(&text, format).unwrap_err();
        assert!(problem.starts_with("file"), "{problem}");
        assert!(problem.len() < 500, "{:.40}: {problem}", text);
    }
}

#[test]
fn monitors_and_problems_have_bounds() {
    let entries = |count: usize, field: &str| {
        let entry = |n| format!("{{\"name\":\"m{n}\",\"url\":\"https://a/\"{field}}}");
        let list: Vec<String> = (0..count).map(entry).collect();
        format!("{{\"monitors\":[{}]}}", list.join(","))
    };
    let most = read(&entries(MAX_MONITORS, ""), Format::Json).unwrap();
    assert_eq!(most.monitors.len(), MAX_MONITORS);
    let problem = read(&entries(MAX_MONITORS + 1, ""), Format::Json).unwrap_err();
    assert_eq!(problem, "file: more than 10000 monitors");
    let problem = read(&entries(1000, ",\"x\":1"), Format::Json).unwrap_err();
    assert_eq!(problem.lines().count(), MAX_PROBLEMS + 1);
    assert!(problem.ends_with("and 800 more"), "{problem}");
    let long = format!(
        ",\"labels\":{{\"a\":\"{}\"}}",
        "x".repeat(MAX_MONITOR_BYTES)
    );
    let problem = read(&entries(1, &long), Format::Json).unwrap_err();
    assert!(problem.contains("monitor m0: more than 65536 bytes"));
}

proptest! {
    /// Nothing that is read makes it fail, and what it says is safe to show.
    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}:,&*a<\"'|>\\-?! \n#$=\\.0]{0,60}", any: String) {
        for text in [&text, &any] {
            for format in Format::ALL {
                if let Err(problem) = read(text, *format) {
                    let safe = |c: char| c == '\n' || !c.is_control();
                    prop_assert!(problem.starts_with("file") && problem.chars().all(safe));
                }
            }
        }
    }

    /// What a spec is written as is read as the same spec.
    #[test]
    fn written_specs_are_read_again(
        interval in 10u64..86_400,
        header in "[ -#%-~]{0,20}",
        label in "[a-z]{1,9}",
        agents in 1u32..=64,
    ) {
        let spec = serde_json::json!({
            "url": "https://a/mcp", "interval": format!("{interval}s"), "max_agents": agents,
            "headers": {"a": header}, "labels": {label.clone(): label},
        });
        let spec: MonitorSpec = serde_json::from_value(spec).unwrap();
        let file = serde_json::json!({ "monitors": { "a": spec.written() } }).to_string();
        // JSON is YAML.
        for format in [Format::Json, Format::Yaml] {
            let read = read(&file, format).unwrap();
            prop_assert_eq!(&read.monitors[0].1, &spec);
        }
    }
}
