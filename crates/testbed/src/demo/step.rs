//! What a step of the demo is: what is broken, and what is to be said of it. `list` has them all.

mod list;

use std::time::Duration;

use clap::ValueEnum;

use crate::mesh::api::said;
use crate::proxy::Fault;
use crate::server::script::Script;

pub(crate) use list::all;

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StepName {
    /// One region is cut off from one server
    Region,
    /// One provider's network is cut off from one server
    Provider,
    /// One provider's agents reach nothing: their fault, and nobody is told
    Egress,
    /// An agent is killed: its silence says nothing of any server
    Agent,
    /// A tool's upstream refuses the server's key
    Key,
    /// A server goes down
    Server,
}

impl StepName {
    /// Its word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Provider => "provider",
            Self::Egress => "egress",
            Self::Agent => "agent",
            Self::Key => "key",
            Self::Server => "server",
        }
    }
}

/// A step: its scenes one after the other, then all that they broke is mended.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: StepName,
    pub(crate) title: &'static str,
    pub(crate) scenes: Vec<Scene>,
    /// Whether the sentence and the commands to see it oneself are printed.
    pub(crate) explains: bool,
}

/// Something is broken, and something is expected.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) breaks: Vec<Break>,
    pub(crate) expected: Expected,
    /// How long it may take.
    pub(crate) within: Duration,
    /// How long it stays so before it goes on: what must not be said has time to be said.
    pub(crate) holds: Duration,
}

/// One thing that is broken.
#[derive(Debug, Clone)]
pub(crate) enum Break {
    /// A path of an agent.
    Path(String, Fault),
    /// A server does what a script says.
    Script(&'static str, Box<Script>),
    /// A server is stopped.
    Down(&'static str),
    /// An agent's process is killed.
    Kill(&'static str),
}

/// What is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A verdict.
    Verdict(Verdict),
    /// Agents are found to be at fault; no verdict changes.
    Fault {
        agents: Vec<&'static str>,
        fault: &'static str,
    },
}

/// A verdict on one monitor; the others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) monitor: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) scope: &'static str,
    /// Whether somebody is called for it: once.
    pub(crate) pages: bool,
    /// The reason of every region that fails, where it matters.
    pub(crate) reason: Option<&'static str>,
}

impl Scene {
    /// What is broken, for people: a line for each agent or server.
    pub(crate) fn shown(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut paths: Vec<(&str, Fault, Vec<&str>)> = Vec::new();
        for broken in &self.breaks {
            match broken {
                Break::Path(name, fault) => {
                    let (agent, to) = name.split_once('/').unwrap_or((name, ""));
                    match paths.last_mut() {
                        Some((last, kind, all)) if *last == agent && kind == fault => all.push(to),
                        _ => paths.push((agent, *fault, vec![to])),
                    }
                }
                Break::Script(server, script) => {
                    let tools: Vec<&str> =
                        script.failing_tools.iter().map(String::as_str).collect();
                    lines.push(format!("{server}: its tool {} fails", tools.join(", ")));
                }
                Break::Down(server) => lines.push(format!("{server}: stopped")),
                Break::Kill(agent) => lines.push(format!("{agent}: killed")),
            }
        }
        for (agent, fault, to) in paths {
            let fault = format!("{fault:?}").to_lowercase();
            lines.push(format!("{agent}: {fault} to {}", to.join(", ")));
        }
        lines
    }
}

impl Step {
    /// The verdict that it expects, if it expects one.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        let mut scenes = self.scenes.iter();
        scenes.find_map(|scene| match &scene.expected {
            Expected::Verdict(verdict) => Some(verdict),
            Expected::Fault { .. } => None,
        })
    }

    /// What it expects, for people.
    pub(crate) fn expects(&self) -> String {
        let mut words = Vec::new();
        for scene in &self.scenes {
            match &scene.expected {
                Expected::Verdict(verdict) => {
                    let page = if verdict.pages { ", one page" } else { "" };
                    let said = said(verdict.verdict, Some(verdict.scope));
                    return format!("{} {said}{page}", verdict.monitor);
                }
                Expected::Fault { agents, fault } if words.is_empty() => {
                    words.push(format!("{} {fault}", agents.join(", ")));
                }
                Expected::Fault { fault, .. } => words.push((*fault).to_owned()),
            }
        }
        format!("{}; nothing said", words.join(", then "))
    }
}
