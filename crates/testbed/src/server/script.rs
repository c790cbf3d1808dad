//! What a server is told to do, and what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a server does beside the protocol. The default is to behave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Waits before each answer.
    pub delay_ms: u64,
    /// Answers these methods never.
    pub hang_on: BTreeSet<String>,
    /// Answers these methods with a status and no body.
    pub status_on: BTreeMap<String, u16>,
    /// Answers every request with this status.
    pub status: Option<u16>,
    /// Says so in the `Retry-After` of those answers.
    pub retry_after: Option<String>,
    /// Answers 401 to whoever brings no `Authorization`; takes any.
    pub walled: bool,
    /// Calls of these tools end in `isError`.
    pub failing_tools: BTreeSet<String>,
    /// Answers with an event stream instead of JSON.
    pub stream: bool,
    /// Leaves event streams open after the answer.
    pub leave_open: bool,
    /// Sends a `ping` of its own on each stream before the answer.
    pub ping_first: bool,
    /// Answers with the request's id as a string.
    pub id_as_string: bool,
    /// Answers with an id that nobody sent.
    pub foreign_id: bool,
    /// Answers with a web page.
    pub html: bool,
    /// Tool objects to list instead of the own ones, as they are.
    pub tools: Option<Vec<serde_json::Value>>,
    /// What the server tells models about itself.
    pub instructions: Option<String>,
    /// Tools per page of the list; 0 for one page.
    pub page_size: usize,
    /// Gives the same cursor for ever.
    pub endless_list: bool,
    /// Forgets every session.
    pub forget_sessions: bool,
    /// Closes the connection after each answer.
    pub close_connections: bool,
    /// Sends answers in pieces of one byte.
    pub drip: bool,
    /// Headers of every answer.
    pub headers: BTreeMap<String, String>,
    /// The version that it says it is; 1 where this is empty.
    pub version: String,
    /// Leaks: is full, and is started anew, after so many requests; 0 for never. Sessions are gone then.
    pub restart_every: u64,
}

impl Script {
    /// How long to wait before an answer.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

/// A script that can change while the server runs.
#[derive(Debug, Default)]
pub(crate) struct Scripted(Mutex<Script>);

impl Scripted {
    pub(crate) fn now(&self) -> Script {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists that are remembered: more than any test counts, and a bound for a server that runs on.
const MAX_LISTED: usize = 1 << 18;

/// Names of clients that are remembered.
const MAX_USER_AGENTS: usize = 64;

/// What a server saw.
#[derive(Debug, Default)]
pub struct Log {
    methods: Mutex<BTreeMap<String, u64>>,
    sessions: Mutex<BTreeSet<String>>,
    opened: AtomicU64,
    closed: AtomicU64,
    streams: AtomicU64,
    user_agents: Mutex<BTreeSet<String>>,
    listed: Mutex<Vec<(String, u64)>>,
    hosts: Mutex<BTreeSet<String>>,
    since_start: AtomicU64,
    restarts: AtomicU64,
}

impl Log {
    /// Requests by JSON-RPC method, `GET` and `DELETE` by their names, answers as `response`.
    #[must_use]
    pub fn methods(&self) -> BTreeMap<String, u64> {
        self.methods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sessions that were opened.
    #[must_use]
    pub fn sessions_opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    /// Sessions that were closed by `DELETE`.
    #[must_use]
    pub fn sessions_closed(&self) -> u64 {
        self.closed.load(Ordering::SeqCst)
    }

    /// Event streams of the 2024-11-05 transport that are open now.
    #[must_use]
    pub fn streams_open(&self) -> u64 {
        self.streams.load(Ordering::SeqCst)
    }

    /// Who asked, by what they say of themselves; the first ones, if they are too many.
    #[must_use]
    pub fn user_agents(&self) -> BTreeSet<String> {
        self.user_agents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn asked_by(&self, user_agent: &str) {
        let agents = self.user_agents.lock();
        let mut agents = agents.unwrap_or_else(PoisonError::into_inner);
        if agents.len() < MAX_USER_AGENTS {
            agents.insert(user_agent.to_owned());
        }
    }

    /// Every `tools/list` that was answered with 200: the query of its URL, and when, in
    /// milliseconds since the Unix epoch; the first ones, if they are too many.
    #[must_use]
    pub fn listed(&self) -> Vec<(String, u64)> {
        self.listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The hosts that were asked for: `Host`, or the authority of HTTP/2.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<String> {
        self.hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn host(&self, host: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() < MAX_LISTED {
            hosts.insert(host.to_owned());
        }
    }

    pub(crate) fn list(&self, query: &str, at_ms: u64) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() < MAX_LISTED {
            listed.push((query.to_owned(), at_ms));
        }
    }

    pub(crate) fn request(&self, method: &str) {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        *methods.entry(method.to_owned()).or_default() += 1;
    }

    pub(crate) fn open_session(&self) -> String {
        let n = self.opened.fetch_add(1, Ordering::SeqCst);
        let id = format!("session-{n:08}");
        self.live().insert(id.clone());
        id
    }

    pub(crate) fn has_session(&self, id: &str) -> bool {
        self.live().contains(id)
    }

    pub(crate) fn close_session(&self, id: &str) -> bool {
        let known = self.live().remove(id);
        if known {
            self.closed.fetch_add(1, Ordering::SeqCst);
        }
        known
    }

    pub(crate) fn forget_sessions(&self) {
        self.live().clear();
    }

    /// Times that the server was started anew.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    /// Takes a request into a server that bears `every` of them, 0 for any number, and then starts anew.
    pub(crate) fn leak(&self, every: u64) {
        let before = self.since_start.fetch_add(1, Ordering::SeqCst);
        if every > 0 && before >= every {
            self.since_start.store(1, Ordering::SeqCst);
            self.restarts.fetch_add(1, Ordering::SeqCst);
            self.forget_sessions();
        }
    }

    pub(crate) fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn stream_closed(&self) {
        self.streams.fetch_sub(1, Ordering::SeqCst);
    }

    fn live(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
