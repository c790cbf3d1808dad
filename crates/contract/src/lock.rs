//! A surface as a file: for people to review, for a repository to keep, for a pipeline to hold a
//! server against.
//!
//! Everything is there in full and in canonical order, one member a line, so that a review shows
//! what changed and two runs against an unchanged server write the same bytes. Neither the URL nor
//! a time is in it: staging and production can share one file.

use model::report::ServerInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::MAX_LOCK_BYTES;
use crate::surface::{Surface, Unfit};

/// The version of the file. Members are only added within a version.
pub const SCHEMA_VERSION: u64 = 1;

/// Where a surface was seen: for readers, compared with nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The era that was spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// The revision that was spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// What the server said it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerInfo>,
}

/// A surface that was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The surface.
    pub surface: Surface,
    /// Where it was seen.
    pub seen: Seen,
}

/// Why a text is no lock file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    Syntax(String),
    /// A member is missing or of the wrong type.
    #[error("{0}: {1}")]
    Member(&'static str, &'static str),
    /// Another version of the file.
    #[error("schema_version: {0} is not the version that is read here, {SCHEMA_VERSION}")]
    Version(String),
    /// Its tools are no surface.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// The tools or instructions are not those that the fingerprint was made of.
    #[error("fingerprint: it was changed by hand or by a merge, and would be {0} now")]
    Fingerprint(String),
    /// Larger than [`MAX_LOCK_BYTES`].
    #[error("is larger than {} MiB", MAX_LOCK_BYTES >> 20)]
    TooLarge,
}

#[derive(Serialize)]
struct Written<'a> {
    schema_version: u64,
    fingerprint: &'a str,
    seen: &'a Seen,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    tools: &'a [Value],
}

impl Lock {
    /// The text of the file, with a line feed at its end.
    ///
    /// # Errors
    /// It would be larger than a lock file may be.
    pub fn write(&self) -> Result<String, Damaged> {
        let written = Written {
            schema_version: SCHEMA_VERSION,
            fingerprint: self.surface.fingerprint(),
            seen: &self.seen,
            instructions: self.surface.instructions(),
            tools: self.surface.tools(),
        };
        // A tree of values can always be written.
        let mut text = serde_json::to_string_pretty(&written).unwrap_or_default();
        text.push('\n');
        if text.len() > MAX_LOCK_BYTES {
            return Err(Damaged::TooLarge);
        }
        Ok(text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// It is no lock file, one of another version, or was changed since it was written.
    pub fn read(text: &str) -> Result<Self, Damaged> {
        if text.len() > MAX_LOCK_BYTES {
            return Err(Damaged::TooLarge);
        }
        let file: Value =
            serde_json::from_str(text).map_err(|error| Damaged::Syntax(error.to_string()))?;
        let Value::Object(members) = &file else {
            return Err(Damaged::Member("schema_version", "is missing"));
        };
        match members.get("schema_version") {
            None => return Err(Damaged::Member("schema_version", "is missing")),
            Some(version) if version.as_u64() == Some(SCHEMA_VERSION) => {}
            Some(version) => {
                let shown = model::text::line(&version.to_string(), 40);
                return Err(Damaged::Version(shown));
            }
        }
        let fingerprint = members
            .get("fingerprint")
            .and_then(Value::as_str)
            .ok_or(Damaged::Member("fingerprint", "is missing, or no string"))?;
        let tools = members
            .get("tools")
            .and_then(Value::as_array)
            .ok_or(Damaged::Member("tools", "is missing, or no array"))?;
        let instructions = match members.get("instructions") {
            None => None,
            Some(Value::String(text)) => Some(text.as_str()),
            Some(_) => return Err(Damaged::Member("instructions", "is no string")),
        };
        let surface = Surface::new(tools, instructions)?;
        if surface.fingerprint() != fingerprint {
            return Err(Damaged::Fingerprint(surface.fingerprint().to_owned()));
        }
        let seen = members.get("seen").cloned().unwrap_or_default();
        Ok(Self {
            surface,
            // For readers only: what a later version writes here is no reason to fail.
            seen: serde_json::from_value(seen).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
