//! What is asked of agents at once: confirmations, pauses and probes on demand, over the watch streams that are open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rpc::v1;
use rpc::v1::watch_response::Message;
use tokio::sync::mpsc;

/// Orders that may wait for a slow agent; more are dropped, and counted.
const QUEUE: usize = 256;

/// A watch stream that is open.
#[derive(Debug)]
struct Stream {
    number: u64,
    sender: mpsc::Sender<Message>,
    /// Whether the agent runs probes on demand.
    runs_on_demand: bool,
}

/// The agents that can be asked.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    agents: Mutex<BTreeMap<String, Stream>>,
    streams: AtomicU64,
    asked: AtomicU64,
    dropped: AtomicU64,
    holds: AtomicU64,
}

impl Orders {
    /// A watch stream of an agent is open: what is asked over it, and the number of the stream.
    pub(crate) fn open(&self, agent: &str, runs_on_demand: bool) -> (u64, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        let stream = Stream {
            number,
            sender,
            runs_on_demand,
        };
        self.lock().insert(agent.to_owned(), stream);
        (number, receiver)
    }

    /// A stream is closed. A newer one of the same agent stays.
    pub(crate) fn close(&self, agent: &str, number: u64) {
        let mut agents = self.lock();
        if agents
            .get(agent)
            .is_some_and(|stream| stream.number == number)
        {
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
        if self.send(agent, Message::Confirm(request)).is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells an agent to leave targets alone. One that is away finds out for itself.
    pub(crate) fn hold(&self, agent: &str, hold: v1::Hold) {
        if self.send(agent, Message::Hold(hold)).is_some() {
            self.holds.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks an agent for a surface. One that is away is not asked; somebody is, a minute later.
    pub(crate) fn ask_surface(&self, agent: &str, request: v1::SurfaceRequest) {
        let _ = self.send(agent, Message::Surface(request));
    }

    /// Whether an agent runs probes on demand; `None` where it has no stream.
    pub(crate) fn runs_on_demand(&self, agent: &str) -> Option<bool> {
        self.lock().get(agent).map(|stream| stream.runs_on_demand)
    }

    /// Asks for a probe on demand, or for its end: the number of the stream that it was asked over.
    pub(crate) fn demand(&self, agent: &str, message: Message) -> Option<u64> {
        self.send(agent, message)
    }

    /// Tells an agent its peers; whether it is there to be told.
    pub(crate) fn peers(&self, agent: &str, list: v1::PeerList) -> bool {
        self.send(agent, Message::Peers(list)).is_some()
    }

    /// The number of the stream that takes the message.
    fn send(&self, agent: &str, message: Message) -> Option<u64> {
        let agents = self.lock();
        let stream = agents.get(agent)?;
        let sent = stream.sender.try_send(message);
        sent.is_ok().then_some(stream.number)
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
