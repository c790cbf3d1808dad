//! A core without a link, for the tests of its parts.

use super::*;
use crate::config::Peering;
use crate::spool::Found;
use delivery::Span;
use rpc::v1::record::Kind;
use tokio::net::TcpListener;

/// Settings of an agent that may probe loopback, and has nobody to ask.
pub(super) fn config() -> Config {
    Config {
        coordinators: Vec::new(),
        token: None,
        link_proxy: None,
        name_servers: vec!["127.0.0.1:9".parse().unwrap()],
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        extra_roots: Vec::new(),
        max_probes: 16,
        state_dir: None,
        spool_bytes: Config::SPOOL_BYTES,
        canaries: Vec::new(),
        peering: Peering::Off,
        contact: probe::Contact::default(),
        http: None,
    }
}

/// An agent that has nothing to do with others.
fn peers() -> Peers {
    let key = rcgen::KeyPair::generate().unwrap();
    let credentials = peer::Credentials {
        chain: Vec::new(),
        key: key.serialize_der().try_into().unwrap(),
    };
    let policy = dial::AddressPolicy::default();
    Peers::begin(Peering::Off, policy, credentials).unwrap()
}

/// A core that nobody is connected to, and what it hears.
pub(super) fn core(config: Config) -> (Core, Inbox) {
    let dialer = config.dialer().unwrap();
    let (disk_tells, disk) = mpsc::channel(QUEUE);
    let found = state::open(&config, "b", disk_tells).unwrap();
    let (says, _) = mpsc::channel(1);
    let tells = Tells {
        relink: Arc::new(Notify::new()),
        claims: watch::channel(Claim::default()).0,
        says,
        telling: Arc::default(),
        origins: Arc::default(),
        peers: peers(),
    };
    let inbox = Inbox {
        link: mpsc::channel(1).1,
        disk,
    };
    (
        Core::new(Arc::new(config), dialer, now(), found, tells),
        inbox,
    )
}

/// Nothing listens there.
pub(super) async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/mcp", listener.local_addr().unwrap())
}

pub(super) fn schedule(core: &mut Core, url: &str, names: &[&str]) {
    let items = names.iter().map(|name| v1::ScheduleItem {
        monitor_id: (*name).to_owned(),
        generation: 3,
        lane: 5,
        interval_ms: 60_000,
        next_slot: 1,
        next_slot_in_ms: 50_000,
        probe: Some(v1::ProbeSpec {
            url: url.to_owned(),
            era: "auto".into(),
            step_timeout_ms: 2000,
            call_timeout_ms: 2000,
            total_timeout_ms: 5000,
            ..Default::default()
        }),
        ..Default::default()
    });
    core.handle_link(LinkEvent::Snapshot(v1::ScheduleSnapshot {
        revision: 1,
        items: items.collect(),
        lease_seconds: 3600,
        more: false,
    }));
}

pub(super) fn spooled(core: &Core) -> Vec<Kind> {
    let span = Span {
        first: 0,
        end: u64::MAX,
    };
    let Found::Here(_, records) = core.spool.read(5, span) else {
        panic!("there is no disk");
    };
    records.into_iter().map(|r| r.kind.unwrap()).collect()
}
