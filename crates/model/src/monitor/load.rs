//! What a monitor costs its target.

use super::MonitorSpec;
use crate::{EraPolicy, Profile};

/// `discover`, `tools_list`.
const MODERN: u32 = 2;
/// The wrong requests of the strict profile in 2026-07-28.
const MODERN_STRICT: u32 = 10;
/// `initialize`, `initialized`, `ping`, `tools_list`, `close`.
const LEGACY: u32 = 5;
/// The wrong requests of the strict profile in 2025-11-25 with a session, and what gives back the
/// one that they open.
const LEGACY_STRICT: u32 = 11;

impl MonitorSpec {
    /// How many requests one probe of it makes of a server that behaves: the longest sequence of
    /// the eras that it may speak, one page a list, one request a call and one more where the call
    /// may be asked for input. A probe that does not know the era yet asks for the newer one first,
    /// which is counted always. Servers that list on several pages or break streams get more, and
    /// so do those of 2024-11-05 before that is known.
    #[must_use]
    pub fn requests_per_probe(&self) -> u32 {
        let is_strict = u32::from(self.profile == Profile::Strict);
        let modern = MODERN + is_strict * MODERN_STRICT + u32::from(self.subscribe);
        let legacy = LEGACY + is_strict * LEGACY_STRICT;
        let sequence = match self.era {
            EraPolicy::Modern => modern,
            EraPolicy::Legacy => legacy,
            EraPolicy::Auto => modern.max(1 + legacy),
        };
        let calls = self.calls.iter();
        let calls: u32 = calls
            .map(|call| 1 + u32::from(!call.answers.is_empty()))
            .sum();
        // Few by their kind.
        let lists = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        let origins = u32::try_from(self.expect.origin.requests()).unwrap_or(u32::MAX);
        sequence + calls + lists + origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_probe_is_counted() {
        let table = [
            (r#"{"url":"https://x/mcp"}"#, 6),
            (r#"{"url":"https://x/mcp","era":"legacy"}"#, 5),
            (r#"{"url":"https://x/mcp","era":"modern"}"#, 2),
            (
                r#"{"url":"https://x/mcp","era":"modern","profile":"strict","subscribe":true}"#,
                13,
            ),
            (r#"{"url":"https://x/mcp","profile":"strict"}"#, 17),
            (
                r#"{"url":"https://x/mcp","expect":{"origin":{"refused":["https://evil.example"]}}}"#,
                7,
            ),
            (
                r#"{"url":"https://x/mcp","lists":["resources","prompts"],
                    "calls":[{"name":"a"},{"name":"b","answers":{"q":{"action":"accept"}}}]}"#,
                11,
            ),
        ];
        for (text, requests) in table {
            let spec: MonitorSpec = serde_json::from_str(text).unwrap();
            assert_eq!(spec.requests_per_probe(), requests, "{text}");
        }
    }
}
