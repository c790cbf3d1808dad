//! What is asked of agents at once: confirmations and pauses, over the watch streams that are open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rpc::v1;
use rpc::v1::watch_response::Message;
use tokio::sync::mpsc;

/// Orders that may wait for a slow agent; more are dropped, and counted.
const QUEUE: usize = 256;

/// The agents that can be asked.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    agents: Mutex<BTreeMap<String, (u64, mpsc::Sender<Message>)>>,
    streams: AtomicU64,
    asked: AtomicU64,
    dropped: AtomicU64,
    holds: AtomicU64,
}

impl Orders {
    /// A watch stream of an agent is open: what is asked over it, and the number of the stream.
    pub(crate) fn open(&self, agent: &str) -> (u64, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(agent.to_owned(), (stream, sender));
        (stream, receiver)
    }

    /// A stream is closed. A newer one of the same agent stays.
    pub(crate) fn close(&self, agent: &str, stream: u64) {
        let mut agents = self.lock();
        if agents.get(agent).is_some_and(|(known, _)| *known == stream) {
            agents.remove(agent);
        }
    }

    /// Asks an agent. One that is away, or does not read, is not asked.
    pub(crate) fn ask(&self, agent: &str, request: v1::ConfirmationRequest) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let request = v1::ConfirmationRequest {
            confirmation_id: format!("c{number}"),
            ..request
        };
        if !self.send(agent, Message::Confirm(request)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells an agent to leave targets alone. One that is away finds out for itself.
    pub(crate) fn hold(&self, agent: &str, hold: v1::Hold) {
        if self.send(agent, Message::Hold(hold)) {
            self.holds.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks an agent for a surface. One that is away is not asked; somebody is, a minute later.
    pub(crate) fn ask_surface(&self, agent: &str, request: v1::SurfaceRequest) {
        self.send(agent, Message::Surface(request));
    }

    fn send(&self, agent: &str, message: Message) -> bool {
        let agents = self.lock();
        let sent = agents
            .get(agent)
            .map(|(_, sender)| sender.try_send(message));
        matches!(sent, Some(Ok(())))
    }

    /// How often an agent was told to leave a target alone.
    pub(crate) fn holds(&self) -> u64 {
        self.holds.load(Ordering::Relaxed)
    }

    /// Confirmations that were asked for, and those of them that nobody could be given.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked, self.dropped.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (u64, mpsc::Sender<Message>)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
