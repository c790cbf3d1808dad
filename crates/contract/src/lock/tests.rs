use super::*;
use serde_json::json;

fn lock() -> Lock {
    let tools = [
        json!({ "name": "b", "inputSchema": { "type": "object", "required": ["y", "x"] } }),
        json!({ "name": "a", "inputSchema": { "type": "object" }, "description": "A\nb" }),
    ];
    Lock {
        surface: Surface::new(&tools, Some("Be kind")).unwrap(),
        seen: Seen {
            era: Some("modern".to_owned()),
            protocol_version: Some("2026-07-28".to_owned()),
            server: Some(ServerInfo {
                name: "s".to_owned(),
                version: "1".to_owned(),
            }),
        },
    }
}

#[test]
fn a_file_is_for_people_and_comes_back_whole() {
    let lock = lock();
    let text = lock.write().unwrap();
    let expected = format!(
        r#"{{
  "schema_version": 1,
  "fingerprint": "{}",
  "seen": {{
    "era": "modern",
    "protocol_version": "2026-07-28",
    "server": {{
      "name": "s",
      "version": "1"
    }}
  }},
  "instructions": "Be kind",
  "tools": [
    {{
      "description": "A\nb",
      "inputSchema": {{
        "type": "object"
      }},
      "name": "a"
    }},
    {{
      "inputSchema": {{
        "required": [
          "x",
          "y"
        ],
        "type": "object"
      }},
      "name": "b"
    }}
  ]
}}
"#,
        lock.surface.fingerprint()
    );
    assert_eq!(text, expected);
    assert_eq!(Lock::read(&text), Ok(lock));
}

#[test]
fn damage_is_named() {
    let text = lock().write().unwrap();
    let with = |member: &str, value: Value| {
        let mut file: Value = serde_json::from_str(&text).unwrap();
        if value.is_null() {
            file.as_object_mut().unwrap().remove(member);
        } else {
            file[member] = value;
        }
        Lock::read(&file.to_string()).map_err(|damaged| damaged.to_string())
    };
    let table = [
        ("schema_version", json!(null), "schema_version: is missing"),
        (
            "schema_version",
            json!("1"),
            "schema_version: \"1\" is not the version",
        ),
        (
            "schema_version",
            json!(7),
            "schema_version: 7 is not the version that is read here, 1",
        ),
        ("fingerprint", json!(null), "fingerprint: is missing"),
        (
            "fingerprint",
            json!("sha256:0"),
            "fingerprint: it was changed by hand",
        ),
        ("tools", json!(null), "tools: is missing"),
        ("tools", json!([1]), "tools[0] is no object"),
        ("tools", json!([]), "fingerprint: it was changed"),
        ("instructions", json!(1), "instructions: is no string"),
        (
            "instructions",
            json!("Be evil"),
            "fingerprint: it was changed",
        ),
    ];
    for (member, value, problem) in table {
        let error = with(member, value.clone()).unwrap_err();
        assert!(error.contains(problem), "{member} {value}: {error}");
    }
    // What only informs may be anything, and so may what a later version adds.
    assert!(with("seen", json!("?")).is_ok());
    assert!(with("seen", json!(null)).is_ok());
    assert!(with("later", json!(1)).is_ok());
    for text in ["", "{", "null", "[]", "{}"] {
        assert!(Lock::read(text).is_err(), "{text}");
    }
    let long = " ".repeat(MAX_LOCK_BYTES + 1);
    assert_eq!(Lock::read(&long), Err(Damaged::TooLarge));
}
