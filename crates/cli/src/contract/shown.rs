//! A contract for people.

use serde_json::Value;

use crate::members::{table, text};

/// Words of a list.
pub(super) fn list(value: &Value) -> String {
    let words: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
    if words.is_empty() {
        return "-".to_owned();
    }
    words.join(", ")
}

/// How the contract of a monitor stands.
pub(super) fn contract(contract: &Value) -> String {
    let mut out = format!("{}  {}\n", text(&contract["monitor"]), standing(contract));
    if contract["watched"] != true {
        return out;
    }
    let mut rows = vec![["SURFACE", "REGION", "AGENT", "SINCE", "CREDENTIAL"].map(str::to_owned)];
    for group in contract["seen"].as_array().into_iter().flatten() {
        for agent in group["agents"].as_array().into_iter().flatten() {
            rows.push([
                surface(group, agent),
                text(&agent["region"]),
                text(&agent["agent"]),
                seconds(&agent["since"]),
                list(&agent["credential"]),
            ]);
        }
    }
    out.push('\n');
    out.push_str(&table(&rows));
    let mut rows = vec![["PINNED AT", "BY", "SURFACE", "COMMENT"].map(str::to_owned)];
    for pin in contract["history"].as_array().into_iter().flatten().rev() {
        let by = match pin["actor"].as_str() {
            Some(_) => text(&pin["actor"]),
            None => text(&pin["by"]),
        };
        rows.push([
            seconds(&pin["at"]),
            by,
            text(&pin["fingerprint"]),
            text(&pin["comment"]),
        ]);
    }
    out.push('\n');
    out.push_str(&table(&rows));
    out
}

/// The contract in a few words.
fn standing(contract: &Value) -> String {
    if contract["watched"] != true {
        return "not watched".to_owned();
    }
    let drift = &contract["drift"];
    if contract["pin"].is_null() {
        return "nothing seen yet".to_owned();
    }
    if drift.is_null() {
        return "as pinned".to_owned();
    }
    let worst = drift["worst"].as_str().map_or_else(
        || "drift that could not be compared".to_owned(),
        |worst| format!("drift: {}", model::text::line(worst, 40)),
    );
    let mixed = if drift["mixed"] == true {
        ", more than one surface at a time"
    } else {
        ""
    };
    format!("{worst} since {}{mixed}", seconds(&drift["since"]))
}

fn surface(group: &Value, agent: &Value) -> String {
    let name = match group["fingerprint"].as_str() {
        Some(_) => text(&group["fingerprint"]),
        None => format!("none: {}", text(&agent["unfit"])),
    };
    let class = match group["class"].as_str() {
        _ if group["pinned"] == true => "pinned".to_owned(),
        Some(_) => text(&group["class"]),
        None => "drifts".to_owned(),
    };
    format!("{name} ({class})")
}

/// A time without its fraction.
fn seconds(value: &Value) -> String {
    let text = text(value);
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_sees_what_and_who_approved_it_is_said() {
        let agent = json!({ "agent": "eu-1", "region": "eu", "since": "2026-01-01T00:00:01.5Z",
            "credential": ["authorization"], "unfit": null });
        let told = contract(&json!({
            "monitor": "docs", "watched": true,
            "pin": { "fingerprint": "sha256:a" },
            "drift": { "worst": "security_relevant", "since": "2026-01-01T00:00:02Z", "mixed": true },
            "seen": [{ "fingerprint": "sha256:b", "pinned": false, "class": "security_relevant",
                "agents": [agent] }],
            "history": [{ "fingerprint": "sha256:a", "by": "approval", "actor": "ann",
                "comment": "ok", "at": "2026-01-01T00:00:00Z" }],
        }));
        let expected = "\
docs  drift: security_relevant since 2026-01-01T00:00:02Z, more than one surface at a time

SURFACE                       REGION  AGENT  SINCE                 CREDENTIAL
sha256:b (security_relevant)  eu      eu-1   2026-01-01T00:00:01Z  authorization

PINNED AT             BY   SURFACE   COMMENT
2026-01-01T00:00:00Z  ann  sha256:a  ok
";
        assert_eq!(told, expected);
        let off = contract(&json!({ "monitor": "docs", "watched": false }));
        assert_eq!(off, "docs  not watched\n");
    }
}
