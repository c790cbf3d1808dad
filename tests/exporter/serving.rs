//! Connections and time: how long, how many, over what.

use super::*;

/// A server that hangs is a failure of the server within the scrape, not a scrape that fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scraper_says_how_long_a_probe_may_take() {
    let server = server(Dialect::Legacy).await;
    server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    let (agent, to) = Agent::start_serving(alone()).await;
    let timeout = "x-prometheus-scrape-timeout-seconds: 2.000000";
    let answer = ask(to, &probe_of(&server.url()), &[timeout]).await;
    // Two seconds less half of one, and of that a fifth for closing.
    answer.has(&[("probe_success", 0.0), ("probe_timeout_seconds", 1.2)]);
    assert!(
        answer.body.contains("reason=\"http_timeout_headers\""),
        "{}",
        answer.body
    );
    assert!(answer.value("probe_duration_seconds").unwrap() >= 1.2);
    assert_eq!(
        server.log().sessions_opened(),
        server.log().sessions_closed()
    );
    // A scraper that goes away ends its probe, and the session is given back.
    let mut gone = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {to}\r\n\r\n",
        probe_of(&server.url())
    );
    gone.write_all(request.as_bytes()).await.unwrap();
    eventually("a second session", || server.log().sessions_opened() == 2).await;
    drop(gone);
    eventually("it is closed", || server.log().sessions_closed() == 2).await;
    agent.stop().await;
    assert!(TcpStream::connect(to).await.is_err());
}

/// Scrapes have places of their own, and no more of them than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_probes_are_refused_and_all_end_with_the_agent() {
    const PLACES: u64 = 64;
    let server = server(Dialect::Legacy).await;
    server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    let (agent, to) = Agent::start_serving(alone()).await;
    let path = probe_of(&server.url());
    let mut scrapes = tokio::task::JoinSet::new();
    for _ in 0..PLACES {
        let path = path.clone();
        scrapes.spawn(async move { ask(to, &path, &[]).await });
    }
    eventually("all hang", || {
        server.log().methods().get("tools/list") == Some(&PLACES)
    })
    .await;
    let answer = ask(to, &path, &[]).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.starts_with("all places for probes are taken"),
        "{}",
        answer.body
    );
    let in_flight = "parallax_agent_probes_in_flight{cause=\"request\"}";
    ask(to, "/metrics", &[]).await.has(&[(in_flight, 64.0)]);
    agent.stop().await;
    while let Some(answer) = scrapes.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "this agent is about to stop\n");
    }
    assert_eq!(server.log().sessions_opened(), PLACES);
    assert_eq!(server.log().sessions_closed(), PLACES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_tls_where_it_has_a_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = alone();
    config.http.as_mut().unwrap().tls = Some(HttpTls { certificate, key });
    let (agent, to) = Agent::start_serving(config).await;
    // Whoever never ends a handshake keeps nobody else out.
    let _idle = TcpStream::connect(to).await.unwrap();
    let plain = TcpStream::connect(to).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = trusting(&made).connect(name, plain);
    let answer = ask_over(stream.await.unwrap(), to, "/livez", &[]).await;
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    // Nor from stopping.
    let stopped = tokio::time::timeout(Duration::from_secs(8), agent.stop()).await;
    assert!(stopped.is_ok());
}
