//! What whoever connects to the API may send before anybody knows him.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use support::mesh::Coordinator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The status of the answer to a request with these header lines.
async fn status(coordinator: &Coordinator, lines: &str) -> u16 {
    let mut stream = TcpStream::connect(coordinator.bound.http).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{lines}connection: close\r\n\r\n");
    // What is too much may be refused before it is read.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
}

/// 431 as RFC 6585 section 5 has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_requests_have_bounds() {
    let coordinator = Coordinator::start().await;
    let many = |count: usize| "x-a: b\r\n".repeat(count);
    let long = |bytes: usize| format!("x-a: {}\r\n", "b".repeat(bytes));
    let table = [
        (many(10), 200),
        // Beside host and connection.
        (many(98), 200),
        (many(99), 431),
        (long(32 << 10), 200),
        (long(64 << 10), 431),
    ];
    for (lines, expected) in table {
        let found = status(&coordinator, &lines).await;
        assert_eq!(found, expected, "{} bytes", lines.len());
    }
    coordinator.stop().await;
}
