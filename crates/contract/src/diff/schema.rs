//! Two schemas, keyword by keyword.
//!
//! A schema is the conjunction of its keywords. So where every changed keyword allows no less than
//! before, the schema allows no less; and the other way round. Keywords that depend on each other
//! are compared together.

use model::contract::ChangeClass;
use serde_json::{Map, Value, json};

use super::defined::Plan;
use super::note::{Effect, Notes, Sense};
use super::{combined, object, size, tool, value};

/// Compares two schemas. Where anything differs, at least one change is noted.
pub(super) fn compare(notes: &mut Notes, plan: &Plan, old: &Value, new: &Value, sense: Sense) {
    if old == new {
        return;
    }
    let before = notes.total();
    let none = Map::new();
    match (members(old, &none), members(new, &none)) {
        (Some(old), Some(new)) => keywords(notes, plan, old, new, sense),
        (None, Some(_)) if *old == Value::Bool(false) => {
            notes.turn(sense, Effect::Wider, "values are allowed where none was");
        }
        (Some(_), None) if *new == Value::Bool(false) => {
            notes.turn(sense, Effect::Narrower, "no value is allowed any more");
        }
        _ => notes.unjudged("what should be a schema"),
    }
    if notes.total() == before {
        notes.add(
            ChangeClass::Cosmetic,
            "is written differently and means the same",
        );
    }
}

/// Compares two schemas of which either may be absent: then everything is allowed.
pub(super) fn compare_or_open(
    notes: &mut Notes,
    plan: &Plan,
    old: Option<&Value>,
    new: Option<&Value>,
    sense: Sense,
) {
    let open = Value::Bool(true);
    compare(
        notes,
        plan,
        old.unwrap_or(&open),
        new.unwrap_or(&open),
        sense,
    );
}

/// The keywords of a schema; `true` has none.
fn members<'v>(schema: &'v Value, none: &'v Map<String, Value>) -> Option<&'v Map<String, Value>> {
    if *schema == Value::Bool(true) {
        return Some(none);
    }
    schema.as_object()
}

/// Two schemas that are compared, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'v> {
    pub(super) plan: &'v Plan,
    pub(super) old: &'v Map<String, Value>,
    pub(super) new: &'v Map<String, Value>,
    pub(super) sense: Sense,
}

impl<'v> Pair<'v> {
    /// A keyword's values.
    pub(super) fn of(&self, keyword: &str) -> (Option<&'v Value>, Option<&'v Value>) {
        (self.old.get(keyword), self.new.get(keyword))
    }

    /// Whether a keyword differs.
    pub(super) fn differs(&self, keyword: &str) -> bool {
        self.old.get(keyword) != self.new.get(keyword)
    }

    /// Compares a keyword that holds a schema, where absent means that everything is allowed.
    pub(super) fn below(&self, notes: &mut Notes, keyword: &str) {
        let (old, new) = self.of(keyword);
        if old != new {
            notes.at(keyword, |notes| {
                compare_or_open(notes, self.plan, old, new, self.sense);
            });
        }
    }

    /// What is noted of a keyword that nobody here can judge.
    pub(super) fn unjudged(&self, notes: &mut Notes, keyword: &str) {
        notes.at(keyword, |notes| {
            notes.unjudged(&format!("`{}`", model::text::line(keyword, 64)));
        });
    }
}

fn keywords(
    notes: &mut Notes,
    plan: &Plan,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    sense: Sense,
) {
    let pair = Pair {
        plan,
        old,
        new,
        sense,
    };
    words(notes, &pair);
    if combined::lifted(notes, &pair) {
        return;
    }
    value::compare(notes, &pair);
    size::compare(notes, &pair);
    object::compare(notes, &pair);
    combined::compare(notes, &pair);
    definitions(notes, &pair);
    for (keyword, _, _) in tool::changed(old, new) {
        if !is_judged(keyword) {
            pair.unjudged(notes, keyword);
        }
    }
}

/// Keywords that only describe. A model reads the whole schema, so all of them are its input.
pub(super) const WORDS: [&str; 6] = [
    "title",
    "description",
    "$comment",
    "examples",
    "default",
    "x-mcp-header",
];

fn words(notes: &mut Notes, pair: &Pair<'_>) {
    for keyword in WORDS.into_iter().filter(|word| pair.differs(word)) {
        let (old, new) = pair.of(keyword);
        let what = match keyword {
            // The value of the argument goes into a header, for everybody on the way to read.
            "x-mcp-header" => "the header that carries the argument",
            "title" => "the title that a model reads",
            "description" => "the description",
            "default" => "the default",
            "examples" => "the examples",
            _ => "the comment",
        };
        notes.at(keyword, |notes| tool::text(notes, what, old, new));
    }
    if pair.differs("deprecated") {
        notes.at("deprecated", |notes| {
            notes.add(
                ChangeClass::Cosmetic,
                "the mark of what is deprecated changed",
            );
        });
    }
}

/// Whether a keyword is compared by one of the modules here.
fn is_judged(keyword: &str) -> bool {
    WORDS.contains(&keyword)
        || keyword == "deprecated"
        || value::KEYWORDS.contains(&keyword)
        || size::KEYWORDS.contains(&keyword)
        || object::KEYWORDS.contains(&keyword)
        || combined::KEYWORDS.contains(&keyword)
        || matches!(keyword, "$defs" | "definitions")
}

/// Definitions are compared as if they stood where they are used: see [`super::defined`].
fn definitions(notes: &mut Notes, pair: &Pair<'_>) {
    for keyword in ["$defs", "definitions"] {
        let (old, new) = pair.of(keyword);
        if old == new {
            continue;
        }
        let none = json!({});
        let (Value::Object(old), Value::Object(new)) = (old.unwrap_or(&none), new.unwrap_or(&none))
        else {
            pair.unjudged(notes, keyword);
            continue;
        };
        let is_root = notes.depth() == pair.plan.depth;
        notes.at(keyword, |notes| {
            for (name, old, new) in tool::changed(old, new) {
                let used = format!("#/{keyword}/{}", name.replace('~', "~0").replace('/', "~1"));
                let is_used = !is_root || pair.plan.references.contains(&used);
                notes.at(name, |notes| match (old, new) {
                    (Some(old), Some(new)) => compare(notes, pair.plan, old, new, pair.sense),
                    (None, _) if !is_root => notes.unjudged("a definition"),
                    (None, _) => notes.add(ChangeClass::Additive, "the definition is new"),
                    (Some(_), None) if is_used => {
                        notes.unjudged("a definition that is referred to")
                    }
                    (Some(_), None) => notes.add(
                        ChangeClass::Cosmetic,
                        "the definition is gone, and nothing refers to it",
                    ),
                });
            }
        });
    }
}
