//! A schedule item, read into what the agent runs.

pub(crate) mod way;

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp::{ClientInfo, Plan, ToolCall};
use model::Profile;
use model::expect::HealthSpec;
use model::monitor::LANES;
use prost::Message as _;
use rpc::convert::{self, ConvertError};
use rpc::v1;

use crate::others;

pub(crate) use way::Way;

/// Bytes of the names of headers that carry a credential.
const MAX_CREDENTIAL_BYTES: usize = 256;

/// A monitor as this agent has it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) monitor: String,
    pub(crate) generation: u64,
    pub(crate) lane: u16,
    pub(crate) interval: Duration,
    /// What asks for a pause, if anything does: scheme, host and port.
    pub(crate) origin: String,
    pub(crate) plan: Plan,
    pub(crate) headers: HeaderMap,
    /// Whether the credential is a token that the coordinator renews.
    pub(crate) is_renewed: bool,
    /// Whether this agent looks at what somebody without a credential meets.
    pub(crate) looks_at_wall: bool,
    /// The names of those that carry a credential, sorted.
    pub(crate) credential: String,
    /// What to ask beside the sequence; not by confirmations.
    pub(crate) health: Option<HealthSpec>,
    /// How it is reached.
    pub(crate) way: Way,
    /// Where it runs, as far as is known: see [`others::hosting`].
    pub(crate) hosting: String,
    /// For each call of the plan, whether a confirmation may repeat it.
    repeatable: Vec<bool>,
}

impl Item {
    /// The plan of a confirmation: within `time`, if that is set, and with no call that must not
    /// be repeated, directly or for what it leaves to others.
    pub(crate) fn confirmation(&self, with_calls: bool, time: Duration) -> Plan {
        let mut plan = self.plan.clone();
        if !time.is_zero() {
            plan.total_timeout = plan.total_timeout.min(time);
            plan.step_timeout = plan.step_timeout.min(time);
            plan.call_timeout = plan.call_timeout.min(time);
        }
        let mut repeatable = self.repeatable.iter();
        plan.calls
            .retain(|_| with_calls && repeatable.next().is_some_and(|repeatable| *repeatable));
        // What takes values from a call that is not made cannot be made either.
        let mut known = BTreeSet::new();
        plan.calls.retain(|call| {
            let has_all = model::flow::names(&call.arguments).is_subset(&known);
            if has_all {
                known.extend(call.capture.keys().cloned());
            }
            has_all
        });
        // None of them can fail a probe.
        plan.profile = Profile::Standard;
        (plan.subscribe, plan.idle) = (false, None);
        // Slots say which tools there are.
        plan.keep_listing = false;
        plan
    }

    /// Whether it asks the same of the target in the same way, credential included.
    pub(crate) fn is_dressed_like(&self, other: &Self) -> bool {
        self.headers == other.headers && self.looks_at_wall == other.looks_at_wall
    }

    /// What a stranger would send: the headers that are no credential.
    pub(crate) fn bare_headers(&self) -> HeaderMap {
        let mut bare = HeaderMap::new();
        for (name, value) in &self.headers {
            if !model::header::is_credential(name.as_str()) {
                bare.append(name, value.clone());
            }
        }
        bare
    }
}

/// Reads an item. The coordinator is trusted to mean well, not to be of this version.
pub(crate) fn read(item: &v1::ScheduleItem) -> Result<Item, ConvertError> {
    let monitor = convert::id_from("monitor_id", &item.monitor_id)?;
    let lane = u16::try_from(item.lane).ok().filter(|lane| *lane < LANES);
    let lane = lane.ok_or_else(|| ConvertError::new("lane", "is none of 256"))?;
    if item.interval_ms < 1000 {
        return Err(ConvertError::new("interval_ms", "is less than a second"));
    }
    let probe = item.probe.as_ref();
    let probe = probe.ok_or_else(|| ConvertError::new("probe", "is missing"))?;
    let mut headers = headers(&probe.headers)?;
    carry(&mut headers, &probe.access_token)?;
    let mut plan = plan(probe, !headers.is_empty())?;
    let mut way = way::read(probe.network.as_ref())?;
    if let Some(name) = &plan.instance.header {
        let name: Result<HeaderName, _> = name.parse();
        let name = name.map_err(|_| ConvertError::new("instance_json", "no legal header"))?;
        way.network.instance_header = Some(name);
    }
    plan.keep_listing = probe.watch_contract;
    Ok(Item {
        monitor,
        generation: item.generation,
        lane,
        interval: Duration::from_millis(item.interval_ms.into()),
        origin: plan.url.origin(),
        hosting: others::hosting(&item.hosting, &plan.url),
        repeatable: probe.calls.iter().map(|call| call.idempotent).collect(),
        way,
        health: json("health_json", &probe.health_json)?,
        is_renewed: !probe.access_token.is_empty(),
        looks_at_wall: item.looks_at_wall,
        credential: credential(&headers),
        plan,
        headers,
    })
}

pub(crate) fn plan(probe: &v1::ProbeSpec, has_credential: bool) -> Result<Plan, ConvertError> {
    let word = |field| {
        move |error: model::closed::UnknownWord| ConvertError::new(field, error.to_string())
    };
    let url = probe.url.parse();
    let url =
        url.map_err(|e: model::target::TargetUrlError| ConvertError::new("url", e.to_string()))?;
    let mut plan = Plan::new(url, ClientInfo::parallax());
    plan.era = probe.era.parse().map_err(word("era"))?;
    plan.has_credential = has_credential;
    let time = |field, ms: u32, most: Duration| match Duration::from_millis(ms.into()) {
        time if time.is_zero() || time > most => Err(ConvertError::new(
            field,
            format!("{ms} ms is not within its bounds"),
        )),
        time => Ok(time),
    };
    plan.step_timeout = time(
        "step_timeout_ms",
        probe.step_timeout_ms,
        Duration::from_secs(60),
    )?;
    plan.call_timeout = time(
        "call_timeout_ms",
        probe.call_timeout_ms,
        Plan::MAX_CALL_TIMEOUT,
    )?;
    plan.total_timeout = time(
        "total_timeout_ms",
        probe.total_timeout_ms,
        Duration::from_secs(300),
    )?;
    for call in &probe.calls {
        plan.calls.push(tool_call(call)?);
    }
    for list in &probe.lists {
        plan.lists.insert(list.parse().map_err(word("lists"))?);
    }
    plan.subscribe = probe.subscribe;
    let idle = Duration::from_millis(probe.idle_ms.into());
    plan.idle = (!idle.is_zero()).then_some(idle.min(Plan::MAX_IDLE));
    if !probe.profile.is_empty() {
        plan.profile = probe.profile.parse().map_err(word("profile"))?;
    }
    plan.expect = json("expect_json", &probe.expect_json)?;
    plan.instance = json("instance_json", &probe.instance_json)?;
    for entry in &probe.severities {
        let check = entry.check.parse().map_err(word("check"))?;
        let severity = entry.severity.parse().map_err(word("severity"))?;
        plan.severities.insert(check, severity);
    }
    Ok(plan)
}

fn tool_call(sent: &v1::ToolCall) -> Result<ToolCall, ConvertError> {
    let mut call = ToolCall::new(
        sent.name.clone(),
        json("arguments_json", &sent.arguments_json)?,
    );
    call.answers = json("answers_json", &sent.answers_json)?;
    call.expect = json("calls.expect_json", &sent.expect_json)?;
    (call.cleanup, call.progress) = (sent.cleanup, sent.progress);
    for (name, path) in &sent.capture {
        let path = path.parse();
        let path = path.map_err(|error: model::expect::JsonPathError| {
            ConvertError::new("capture", error.to_string())
        })?;
        call.capture.insert(name.clone(), path);
    }
    Ok(call)
}

/// JSON within a message; nothing is the default.
pub(crate) fn json<T: Default + serde::de::DeserializeOwned>(
    field: &'static str,
    text: &str,
) -> Result<T, ConvertError> {
    if text.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| {
        let what = model::text::line(&error.to_string(), 120);
        ConvertError::new(field, what)
    })
}

/// Puts a token into the headers.
fn carry(headers: &mut HeaderMap, token: &[u8]) -> Result<(), ConvertError> {
    if token.is_empty() {
        return Ok(());
    }
    // The value is never shown.
    let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat());
    let mut value = value.map_err(|_| ConvertError::new("access_token", "is no legal header"))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

pub(crate) fn headers(sent: &[v1::Header]) -> Result<HeaderMap, ConvertError> {
    let mut headers = HeaderMap::new();
    for header in sent {
        let shown = model::text::line(&header.name, 40);
        // The value is never shown.
        let bad = |what: &str| ConvertError::new("headers", format!("{shown} has no legal {what}"));
        let name: HeaderName = header.name.parse().map_err(|_| bad("name"))?;
        let mut value = HeaderValue::from_bytes(&header.value).map_err(|_| bad("value"))?;
        value.set_sensitive(header.secret);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Names of the headers that carry the monitor's credential; never their values.
fn credential(headers: &HeaderMap) -> String {
    let secret = headers.iter().filter(|(_, value)| value.is_sensitive());
    let names: BTreeSet<&str> = secret.map(|(name, _)| name.as_str()).collect();
    let mut named = names.into_iter().collect::<Vec<_>>().join(",");
    named.truncate(MAX_CREDENTIAL_BYTES);
    named
}

/// An item as it is kept on disk.
#[derive(Clone, PartialEq, prost::Message)]
struct KeptItem {
    #[prost(message, optional, tag = "1")]
    item: Option<v1::ScheduleItem>,
    /// When its next slot begins on this machine's wall clock, milliseconds since the Unix epoch:
    /// the only clock that goes on while the machine is off.
    #[prost(uint64, tag = "2")]
    next_slot_at_ms: u64,
}

/// The bytes of an item that came at `wall_ms`.
pub(crate) fn kept(sent: &v1::ScheduleItem, wall_ms: u64) -> Vec<u8> {
    let kept = KeptItem {
        item: Some(sent.clone()),
        next_slot_at_ms: wall_ms.saturating_add(sent.next_slot_in_ms.into()),
    };
    kept.encode_to_vec()
}

/// Reads what [`kept`] wrote, with its next slot from `wall_ms` on.
pub(crate) fn resumed(bytes: &[u8], wall_ms: u64) -> Option<v1::ScheduleItem> {
    let kept = KeptItem::decode(bytes).ok()?;
    let mut item = kept.item?;
    let interval = Duration::from_millis(item.interval_ms.into());
    let (slot, pause) = schedule::slot::resume(
        item.next_slot,
        Duration::from_millis(kept.next_slot_at_ms),
        interval,
        Duration::from_millis(wall_ms),
    );
    item.next_slot = slot;
    item.next_slot_in_ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> v1::ScheduleItem {
        v1::ScheduleItem {
            monitor_id: "docs".into(),
            generation: 1,
            lane: 5,
            interval_ms: 60_000,
            probe: Some(v1::ProbeSpec {
                url: "https://a/mcp".into(),
                era: "auto".into(),
                step_timeout_ms: 10_000,
                call_timeout_ms: 10_000,
                total_timeout_ms: 30_000,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_confirmation_repeats_what_may_be_repeated_in_the_time_it_has() {
        let mut sent = item();
        let call = |name: &str, idempotent| v1::ToolCall {
            name: name.into(),
            arguments_json: "{}".into(),
            idempotent,
            ..Default::default()
        };
        sent.probe.as_mut().unwrap().calls =
            vec![call("buy", false), call("look", true), call("sell", false)];
        let item = read(&sent).unwrap();
        assert_eq!((item.plan.calls.len(), &item.hosting[..]), (3, "a"));
        let seconds = Duration::from_secs;
        let table = [
            (false, 5, vec![], 5, 5),
            (true, 5, vec!["look"], 5, 5),
            (true, 20, vec!["look"], 20, 10),
            (true, 500, vec!["look"], 30, 10),
            (true, 0, vec!["look"], 30, 10),
        ];
        for (with_calls, time, calls, total, step) in table {
            let plan = item.confirmation(with_calls, seconds(time));
            let called: Vec<&str> = plan.calls.iter().map(|call| &call.name[..]).collect();
            assert_eq!(called, calls);
            assert_eq!(plan.total_timeout, seconds(total));
            assert_eq!(
                (plan.step_timeout, plan.call_timeout),
                (seconds(step), seconds(step))
            );
        }
    }

    fn with_network(item: &mut v1::ScheduleItem, change: fn(&mut v1::NetworkSpec)) {
        let probe = item.probe.as_mut().unwrap();
        change(probe.network.get_or_insert_default());
    }

    #[test]
    fn a_confirmation_makes_no_call_that_needs_one_it_does_not_make() {
        let mut sent = item();
        let call = |name: &str, idempotent, takes: &str, leaves: &str| v1::ToolCall {
            name: name.into(),
            arguments_json: serde_json::json!({ "a": takes }).to_string(),
            idempotent,
            capture: [(leaves.to_owned(), "$.a".to_owned())].into(),
            ..Default::default()
        };
        sent.probe.as_mut().unwrap().calls = vec![
            call("make", false, "", "id"),
            call("read", true, "{{id}}", "text"),
            call("look", true, "", "page"),
            call("turn", true, "{{page}}", "next"),
            call("show", true, "{{text}}", "x"),
        ];
        let plan = read(&sent).unwrap().confirmation(true, Duration::ZERO);
        let called: Vec<&str> = plan.calls.iter().map(|call| &call.name[..]).collect();
        assert_eq!(called, ["look", "turn"]);
    }

    #[test]
    fn a_token_is_sent_as_bearer_and_taken_off_for_a_look() {
        let mut sent = item();
        let header = |name: &str| v1::Header {
            name: name.into(),
            value: b"v".to_vec(),
            secret: true,
        };
        let probe = sent.probe.as_mut().unwrap();
        probe.headers = vec![header("x-api-key"), header("x-tenant")];
        probe.access_token = b"hunter2".to_vec();
        let one = read(&sent).unwrap();
        assert_eq!(one.headers[AUTHORIZATION], "Bearer hunter2");
        assert!(one.is_renewed && one.plan.has_credential);
        assert!(!format!("{one:?}").contains("hunter2"));
        let bare = one.bare_headers();
        assert_eq!(bare.keys().collect::<Vec<_>>(), ["x-tenant"]);
        sent.probe.as_mut().unwrap().access_token = b"hunter3".to_vec();
        let other = read(&sent).unwrap();
        assert!(!one.is_dressed_like(&other) && one.is_dressed_like(&one.clone()));
    }

    #[test]
    fn a_bad_item_names_its_field_and_never_a_secret() {
        assert!(read(&item()).is_ok());
        type Break = fn(&mut v1::ScheduleItem);
        let table: [(Break, &str); 12] = [
            (|i| i.monitor_id.clear(), "monitor_id:"),
            (|i| i.lane = 256, "lane: is none of 256"),
            (|i| i.interval_ms = 0, "interval_ms:"),
            (|i| i.probe = None, "probe: is missing"),
            (
                |i| i.probe.as_mut().unwrap().url = "ftp://x".into(),
                "url: url: scheme `ftp`",
            ),
            (
                |i| i.probe.as_mut().unwrap().era = "future".into(),
                "era: `future` is not",
            ),
            (
                |i| i.probe.as_mut().unwrap().total_timeout_ms = 0,
                "total_timeout_ms:",
            ),
            (
                |i| {
                    let value = b"s3cret\n".to_vec();
                    let header = v1::Header {
                        name: "x-key".into(),
                        value,
                        secret: true,
                    };
                    i.probe.as_mut().unwrap().headers.push(header);
                },
                "headers: x-key has no legal value",
            ),
            (
                |i| i.probe.as_mut().unwrap().access_token = b"s3cret\n".to_vec(),
                "access_token: is no legal header",
            ),
            (
                |i| with_network(i, |way| way.connect_to.push("a".into())),
                "connect_to: `a` is no rule",
            ),
            (
                |i| with_network(i, |way| way.ca_pem = "PEM".into()),
                "ca_pem: it has no PEM certificate",
            ),
            (
                |i| with_network(i, |way| way.family = "ipx".into()),
                "family: `ipx` is not",
            ),
        ];
        for (break_it, message) in table {
            let mut item = item();
            break_it(&mut item);
            let error = read(&item).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
            assert!(!error.contains("s3cret"));
        }
    }
}
