//! The credentials of monitors: their tokens, how they stand, and what a stranger meets without.
//!
//! ```text
//!  specs, PUT …/credential ─► renewer ─► authorization servers
//!                               │ └► store, sealed: first
//!                               └► here ─► watch streams: access tokens, and nothing else
//!                                    └► status, metrics
//! ```
//!
//! One task, [`renewer`], asks for tokens and writes them: a refresh token has one owner.

mod asking;
mod entry;
mod held;
mod means;
pub(crate) mod rejections;
pub(crate) mod renewer;
mod view;
pub(crate) mod wall;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use auth::Secret;
use auth::renewal::Ms;
use model::credential::{CredentialState, WallState};
use model::{Monitor, MonitorId, MonitorSpec};
use store::{Kind, Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::assigning::Assigned;
use crate::planner::Plan;
use crate::registry::Refused;

pub(crate) use entry::Given;
pub(crate) use view::CredentialView;
pub(crate) use wall::WallView;

use rejections::Rejection;
use view::{End, Seen};
use wall::Wall;

/// Credentials that may wait to be replaced; then the API waits.
const QUEUE: usize = 16;

/// Of one monitor: the end of its credential (seconds since the Unix epoch), how that stands, and
/// what its wall is.
pub(crate) type Standing = (
    MonitorId,
    Option<i64>,
    Option<CredentialState>,
    Option<WallState>,
);

/// What became of asking for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Token,
    Refused,
    Failed,
}

impl Asked {
    pub(crate) const ALL: [(Self, &'static str); 3] = [
        (Self::Token, "token"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
    ];
}

/// A credential to use from now on.
struct Replace {
    id: MonitorId,
    given: Given,
    reply: oneshot::Sender<Result<(), Refused>>,
}

/// The credentials of all monitors.
pub(crate) struct Credentials {
    state: Mutex<State>,
    /// Counts tokens; watch streams follow it.
    renewed: watch::Sender<u64>,
    wake: Notify,
    replaces: mpsc::Sender<Replace>,
    /// For the renewer, which is one.
    inbox: Mutex<Option<mpsc::Receiver<Replace>>>,
    asked: [AtomicU64; 3],
}

#[derive(Default)]
struct State {
    /// Monitors that have a credential, or had one.
    known: BTreeMap<MonitorId, Known>,
    /// Monitors whose spec may be another.
    changed: BTreeSet<MonitorId>,
    /// Monitors whose token the target does not accept, and when the last probe began that says so.
    rejected: BTreeMap<MonitorId, Ms>,
    /// Whose token is the n-th: one entry a monitor.
    renewals: BTreeMap<u64, MonitorId>,
}

/// What is known of a monitor's credential.
#[derive(Default)]
struct Known {
    generation: u64,
    has_credential: bool,
    /// What the spec says of its end.
    ends: Vec<End>,
    /// What the renewer says, where it is one that is renewed.
    seen: Option<Seen>,
    /// The number of its token; 0 for none.
    number: u64,
    wall: Option<Wall>,
}

impl std::fmt::Debug for Credentials {
    /// It holds tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Default for Credentials {
    fn default() -> Self {
        let (replaces, inbox) = mpsc::channel(QUEUE);
        Self {
            state: Mutex::default(),
            renewed: watch::Sender::new(0),
            wake: Notify::new(),
            replaces,
            inbox: Mutex::new(Some(inbox)),
            asked: Default::default(),
        }
    }
}

impl Credentials {
    /// A monitor is so from now on.
    pub(crate) fn set(&self, monitor: &Monitor) {
        let spec = &monitor.spec;
        let mut state = self.lock();
        let is_known = state.known.contains_key(&monitor.id);
        let ends = view::ends(spec);
        if !is_known && !spec.has_credential() && ends.is_empty() {
            return;
        }
        let known = state.known.entry(monitor.id.clone()).or_default();
        if known.generation != monitor.generation {
            // It may be another target.
            known.wall = None;
        }
        known.generation = monitor.generation;
        known.has_credential = spec.has_credential();
        known.ends = ends;
        state.changed.insert(monitor.id.clone());
        drop(state);
        self.wake.notify_one();
    }

    /// A monitor is gone.
    pub(crate) fn remove(&self, id: &MonitorId) {
        let mut state = self.lock();
        if let Some(known) = state.known.remove(id) {
            state.renewals.remove(&known.number);
            state.changed.insert(id.clone());
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Another credential for a monitor; everything else of it stays, its votes too.
    pub(crate) async fn replace(&self, id: MonitorId, given: Given) -> Result<(), Refused> {
        let closed = || Refused::Store(StoreError::Closed);
        let (reply, answered) = oneshot::channel();
        let replace = Replace { id, given, reply };
        self.replaces.send(replace).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// The target turned away the token of a probe, which says something if that was a probe of the
    /// monitor as it is now.
    pub(crate) fn rejected(&self, rejection: Rejection) {
        let Rejection {
            id,
            generation,
            began,
        } = rejection;
        let mut state = self.lock();
        let is_renewed = state
            .known
            .get(&id)
            .is_some_and(|known| known.seen.is_some() && known.generation == generation);
        if is_renewed {
            let last = state.rejected.entry(id).or_insert(began);
            *last = began.max(*last);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Follows tokens that are renewed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.renewed.subscribe()
    }

    /// Whose tokens came after the `number`-th.
    pub(crate) fn renewed_since(&self, number: u64) -> Vec<MonitorId> {
        let state = self.lock();
        let later = state.renewals.range(number.saturating_add(1)..);
        later.map(|(_, id)| id.clone()).collect()
    }

    /// Puts into an agent's plan what it needs of credentials: tokens, and whose wall it looks at.
    pub(crate) fn dress(&self, plan: &mut Plan, agent: &str, assigned: &Assigned) {
        let state = self.lock();
        for (id, item) in plan {
            let Some(known) = state.known.get(id) else {
                continue;
            };
            if let (Some(token), Some(probe)) = (known.token(), item.probe.as_mut()) {
                probe.access_token = token.expose().as_bytes().to_vec();
            }
            item.looks_at_wall = known.has_credential && is_looker(id, agent, assigned);
        }
    }

    /// How a monitor's credential stands; nothing where there is nothing to say of it.
    pub(crate) fn view(&self, id: &MonitorId, now: jiff::Timestamp) -> Option<CredentialView> {
        let state = self.lock();
        let known = state.known.get(id)?;
        view::of(known.seen.as_ref(), &known.ends, now)
    }

    /// What a stranger meets at a monitor's target.
    pub(crate) fn wall(&self, id: &MonitorId) -> Option<WallView> {
        self.lock().known.get(id)?.wall.as_ref().map(Wall::view)
    }

    /// Every monitor that has a credential, or had one.
    pub(crate) fn all(&self, now: jiff::Timestamp) -> Vec<Standing> {
        let state = self.lock();
        let all = state.known.iter().map(|(id, known)| {
            let view = view::of(known.seen.as_ref(), &known.ends, now);
            let end = view::end(known.seen.as_ref(), &known.ends).map(|end| end.at);
            let wall = known.wall.as_ref().map(|wall| wall.state);
            (id.clone(), end, view.map(|view| view.state), wall)
        });
        all.collect()
    }

    /// How often tokens were asked for, by what came of it.
    pub(crate) fn asked(&self) -> Vec<(&'static str, u64)> {
        let each = Asked::ALL.iter().zip(&self.asked);
        each.map(|((_, word), count)| (*word, count.load(Ordering::Relaxed)))
            .collect()
    }

    fn count(&self, asked: Asked) {
        let each = Asked::ALL.iter().zip(&self.asked);
        for (_, count) in each.filter(|((one, _), _)| *one == asked) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the renewer sees a credential; a token in it goes to agents from now on.
    fn publish(&self, id: &MonitorId, seen: Option<Seen>) {
        let mut state = self.lock();
        let Some(known) = state.known.get_mut(id) else {
            return; // gone in the meantime
        };
        let before = known.token().cloned();
        known.seen = seen;
        if known.token() == before.as_ref() {
            return;
        }
        let number = *self.renewed.borrow() + 1;
        let old = std::mem::replace(&mut known.number, number);
        state.renewals.remove(&old);
        state.renewals.insert(number, id.clone());
        drop(state);
        self.renewed.send_replace(number);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn token(&self) -> Option<&Secret> {
        let access = self.seen.as_ref()?.record.access.as_ref()?;
        Some(&access.token)
    }
}

/// Whether it is this agent's to look at a monitor's wall: one of those who watch it.
fn is_looker(id: &MonitorId, agent: &str, assigned: &Assigned) -> bool {
    let watchers = assigned.watchers(id).unwrap_or_default();
    watchers.iter().min().is_some_and(|looker| looker == agent)
}

/// What is wrong with the secrets of a spec, beyond what its fields say.
pub(crate) fn problems(spec: &MonitorSpec) -> Vec<model::monitor::FieldError> {
    let Some(authorization) = &spec.authorization else {
        return Vec::new();
    };
    means::problems(authorization, &spec.url, "/authorization/")
}

/// Forgets an entry of a monitor, if there is one.
async fn drop_entry<S: Store>(store: &S, kind: Kind, id: &MonitorId) -> Result<(), StoreError> {
    let known = store.entry(kind, id.as_str()).await?;
    if known.is_some() {
        let gone = store.replace(kind, id.as_str(), known.as_deref(), None);
        gone.await?;
    }
    Ok(())
}
