//! A report for tests.

use std::collections::BTreeMap;

use model::report::{CheckReport, Connection, SCHEMA_VERSION, ServerInfo, StepReport};
use model::{CheckId, Era, Outcome, Phase, Report, Revision, Severity, Step, Transport};

/// A step that went well.
pub(crate) fn step(step: Step, phases: &[(Phase, u64)]) -> StepReport {
    let phases_us: BTreeMap<_, _> = phases.iter().copied().collect();
    StepReport {
        step,
        tool: None,
        total_us: phases_us.values().sum(),
        phases_us,
        warm: false,
        exchanges: 1,
        http_status: Some(200),
        content_type: None,
        rpc_code: None,
        failed_phase: None,
        reason: None,
        detail: None,
    }
}

/// A check as the table has it.
pub(crate) fn check(id: CheckId, severity: Severity, detail: Option<&str>) -> CheckReport {
    CheckReport {
        id,
        passed: detail.is_none(),
        severity,
        source: id.rule().source.to_owned(),
        detail: detail.map(str::to_owned),
    }
}

/// A healthy server.
pub(crate) fn healthy() -> Report {
    let connect = [
        (Phase::Dns, 4_000),
        (Phase::Connect, 18_000),
        (Phase::Wait, 30_000),
    ];
    Report {
        schema_version: SCHEMA_VERSION,
        url: "https://mcp.example.com/mcp?a=b,c".parse().unwrap(),
        started_at: "2026-11-20T12:00:00.123Z".to_owned(),
        outcome: Outcome::Ok,
        summary: "healthy in 100 ms: 2 of 2 checks".to_owned(),
        era: Some(Era::Modern),
        protocol_version: Some(Revision::V2026_07_28),
        transport: Some(Transport::StreamableHttp),
        server: Some(ServerInfo {
            name: "docs".to_owned(),
            version: "1.4".to_owned(),
        }),
        connection: Some(Connection {
            proxy: None,
            address: "203.0.113.9:443".to_owned(),
            resolved: vec!["203.0.113.9".to_owned()],
            ttl_seconds: Some(60),
            kernel_rtt_us: Some(18_200),
            http_version: Some("2".to_owned()),
            tls: None,
            ..Connection::default()
        }),
        auth: None,
        credential: None,
        more_connections: Vec::new(),
        edge: None,
        instance: None,
        more_servers: Vec::new(),
        more_instances: Vec::new(),
        alt_svc: Vec::new(),
        http3: None,
        addresses: Vec::new(),
        differences: Vec::new(),
        received_bytes: 0,
        tools: Some(14),
        lists: BTreeMap::new(),
        largest_response_bytes: 0,
        contract: None,
        health: None,
        retry_after_seconds: None,
        steps: vec![
            step(Step::Discover, &connect),
            step(Step::ToolsList, &[(Phase::Wait, 48_000)]),
        ],
        checks: vec![
            check(CheckId::NetDns, Severity::Fail, None),
            check(CheckId::NetTcp, Severity::Fail, None),
        ],
        total_us: 100_000,
        own_us: 10,
    }
}
