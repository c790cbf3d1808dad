//! What verdicts are worth, by those who know what was true. The rules are those of the verdict
//! benchmark's own scorer, so that numbers can be compared.

use std::collections::{BTreeMap, BTreeSet};

use verdict::Ms;

use super::world::{Label, Meta};

/// Outages so near to each other are one page, whoever says so.
const PAGE_MERGE: Ms = 300_000;
/// From the mildest to the worst.
const SEVERITY: [&str; 7] = [
    "up",
    "unknown",
    "degraded",
    "regional",
    "partial",
    "auth_walled",
    "outage",
];
const CLASSES: [&str; 6] = [
    "outage",
    "partial",
    "regional",
    "agent_fault",
    "degraded",
    "auth",
];

/// A change that was told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Of a target: its state.
    Target(Ms, usize, &'static str),
    /// Of an agent: whether it is at fault.
    Agent(Ms, usize, bool),
    /// Something looks wrong with a target; no verdict.
    Suspected(Ms, usize),
}

/// One episode of one target.
#[derive(Debug)]
struct Row {
    class: String,
    lasted: Ms,
    is_good: bool,
    /// From the begin to the page, and from the end to the end of it.
    latency: Option<Ms>,
    recovery: Option<Ms>,
}

/// What was counted, over any number of worlds.
#[derive(Debug, Default)]
pub(crate) struct Score {
    rows: Vec<Row>,
    pub(crate) false_pages: BTreeMap<String, usize>,
    pub(crate) true_pages: usize,
    pub(crate) late: usize,
    pub(crate) blip_pages: usize,
    pub(crate) blips: usize,
    pub(crate) flap_pages: usize,
    pub(crate) agents: [usize; 3],
    suspected: Vec<Ms>,
    pub(crate) target_ms: Ms,
    pub(crate) on_demand: u64,
    pub(crate) scheduled: u64,
    /// What went wrong, in words.
    pub(crate) remarks: Vec<String>,
}

type Span = (&'static str, Ms, Ms);

impl Score {
    /// Adds one world.
    pub(crate) fn add(&mut self, meta: &Meta, labels: &[Label], told: &[Told]) {
        let grace = meta.timeout + 30_000;
        self.target_ms += meta.dur * meta.targets.len() as u64;
        for (at, target) in meta.targets.iter().enumerate() {
            let spans = spans(told, at, meta.dur);
            let mine = labels.iter().filter(|label| label.x.contains(&target.id));
            let mine: Vec<&Label> = mine.collect();
            for (from, to) in pages(&spans) {
                self.page(meta, &target.id, (from, to), &mine, grace);
            }
            for label in &mine {
                self.episode(meta, label, &spans, &mine, labels, grace);
                if label.cls == "outage" {
                    let first = told.iter().find_map(|told| match told {
                        Told::Suspected(when, of) if *of == at => (label.from..label.to + grace)
                            .contains(when)
                            .then_some(*when),
                        Told::Suspected(..) | Told::Target(..) | Told::Agent(..) => None,
                    });
                    self.suspected.extend(first.map(|first| first - label.from));
                }
            }
        }
        self.agents(meta, labels, told);
    }

    fn page(&mut self, meta: &Meta, target: &str, (from, _): (Ms, Ms), mine: &[&Label], grace: Ms) {
        let hit = mine
            .iter()
            .filter(|l| (l.from..=l.to + grace).contains(&from));
        let hit: Vec<&&Label> = hit.collect();
        let is = |class: &str| hit.iter().any(|label| label.cls == class);
        let is_slow = |l: &&&Label| l.cls == "degraded" && l.accept.iter().any(|a| a == "outage");
        if is("outage") {
            self.true_pages += 1;
        } else if is("flap") {
            self.flap_pages += 1;
        } else if is("brownout") || hit.iter().any(is_slow) {
            // Neither right nor wrong.
        } else if is("blip") {
            self.blip_pages += 1;
        } else {
            let order = [
                "partial",
                "auth",
                "regional",
                "agent_fault",
                "degraded",
                "regional_slow",
                "canary",
            ];
            let class = order.into_iter().find(|class| is(class));
            let has_been = |label: &&&Label| {
                let is_such = matches!(label.cls.as_str(), "outage" | "brownout" | "flap");
                is_such && label.to < from && from <= label.to + 600_000
            };
            if class.is_none() && mine.iter().any(|label| has_been(&label)) {
                self.late += 1;
                return;
            }
            let class = class.unwrap_or("noise");
            *self.false_pages.entry(class.to_owned()).or_default() += 1;
            self.remarks
                .push(format!("{}: {target} paged at {from}: {class}", meta.name));
        }
    }

    fn episode(
        &mut self,
        meta: &Meta,
        label: &Label,
        spans: &[Span],
        mine: &[&Label],
        all: &[Label],
        grace: Ms,
    ) {
        let (from, to) = (label.from, label.to);
        let lasted = to - from;
        let mut row = Row {
            class: label.cls.clone(),
            lasted,
            is_good: false,
            latency: None,
            recovery: None,
        };
        self.blips += usize::from(label.cls == "blip");
        if label.cls == "outage" {
            let is_hit = |s: &&Span| s.0 == "outage" && s.1 <= to + grace && s.2 > from;
            let hits: Vec<&Span> = spans.iter().filter(is_hit).collect();
            row.latency = hits.first().map(|hit| hit.1.saturating_sub(from));
            row.is_good = !hits.is_empty();
            if row.is_good && to + 1000 < meta.dur {
                let after = hits.iter().find(|hit| hit.2 > to);
                row.recovery = Some(after.map_or(0, |hit| hit.2 - to));
            }
            if !row.is_good {
                let worst = worst(spans, from, to + grace, lasted);
                self.remarks.push(format!(
                    "{}: {:?} {from}..{to} missed: {worst}",
                    meta.name, label.x
                ));
            }
        } else {
            let worst = worst(spans, from, to + grace.min(20_000), lasted);
            let others = mine.iter().filter(|other| {
                !std::ptr::eq::<Label>(**other, label)
                    && other.cls != "blip"
                    && other.from < to
                    && other.to + grace > from
            });
            let others: Vec<&&Label> = others.collect();
            let are_agents = others.iter().all(|other| other.cls == "agent_fault");
            let is_bearable = label.cls == "agent_fault" && are_agents;
            if !is_bearable && !others.is_empty() {
                return;
            }
            row.is_good = label.accept.iter().any(|accepted| accepted == worst);
            if label.cls == "agent_fault" && worst == "unknown" {
                let sick = all.iter().filter(|other| {
                    other.cls == "agent_fault" && other.from < to && other.to + grace > from
                });
                let sick: BTreeSet<&String> = sick.flat_map(|other| &other.a).collect();
                row.is_good = 2 * sick.len() >= meta.agents.len();
            }
            if !row.is_good && CLASSES.contains(&label.cls.as_str()) {
                let said = format!(
                    "{}: {} of {:?} {from}..{to} said {worst}",
                    meta.name, label.cls, label.cause
                );
                self.remarks.push(said);
            }
        }
        self.rows.push(row);
    }

    fn agents(&mut self, meta: &Meta, labels: &[Label], told: &[Told]) {
        let is_in = |label: &Label, at: Ms| label.from <= at && at <= label.to + 60_000;
        let faults = |agent: usize| {
            told.iter().filter_map(move |told| match told {
                Told::Agent(at, of, true) if *of == agent => Some(*at),
                Told::Agent(..) | Told::Target(..) | Told::Suspected(..) => None,
            })
        };
        for (at, agent) in meta.agents.iter().enumerate() {
            let mine = || labels.iter().filter(|label| label.a.contains(&agent.id));
            let real = mine().filter(|l| l.cls == "agent_fault" && l.cause != "stream_stall");
            for label in real {
                self.agents[0] += 1;
                let is_found = faults(at).any(|at| is_in(label, at));
                self.agents[1] += usize::from(is_found);
                if !is_found {
                    let missed = format!(
                        "{}: {} {}..{} not found",
                        meta.name, agent.id, label.from, label.to
                    );
                    self.remarks.push(missed);
                }
            }
            for at in faults(at).filter(|at| !mine().any(|label| is_in(label, *at))) {
                self.agents[2] += 1;
                self.remarks.push(format!(
                    "{}: {} wrongly at fault at {at}",
                    meta.name, agent.id
                ));
            }
        }
    }

    pub(crate) fn missed(&self, is_long: bool) -> (usize, usize) {
        let those = || {
            self.outages()
                .filter(|row| (row.lasted >= 60_000) == is_long)
        };
        (those().filter(|row| !row.is_good).count(), those().count())
    }

    fn outages(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.class == "outage")
    }

    /// Seconds from the begin of an outage to its page.
    pub(crate) fn latency(&self, share: f64) -> f64 {
        percentile(
            self.outages().filter_map(|row| row.latency).collect(),
            share,
        )
    }

    pub(crate) fn recovery(&self) -> f64 {
        percentile(self.outages().filter_map(|row| row.recovery).collect(), 0.5)
    }

    /// Seconds from the begin of an outage to its suspicion.
    pub(crate) fn suspicion(&self) -> f64 {
        percentile(self.suspected.clone(), 0.5)
    }

    pub(crate) fn false_count(&self) -> usize {
        self.false_pages.values().sum()
    }

    /// The mean over classes of the share that was said rightly.
    #[expect(clippy::cast_precision_loss, reason = "counts of episodes")]
    pub(crate) fn macro_mean(&self) -> f64 {
        let shares = CLASSES.iter().filter_map(|class| {
            let of_class = || self.rows.iter().filter(|row| row.class == *class);
            let good = of_class().filter(|row| row.is_good).count();
            (of_class().count() > 0).then(|| good as f64 / of_class().count() as f64)
        });
        let shares: Vec<f64> = shares.collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of probes")]
    pub(crate) fn extra_percent(&self) -> f64 {
        100.0 * self.on_demand as f64 / self.scheduled.max(1) as f64
    }
}

/// The states of one target over time.
fn spans(told: &[Told], target: usize, end: Ms) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut now = ("up", 0);
    for told in told {
        if let Told::Target(at, of, state) = told
            && *of == target
        {
            if *at > now.1 {
                spans.push((now.0, now.1, *at));
            }
            now = (*state, *at);
        }
    }
    spans.push((now.0, now.1, end));
    spans
}

fn pages(spans: &[Span]) -> Vec<(Ms, Ms)> {
    let mut pages: Vec<(Ms, Ms)> = Vec::new();
    for (_, from, to) in spans.iter().filter(|span| span.0 == "outage") {
        match pages.last_mut() {
            Some(last) if from.saturating_sub(last.1) < PAGE_MERGE => last.1 = *to,
            Some(_) | None => pages.push((*from, *to)),
        }
    }
    pages
}

/// The worst state that was held for 10 s, or for a tenth of the episode.
fn worst(spans: &[Span], from: Ms, to: Ms, lasted: Ms) -> &'static str {
    let needed = (lasted / 10).min(10_000);
    let held = |state: &str| -> Ms {
        let those = spans.iter().filter(|span| span.0 == state);
        those
            .map(|span| span.2.min(to).saturating_sub(span.1.max(from)))
            .sum()
    };
    let states = SEVERITY.iter().rev();
    let worst = states
        .into_iter()
        .find(|state| held(state) >= needed.max(1));
    worst.copied().unwrap_or("up")
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list of episodes"
)]
fn percentile(mut values: Vec<Ms>, share: f64) -> f64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let at = (share * values.len() as f64) as usize;
    values
        .get(at.min(last))
        .map_or(f64::NAN, |ms| *ms as f64 / 1000.0)
}
