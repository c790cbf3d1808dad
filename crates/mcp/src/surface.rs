//! The tools as the server wrote them, over all pages: what a contract is made of.
//!
//! Collected only where the plan asks, because a tree in memory is several times its text, and an
//! agent has many probes in flight.

use serde_json::Value;

use crate::limits::{MAX_BODY_BYTES, MAX_TOOLS};
use model::json;

/// What a complete `tools/list` brought, untouched and untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Everything that a client's model gets to read.
    Whole {
        /// The tool objects in the order of the server; none where it announces no tools.
        tools: Vec<Value>,
        /// `instructions` of `server/discover` or `initialize`.
        instructions: Option<String>,
    },
    /// It is more than is kept: over all pages, more than the text or the tree of one answer may
    /// be.
    TooLarge,
}

/// A listing in the making.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    instructions: Option<String>,
    tools: Vec<Value>,
    bytes: usize,
    cost: u32,
    is_cut: bool,
}

impl Collector {
    /// Takes the instructions of a `server/discover` or `initialize` result.
    pub(crate) fn greet(&mut self, result: &Value) {
        let instructions = result.get("instructions").and_then(Value::as_str);
        self.instructions = instructions.map(str::to_owned);
    }

    /// Takes the tools of a page that was checked.
    pub(crate) fn page(&mut self, result: &Value) {
        let tools = result.get("tools").and_then(Value::as_array);
        for tool in tools.into_iter().flatten() {
            let (cost, bytes) = json::weight(tool);
            self.cost = self.cost.saturating_add(cost);
            self.bytes = self.bytes.saturating_add(bytes);
            let fits = self.cost <= json::BUDGET && self.bytes <= MAX_BODY_BYTES;
            if self.is_cut || !fits || self.tools.len() == MAX_TOOLS {
                self.is_cut = true;
                self.tools = Vec::new();
                return;
            }
            self.tools.push(tool.clone());
        }
    }

    /// The list has come to its end.
    pub(crate) fn complete(&mut self) -> Listing {
        let Self {
            instructions,
            tools,
            is_cut,
            ..
        } = std::mem::take(self);
        if is_cut {
            return Listing::TooLarge;
        }
        Listing::Whole {
            tools,
            instructions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listing(pages: &[Value]) -> Listing {
        let mut collector = Collector::default();
        for page in pages {
            collector.page(page);
        }
        collector.complete()
    }

    #[test]
    fn pages_follow_each_other_untouched() {
        let page = |names: &[&str]| {
            let tools = names.iter().map(|name| json!({ "name": name, "x": [1.5] }));
            json!({ "tools": tools.collect::<Vec<_>>() })
        };
        let found = listing(&[page(&["b", "a"]), page(&["c"])]);
        let Listing::Whole { tools, .. } = found else {
            panic!("{found:?}");
        };
        let names: Vec<_> = tools.iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(tools[0]["x"], json!([1.5]));
    }

    /// Each page is within the bounds of one answer; together they would be a hundred times that.
    #[test]
    fn what_is_too_much_over_all_pages_is_not_kept() {
        let text = json!({ "tools": [{ "name": "x".repeat(MAX_BODY_BYTES / 3) }] });
        assert!(matches!(
            listing(&[text.clone(), text.clone()]),
            Listing::Whole { .. }
        ));
        let pages = vec![text; 4];
        assert_eq!(listing(&pages), Listing::TooLarge);
        let tree = json!({ "tools": [{ "name": "a", "x": vec![0; json::BUDGET as usize / 2] }] });
        assert_eq!(listing(&[tree.clone(), tree.clone()]), Listing::TooLarge);
        let few = json!({ "tools": [{ "name": "a" }] });
        assert_eq!(listing(&[tree.clone(), tree, few]), Listing::TooLarge);
    }
}
