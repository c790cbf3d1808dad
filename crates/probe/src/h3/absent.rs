//! A build without HTTP/3.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use dial::Progress;
use http::{Request, Response};
use model::{Phase, Reason, report};

use crate::fault::Fault;
use crate::link::Link;

/// Whether this build speaks HTTP/3.
pub const IS_BUILT: bool = false;

/// There is none.
#[derive(Clone)]
pub(crate) struct Sender(Infallible);

/// There is none.
#[derive(Debug)]
pub(crate) struct Gauge(Infallible);

/// There is none.
pub(crate) struct Stream(Infallible);

/// There is none.
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) is_unsent: bool,
}

pub(crate) async fn open(
    _: &Link,
    _: &[IpAddr],
    _: &(dyn Fn(Progress<'_>) + Send + Sync),
    _: &(dyn Fn(Phase) + Send + Sync),
) -> Result<Sender, Fault> {
    std::future::ready(Err(Fault {
        reason: Reason::ProberInternal,
        detail: "this build has no HTTP/3".to_owned(),
    }))
    .await
}

impl Sender {
    pub(crate) const fn is_closed(&self) -> bool {
        match self.0 {}
    }

    pub(crate) const fn leave(&self) {
        match self.0 {}
    }

    pub(crate) async fn close(self, _: Duration) {
        match std::future::ready(self.0).await {}
    }

    pub(crate) async fn ask(
        &mut self,
        _: Request<()>,
        _: Bytes,
        _: &(dyn Fn() + Send + Sync),
    ) -> Result<Response<Stream>, Failed> {
        match std::future::ready(self.0).await {}
    }
}

impl Gauge {
    pub(crate) const fn read(&self) -> report::Quic {
        match self.0 {}
    }
}

impl Stream {
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, Fault>> {
        match std::future::ready(self.0).await {}
    }
}
