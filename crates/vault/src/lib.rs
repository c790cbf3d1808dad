//! Seals what a daemon must keep on disk and nobody may read there: credentials of monitors,
//! the authority of the mesh, its roster.
//!
//! A [`Key`] lies in a file of its own beside the data, readable by its owner alone, so that a
//! copy or a backup of the data is of no use without it. Sealed bytes are AES-256-GCM with a
//! random nonce in front; a *context* is bound to them, so that a sealed value that is moved to
//! another place does not open there.

mod key;

pub use key::{Key, OpenError, SealError};
