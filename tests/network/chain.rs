//! Certificates: what is wrong with a chain, when it ends, and tickets.

use super::*;

struct Refused {
    chain: Chain,
    trusts: bool,
    reason: Reason,
    faults: &'static [Fault],
    says: &'static str,
}

/// Name, time and trust are told apart, all of them are told, and what was presented is described.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn everything_that_is_wrong_with_a_chain_is_told() {
    let refused = |chain, trusts, reason, faults, says| Refused {
        chain,
        trusts,
        reason,
        faults,
        says,
    };
    let table = [
        refused(
            Chain::IntermediateExpired,
            true,
            Reason::TlsCertExpired,
            &[Fault::IntermediateExpired],
            "the intermediate certificate CN=Parallax testbed intermediate ended 24 h ago",
        ),
        refused(
            Chain::IntermediateNotYetValid,
            true,
            Reason::TlsCertNotYetValid,
            &[Fault::IntermediateNotYetValid],
            "CN=Parallax testbed intermediate begins in 2",
        ),
        refused(
            Chain::IntermediateMissing,
            true,
            Reason::TlsCertUntrusted,
            &[Fault::IntermediateMissing],
            "an intermediate certificate is missing",
        ),
        refused(
            Chain::SelfSigned,
            true,
            Reason::TlsCertUntrusted,
            &[Fault::SelfSigned],
            "signed by itself",
        ),
        refused(
            Chain::Whole,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown],
            "CN=Parallax testbed, is not trusted here and was not sent",
        ),
        refused(
            Chain::WithRoot,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown],
            "CN=Parallax testbed, which the server sent, is not trusted here",
        ),
        // A new intermediate certificate would not help: nobody trusts who signs it.
        refused(
            Chain::IntermediateExpired,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown, Fault::IntermediateExpired],
            "; the intermediate certificate",
        ),
    ];
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for case in table {
        let Refused { chain, trusts, .. } = case;
        let site = ca.chained(&["127.0.0.1"], chain).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        if trusts {
            probe.ca_file.push(file.path().to_owned());
        }
        let report = probe.report().await;
        assert_eq!(failure(&report), (Step::Discover, case.reason), "{chain:?}");
        assert_eq!(tls(&report).faults, case.faults, "{chain:?}");
        assert_eq!(tls(&report).chain[0].names, ["127.0.0.1"], "{chain:?}");
        assert_eq!(tls(&report).path_not_after, None, "{chain:?}");
        let said = report.summary.as_str();
        assert!(said.contains(case.says), "{chain:?}: {said}");
        assert_eq!(
            said.contains(PUBLISHED),
            chain == Chain::IntermediateMissing
        );
    }
}

#[tokio::test]
async fn a_wrong_name_is_told_beside_the_rest() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for (flaw, trusts, reason, faults) in [
        (
            Flaw::None,
            true,
            Reason::TlsCertName,
            &[Fault::WrongName][..],
        ),
        (
            Flaw::Expired,
            true,
            Reason::TlsCertExpired,
            &[Fault::Expired, Fault::WrongName],
        ),
        (
            Flaw::NotYetValid,
            true,
            Reason::TlsCertNotYetValid,
            &[Fault::NotYetValid, Fault::WrongName],
        ),
        (
            Flaw::Expired,
            false,
            Reason::TlsCertExpired,
            &[Fault::Expired, Fault::AuthorityUnknown, Fault::WrongName],
        ),
    ] {
        let site = ca.server(&["other.example"], flaw).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        if trusts {
            probe.ca_file.push(file.path().to_owned());
        }
        let report = probe.report().await;
        assert_eq!(failure(&report), (Step::Discover, reason), "{flaw:?}");
        assert_eq!(tls(&report).faults, faults, "{flaw:?}");
        let name = "the certificate is for other.example, not for 127.0.0.1";
        assert!(report.summary.contains(name), "{}", report.summary);
        // Trusted but for its name: what is needed is known.
        let path = (flaw, trusts) == (Flaw::None, true);
        assert_eq!(tls(&report).path_not_after.is_some(), path, "{flaw:?}");
    }
}

/// The first certificate to end is that which a client needs, not that which is sent besides.
#[tokio::test]
async fn the_earliest_expiry_is_that_of_the_trusted_path() {
    // The authority's own certificate ends in two days: whoever trusts it does not look.
    let ca = Ca::ending(2).unwrap();
    let file = trust(&ca);
    for (chain, presented, sent) in [
        (Chain::Whole, 59, 2),
        (Chain::WithRoot, 1, 3),
        (Chain::CrossSignedExpired, -2, 3),
    ] {
        let site = ca.chained(&["127.0.0.1"], chain).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        probe.ca_file.push(file.path().to_owned());
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{chain:?}: {report:#?}");
        let now = report.started_at.parse::<jiff::Timestamp>().unwrap();
        let days = |end: Option<i64>| (end.unwrap() - now.as_second()).div_euclid(DAY);
        let tls = tls(&report);
        // Signed some moments before the probe: the last day is not whole.
        assert!(
            [presented, presented + 1].contains(&days(tls.earliest_not_after)),
            "{chain:?}"
        );
        assert!([59, 60].contains(&days(tls.path_not_after)), "{chain:?}");
        assert_eq!(tls.chain.len(), sent, "{chain:?}");
        assert_eq!(tls.faults, [], "{chain:?}");
    }
}

#[tokio::test]
async fn tickets_are_counted_and_resumption_is_tried_when_asked_for() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for (issues, asked) in [(true, true), (true, false), (false, true)] {
        let mut site = ca.loopback(Flaw::None).unwrap();
        if issues {
            site.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
            site.send_tls13_tickets = 2;
        } else {
            site.send_tls13_tickets = 0;
        }
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        probe.ca_file.push(file.path().to_owned());
        probe.network.tls_resumption = asked;
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok);
        let resumption = tls(&report).resumption.unwrap();
        assert_eq!(resumption.tickets, if issues { 2 } else { 0 });
        let resumed = (issues && asked).then_some(true);
        assert_eq!(resumption.resumed, resumed, "{issues} {asked}");
        assert_eq!(resumption.handshake_us.is_some(), resumed.is_some());
        assert_eq!(
            tls(&report).post_quantum,
            Some(true),
            "rustls offers X25519MLKEM768 first"
        );
    }
}

/// A server that issues tickets and forgets them.
#[tokio::test]
async fn a_ticket_that_is_not_taken_is_told() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    let mut site = ca.loopback(Flaw::None).unwrap();
    // Stateful tickets with a store that keeps nothing.
    site.session_storage = std::sync::Arc::new(Forgetful);
    let server = serve("127.0.0.1:0", Some(site)).await;
    let mut probe = Probe::of(&server.url());
    probe.ca_file.push(file.path().to_owned());
    probe.network.tls_resumption = true;
    let resumption = tls(&probe.report().await).resumption.unwrap();
    assert!(resumption.tickets > 0);
    assert_eq!(resumption.resumed, Some(false));
}

#[derive(Debug)]
struct Forgetful;

impl rustls::server::StoresServerSessions for Forgetful {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        true
    }
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn can_cache(&self) -> bool {
        true
    }
}
