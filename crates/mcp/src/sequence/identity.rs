//! Who answered: the instance, where the user says how it names itself, and the server's version,
//! which a modern server puts into every result (2026-07-28 basic, "_meta").

use model::report::ServerInfo;
use model::{CheckId, Step, instance};
use serde_json::Value;

use super::Sequence;
use crate::results;

impl Sequence {
    /// Notes what a result says of who gave it.
    pub(super) fn identify(&mut self, step: Step, result: &Value) {
        let wanted = &self.plan.instance;
        let info = results::info_of(step, result);
        let of_server = wanted.server.as_ref().zip(info);
        let of_server = of_server.and_then(|(path, info)| instance::name(path, info));
        let of_result = wanted.result.as_ref().filter(|_| step == Step::ToolsCall);
        let of_result = of_result.and_then(|path| instance::name(path, result));
        for name in of_server.into_iter().chain(of_result) {
            instance::add(&mut self.findings.instances, name);
        }
        if let Some(said) = results::server_info(info) {
            self.compare_server(step, said);
        }
    }

    /// Several servers behind one name are seen within a probe where each request may reach
    /// another one.
    fn compare_server(&mut self, step: Step, said: ServerInfo) {
        let is_greeting = matches!(step, Step::Discover | Step::Initialize);
        let Some(first) = self.findings.server.as_ref().filter(|_| !is_greeting) else {
            return;
        };
        // Some SDKs name themselves once, and leave the version empty elsewhere.
        if said.version.is_empty() || first.version.is_empty() {
            return;
        }
        let id = CheckId::ServerUniform;
        if *first == said {
            return self.findings.pass(id);
        }
        let (before, now) = (shown(first), shown(&said));
        let detail = format!("a mixed rollout: {before} answered, and then {now}");
        self.findings.violate(id, step, detail);
        let others = &mut self.findings.more_servers;
        if !others.contains(&said) && others.len() < instance::MAX_OTHERS {
            others.push(said);
        }
    }
}

fn shown(server: &ServerInfo) -> String {
    let text = format!("{} {}", server.name, server.version);
    model::text::line(&text, 60)
}
