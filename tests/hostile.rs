//! Targets that mean harm: whatever they send, a probe ends in its time and keeps to its memory.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use model::{EraPolicy, Outcome, Reason, Report, Step};
use support::{Probe, failure};
use testbed::server::{Dialect, Options, Server};

/// A server that does `serve` with every connection, after it has read something.
fn hostile(
    serve: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                    // The client hangs up at will.
                    let _ = serve(&mut stream);
                }
            });
        }
    });
    format!("http://{address}/mcp")
}

async fn probe(url: &str, step: Duration) -> Report {
    let mut probe = Probe::of(url).patience(step);
    probe.plan.era = EraPolicy::Modern;
    // A probe that does not end is found by this, not by the test runner.
    tokio::time::timeout(step * 20, probe.report())
        .await
        .expect("the probe ends")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A large event without its end, then comments for ever: each of them once made the prober parse
/// the event anew, until no deadline was ever looked at.
#[tokio::test]
async fn comments_behind_an_unfinished_event() {
    let url = hostile(|stream| {
        let padding = "x".repeat(500_000);
        let event = format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"p\":\"{padding}\"}}\n");
        stream.write_all(STREAM.as_bytes())?;
        stream.write_all(chunk(&event).as_bytes())?;
        loop {
            stream.write_all(chunk(":\n").as_bytes())?;
        }
    });
    let report = probe(&url, Duration::from_millis(500)).await;
    let (_, reason) = failure(&report);
    assert!(
        matches!(reason, Reason::McpSseStalled | Reason::HttpBodyTooLarge),
        "{reason}"
    );
}

#[tokio::test]
async fn bodies_and_heads_without_end() {
    let endless_json = hostile(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")?;
        loop {
            stream.write_all("{\"\":0},".repeat(1000).as_bytes())?;
        }
    });
    let report = probe(&endless_json, Duration::from_secs(5)).await;
    assert_eq!(failure(&report), (Step::Discover, Reason::HttpBodyTooLarge));

    let endless_head = hostile(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"x-more: and more and more and more\r\n")?;
        }
    });
    let report = probe(&endless_head, Duration::from_secs(5)).await;
    assert_eq!(failure(&report), (Step::Discover, Reason::HttpProtocol));

    let slow_head = hostile(|stream| {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().cycle() {
            stream.write_all(&[*byte])?;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(())
    });
    let report = probe(&slow_head, Duration::from_millis(500)).await;
    let (_, reason) = failure(&report);
    assert!(
        matches!(reason, Reason::HttpTimeoutHeaders | Reason::HttpProtocol),
        "{reason}"
    );
}

#[tokio::test]
async fn unasked_compression_is_named() {
    let url = hostile(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n\x1f\x8b\x08\x00")
    });
    let report = probe(&url, Duration::from_secs(2)).await;
    assert_eq!(failure(&report), (Step::Discover, Reason::HttpProtocol));
    assert_eq!(report.violations()[0].id.as_str(), "http.encoding");
}

/// Every answer closes its connection, and the list has more pages than any sane server's.
#[tokio::test]
async fn a_connection_for_every_page() {
    let server = Server::start(Options::new(Dialect::Legacy)).await.unwrap();
    server.script(|script| (script.page_size, script.close_connections) = (1, true));
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(report.tools, Some(5));
    assert!(report.steps.iter().all(|step| !step.warm));
    assert_eq!(server.log().sessions_closed(), 1);
}

/// A kept-alive connection is found again by the next step, however many probes run at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_after_the_first_are_warm() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    for _ in 0..10 {
        let probes: Vec<_> = (0..8)
            .map(|_| tokio::spawn(Probe::of(&server.url()).report()))
            .collect();
        for probe in probes {
            let report = probe.await.unwrap();
            assert_eq!(report.outcome, Outcome::Ok);
            assert!(report.steps[1].warm, "{report:#?}");
        }
    }
}
