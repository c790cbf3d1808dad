//! Modules: how a target is probed that a request names. Each is a table of the settings file, with
//! the fields of a monitor that a single probe has a use for.

mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::HeaderMap;
use mcp::{ClientInfo, Plan, ToolCall};
use model::expect::HealthSpec;
use model::{MonitorSpec, TargetUrl};

use crate::item::Way;
pub use read::ModuleError;

/// The name of the module that a request means which names none.
pub const DEFAULT_MODULE: &str = "mcp";

/// One way to probe.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    spec: MonitorSpec,
    headers: HeaderMap,
    way: Way,
    /// Origins that it may be used for; all where empty.
    targets: Vec<String>,
    /// What it was read from beside its table.
    files: Vec<PathBuf>,
}

/// The modules of an agent, by name. There always is [`DEFAULT_MODULE`].
#[derive(Debug, Clone)]
pub struct Modules(BTreeMap<String, Module>);

impl Default for Modules {
    fn default() -> Self {
        let mut modules = BTreeMap::new();
        modules.insert(DEFAULT_MODULE.to_owned(), Module::plain());
        Self(modules)
    }
}

impl Modules {
    /// The most modules of one agent.
    pub const MOST: usize = 64;

    /// Reads the tables of modules, as JSON, with the values that `variable` has for `{ env = … }`.
    ///
    /// # Errors
    /// Names the module, the field, the problem and the way out.
    pub fn read(
        tables: &serde_json::Map<String, serde_json::Value>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ModuleError> {
        let mut modules = Self::default();
        if tables.len() > Self::MOST {
            return Err(ModuleError::TooMany(tables.len()));
        }
        for (name, table) in tables {
            let module = read::module(name, table, variable)?;
            modules.0.insert(name.clone(), module);
        }
        Ok(modules)
    }

    /// The module of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// The files that they name.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().flat_map(|module| &module.files)
    }

    /// Their names, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Module {
    /// A probe as `parallax probe URL` makes it.
    fn plain() -> Self {
        Self {
            spec: MonitorSpec::new(read::nowhere()),
            headers: HeaderMap::new(),
            way: Way::default(),
            targets: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Whether it may be used for this target: credentials go where their owner sends them, not
    /// where a request does.
    pub(crate) fn is_for(&self, target: &TargetUrl) -> bool {
        self.targets.is_empty() || self.targets.contains(&target.origin())
    }

    /// Headers for every request.
    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How targets are reached.
    pub(crate) const fn way(&self) -> &Way {
        &self.way
    }

    /// What to ask beside the sequence.
    pub(crate) const fn health(&self) -> Option<&HealthSpec> {
        self.spec.health.as_ref()
    }

    /// How many requests a probe makes of a server that behaves, and how many a minute its targets
    /// may have at most, where that is less than others may.
    pub(crate) fn cost(&self) -> (u32, Option<u32>) {
        let spec = &self.spec;
        (spec.requests_per_probe(), spec.max_requests_per_minute)
    }

    /// What to do at a target.
    pub(crate) fn plan(&self, target: TargetUrl) -> Plan {
        let spec = &self.spec;
        let mut plan = Plan::new(target, ClientInfo::parallax());
        plan.era = spec.era;
        plan.has_credential = !self.headers.is_empty();
        plan.calls = spec.calls.iter().map(ToolCall::from).collect();
        plan.lists.clone_from(&spec.lists);
        plan.subscribe = spec.subscribe;
        plan.profile = spec.profile;
        plan.expect = spec.expect.clone();
        plan.step_timeout = spec.step_timeout.duration();
        plan.call_timeout = spec.call_timeout.duration();
        plan.total_timeout = spec.total_timeout.duration();
        plan.severities.clone_from(&spec.severities);
        plan
    }
}

#[cfg(test)]
mod tests;
