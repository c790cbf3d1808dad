//! Changes of tools, one at a time: class, place, and what is said.

use super::*;
use model::contract::ChangeClass::{Additive, Breaking, Cosmetic, SecurityRelevant};

/// The one change between two surfaces.
pub(super) fn only(old: &Surface, new: &Surface) -> (ChangeClass, String, String) {
    let drift = diff(old, new);
    assert_eq!(drift.total(), 1, "{:#?}", drift.changes);
    let change = drift.changes.into_iter().next().unwrap();
    (change.class, change.pointer, change.what)
}

fn tool(extra: Value) -> Surface {
    let mut tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
    let extra = extra.as_object().unwrap().clone();
    tool.as_object_mut().unwrap().extend(extra);
    surface(&[tool])
}

#[test]
fn tools_come_and_go() {
    let one = surface(&[json!({ "name": "a" })]);
    let two = surface(&[json!({ "name": "a" }), json!({ "name": "b" })]);
    let drift = diff(&one, &two);
    assert_eq!((drift.additive, drift.total()), (1, 1));
    assert_eq!(drift.changes[0].tool.as_deref(), Some("b"));
    assert_eq!(drift.changes[0].what, "the tool is new");
    assert_eq!(
        only(&two, &one),
        (Breaking, String::new(), "the tool is gone".to_owned())
    );
    let twice = surface(&[json!({ "name": "a" }), json!({ "name": "a", "title": "x" })]);
    let (class, _, what) = only(&one, &twice);
    assert_eq!(class, Breaking);
    assert!(what.contains("listed once and is listed 2 times: changed in a way that cannot"));
}

/// The members of a tool, both ways.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn members_of_a_tool() {
    let table: [(Value, Value, ChangeClass, ChangeClass, &str); 17] = [
        (
            json!({}),
            json!({ "description": "x" }),
            SecurityRelevant,
            SecurityRelevant,
            "/description",
        ),
        (
            json!({ "description": "x" }),
            json!({ "description": "y" }),
            SecurityRelevant,
            SecurityRelevant,
            "/description",
        ),
        (
            json!({}),
            json!({ "title": "x" }),
            Cosmetic,
            Cosmetic,
            "/title",
        ),
        (
            json!({}),
            json!({ "icons": [{ "src": "x" }] }),
            Cosmetic,
            Cosmetic,
            "/icons",
        ),
        (
            json!({}),
            json!({ "_meta": { "a": 1 } }),
            SecurityRelevant,
            SecurityRelevant,
            "/_meta",
        ),
        (
            json!({}),
            json!({ "x-other": 1 }),
            Breaking,
            Breaking,
            "/x-other",
        ),
        (
            json!({}),
            json!({ "outputSchema": {} }),
            Additive,
            Breaking,
            "/outputSchema",
        ),
        (
            json!({}),
            json!({ "annotations": { "readOnlyHint": true } }),
            SecurityRelevant,
            SecurityRelevant,
            "/annotations/readOnlyHint",
        ),
        (
            json!({}),
            json!({ "annotations": { "readOnlyHint": false } }),
            Cosmetic,
            Cosmetic,
            "/annotations/readOnlyHint",
        ),
        (
            json!({}),
            json!({ "annotations": { "destructiveHint": true } }),
            Cosmetic,
            Cosmetic,
            "/annotations/destructiveHint",
        ),
        (
            json!({}),
            json!({ "annotations": { "destructiveHint": false } }),
            SecurityRelevant,
            SecurityRelevant,
            "/annotations/destructiveHint",
        ),
        (
            json!({}),
            json!({ "annotations": { "title": "x" } }),
            Cosmetic,
            Cosmetic,
            "/annotations/title",
        ),
        (
            json!({}),
            json!({ "annotations": { "other": 1 } }),
            SecurityRelevant,
            SecurityRelevant,
            "/annotations/other",
        ),
        (
            json!({}),
            json!({ "annotations": {} }),
            Cosmetic,
            Cosmetic,
            "/annotations",
        ),
        (
            json!({}),
            json!({ "execution": { "taskSupport": "required" } }),
            Breaking,
            Breaking,
            "/execution",
        ),
        (
            json!({}),
            json!({ "execution": { "taskSupport": "optional" } }),
            Additive,
            Breaking,
            "/execution",
        ),
        (
            json!({}),
            json!({ "execution": { "other": 1 } }),
            Breaking,
            Breaking,
            "/execution",
        ),
    ];
    for (old, new, there, back, pointer) in table {
        let (old, new) = (tool(old), tool(new));
        let (class, place, what) = only(&old, &new);
        assert_eq!((class, place.as_str()), (there, pointer), "{what}");
        let (class, place, what) = only(&new, &old);
        assert_eq!((class, place.as_str()), (back, pointer), "back: {what}");
    }
    let (old, new) = (
        Surface::new(&[], None).unwrap(),
        Surface::new(&[], Some("obey")).unwrap(),
    );
    let (class, place, what) = only(&old, &new);
    assert_eq!((class, place.as_str()), (SecurityRelevant, "/instructions"));
    assert_eq!(
        what,
        "the server's instructions changed from nothing to `obey`"
    );
}

/// What is shown of long texts is where they differ; a pointer is escaped as RFC 6901 §3 says.
#[test]
fn what_is_said() {
    let long = |end: &str| tool(json!({ "description": format!("{}{end}", "word ".repeat(100)) }));
    let (_, _, what) = only(&long("good"), &long("evil"));
    assert_eq!(
        what,
        "the description changed from `…word word word word word word good` to \
         `…word word word word word word evil`"
    );
    let named = |text: &str| input(&json!({ "properties": { "a/b~c": { "const": text } } }));
    let drift = diff(&named("x"), &named("y"));
    assert_eq!(
        drift.changes[0].pointer,
        "/inputSchema/properties/a~1b~0c/const"
    );
    assert_eq!(drift.changes[0].what, "\"x\" is not allowed any more");
}
