//! What a monitor costs its target, in words.

use serde_json::Value;

use crate::members::text;

/// How much, and from whom; none where the coordinator does not say.
pub(super) fn told(load: &Value) -> Option<String> {
    let agents = load["agents"].as_u64()?;
    if agents == 0 {
        return Some("no agents yet".to_owned());
    }
    let requests = number(load["requests_per_minute"].as_f64()?);
    let plural = if agents == 1 { "" } else { "s" };
    Some(format!(
        "{requests} requests/min from {agents} agent{plural}"
    ))
}

/// Why it is probed less often than it wants, where it is.
pub(super) fn thinned(load: &Value) -> Option<String> {
    let thinned = load["thinned"].as_object()?;
    let period = |name: &str| thinned.get(name).map(text).unwrap_or_default();
    Some(format!(
        "each agent probes every {} instead of every {}, because all monitors of its origin, or it \
         alone, may make {} requests/min; a longer interval, fewer max_agents or a higher \
         max_requests_per_minute cures it",
        period("interval"),
        period("from"),
        text(&load["cap"]),
    ))
}

/// A tenth counts where there are few.
fn number(load: f64) -> String {
    if load < 10.0 && load.fract() > 0.0 {
        format!("{load:.1}")
    } else {
        format!("{load:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_load_is_said_in_words() {
        let load = |requests: f64, agents: u32| {
            told(&json!({ "requests_per_minute": requests, "agents": agents }))
        };
        assert_eq!(load(60.0, 10).unwrap(), "60 requests/min from 10 agents");
        assert_eq!(load(0.6, 1).unwrap(), "0.6 requests/min from 1 agent");
        assert_eq!(load(0.0, 0).unwrap(), "no agents yet");
        assert_eq!(told(&Value::Null), None);
        let slow = json!({ "cap": 30, "thinned": { "interval": "2m", "from": "1m" } });
        let slow = thinned(&slow).unwrap();
        assert!(
            slow.starts_with("each agent probes every 2m instead of every 1m"),
            "{slow}"
        );
        assert!(slow.contains("may make 30 requests/min"), "{slow}");
        assert_eq!(thinned(&json!({ "thinned": null })), None);
    }
}
