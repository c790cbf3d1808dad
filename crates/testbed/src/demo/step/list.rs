//! The steps of the demo, as data.

use std::time::Duration;

use super::{Break, Expected, Scene, Step, StepName, Verdict};
use crate::proxy::Fault;
use crate::server::script::Script;
use crate::world::layout::{self, AGENTS, Agent, LINK, UPSTREAM};

/// How long a verdict may take.
const VERDICT: Duration = Duration::from_secs(90);
/// How long it may take until an agent that says nothing is known to be silent.
const SILENCE: Duration = Duration::from_secs(75);
/// Two probes of every agent, and somewhat more.
const HOLD: Duration = Duration::from_secs(22);

/// All steps.
pub(crate) fn all(link_silence: bool) -> Vec<Step> {
    vec![
        region(),
        provider(),
        egress(link_silence),
        agent(),
        key(),
        server(),
    ]
}

fn region() -> Step {
    let cut = |agent: &Agent| Break::Path(agent.path("docs"), Fault::Blackhole);
    Step {
        name: StepName::Region,
        title: "the region eu no longer reaches docs",
        scenes: vec![Scene {
            breaks: agents(|agent| agent.region == "eu").map(cut).collect(),
            expected: verdict("docs", "regional", "region:eu"),
            within: VERDICT,
            holds: Duration::ZERO,
        }],
        explains: true,
    }
}

fn provider() -> Step {
    let cut = |agent: &Agent| Break::Path(agent.path("tickets"), Fault::Refuse);
    Step {
        name: StepName::Provider,
        title: "the provider gamma no longer reaches tickets",
        scenes: vec![Scene {
            breaks: agents(|agent| agent.provider == "gamma").map(cut).collect(),
            expected: verdict("tickets", "regional", "provider:gamma"),
            within: VERDICT,
            holds: Duration::ZERO,
        }],
        explains: false,
    }
}

fn egress(link_silence: bool) -> Step {
    let delta: Vec<&Agent> = agents(|agent| agent.provider == "delta").collect();
    let names: Vec<&str> = delta.iter().map(|agent| agent.name).collect();
    let everything = |agent: &&Agent| {
        let hosts = layout::hosts().map(|host| agent.path(&host.short()));
        let cut = hosts.map(|path| Break::Path(path, Fault::Blackhole));
        cut.collect::<Vec<_>>()
    };
    let mut scenes = vec![Scene {
        breaks: delta.iter().flat_map(everything).collect(),
        expected: fault(names.clone(), "self_test"),
        within: VERDICT,
        holds: HOLD,
    }];
    if link_silence {
        let link = |agent: &&Agent| Break::Path(agent.path(LINK), Fault::Blackhole);
        scenes.push(Scene {
            breaks: delta.iter().map(link).collect(),
            expected: fault(names, "silent"),
            within: VERDICT,
            holds: Duration::ZERO,
        });
    }
    Step {
        name: StepName::Egress,
        title: "the agents at delta reach nothing any more, canaries included",
        scenes,
        explains: false,
    }
}

fn agent() -> Step {
    let name = "us-gamma";
    Step {
        name: StepName::Agent,
        title: "the agent us-gamma is killed",
        scenes: vec![Scene {
            breaks: vec![Break::Kill(name)],
            expected: fault(vec![name], "silent"),
            within: SILENCE,
            holds: Duration::ZERO,
        }],
        explains: false,
    }
}

fn key() -> Step {
    let script = Script {
        failing_tools: [UPSTREAM.to_owned()].into(),
        ..Script::default()
    };
    let expected = Verdict {
        monitor: "tickets",
        verdict: "outage",
        scope: "tool upstream",
        pages: true,
        reason: Some("tool_error"),
    };
    Step {
        name: StepName::Key,
        title: "the key of a tool's upstream dies; protocol and list stay green",
        scenes: vec![Scene {
            breaks: vec![Break::Script("tickets", Box::new(script))],
            expected: Expected::Verdict(expected),
            within: VERDICT,
            holds: Duration::ZERO,
        }],
        explains: false,
    }
}

fn server() -> Step {
    let expected = Verdict {
        monitor: "docs",
        verdict: "outage",
        scope: "protocol",
        pages: true,
        reason: None,
    };
    Step {
        name: StepName::Server,
        title: "the server docs goes down",
        scenes: vec![Scene {
            breaks: vec![Break::Down("docs")],
            expected: Expected::Verdict(expected),
            within: VERDICT,
            holds: Duration::ZERO,
        }],
        explains: true,
    }
}

const fn verdict(monitor: &'static str, verdict: &'static str, scope: &'static str) -> Expected {
    Expected::Verdict(Verdict {
        monitor,
        verdict,
        scope,
        pages: false,
        reason: None,
    })
}

const fn fault(agents: Vec<&'static str>, fault: &'static str) -> Expected {
    Expected::Fault { agents, fault }
}

fn agents(which: impl Fn(&Agent) -> bool) -> impl Iterator<Item = &'static Agent> {
    AGENTS.iter().filter(move |agent| which(agent))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn only_outages_call_somebody() {
        for step in all(true) {
            assert_eq!(StepName::from_str(step.name.word(), false), Ok(step.name));
            let verdict = step.verdict();
            let is_outage = verdict.is_some_and(|v| v.verdict == "outage");
            assert_eq!(
                verdict.is_some_and(|v| v.pages),
                is_outage,
                "{}",
                step.title
            );
        }
    }

    #[test]
    fn a_cut_egress_leaves_the_link_until_it_is_asked_for() {
        let cut = |link_silence: bool| -> Vec<usize> {
            let step = egress(link_silence);
            step.scenes.iter().map(|scene| scene.breaks.len()).collect()
        };
        assert_eq!(cut(false), [2 * 8]);
        assert_eq!(cut(true), [2 * 8, 2]);
    }
}
