use super::*;
use crate::core::tests::{config, core};
use crate::link::LinkEvent;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A server that answers every request with a head, and remembers what it was asked.
fn answering(head: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 8192];
            let read = stream.read(&mut bytes).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes[..read]).to_lowercase();
            noted.lock().unwrap().push(text);
            let answer = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (format!("http://{address}/mcp"), seen)
}

fn item(url: &str, looks_at_wall: bool) -> v1::ScheduleItem {
    v1::ScheduleItem {
        monitor_id: "docs".into(),
        generation: 3,
        lane: 5,
        interval_ms: 60_000,
        next_slot: 1,
        next_slot_in_ms: 50_000,
        looks_at_wall,
        probe: Some(v1::ProbeSpec {
            url: url.to_owned(),
            era: "modern".into(),
            step_timeout_ms: 2000,
            call_timeout_ms: 2000,
            total_timeout_ms: 5000,
            access_token: b"hunter2".to_vec(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

type Said = mpsc::Receiver<v1::watch_request::Message>;

fn watching(url: &str, looks: bool) -> (Core, Said) {
    let (mut core, _inbox) = core(config());
    let (says, said) = mpsc::channel(8);
    core.says = says;
    core.handle_link(LinkEvent::Delta(v1::ScheduleDelta {
        upserts: vec![item(url, looks)],
        ..Default::default()
    }));
    (core, said)
}

async fn slot(core: &mut Core, slot: u64) {
    let interval = core.items["docs"].interval;
    core.timetable.upsert("docs", interval, slot, now());
    core.handle_time();
    while let Some(done) = core.probes.join_next_with_id().await {
        core.handle_done(done);
    }
    while let Some(done) = core.looks.running.join_next().await {
        core.handle_look(done);
    }
}

fn looks(said: &mut Said) -> Vec<v1::WallLook> {
    let mut looks = Vec::new();
    while let Ok(message) = said.try_recv() {
        if let v1::watch_request::Message::WallLook(look) = message {
            looks.push(look);
        }
    }
    looks
}

#[tokio::test]
async fn one_agent_looks_once_an_hour_and_without_the_credential() {
    let head = "HTTP/1.1 401 Unauthorized\r\n";
    for (looks_at_wall, expected) in [(true, 1), (false, 0)] {
        let (url, seen) = answering(head);
        let (mut core, mut said) = watching(&url, looks_at_wall);
        slot(&mut core, 1).await;
        slot(&mut core, 2).await;
        let found = looks(&mut said);
        assert_eq!(found.len(), expected, "{found:?}");
        let seen = seen.lock().unwrap();
        let with_token = |text: &&String| text.contains("authorization: bearer hunter2");
        assert_eq!(seen.iter().filter(with_token).count(), 2, "the slots");
        let Some(look) = found.first() else {
            assert_eq!(seen.len(), 2);
            continue;
        };
        // A 401 without a challenge tells nobody how to get in.
        assert_eq!((&look.state[..], look.generation), ("malformed", 3));
        let checks: Vec<&str> = look.findings.iter().map(|f| &f.check[..]).collect();
        assert!(checks.contains(&"auth.challenge"), "{checks:?}");
        assert!(!format!("{look:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_target_that_asks_for_a_pause_is_not_looked_at() {
    let (url, seen) = answering("HTTP/1.1 429 Too Many\r\nretry-after: 600\r\n");
    let (mut core, mut said) = watching(&url, true);
    slot(&mut core, 1).await;
    assert_eq!(looks(&mut said), []);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_target_that_fails_says_nothing_of_its_wall() {
    let (url, _) = answering("HTTP/1.1 500 Broken\r\n");
    let (mut core, mut said) = watching(&url, true);
    slot(&mut core, 1).await;
    assert_eq!(looks(&mut said), []);
}

/// A look holds a session at its target, which is to be given back.
#[tokio::test]
async fn the_end_waits_for_looks() {
    let (url, _) = answering("HTTP/1.1 401 Unauthorized\r\n");
    let (mut core, mut inbox) = core(config());
    core.handle_link(LinkEvent::Delta(v1::ScheduleDelta {
        upserts: vec![item(&url, true)],
        ..Default::default()
    }));
    core.look("docs");
    assert_eq!(core.looks.running.len(), 1);
    core.drain(&mut inbox).await;
    assert!(core.looks.running.is_empty());
}

/// A renewed token is no change of what is probed: nobody's slots, windows and votes notice.
#[tokio::test]
async fn another_token_is_used_by_the_next_probe_and_moves_nothing() {
    let (url, seen) = answering("HTTP/1.1 401 Unauthorized\r\n");
    let (mut core, _said) = watching(&url, false);
    let due = core.timetable.poll_timeout();
    let slot_before = core.timetable.next_slot("docs");
    let mut renewed = item(&url, false);
    renewed.probe.as_mut().unwrap().access_token = b"hunter3".to_vec();
    (renewed.next_slot, renewed.next_slot_in_ms) = (77, 3);
    core.handle_link(LinkEvent::Delta(v1::ScheduleDelta {
        upserts: vec![renewed],
        ..Default::default()
    }));
    assert_eq!(core.timetable.poll_timeout(), due);
    assert_eq!(core.timetable.next_slot("docs"), slot_before);
    slot(&mut core, 1).await;
    let seen = seen.lock().unwrap();
    assert!(
        seen[0].contains("authorization: bearer hunter3"),
        "{seen:?}"
    );
}
