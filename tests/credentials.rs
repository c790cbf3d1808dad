//! Credentials on the command line: tokens of clients and users, client certificates. What goes
//! wrong has its exit status and a sentence, and no secret is printed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::process::binary;
use tempfile::TempDir;
use testbed::ca::Ca;
use testbed::oauth::{CLIENT, Flaw, Walled};
use testbed::server::{Dialect, Options, Server};

/// Runs `parallax`, and sees that no secret is in what it prints.
async fn parallax(args: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = tokio::process::Command::new(binary("parallax"))
        .args(args)
        .env("CI_SECRET", CLIENT.1)
        .env_remove("PARALLAX_LOG")
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    for secret in [CLIENT.1, "access-token-", "refresh-token-"] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
    (output.status.code(), out, err)
}

async fn probe(walled: &Walled, args: &[&str]) -> (Option<i32>, String, String) {
    let url = walled.url();
    let all = [&["probe", &url, "--resolver", "127.0.0.1:9"], args].concat();
    parallax(&all).await
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What the probe is told of the way to its target holds for the question before the token too.
#[tokio::test]
async fn the_challenge_comes_from_where_the_probe_goes() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let port = walled.url().parse::<model::TargetUrl>().unwrap().port();
    let rule = format!("mcp.invalid:80:127.0.0.1:{port}");
    let (code, out, err) = parallax(&[
        "probe",
        "http://mcp.invalid/mcp",
        "--connect-to",
        &rule,
        "--resolver",
        "127.0.0.1:9",
        "--client-id",
        CLIENT.0,
        "--client-secret-env",
        "CI_SECRET",
        "--output",
        "json",
    ])
    .await;
    let report: Value = serde_json::from_str(&out).unwrap();
    let first = &report["auth"]["exchanges"][0];
    assert_eq!(first["step"], "challenge", "{out}{err}");
    assert_eq!(first["http_status"], 401);
    // Metadata about another URL is none of this one (RFC 9728 section 3.3): no token is asked for.
    assert_eq!(report["outcome"]["reason"], "auth_malformed");
    assert_eq!(code, Some(4));
}

#[tokio::test]
async fn a_client_is_named_by_file_or_variable() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", &format!("{}\n", CLIENT.1));
    let id = ["--client-id", CLIENT.0];
    for proof in [
        ["--client-secret-file", &secret],
        ["--client-secret-env", "CI_SECRET"],
    ] {
        let (code, out, err) = probe(&walled, &[&id[..], &proof].concat()).await;
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(
            out.contains(&format!("token of {}", walled.issuer())),
            "{out}"
        );
    }
    let json = ["--client-secret-env", "CI_SECRET", "--output", "json"];
    let (_, out, _) = probe(&walled, &[&id[..], &json].concat()).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["auth"]["state"], "authorized");
    assert_eq!(
        report["auth"]["client_authentication"],
        "client_secret_basic"
    );
}

#[tokio::test]
async fn a_refused_client_is_exit_4_with_the_step_named() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", CLIENT.1);
    for (flaw, said) in [
        (Flaw::InvalidClient, "the token endpoint"),
        (Flaw::InvalidClient, "refused with invalid_client"),
        (Flaw::InvalidScope, "refused with invalid_scope"),
        (Flaw::NoServerMetadata, "no authorization server was found"),
        (Flaw::HttpEndpoints, "is not https"),
    ] {
        let walled = Walled::start(Dialect::Modern, flaw).await.unwrap();
        let args = ["--client-id", CLIENT.0, "--client-secret-file", &secret];
        let (code, out, err) = probe(&walled, &args).await;
        assert_eq!(code, Some(4), "{flaw:?}: {out}{err}");
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(said), "{flaw:?}: {out}");
    }
}

#[tokio::test]
async fn a_wall_is_judged_without_a_credential() {
    for (flaw, said) in [
        (Flaw::None, "auth-walled but healthy: tokens from"),
        (Flaw::NoS256, "clients cannot find out where to get a token"),
    ] {
        let walled = Walled::start(Dialect::Dual, flaw).await.unwrap();
        let (code, out, _) = probe(&walled, &[]).await;
        assert_eq!(code, Some(4), "{out}");
        assert!(out.contains(said), "{out}");
    }
}

/// A file as `parallax auth login` writes it, whose access token ended or did not.
fn token_set(walled: &Walled, url: &str, expires_at: i64) -> String {
    let (access, refresh) = walled.sign_in();
    json!({
        "url": url, "resource": walled.url(), "issuer": walled.issuer(),
        "token_endpoint": format!("{}/token", walled.issuer()),
        "client_id": "user-client", "token_endpoint_auth_method": "none",
        "access_token": access, "refresh_token": refresh, "expires_at": expires_at,
    })
    .to_string()
}

#[tokio::test]
async fn tokens_of_a_user_are_renewed_when_they_have_ended() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let now = telemetry::clock::wall().as_second();
    let good = file(
        &folder,
        "good",
        &token_set(&walled, &walled.url(), now + 600),
    );
    let (code, out, err) = probe(&walled, &["--token-set", &good]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(walled.token_requests().is_empty());
    let old = file(&folder, "old", &token_set(&walled, &walled.url(), now - 1));
    let used = std::fs::read_to_string(&old).unwrap();
    // Twice: the second time with what the first time wrote.
    for _ in 0..2 {
        let (code, out, err) = probe(&walled, &["--token-set", &old]).await;
        assert_eq!(code, Some(0), "{out}{err}");
        assert_eq!(walled.token_requests().len(), 1);
        assert_eq!(walled.token_requests()[0]["grant_type"], "refresh_token");
    }
    assert_ne!(std::fs::read_to_string(&old).unwrap(), used);
    let mode = std::fs::metadata(&old).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A refresh token that is used up: the credential's fault, and how to mend it.
    std::fs::write(&old, used).unwrap();
    let (code, _, err) = probe(&walled, &["--token-set", &old]).await;
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("refused with invalid_grant"), "{err}");
    assert!(
        err.contains("sign in again with parallax auth login"),
        "{err}"
    );
}

/// A refresh token is good once, and who sends it twice is taken for a thief.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_renew_at_once_spend_one_refresh_token() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let now = telemetry::clock::wall().as_second();
    let old = file(&folder, "old", &token_set(&walled, &walled.url(), now - 1));
    let url = walled.url();
    let mut commands = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (url, old) = (url.clone(), old.clone());
        commands.spawn(async move {
            let args = [
                "probe",
                &url,
                "--resolver",
                "127.0.0.1:9",
                "--token-set",
                &old,
            ];
            parallax(&args).await
        });
    }
    while let Some(ended) = commands.join_next().await {
        let (code, out, err) = ended.unwrap();
        assert_eq!(code, Some(0), "{out}{err}");
    }
    assert_eq!(walled.token_requests().len(), 1);
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[tokio::test]
async fn what_cannot_be_used_is_said_without_being_shown() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", CLIENT.1);
    let empty = file(&folder, "empty", "\n");
    let foreign = file(
        &folder,
        "foreign",
        &token_set(&walled, "https://other.example.com/mcp", 0),
    );
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    let id = ["--client-id", "c"];
    let table: [(&[&str], i32, &str); 11] = [
        (&["--client-secret-file", missing], 7, "No such file"),
        (&["--client-secret-file", &empty], 7, "is empty or larger"),
        (
            &["--client-secret-env", "NOT_SET"],
            7,
            "NOT_SET: the variable is not set",
        ),
        (
            &["--private-key-file", &secret],
            7,
            "it has no PEM private key",
        ),
        (&[], 2, "--client-secret-file"),
        (
            &[
                "--client-secret-file",
                &secret,
                "--issuer",
                "http://as.example.com",
            ],
            2,
            "a secret goes over https only",
        ),
        (
            &["--client-secret-file", &secret, "--token-url", "x"],
            2,
            "this is no URL",
        ),
        (
            &[
                "--client-secret-file",
                &secret,
                "-H",
                "Authorization: Bearer x",
            ],
            2,
            "leave one of them out",
        ),
        (&["--token-set", &foreign], 2, "cannot be used with"),
        (
            &["--client-secret-file", &secret, "--bearer-file", &secret],
            2,
            "cannot be used with",
        ),
        (
            &["--client-secret-file", &secret, "--client-cert", &secret],
            2,
            "--client-key",
        ),
    ];
    for (args, code, said) in table {
        let (exit, out, err) = probe(&walled, &[&id[..], args].concat()).await;
        assert_eq!(exit, Some(code), "{args:?}: {out}{err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
    let (exit, _, err) = probe(&walled, &["--token-set", &foreign]).await;
    assert_eq!(exit, Some(2), "{err}");
    assert!(err.contains("go nowhere else"), "{err}");
    let (exit, _, err) = probe(&walled, &["--token-set", &secret]).await;
    assert_eq!(exit, Some(7), "{err}");
    assert!(walled.token_requests().is_empty());
}

struct Mutual {
    server: Server,
    folder: TempDir,
}

async fn mutual(is_optional: bool) -> Mutual {
    let ca = Ca::new().unwrap();
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.mutual(is_optional).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = ca.client().unwrap();
    let _ = file(&folder, "ca.pem", ca.pem());
    let _ = file(&folder, "client.pem", &cert);
    let _ = file(&folder, "client.key", &key);
    Mutual {
        server: Server::start(options).await.unwrap(),
        folder,
    }
}

impl Mutual {
    async fn report(&self, with_certificate: bool) -> (Option<i32>, Value) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (url, ca) = (self.server.url(), path("ca.pem"));
        let (cert, key) = (path("client.pem"), path("client.key"));
        let mut args = vec!["probe", &url, "--ca-file", &ca, "--output", "json"];
        args.extend(["--resolver", "127.0.0.1:9"]);
        if with_certificate {
            args.extend(["--client-cert", &cert, "--client-key", &key]);
        }
        let (code, out, err) = parallax(&args).await;
        let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        (code, report)
    }
}

#[tokio::test]
async fn a_client_certificate_is_sent_where_it_is_asked_for() {
    let strict = mutual(false).await;
    let (code, report) = strict.report(true).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["connection"]["tls"]["client_certificate"], "sent");
    let (code, report) = strict.report(false).await;
    assert_eq!(code, Some(5), "{report:#}");
    assert_eq!(report["outcome"]["reason"], "tls_handshake");
    assert_eq!(report["connection"]["tls"]["client_certificate"], "missing");
    let (code, report) = mutual(true).await.report(false).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["connection"]["tls"]["client_certificate"], "missing");
}

#[tokio::test]
async fn a_certificate_that_nobody_asks_for_is_not_sent_and_a_bad_one_is_our_fault() {
    let ca = Ca::new().unwrap();
    let mut site = mutual(true).await;
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.loopback(testbed::ca::Flaw::None).unwrap());
    site.server = Server::start(options).await.unwrap();
    std::fs::write(site.folder.path().join("ca.pem"), ca.pem()).unwrap();
    let (code, report) = site.report(true).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        report["connection"]["tls"]["client_certificate"],
        "not_asked"
    );
    let (_, other_key) = ca.client().unwrap();
    let other = file(&site.folder, "other.key", &other_key);
    let none = file(&site.folder, "none", "x");
    let cert = site.folder.path().join("client.pem");
    let cert = cert.to_str().unwrap();
    for (cert, key, said) in [
        (cert, other.as_str(), "other.key"),
        (cert, none.as_str(), "it has no PEM private key"),
        (none.as_str(), other.as_str(), "it has no PEM certificate"),
        ("nowhere", other.as_str(), "nowhere"),
    ] {
        let args = [
            "probe",
            "https://127.0.0.1:9/",
            "--client-cert",
            cert,
            "--client-key",
            key,
        ];
        let (code, _, err) = parallax(&args).await;
        assert_eq!(code, Some(7), "{err}");
        assert!(err.contains(said), "{err}");
    }
    assert!(Path::new(cert).exists());
}
