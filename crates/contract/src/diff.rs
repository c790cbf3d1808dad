//! What changed between two surfaces, judged from the side of a client whose model calls the tools.
//!
//! | change | class |
//! |---|---|
//! | a tool is gone; arguments that were right are refused; a result may be what was ruled out | breaking |
//! | a text that a model reads, annotations, instructions, `x-mcp-header`, `_meta` | security-relevant |
//! | a new tool, a new optional argument, arguments accepted that were refused | additive |
//! | title and icons of a tool, another way to write the same thing | cosmetic |
//! | anything else | breaking, "in a way that cannot be judged" |

mod combined;
mod defined;
mod note;
mod object;
mod schema;
mod size;
mod tool;
mod value;

use std::collections::BTreeMap;

use model::contract::{ChangeClass, Drift};
use serde_json::Value;

use crate::surface::{self, Surface};
use note::Notes;

/// What changed from `old` to `new`, worst first; empty exactly if their fingerprints are equal.
#[must_use]
pub fn diff(old: &Surface, new: &Surface) -> Drift {
    let mut notes = Notes::default();
    if old.instructions() != new.instructions() {
        notes.at("instructions", |notes| {
            let old = old.instructions().unwrap_or_default();
            let new = new.instructions().unwrap_or_default();
            notes.reworded("the server's instructions", old, new);
        });
    }
    let (before, after) = (by_name(old), by_name(new));
    let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        notes.of_tool(name);
        match (before.get(name), after.get(name)) {
            (old, new) if old == new => {}
            (None, _) => notes.add(ChangeClass::Additive, "the tool is new"),
            (_, None) => notes.add(ChangeClass::Breaking, "the tool is gone"),
            (Some(old), Some(new)) => match (&old[..], &new[..]) {
                ([old], [new]) => tool::compare(&mut notes, old, new),
                (old, new) => notes.unjudged(&format!(
                    "the name was listed {} and is listed {}",
                    times(old.len()),
                    times(new.len())
                )),
            },
        }
    }
    notes.drift()
}

fn by_name(surface: &Surface) -> BTreeMap<&str, Vec<&Value>> {
    let mut named: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for tool in surface.tools() {
        named.entry(surface::name(tool)).or_default().push(tool);
    }
    named
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests;
