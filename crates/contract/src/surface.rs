//! What a server offers to a client's model, in one canonical value.

use serde_json::{Value, json};

use crate::canonical;
use crate::limits::{MAX_DEPTH, MAX_SURFACE_BYTES, MAX_TOOLS};
use crate::packed;

/// Why a list of tools is no surface. A fingerprint of half of it would be a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A tool, counted from 0, is no object with a string `name`.
    #[error("tools[{0}] is no object with a string `name`")]
    Nameless(usize),
    /// A tool, counted from 0, is nested deeper than [`MAX_DEPTH`].
    #[error("tools[{0}] is nested deeper than {MAX_DEPTH} levels")]
    TooDeep(usize),
    /// More than [`MAX_TOOLS`], or more than [`MAX_SURFACE_BYTES`] in canonical form.
    #[error(
        "the tools are more than {MAX_TOOLS}, or more than {} MiB",
        MAX_SURFACE_BYTES >> 20
    )]
    TooLarge,
}

/// Everything that a client's model gets to read of a server: its tools, whole, and its
/// instructions; in canonical form ([`canonical`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    tools: Vec<Value>,
    instructions: Option<String>,
    fingerprint: String,
}

impl Unfit {
    /// The word for it: the same on the wire and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nameless(_) => "nameless",
            Self::TooDeep(_) => "too_deep",
            Self::TooLarge => "too_large",
        }
    }

    /// The word again, of those that there are.
    #[must_use]
    pub fn word(text: &str) -> Option<&'static str> {
        let all = [Self::Nameless(0), Self::TooDeep(0), Self::TooLarge];
        all.into_iter().map(Self::as_str).find(|word| *word == text)
    }
}

impl Surface {
    /// The surface of the tools of a complete `tools/list`, in any order, and the server's
    /// `instructions`.
    ///
    /// # Errors
    /// It is too large, too deep, or no list of tools.
    pub fn new<'t>(
        tools: impl IntoIterator<Item = &'t Value>,
        instructions: Option<&str>,
    ) -> Result<Self, Unfit> {
        let mut canonical = Vec::new();
        for (n, tool) in tools.into_iter().enumerate() {
            if n == MAX_TOOLS {
                return Err(Unfit::TooLarge);
            }
            if !tool.get("name").is_some_and(Value::is_string) {
                return Err(Unfit::Nameless(n));
            }
            if !is_shallow(tool, MAX_DEPTH) {
                return Err(Unfit::TooDeep(n));
            }
            canonical.push(canonical::tool(tool));
        }
        canonical.sort_by(|one, other| {
            let by_name = name(one).cmp(name(other));
            by_name.then_with(|| canonical::order(one, other))
        });
        let text = canonical_text(&canonical, instructions);
        if text.len() > MAX_SURFACE_BYTES {
            return Err(Unfit::TooLarge);
        }
        Ok(Self {
            fingerprint: sha256(text.as_bytes()),
            tools: canonical,
            instructions: instructions.map(str::to_owned),
        })
    }

    /// The tools in canonical form, ordered by name (and those of one name by their content).
    #[must_use]
    pub fn tools(&self) -> &[Value] {
        &self.tools
    }

    /// The canonical text that the fingerprint is made of.
    pub(crate) fn text(&self) -> String {
        canonical_text(&self.tools, self.instructions())
    }

    /// What the server tells models about itself.
    #[must_use]
    pub fn instructions(&self) -> Option<&str> {
        self.instructions.as_deref()
    }

    /// `sha256:` and the hexadecimal SHA-256 of the canonical text (RFC 8785) of an object with
    /// [`Self::tools`] as `tools` and, where there are some, `instructions`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The name of a tool that was found to have one.
pub(crate) fn name(tool: &Value) -> &str {
    tool["name"].as_str().unwrap_or_default()
}

fn canonical_text(tools: &[Value], instructions: Option<&str>) -> String {
    let mut whole = json!({ "tools": tools });
    if let Some(instructions) = instructions {
        whole["instructions"] = instructions.into();
    }
    canonical::text(&whole)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    // It has the bytes of SHA-256.
    packed::fingerprint_of(digest.as_ref()).unwrap_or_default()
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_shallow(item, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values().all(|item| is_shallow(item, levels - 1))
        }
    }
}

#[cfg(test)]
mod tests;
