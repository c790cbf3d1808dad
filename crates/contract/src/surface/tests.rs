use super::*;

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// The digests are those of Python's hashlib over text that was written by hand.
#[test]
fn the_fingerprint_is_that_of_the_canonical_text() {
    let none = Surface::new(&[], None).unwrap();
    let expected = "sha256:fe2f3b4ef49492d81cb350fb689bf9f9dff6cfd1817d72d6ff9fe3350e3d5e6a";
    assert_eq!(none.fingerprint(), expected, "{{\"tools\":[]}}");

    let tools = [
        json!({ "name": "echo", "inputSchema": { "type": "object" }, "description": "\u{20ac}" }),
        json!({ "name": "add", "inputSchema": { "type": "object", "required": ["b", "a"],
            "properties": { "b": { "maximum": 1.50 }, "a": { "type": ["string", "null"] } } } }),
    ];
    // {"instructions":"Be \"kind\"","tools":[{"inputSchema":{"properties":{"a":{"type":["null",
    // "string"]},"b":{"maximum":1.5}},"required":["a","b"],"type":"object"},"name":"add"},
    // {"description":"€","inputSchema":{"type":"object"},"name":"echo"}]}
    let some = Surface::new(&tools, Some("Be \"kind\"")).unwrap();
    let expected = "sha256:08744a11a2247ce2a5175c5edf9e3cae27fd4231d821037572ba85f3bce70474";
    assert_eq!(some.fingerprint(), expected);
    assert_ne!(Surface::new(&tools, None).unwrap().fingerprint(), expected);
}

#[test]
fn what_is_no_surface_or_too_much_is_refused_whole() {
    let of = |tools: &[Value]| Surface::new(tools, None).map(|surface| surface.tools().len());
    let tool = |extra: Value| json!({ "name": "t", "x": extra });
    assert_eq!(
        of(&[json!({ "name": "t" }), json!({})]),
        Err(Unfit::Nameless(1))
    );
    assert_eq!(of(&[json!({ "name": 1 })]), Err(Unfit::Nameless(0)));
    assert_eq!(of(&[json!("t")]), Err(Unfit::Nameless(0)));
    assert_eq!(of(&[tool(nested(MAX_DEPTH - 1))]), Ok(1));
    assert_eq!(of(&[tool(nested(MAX_DEPTH))]), Err(Unfit::TooDeep(0)));
    let many = vec![tool(json!(0)); MAX_TOOLS];
    assert_eq!(of(&many), Ok(MAX_TOOLS));
    assert_eq!(
        of(&[&many[..], &[tool(json!(0))]].concat()),
        Err(Unfit::TooLarge)
    );
    let long = "x".repeat(MAX_SURFACE_BYTES);
    assert_eq!(of(&[tool(json!(long))]), Err(Unfit::TooLarge));
    assert_eq!(Surface::new(&[], Some(&long)).unwrap_err(), Unfit::TooLarge);
}
