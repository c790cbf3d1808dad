//! The system's trusted authorities, as a preflight wants to know of them.

use rustls::RootCertStore;

/// What the system's store of authorities has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemRoots {
    /// Certificates that can be used. With none, a [`crate::Dialer`] takes those it was built with.
    pub usable: usize,
    /// Certificates that are there and cannot be used.
    pub unusable: usize,
    /// Why some of the store could not be read.
    pub problem: Option<String>,
}

/// Reads the system's store of authorities, as a [`crate::Dialer`] does.
#[must_use]
pub fn system_roots() -> SystemRoots {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(system.certs);
    let problem = system.errors.first();
    SystemRoots {
        usable,
        unusable,
        problem: problem.map(|problem| model::text::line(&problem.to_string(), 200)),
    }
}
