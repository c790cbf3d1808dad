//! A table, read into a module.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{MonitorSpec, TargetUrl};
use rpc::v1;
use serde_json::{Map, Value};

use super::{Module, Modules};
use crate::item;

/// The fields of a monitor that a single probe has a use for. Left out is what schedules, places
/// and judges, and `idle_stream`: no scrape may take minutes.
const OF_MONITOR: [&str; 19] = [
    "era",
    "calls",
    "lists",
    "subscribe",
    "profile",
    "expect",
    "step_timeout",
    "call_timeout",
    "total_timeout",
    "headers",
    "severities",
    "connect_to",
    "sni",
    "host_header",
    "ca",
    "family",
    "http",
    "alt_svc",
    "max_requests_per_minute",
];
/// Fields of a module alone.
const OWN: [&str; 2] = ["targets", "ca_file"];
/// The largest file that a module names.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Origins of one module.
const MAX_TARGETS: usize = 256;

/// A module that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// Too many.
    #[error("modules: {0} are too many; name at most {most}", most = Modules::MOST)]
    TooMany(usize),
    /// A field.
    #[error("modules.{field}: {problem}")]
    Field {
        /// Which field, with the name of the module.
        field: String,
        /// What is wrong, and the way out.
        problem: String,
    },
}

/// The module being read.
struct Reading<'a> {
    name: String,
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// Those that were read.
    files: Vec<PathBuf>,
}

/// Where a module goes before a request names its target.
pub(super) fn nowhere() -> TargetUrl {
    let url = "https://target.invalid/".parse();
    url.unwrap_or_else(|_| unreachable!("a constant URL"))
}

/// Reads one module.
pub(super) fn module(
    name: &str,
    table: &Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Module, ModuleError> {
    let mut reading = Reading {
        name: model::text::line(name, 64),
        variable,
        files: Vec::new(),
    };
    if !model::monitor::is_id(name) {
        let problem = "use 1 to 64 letters, digits, `-`, `_` and `.` as its name";
        return Err(reading.bad("", problem));
    }
    let Value::Object(table) = table else {
        return Err(reading.bad("", "write a table, like [modules.NAME]"));
    };
    reading.module(table.clone())
}

impl Reading<'_> {
    fn bad(&self, field: &str, problem: impl Into<String>) -> ModuleError {
        let dot = if field.is_empty() { "" } else { "." };
        ModuleError::Field {
            field: format!("{}{dot}{field}", self.name),
            problem: problem.into(),
        }
    }

    fn module(&mut self, mut table: Map<String, Value>) -> Result<Module, ModuleError> {
        let known = OF_MONITOR.into_iter().chain(OWN);
        let known: Vec<&str> = known.collect();
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            let problem = format!("is no field of a module; they are {}", known.join(", "));
            return Err(self.bad(&model::text::line(key, 40), problem));
        }
        let targets = self.targets(table.remove("targets"))?;
        if let Some(path) = table.remove("ca_file") {
            let pem = self.text("ca_file", &path)?;
            self.files.push(pem.into());
            let pem = file(Path::new(pem)).map_err(|problem| self.bad("ca_file", problem))?;
            if table.insert("ca".to_owned(), pem.into()).is_some() {
                return Err(self.bad("ca_file", "contradicts ca; set one of them"));
            }
        }
        if let Some(headers) = table.get_mut("headers") {
            self.fill(headers)?;
        }
        let spec = self.spec(table)?;
        let headers = self.headers(&spec)?;
        if !headers.is_empty() && targets.is_empty() {
            let problem = "is not set; a module with headers says which servers get them, like \
                           targets = [\"https://mcp.example.com\"], because requests name any URL";
            return Err(self.bad("targets", problem));
        }
        let network = v1::NetworkSpec {
            connect_to: spec.connect_to.iter().map(ToString::to_string).collect(),
            sni: spec.sni.clone().unwrap_or_default(),
            host: spec.host_header.clone().unwrap_or_default(),
            ca_pem: spec.ca.clone().unwrap_or_default(),
            family: spec.family.to_string(),
            http: spec.http.to_string(),
            alt_svc: spec.alt_svc,
        };
        let way = item::way::read(Some(&network));
        Ok(Module {
            way: way.map_err(|error| self.bad(error.field, error.problem))?,
            spec,
            headers,
            targets,
            files: std::mem::take(&mut self.files),
        })
    }

    /// The fields of a monitor, by the rules of monitors.
    fn spec(&self, mut table: Map<String, Value>) -> Result<MonitorSpec, ModuleError> {
        table.insert("url".to_owned(), nowhere().to_string().into());
        let spec: MonitorSpec = serde_path_to_error::deserialize(Value::Object(table))
            .map_err(|error| self.bad(&error.path().to_string(), error.inner().to_string()))?;
        match spec.problems().into_iter().next() {
            None => Ok(spec),
            Some(problem) => {
                let field = problem.pointer.trim_start_matches('/').replace('/', ".");
                Err(self.bad(&field, problem.detail))
            }
        }
    }

    fn targets(&self, given: Option<Value>) -> Result<Vec<String>, ModuleError> {
        let Some(given) = given else {
            return Ok(Vec::new());
        };
        let way_out = "write a list of origins, like [\"https://mcp.example.com\"]";
        let Value::Array(given) = given else {
            return Err(self.bad("targets", way_out));
        };
        if given.is_empty() || given.len() > MAX_TARGETS {
            return Err(self.bad("targets", format!("name 1 to {MAX_TARGETS} origins")));
        }
        let mut targets = Vec::new();
        for target in given {
            let url = target
                .as_str()
                .ok_or_else(|| self.bad("targets", way_out))?;
            let url: Result<TargetUrl, _> = url.parse();
            let url = url.map_err(|error| self.bad("targets", error.to_string()))?;
            if url.as_url().path() != "/" || url.as_url().query().is_some() {
                let problem = format!("`{url}` has a path; {way_out}");
                return Err(self.bad("targets", problem));
            }
            targets.push(url.origin());
        }
        Ok(targets)
    }

    /// Puts the values of headers where a variable or a file is named.
    fn fill(&mut self, headers: &mut Value) -> Result<(), ModuleError> {
        let Value::Object(headers) = headers else {
            return Err(self.bad("headers", "write a table, like [modules.NAME.headers]"));
        };
        for (name, value) in headers {
            let field = format!("headers.{}", model::text::line(name, 40));
            let way_out = "write a text, { env = \"NAME\" } or { file = \"PATH\" }, perhaps with \
                           prefix = \"Bearer \"";
            let Value::Object(source) = &*value else {
                if value.is_string() {
                    continue;
                }
                return Err(self.bad(&field, way_out));
            };
            let of = |key: &str| source.get(key).map(Value::as_str);
            let keys_are_known = source
                .keys()
                .all(|key| matches!(key.as_str(), "env" | "file" | "prefix"));
            let found = match (of("env"), of("file")) {
                (Some(Some(env)), None) => (self.variable)(env).ok_or_else(|| {
                    let shown = model::text::line(env, 64);
                    format!("the variable {shown} is not set; set it, or name another")
                }),
                (None, Some(Some(path))) => {
                    self.files.push(path.into());
                    file(Path::new(path))
                }
                _ => Err(way_out.to_owned()),
            };
            let found = found.map_err(|problem| self.bad(&field, problem))?;
            let prefix = of("prefix").unwrap_or(Some(""));
            let (Some(prefix), true) = (prefix, keys_are_known) else {
                return Err(self.bad(&field, way_out));
            };
            let found = found.trim();
            if found.is_empty() {
                return Err(self.bad(&field, "has nothing in it"));
            }
            *value = format!("{prefix}{found}").into();
        }
        Ok(())
    }

    fn headers(&self, spec: &MonitorSpec) -> Result<HeaderMap, ModuleError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.headers {
            // Their problems have been named already; the value is never shown.
            let illegal = || self.bad("headers", "has an illegal name or value");
            let name: HeaderName = name.parse().map_err(|_| illegal())?;
            let value = HeaderValue::from_str(value.expose());
            let mut value = value.map_err(|_| illegal())?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn text<'a>(&self, field: &str, value: &'a Value) -> Result<&'a str, ModuleError> {
        value
            .as_str()
            .ok_or_else(|| self.bad(field, "write a text"))
    }
}

/// A small text file.
fn file(path: &Path) -> Result<String, String> {
    let shown = model::text::line(&path.display().to_string(), 120);
    let named = |error: std::io::Error| format!("{shown}: {error}");
    let mut text = String::new();
    let opened = std::fs::File::open(path).map_err(named)?;
    let read = opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    if read.map_err(named)? as u64 > MAX_FILE_BYTES {
        return Err(format!("{shown}: is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}
