//! The one task that asks for tokens, and writes them before anybody has them.

mod draining;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auth::renewal::{Command, Ms, Record, Renewal};
use auth::{Refusal, Token};
use dial::{Dialer, SetupError};
use model::monitor::{Authorization, FieldError, Grant};
use model::{Monitor, MonitorId, Reason};
use store::{Kind, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::asking::{ours, survived};
use super::entry::{Entry, Given};
use super::held::Held;
use super::means;
use super::{Asked, Replace, wall};
use crate::Hub;
use crate::keeper::millis;
use crate::registry::Refused;

/// Exchanges that may be under way at once, for all monitors together.
const MAX_EXCHANGES: usize = 8;
/// How soon the store is asked again after it failed.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest sleep: a wall clock that was set is noticed then.
const LOOK: Duration = Duration::from_secs(60);
/// How long answers are awaited when the coordinator stops: a refresh token may be used up already.
const DRAIN: Duration = Duration::from_secs(8);

struct Exchanged {
    id: MonitorId,
    life: u64,
    answer: Result<Token, Refusal>,
}

struct Renewer<S> {
    hub: Arc<Hub<S>>,
    /// Or why this host cannot connect anywhere.
    dialer: Result<Dialer, String>,
    held: BTreeMap<MonitorId, Held>,
    due: BTreeSet<(Ms, MonitorId)>,
    exchanges: JoinSet<Exchanged>,
    lives: u64,
}

fn now() -> Ms {
    millis(telemetry::clock::wall())
}

/// Renews tokens until the coordinator leaves, and then awaits what was asked.
pub(crate) async fn run<S: Store>(hub: Arc<Hub<S>>, dialer: Result<Dialer, SetupError>) {
    let inbox = hub
        .credentials
        .inbox
        .lock()
        .ok()
        .and_then(|mut inbox| inbox.take());
    let Some(mut inbox) = inbox else {
        return; // there is one already
    };
    let dialer = dialer.map_err(|error| error.to_string());
    if let Err(problem) = &dialer {
        tracing::error!(%problem, "no authorization server can be asked");
    }
    let mut renewer = Renewer {
        dialer,
        held: BTreeMap::new(),
        due: BTreeSet::new(),
        exchanges: JoinSet::new(),
        lives: 0,
        hub,
    };
    renewer.work(&mut inbox).await;
    renewer.drain().await;
}

impl<S: Store> Renewer<S> {
    /// Ends between two steps, and never within one: what was asked for is written.
    async fn work(&mut self, inbox: &mut mpsc::Receiver<Replace>) {
        let hub = Arc::clone(&self.hub);
        while let Err(error) = self.sweep().await {
            tracing::error!(%error, "credentials cannot be read; tried again soon");
            tokio::select! {
                () = hub.leaving.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        loop {
            self.follow().await;
            self.start().await;
            let pause = self.pause();
            tokio::select! {
                biased;
                () = hub.leaving.cancelled() => return,
                () = hub.credentials.wake.notified() => {}
                Some(replace) = inbox.recv() => {
                    let Replace { id, given, reply } = replace;
                    let replaced = self.replace(&id, given).await;
                    // Who asked may have gone.
                    let _ = reply.send(replaced);
                }
                Some(done) = self.exchanges.join_next() => self.ended(done).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Drops what belongs to monitors that are gone: a crash may have come between.
    async fn sweep(&self) -> Result<(), StoreError> {
        let store = &self.hub.store;
        for (id, bytes) in store.entries(Kind::Credential).await? {
            let known = id.parse().ok();
            let known = match &known {
                Some(id) => store.monitor(id).await?,
                None => None,
            };
            if known.is_none_or(|monitor| monitor.spec.authorization.is_none()) {
                let gone = store.replace(Kind::Credential, &id, Some(&bytes), None);
                gone.await?;
            }
        }
        wall::recall(&self.hub).await
    }

    /// Takes up what has changed.
    async fn follow(&mut self) {
        let (changed, rejected) = {
            let mut state = self.hub.credentials.lock();
            let changed = std::mem::take(&mut state.changed);
            (changed, std::mem::take(&mut state.rejected))
        };
        for id in changed {
            if let Err(error) = self.load(&id).await {
                tracing::error!(%error, monitor = %id, "its credential cannot be read");
                self.hub.credentials.lock().changed.insert(id);
            }
        }
        for (id, began) in rejected {
            self.touch(&id, |renewal, at| renewal.handle_rejected(began, at));
        }
    }

    /// Reads what a monitor's spec says now, and what is kept for it.
    async fn load(&mut self, id: &MonitorId) -> Result<(), StoreError> {
        let store = &self.hub.store;
        let monitor = store.monitor(id).await?;
        if monitor
            .as_ref()
            .is_none_or(|known| !known.spec.has_credential())
        {
            super::drop_entry(store, Kind::Wall, id).await?;
        }
        let Some(monitor) = monitor.filter(|known| known.spec.authorization.is_some()) else {
            super::drop_entry(store, Kind::Credential, id).await?;
            self.unset(id);
            self.hub.credentials.publish(id, None);
            return Ok(());
        };
        let fresh = Entry::of(&monitor.spec);
        if let Some(held) = self.held.get_mut(id)
            && held.entry.basis == fresh.basis
        {
            held.monitor = monitor;
            self.publish(id);
            return Ok(());
        }
        let bytes = store.entry(Kind::Credential, id.as_str()).await?;
        let known = bytes.as_deref().and_then(Entry::read);
        let known = known.filter(|known| known.basis == fresh.basis);
        self.hold(monitor, known.unwrap_or(fresh), bytes);
        Ok(())
    }

    fn hold(&mut self, monitor: Monitor, entry: Entry, bytes: Option<Vec<u8>>) {
        let id = monitor.id.clone();
        self.unset(&id);
        self.lives += 1;
        let held = Held::new(monitor, entry, bytes, self.lives, now());
        self.held.insert(id.clone(), held);
        self.schedule(&id);
        self.publish(&id);
    }

    /// Uses another credential, once it is durable.
    async fn replace(&mut self, id: &MonitorId, given: Given) -> Result<(), Refused> {
        let monitor = self.hub.store.monitor(id).await?;
        let monitor = monitor.ok_or_else(|| Refused::Unknown(id.clone()))?;
        let fields = |at: &str, detail: &str| Refused::Fields(vec![FieldError::new(at, detail)]);
        let Some(authorization) = &monitor.spec.authorization else {
            let way_out = "the monitor has no `authorization`; put its spec with one first";
            return Err(fields("", way_out));
        };
        if given.count() != 1 {
            let way_out = "give one of client_secret, private_key and tokens";
            return Err(fields("", way_out));
        }
        let problems = problems(&given.over(authorization), &monitor);
        if !problems.is_empty() {
            return Err(Refused::Fields(problems));
        }
        let mut entry = Entry {
            given,
            ..Entry::of(&monitor.spec)
        };
        let whole = entry.given.over(authorization);
        if let Ok(means) = means::read(&whole, &monitor.spec.url) {
            let mut record = means.record(now());
            // A client's old token is used until there is a new one.
            let known = self.held.get(id).filter(|_| !means.is_user());
            record.access = record.access.or_else(|| known?.renewal.access().cloned());
            entry.record = Some(record);
        }
        let new = entry.write();
        let bytes = self.hub.store.entry(Kind::Credential, id.as_str()).await?;
        let (kind, store) = (Kind::Credential, &self.hub.store);
        let kept = store.replace(kind, id.as_str(), bytes.as_deref(), Some(new.clone()));
        if !kept.await? {
            let detail = "the credential was replaced at the same time; try again".to_owned();
            return Err(StoreError::Io(detail).into());
        }
        tracing::info!(monitor = %id, "credential replaced");
        let is_user = authorization.grant == Grant::TokenSet;
        self.hold(monitor, entry, Some(new));
        if !is_user {
            self.touch(id, Renewal::handle_replaced);
        }
        Ok(())
    }

    /// Does what is due, as far as there are places for exchanges.
    async fn start(&mut self) {
        let at = now();
        while let Some((due, id)) = self.due.first().cloned() {
            if due > at || self.exchanges.len() >= MAX_EXCHANGES {
                return;
            }
            self.due.remove(&(due, id.clone()));
            self.advance(&id).await;
        }
    }

    /// Does what a renewal wants.
    async fn advance(&mut self, id: &MonitorId) {
        while let Some(held) = self.held.get_mut(id) {
            match held.renewal.poll_command(now()) {
                Some(Command::Ask(refresh)) => {
                    let Some(means) = held.means.clone() else {
                        return;
                    };
                    let (dialer, life) = (self.dialer.clone(), held.life);
                    let (id, spec) = (id.clone(), held.monitor.spec.clone());
                    self.exchanges.spawn(async move {
                        let seconds = telemetry::clock::wall().as_second();
                        let answer = match dialer {
                            Ok(dialer) => {
                                let ask = means::ask(dialer, &spec, means, refresh, seconds);
                                survived(ask).await
                            }
                            Err(detail) => Err(ours(detail)),
                        };
                        Exchanged { id, life, answer }
                    });
                }
                Some(Command::Keep(record)) => self.keep(id, record).await,
                None => break,
            }
        }
        self.schedule(id);
        self.publish(id);
    }

    async fn keep(&mut self, id: &MonitorId, record: Record) {
        let Some(held) = self.held.get_mut(id) else {
            return;
        };
        let entry = Entry {
            record: Some(record),
            ..held.entry.clone()
        };
        let new = entry.write();
        let (kind, store) = (Kind::Credential, &self.hub.store);
        let kept = store.replace(kind, id.as_str(), held.bytes.as_deref(), Some(new.clone()));
        match kept.await {
            Ok(true) => {
                (held.entry, held.bytes) = (entry, Some(new));
                held.renewal.handle_kept(now());
            }
            Ok(false) => {
                tracing::error!(monitor = %id, "its tokens were written by somebody else");
                held.renewal.handle_not_kept(now());
            }
            Err(error) => {
                tracing::error!(%error, monitor = %id, "its tokens cannot be kept; tried again soon");
                held.renewal.handle_not_kept(now());
            }
        }
    }

    async fn ended(&mut self, done: Result<Exchanged, JoinError>) {
        match done {
            Ok(done) => self.answered(done).await,
            // Nobody aborts them, and what panics in them is caught.
            Err(error) => tracing::error!(%error, "an exchange failed"),
        }
    }

    async fn answered(&mut self, done: Exchanged) {
        let Exchanged { id, life, answer } = done;
        let at = now();
        let Some(held) = self.held.get_mut(&id).filter(|held| held.life == life) else {
            return; // replaced, or gone
        };
        match answer {
            Ok(token) => {
                self.hub.credentials.count(Asked::Token);
                held.renewal.handle_token(token, at);
            }
            Err(refusal) => {
                let is_refused = refusal.reason == Reason::AuthCredentialRefused;
                let asked = if is_refused {
                    Asked::Refused
                } else {
                    Asked::Failed
                };
                self.hub.credentials.count(asked);
                tracing::warn!(
                    monitor = %id, reason = %refusal.reason, detail = %refusal.detail,
                    "no token for the monitor"
                );
                held.renewal.handle_refusal(refusal, at);
            }
        }
        self.advance(&id).await;
    }

    fn touch(&mut self, id: &MonitorId, change: impl FnOnce(&mut Renewal, Ms)) {
        if let Some(held) = self.held.get_mut(id) {
            change(&mut held.renewal, now());
            self.schedule(id);
        }
    }

    /// Forgets a credential, not what is kept of it.
    fn unset(&mut self, id: &MonitorId) {
        self.held.remove(id);
        self.due.retain(|(_, known)| known != id);
    }

    fn schedule(&mut self, id: &MonitorId) {
        self.due.retain(|(_, known)| known != id);
        let held = self.held.get(id);
        if let Some(due) = held.and_then(|held| held.renewal.poll_timeout()) {
            self.due.insert((due, id.clone()));
        }
    }

    fn publish(&self, id: &MonitorId) {
        let Some(held) = self.held.get(id) else {
            return;
        };
        self.hub.credentials.publish(id, held.seen());
    }

    fn pause(&self) -> Duration {
        if !self.hub.credentials.lock().changed.is_empty() {
            return AGAIN;
        }
        if self.exchanges.len() >= MAX_EXCHANGES {
            return LOOK; // one that ends wakes
        }
        let due = self.due.first().map(|(due, _)| due.saturating_sub(now()));
        due.map_or(LOOK, |pause| Duration::from_millis(pause).min(LOOK))
    }
}

/// What cannot be used of an authorization that was put together anew.
fn problems(whole: &Authorization, monitor: &Monitor) -> Vec<FieldError> {
    let mut spec = monitor.spec.clone();
    spec.authorization = Some(whole.clone());
    let of_fields = spec.problems().into_iter().filter_map(|problem| {
        let field = problem.pointer.strip_prefix("/authorization")?.to_owned();
        Some(FieldError::new(field, problem.detail))
    });
    let mut problems: Vec<FieldError> = of_fields.collect();
    problems.extend(means::problems(whole, &monitor.spec.url, "/"));
    problems
}
