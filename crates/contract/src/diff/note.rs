//! Changes as they are found: where, what, how bad; bounded.

use model::contract::{Change, ChangeClass, Drift};
use serde_json::Value;

use crate::limits::{MAX_CHANGES, MAX_POINTER_CHARS, MAX_WHAT_CHARS};

/// Characters that are shown of each side of a changed text.
const SHOWN: usize = 90;
/// Of those, how many lie before the first difference.
const LEAD: usize = 30;

/// Who has to live with what a schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// The client writes what the schema describes: narrower breaks it.
    Input,
    /// The client reads what the schema describes: wider breaks it.
    Output,
    /// Neither can be told: under `oneOf`, or where references lead anywhere.
    Unclear,
}

impl Sense {
    /// The sense under `not`.
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Input => Self::Output,
            Self::Output => Self::Input,
            Self::Unclear => Self::Unclear,
        }
    }
}

/// What a change does to the set of values that a schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Fewer values than before.
    Narrower,
    /// More values than before.
    Wider,
}

/// The changes found so far, and where the comparison is.
#[derive(Debug, Default)]
pub(super) struct Notes {
    tool: Option<String>,
    path: Vec<String>,
    found: [Found; ChangeClass::ALL.len()],
    total: u64,
}

#[derive(Debug, Default)]
struct Found {
    count: u32,
    changes: Vec<Change>,
}

impl Notes {
    /// What follows is about this tool.
    pub(super) fn of_tool(&mut self, name: &str) {
        self.tool = Some(model::text::line(name, 128));
    }

    /// Compares something below: a member, or an element by its number.
    pub(super) fn at(&mut self, member: &str, compare: impl FnOnce(&mut Self)) {
        self.path.push(member.replace('~', "~0").replace('/', "~1"));
        compare(self);
        self.path.pop();
    }

    /// How many changes were found so far, listed or not.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// How deep the comparison is, in members of the tool.
    pub(super) fn depth(&self) -> usize {
        self.path.len()
    }

    /// A change here.
    pub(super) fn add(&mut self, class: ChangeClass, what: &str) {
        self.total += 1;
        let found = &mut self.found[class as usize];
        found.count = found.count.saturating_add(1);
        if found.changes.len() < MAX_CHANGES {
            let pointer: String = self.path.iter().flat_map(|part| ["/", part]).collect();
            found.changes.push(Change {
                class,
                tool: self.tool.clone(),
                pointer: model::text::line(&pointer, MAX_POINTER_CHARS),
                what: model::text::line(what, MAX_WHAT_CHARS),
            });
        }
    }

    /// A change of what a schema allows.
    pub(super) fn turn(&mut self, sense: Sense, effect: Effect, what: &str) {
        match (sense, effect) {
            (Sense::Input, Effect::Narrower) | (Sense::Output, Effect::Wider) => {
                self.add(ChangeClass::Breaking, what);
            }
            (Sense::Input, Effect::Wider) | (Sense::Output, Effect::Narrower) => {
                self.add(ChangeClass::Additive, what);
            }
            (Sense::Unclear, _) => self.unjudged(what),
        }
    }

    /// A change whose meaning nobody here can tell, which is why it counts as the worst.
    pub(super) fn unjudged(&mut self, what: &str) {
        // The judgement stands even where the sentence is cut.
        let room = MAX_WHAT_CHARS - 60;
        let what = model::text::line(what, room);
        let whole = format!("{what}: changed in a way that cannot be judged");
        self.add(ChangeClass::Breaking, &whole);
    }

    /// A changed text that a model reads.
    pub(super) fn reworded(&mut self, what: &str, old: &str, new: &str) {
        let (old, new) = excerpts(old, new);
        let text = format!("{what} changed from {old} to {new}");
        self.add(ChangeClass::SecurityRelevant, &text);
    }

    /// Everything, worst first.
    pub(super) fn drift(self) -> Drift {
        let count = |class: ChangeClass| self.found[class as usize].count;
        Drift {
            breaking: count(ChangeClass::Breaking),
            security_relevant: count(ChangeClass::SecurityRelevant),
            additive: count(ChangeClass::Additive),
            cosmetic: count(ChangeClass::Cosmetic),
            changes: self
                .found
                .into_iter()
                .flat_map(|found| found.changes)
                .collect(),
        }
    }
}

/// A value in a few words: its JSON text, cut.
pub(super) fn shown(value: &Value) -> String {
    model::text::line(&value.to_string(), 60)
}

/// Both texts where they begin to differ.
fn excerpts(old: &str, new: &str) -> (String, String) {
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(old, new)| old == new)
        .count();
    let skipped = same.saturating_sub(LEAD);
    let of = |text: &str| {
        if text.is_empty() {
            return "nothing".to_owned();
        }
        let tail: String = text.chars().skip(skipped).take(SHOWN + 1).collect();
        let lead = if skipped > 0 { "…" } else { "" };
        format!("`{lead}{}`", model::text::line(&tail, SHOWN))
    };
    (of(old), of(new))
}
