//! Which agents a probe on demand is asked of.

use std::collections::BTreeMap;

use model::monitor::FieldError;
use model::regional::{ALL_REGIONS, Absence, NoReport};

use crate::roster::Place;

/// Agents of one run.
pub(crate) const MAX_AGENTS: usize = 32;
/// Agents of one region in a run.
pub(crate) const MAX_PER_REGION: u32 = 8;

/// Where from.
#[derive(Debug, Clone, Default)]
pub(crate) struct From {
    /// Names of regions, or the word for all.
    pub(crate) regions: Vec<String>,
    /// Names of agents.
    pub(crate) agents: Vec<String>,
    /// Labels that the agents of the regions must carry.
    pub(crate) labels: BTreeMap<String, String>,
    /// How many agents of each region.
    pub(crate) per_region: u32,
}

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be asked; so many probes on demand are waited for already.
    Ready(usize),
    /// It cannot, and why.
    Unfit(Absence, &'static str),
}

/// A member of the mesh.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) standing: Standing,
}

/// Who is asked, or why nobody is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) region: String,
    pub(crate) agent: Option<Place>,
    /// Set where the agent cannot be asked, or where there is none.
    pub(crate) unfit: Option<NoReport>,
}

impl From {
    /// Chooses: by region and agent, each agent once. Of a region those who wait least, and of other
    /// providers before others of the same.
    ///
    /// # Errors
    /// Names of no region or agent, and more agents than a run may have.
    pub(crate) fn choose(&self, members: &[Candidate]) -> Result<Vec<Choice>, Vec<FieldError>> {
        let mut problems = Vec::new();
        let mut choices = Vec::new();
        for (n, name) in self.agents.iter().enumerate() {
            match members.iter().find(|member| member.place.agent == *name) {
                Some(member) => choices.push(chosen(member)),
                None => problems.push(unknown(
                    &format!("/agents/{n}"),
                    "agent",
                    name,
                    &names(members),
                )),
            }
        }
        for region in self.regions(members, &mut problems) {
            self.of_region(&region, members, &mut choices);
        }
        if choices.len() > MAX_AGENTS {
            let detail = format!(
                "{} agents; at most {MAX_AGENTS} are asked at once",
                choices.len()
            );
            problems.push(FieldError::new("/regions", detail));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        choices.sort_by(|a, b| key(a).cmp(&key(b)));
        choices.dedup_by(|a, b| a.agent.is_some() && key(a) == key(b));
        Ok(choices)
    }

    /// The regions that are meant: all of them where only labels are named.
    fn regions(&self, members: &[Candidate], problems: &mut Vec<FieldError>) -> Vec<String> {
        let is_all = |name: &String| name == ALL_REGIONS;
        let only_labels =
            self.agents.is_empty() && self.regions.is_empty() && !self.labels.is_empty();
        let mut meant: Vec<String> = if only_labels || self.regions.iter().any(is_all) {
            let open = members
                .iter()
                .filter(|member| self.is_meant_by_all(&member.place));
            open.map(|member| member.place.region.clone()).collect()
        } else {
            for (n, name) in self.regions.iter().enumerate() {
                if !members.iter().any(|member| member.place.region == *name) {
                    let known = members.iter().filter(|member| !member.place.private);
                    let known: Vec<String> =
                        known.map(|member| member.place.region.clone()).collect();
                    problems.push(unknown(&format!("/regions/{n}"), "region", name, &known));
                }
            }
            self.regions.clone()
        };
        meant.sort();
        meant.dedup();
        if meant.is_empty() && self.agents.is_empty() {
            let detail =
                "no agent may be asked; name regions, or `all`; `parallax agents` lists them";
            problems.push(FieldError::new("/regions", detail));
        }
        meant
    }

    /// Agents that are nobody's own, and those whose labels are named.
    fn is_meant_by_all(&self, place: &Place) -> bool {
        self.carries(place) && (!place.private || !self.labels.is_empty())
    }

    fn carries(&self, place: &Place) -> bool {
        let has = |(name, value)| place.labels.get(name) == Some(value);
        self.labels.iter().all(has)
    }

    fn of_region(&self, region: &str, members: &[Candidate], choices: &mut Vec<Choice>) {
        let is_named = self.regions.iter().any(|name| name == region);
        let may = |place: &Place| {
            place.region == region
                && self.carries(place)
                && (is_named || self.is_meant_by_all(place))
        };
        let mut ready: Vec<(usize, &Candidate)> = Vec::new();
        let mut unfit = None;
        for member in members.iter().filter(|member| may(&member.place)) {
            match member.standing {
                Standing::Ready(waits) => ready.push((waits, member)),
                Standing::Unfit(..) => unfit = Some(member),
            }
        }
        ready.sort_by_key(|(waits, member)| (*waits, member.place.agent.clone()));
        let mut taken: Vec<&Candidate> = Vec::new();
        for _ in 0..self.per_region {
            let left = ready.iter().map(|(_, member)| *member);
            let left = left.filter(|member| !taken.iter().any(|t| std::ptr::eq(*t, *member)));
            let provider = |member: &&Candidate| {
                !taken
                    .iter()
                    .any(|t| t.place.provider == member.place.provider)
            };
            let next = left.clone().find(provider).or_else(|| left.clone().next());
            let Some(next) = next else { break };
            taken.push(next);
        }
        if !taken.is_empty() {
            choices.extend(taken.into_iter().map(chosen));
            return;
        }
        let why = match unfit.map(|member| (member.standing, &member.place.agent)) {
            Some((Standing::Unfit(reason, why), agent)) => NoReport::new(
                reason,
                format!("no agent of {region} can be asked: {agent} {why}"),
            ),
            Some((Standing::Ready(_), _)) | None => NoReport::new(
                Absence::NoAgent,
                format!("no agent of {region} carries the labels"),
            ),
        };
        choices.push(Choice {
            region: region.to_owned(),
            agent: None,
            unfit: Some(why),
        });
    }
}

fn key(choice: &Choice) -> (&str, Option<&str>) {
    let agent = choice.agent.as_ref();
    (&choice.region, agent.map(|place| place.agent.as_str()))
}

fn chosen(member: &Candidate) -> Choice {
    let unfit = match member.standing {
        Standing::Ready(_) => None,
        Standing::Unfit(reason, why) => Some(NoReport::new(
            reason,
            format!("{} {why}", member.place.agent),
        )),
    };
    Choice {
        region: member.place.region.clone(),
        agent: Some(member.place.clone()),
        unfit,
    }
}

fn names(members: &[Candidate]) -> Vec<String> {
    let names = members.iter().filter(|member| !member.place.private);
    names.map(|member| member.place.agent.clone()).collect()
}

/// A name that is none, beside those that are.
fn unknown(pointer: &str, what: &str, name: &str, known: &[String]) -> FieldError {
    const SHOWN: usize = 10;
    let mut known = known.to_vec();
    known.sort();
    known.dedup();
    let more = if known.len() > SHOWN { ", …" } else { "" };
    known.truncate(SHOWN);
    let name = model::text::line(name, 64);
    let detail = if known.is_empty() {
        format!("`{name}` is no {what} of this mesh, which has no agent yet")
    } else {
        format!(
            "`{name}` is no {what} of this mesh; it has {}{more}",
            known.join(", ")
        )
    };
    FieldError::new(pointer, detail)
}

#[cfg(test)]
mod tests;
