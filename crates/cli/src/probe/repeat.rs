//! `--repeat N`: the same probe again and again, and how the results spread.

use std::collections::BTreeMap;

use clap::Args;
use model::Report;
use schemars::JsonSchema;
use serde::Serialize;

/// The most probes of one command.
const MAX_PROBES: i64 = 1000;
/// Different values of one kind that are listed; a server may name itself anew each time.
const MAX_VALUES: usize = 50;
/// Servers that one finding names.
const MAX_NAMED: usize = 8;

/// Asking more than once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Repeating")]
pub(crate) struct RepeatArgs {
    /// Probe so many times, one after the other, and say how results, times, servers and addresses
    /// spread. The exit status is that of the last probe that was not healthy
    #[arg(long, value_name = "N", conflicts_with = "wait",
        value_parser = clap::value_parser!(u32).range(2..=MAX_PROBES))]
    pub(crate) repeat: Option<u32>,
}

/// What came of the probes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Repeated {
    /// Probes that were run.
    pub(crate) probes: u32,
    /// Those that were healthy.
    pub(crate) healthy: u32,
    /// Times of each step that went well, and of all steps of the healthy probes as `total`.
    pub(crate) steps: Vec<Spread>,
    /// Outcomes, and where and why probes failed; the most frequent first, as in all lists here.
    pub(crate) results: Vec<Counted>,
    /// Names and versions that the server gave itself. Untrusted, escaped.
    pub(crate) servers: Vec<Counted>,
    /// Whether those were more than one: a rollout that is not done, or that is stuck.
    pub(crate) mixed_rollout: bool,
    /// Instances that answered, where the user said how they name themselves. Untrusted, escaped.
    pub(crate) instances: Vec<Counted>,
    /// Addresses that were connected to.
    pub(crate) addresses: Vec<Counted>,
}

/// Times of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Spread {
    /// Which step, or `total`.
    pub(crate) step: String,
    /// How often it went well.
    pub(crate) count: u32,
    /// The shortest.
    pub(crate) min_us: u64,
    /// The one in the middle; of an even number the lower of both.
    pub(crate) median_us: u64,
    /// The longest.
    pub(crate) max_us: u64,
}

/// How often something was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Counted {
    /// What.
    pub(crate) value: String,
    /// How often.
    pub(crate) count: u32,
}

impl Repeated {
    /// It in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut text = format!("{} of {} probes healthy", self.healthy, self.probes);
        if self.mixed_rollout {
            text.push_str(&format!(
                ", {} different servers or versions (a mixed rollout)",
                self.servers.len()
            ));
        }
        if self.instances.len() > 1 {
            text.push_str(&format!(", {} instances", self.instances.len()));
        }
        text
    }

    /// Who answered how often, where that was more than one server or version.
    pub(crate) fn mixture(&self) -> Option<String> {
        let seen = self.servers.iter();
        let seen = seen.map(|Counted { value, count }| format!("{value} ({count})"));
        let seen: Vec<String> = seen.take(MAX_NAMED).collect();
        self.mixed_rollout
            .then(|| format!("a mixed rollout: {}", seen.join(", ")))
    }
}

/// The results so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    probes: u32,
    healthy: u32,
    total: Vec<u64>,
    // In the order of the steps: `Step` is declared so.
    steps: BTreeMap<model::Step, Vec<u64>>,
    results: Counts,
    servers: Counts,
    instances: Counts,
    addresses: Counts,
}

impl Tally {
    pub(super) fn take(&mut self, report: &Report, is_healthy: bool) {
        self.probes += 1;
        if is_healthy {
            self.healthy += 1;
            self.total.push(report.total_us);
        }
        for step in report.steps.iter().filter(|step| step.reason.is_none()) {
            self.steps.entry(step.step).or_default().push(step.total_us);
        }
        self.results.add(super::result(report));
        for server in report.server.iter().chain(&report.more_servers) {
            let named = format!("{} {}", server.name, server.version);
            self.servers.add(named.trim().to_owned());
        }
        for instance in report.instance.iter().chain(&report.more_instances) {
            self.instances.add(instance.clone());
        }
        if let Some(connection) = &report.connection {
            self.addresses.add(connection.address.clone());
        }
    }

    pub(super) fn finish(self) -> Repeated {
        let steps = self.steps.into_iter();
        let steps = steps.map(|(step, times)| (step.to_string(), times));
        let servers = self.servers.finish();
        let all = steps.chain([("total".to_owned(), self.total)]);
        Repeated {
            probes: self.probes,
            healthy: self.healthy,
            steps: all
                .filter_map(|(step, times)| spread(step, times))
                .collect(),
            results: self.results.finish(),
            mixed_rollout: servers.len() > 1,
            servers,
            instances: self.instances.finish(),
            addresses: self.addresses.finish(),
        }
    }
}

fn spread(step: String, mut times: Vec<u64>) -> Option<Spread> {
    times.sort_unstable();
    Some(Spread {
        step,
        count: u32::try_from(times.len()).unwrap_or(u32::MAX),
        min_us: *times.first()?,
        median_us: times[(times.len() - 1) / 2],
        max_us: *times.last()?,
    })
}

/// How often each of at most [`MAX_VALUES`] values was seen; the others are one more.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(BTreeMap<String, u32>);

impl Counts {
    pub(super) fn add(&mut self, value: String) {
        self.add_many(value, 1);
    }

    pub(super) fn add_many(&mut self, value: String, count: u32) {
        let is_known = self.0.contains_key(&value) || self.0.len() < MAX_VALUES;
        let value = if is_known {
            value
        } else {
            "(others)".to_owned()
        };
        *self.0.entry(value).or_default() += count;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (value, count) in other.0 {
            self.add_many(value, count);
        }
    }

    /// The most frequent first.
    pub(super) fn finish(self) -> Vec<Counted> {
        let counted = self
            .0
            .into_iter()
            .map(|(value, count)| Counted { value, count });
        let mut list: Vec<Counted> = counted.collect();
        list.sort_by_key(|counted| std::cmp::Reverse(counted.count));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_mixed_rollout_shows() {
        let mut tally = Tally::default();
        for (n, version) in ["1.4", "1.4", "1.5", "1.4"].into_iter().enumerate() {
            let mut report = sample::healthy();
            report.total_us = 1000 * (4 - n as u64);
            report.server = Some(model::report::ServerInfo {
                name: "docs".to_owned(),
                version: version.to_owned(),
            });
            report.instance = Some(if n == 0 { "a" } else { "b" }.to_owned());
            tally.take(&report, true);
        }
        let repeated = tally.finish();
        let counted = |value: &str, count| Counted {
            value: value.to_owned(),
            count,
        };
        assert_eq!(
            repeated.servers,
            [counted("docs 1.4", 3), counted("docs 1.5", 1)]
        );
        assert_eq!(
            repeated.steps.last(),
            Some(&Spread {
                step: "total".to_owned(),
                count: 4,
                min_us: 1000,
                median_us: 2000,
                max_us: 4000,
            })
        );
        let said =
            "4 of 4 probes healthy, 2 different servers or versions (a mixed rollout), 2 instances";
        assert_eq!(repeated.sentence(), said);
        let said = "a mixed rollout: docs 1.4 (3), docs 1.5 (1)";
        assert_eq!(repeated.mixture().as_deref(), Some(said));
        assert_eq!(repeated.instances, [counted("b", 3), counted("a", 1)]);
    }

    #[test]
    fn names_that_a_server_makes_up_are_bounded() {
        let mut counts = Counts::default();
        for n in 0..10_000 {
            counts.add(n.to_string());
        }
        let list = counts.finish();
        assert_eq!(list.len(), MAX_VALUES + 1);
        assert_eq!(
            list.iter().map(|counted| counted.count).sum::<u32>(),
            10_000
        );
    }
}
