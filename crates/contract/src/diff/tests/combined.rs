//! Changes in combinations and definitions, one at a time.

use super::tool::only;
use super::*;
use model::contract::ChangeClass::{Additive, Breaking, Cosmetic, SecurityRelevant};

/// Members of combinations are found again by what they are, not by where they stand.
#[test]
fn combinations() {
    let any = |members: Value| json!({ "properties": { "a": { "anyOf": members } } });
    let (text, number, nil) = (
        json!({ "type": "string" }),
        json!({ "type": "number" }),
        json!({ "type": "null" }),
    );
    let named = |text: &str| json!({ "type": "string", "description": text });
    let table = [
        (
            any(json!([text, nil])),
            any(json!([nil, text, number])),
            Additive,
            "/anyOf/1",
        ),
        (
            any(json!([text, nil, number])),
            any(json!([nil, text])),
            Breaking,
            "/anyOf/1",
        ),
        (
            any(json!([named("x"), nil, number])),
            any(json!([nil, named("y"), number])),
            SecurityRelevant,
            "/anyOf/0/description",
        ),
        // What may be absent now, as generators write it.
        (
            json!({ "properties": { "a": text } }),
            any(json!([text, nil])),
            Additive,
            "/anyOf/0",
        ),
        (
            any(json!([text, nil])),
            json!({ "properties": { "a": text } }),
            Breaking,
            "/anyOf/0",
        ),
    ];
    for (old, new, expected, place) in table {
        let (class, pointer, what) = only(&input(&old), &input(&new));
        assert_eq!(class, expected, "{old} to {new}: {what}");
        assert_eq!(
            pointer,
            format!("/inputSchema/properties/a{place}"),
            "{what}"
        );
    }
    let one = |members: Value| input(&json!({ "oneOf": members }));
    let (class, _, what) = only(&one(json!([text])), &one(json!([text, nil])));
    assert_eq!(class, Breaking);
    assert!(
        what.ends_with("changed in a way that cannot be judged"),
        "{what}"
    );
    let not = |schema: Value| input(&json!({ "not": schema }));
    assert_eq!(
        only(&not(number.clone()), &not(json!({ "type": "integer" }))).0,
        Additive
    );
    assert_eq!(
        only(&not(json!({ "type": "integer" })), &not(number)).0,
        Breaking
    );
}

/// A definition is judged where it stands, unless somebody turns it round.
#[test]
fn definitions() {
    let defined = |definition: Value, user: Value| {
        let mut schema = json!({ "$defs": { "d": definition } });
        schema
            .as_object_mut()
            .unwrap()
            .extend(user.as_object().unwrap().clone());
        input(&schema)
    };
    let used = || json!({ "properties": { "a": { "$ref": "#/$defs/d" } } });
    let turned = || json!({ "properties": { "a": { "not": { "$ref": "#/$defs/d" } } } });
    let (wide, narrow) = (json!({ "type": "number" }), json!({ "type": "integer" }));
    let change = |user: fn() -> Value, old: &Value, new: &Value| {
        only(&defined(old.clone(), user()), &defined(new.clone(), user()))
    };
    let (class, pointer, _) = change(used, &wide, &narrow);
    assert_eq!(
        (class, pointer.as_str()),
        (Breaking, "/inputSchema/$defs/d/type")
    );
    assert_eq!(change(used, &narrow, &wide).0, Additive);
    for (old, new) in [(&wide, &narrow), (&narrow, &wide)] {
        let (class, _, what) = change(turned, old, new);
        assert_eq!(class, Breaking);
        assert!(what.ends_with("cannot be judged"), "{what}");
    }
    let words = |text: &str| json!({ "type": "number", "description": text });
    assert_eq!(change(turned, &words("x"), &words("y")).0, SecurityRelevant);

    let bare = |user: Value| input(&user);
    let lone = json!({ "properties": {} });
    assert_eq!(
        only(&defined(wide.clone(), lone.clone()), &bare(lone.clone())).0,
        Cosmetic
    );
    assert_eq!(
        only(&bare(lone.clone()), &defined(wide.clone(), lone)).0,
        Additive
    );
    assert_eq!(only(&defined(wide, used()), &bare(used())).0, Breaking);
}
