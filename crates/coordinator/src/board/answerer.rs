//! Who answered a probe, as the agent says. All of it was written by the target: it is escaped and
//! cut here, whatever the agent did, and is never a label.

use model::instance::MAX_NAME;
use model::report::{Edge, ServerInfo};
use rpc::v1;

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answerer {
    pub(crate) server: Option<ServerInfo>,
    pub(crate) instance: Option<String>,
    pub(crate) edge: Option<Edge>,
}

impl Answerer {
    /// Reads what an agent sent. An edge of which this version knows nothing is none.
    pub(super) fn of(sent: &v1::Answerer) -> Self {
        let text = |text: &str| model::text::line(text, MAX_NAME);
        let given = |one: &str| (!one.is_empty()).then(|| text(one));
        let is_named = !sent.server_name.is_empty() || !sent.server_version.is_empty();
        let provider = sent.edge_provider.parse().ok();
        Self {
            server: is_named.then(|| ServerInfo {
                name: text(&sent.server_name),
                version: text(&sent.server_version),
            }),
            instance: given(&sent.instance),
            edge: provider.map(|provider| Edge {
                provider,
                pop: given(&sent.edge_pop),
                id: given(&sent.edge_id),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_wrote_is_escaped_and_cut() {
        let sent = v1::Answerer {
            edge_provider: "cloudflare".into(),
            edge_pop: "FRA\u{1b}[2J".into(),
            instance: "x".repeat(10_000),
            server_name: "docs\u{202e}".into(),
            ..Default::default()
        };
        let read = Answerer::of(&sent);
        let pop = read.edge.unwrap().pop.unwrap();
        assert!(pop.starts_with("FRA") && !pop.contains('\u{1b}'), "{pop}");
        let cut = format!("{}…", "x".repeat(MAX_NAME));
        assert_eq!(read.instance.unwrap(), cut);
        assert!(!read.server.unwrap().name.contains('\u{202e}'));
        let unknown = v1::Answerer {
            edge_provider: "elsewhere".into(),
            ..Default::default()
        };
        assert_eq!(Answerer::of(&unknown), Answerer::default());
    }
}
