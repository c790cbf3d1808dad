//! A server of the world, which can be taken down and put up again at the same address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;

use super::layout::{Speaks, Target};
use crate::sdk::SdkServer;
use crate::server::script::Script;
use crate::server::{Dialect, Options, Server};

/// How often an address is tried that the server before has not left yet.
const ATTEMPTS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// A server, up or down.
#[derive(Debug)]
pub(super) struct Hosted {
    speaks: Speaks,
    bind: SocketAddr,
    tls: rustls::ServerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Scripted(Server),
    Sdk(#[expect(dead_code, reason = "dropping it stops it")] SdkServer),
}

/// A server as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    up: bool,
    address: SocketAddr,
    /// `None` where the server takes none.
    script: Option<Script>,
}

/// The server is not ours, and does nothing that a script says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TakesNoScript;

impl Hosted {
    pub(super) fn new(target: &Target, bind: SocketAddr, tls: rustls::ServerConfig) -> Arc<Self> {
        Arc::new(Self {
            speaks: target.speaks,
            bind,
            tls,
            state: Mutex::default(),
        })
    }

    /// Starts it, with the script that it was given last.
    pub(super) async fn up(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        if state.running.is_some() {
            return Ok(());
        }
        let mut attempts = ATTEMPTS;
        let running = loop {
            match self.start().await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                    attempts -= 1;
                    tokio::time::sleep(BETWEEN).await;
                }
                started => break started?,
            }
        };
        if let Running::Scripted(server) = &running {
            let wanted = state.script.clone();
            server.script(|script| *script = wanted);
        }
        state.running = Some(running);
        Ok(())
    }

    /// Stops it: its listener and its connections are closed.
    pub(super) async fn down(&self) {
        self.state.lock().await.running = None;
    }

    /// Does what `script` says from now on.
    pub(super) async fn script(&self, script: Script) -> Result<(), TakesNoScript> {
        if self.speaks == Speaks::Sdk {
            return Err(TakesNoScript);
        }
        let mut state = self.state.lock().await;
        if let Some(Running::Scripted(server)) = &state.running {
            let wanted = script.clone();
            server.script(|script| *script = wanted);
        }
        state.script = script;
        Ok(())
    }

    pub(super) async fn shown(&self) -> Shown {
        let state = self.state.lock().await;
        Shown {
            up: state.running.is_some(),
            address: self.bind,
            script: (self.speaks != Speaks::Sdk).then(|| state.script.clone()),
        }
    }

    async fn start(&self) -> io::Result<Running> {
        let dialect = match self.speaks {
            Speaks::Legacy => Dialect::Legacy,
            Speaks::Modern => Dialect::Modern,
            Speaks::Sdk => {
                let server = SdkServer::start(self.bind, Some(self.tls.clone())).await?;
                return Ok(Running::Sdk(server));
            }
        };
        let options = Options {
            dialect,
            bind: self.bind,
            tls: Some(self.tls.clone()),
        };
        Server::start(options).await.map(Running::Scripted)
    }
}
