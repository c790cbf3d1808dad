use super::*;
use proptest::prelude::*;
use serde_json::json;

/// RFC 8785 §3.2.2 and §3.2.4: the sample and its canonical form.
#[test]
fn the_sample_of_the_rfc() {
    let sample = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    let value: Value = serde_json::from_str(sample).unwrap();
    assert_eq!(text(&value), expected);
    assert_eq!(text(&plain(&value)), expected);
}

/// RFC 8785 §3.2.3: names are ordered by UTF-16 code units, not by code points.
#[test]
fn members_are_in_the_order_of_the_rfc() {
    let sample = r#"{ "\u20ac": "Euro Sign", "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis" }"#;
    let canonical = text(&serde_json::from_str(sample).unwrap());
    let order = [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ];
    let places = order.map(|name| canonical.find(name).unwrap());
    assert!(places.is_sorted(), "{canonical}");
}

/// RFC 8785 appendix B.
#[test]
fn numbers_are_written_as_in_the_table_of_the_rfc() {
    let table = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, expected) in table {
        let value = json!(f64::from_bits(bits));
        assert_eq!(text(&value), expected, "{bits:x}");
        assert_eq!(text(&plain(&value)), expected, "{bits:x}, canonical");
        let read: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(text(&read), expected, "{bits:x}, read back");
    }
}

/// What is equal, and what is not, by JSON Schema 2020-12.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn order_goes_where_it_has_no_meaning_and_stays_where_it_has() {
    let schema = |schema: Value| tool(&json!({ "name": "t", "inputSchema": schema }));
    let equal = [
        (
            json!({ "required": ["b", "a"] }),
            json!({ "required": ["a", "b"] }),
        ),
        (
            json!({ "enum": [1, "a", null] }),
            json!({ "enum": [null, 1.0, "a"] }),
        ),
        (
            json!({ "type": ["string", "null"] }),
            json!({ "type": ["null", "string"] }),
        ),
        (
            json!({ "anyOf": [{ "minimum": 1 }, true] }),
            json!({ "anyOf": [true, { "minimum": 1e0 }] }),
        ),
        (
            json!({ "properties": { "x": { "items": { "allOf": [{}, { "enum": [2, 1] }] } } } }),
            json!({ "properties": { "x": { "items": { "allOf": [{ "enum": [1, 2] }, {}] } } } }),
        ),
        (
            json!({ "dependentRequired": { "a": ["c", "b"] } }),
            json!({ "dependentRequired": { "a": ["b", "c"] } }),
        ),
        (
            json!({ "$defs": { "d": { "oneOf": [true, false] } }, "$ref": "#/$defs/d" }),
            json!({ "$defs": { "d": { "oneOf": [false, true] } }, "$ref": "#/$defs/d" }),
        ),
    ];
    for (one, other) in equal {
        assert_eq!(schema(one.clone()), schema(other), "{one}");
    }
    let different = [
        // Positions.
        (
            json!({ "prefixItems": [true, false] }),
            json!({ "prefixItems": [false, true] }),
        ),
        (
            json!({ "items": [true, false] }),
            json!({ "items": [false, true] }),
        ),
        // Data, in which a name means nothing.
        (
            json!({ "const": ["b", "a"] }),
            json!({ "const": ["a", "b"] }),
        ),
        (
            json!({ "default": { "required": ["b", "a"] } }),
            json!({ "default": { "required": ["a", "b"] } }),
        ),
        (
            json!({ "enum": [["b", "a"]] }),
            json!({ "enum": [["a", "b"]] }),
        ),
        (
            json!({ "properties": { "required": { "default": [2, 1] } } }),
            json!({ "properties": { "required": { "default": [1, 2] } } }),
        ),
        (
            json!({ "x-unknown": [2, 1] }),
            json!({ "x-unknown": [1, 2] }),
        ),
        // A reference that counts.
        (
            json!({ "anyOf": [true, false], "not": { "$ref": "#/anyOf/0" } }),
            json!({ "anyOf": [false, true], "not": { "$ref": "#/anyOf/0" } }),
        ),
        (
            json!({ "anyOf": [true, false], "not": { "$ref": "#/any%4ff/0" } }),
            json!({ "anyOf": [false, true], "not": { "$ref": "#/any%4ff/0" } }),
        ),
    ];
    for (one, other) in different {
        assert_ne!(schema(one.clone()), schema(other), "{one}");
    }
    let outside = |value: Value| tool(&json!({ "name": "t", "_meta": { "required": value } }));
    assert_ne!(outside(json!(["b", "a"])), outside(json!(["a", "b"])));
}

proptest! {
    /// The canonical form is one: made again, and read back from its text, it stays.
    #[test]
    fn the_form_is_a_fixed_point(value in crate::arbitrary::json()) {
        let formed = tool(&json!({ "name": "t", "inputSchema": value }));
        prop_assert_eq!(&tool(&formed), &formed);
        let read: Value = serde_json::from_str(&text(&formed)).unwrap();
        prop_assert_eq!(tool(&read), formed);
    }

    /// The order is total, and equal is only what is the same.
    #[test]
    fn the_order_is_an_order(
        one in crate::arbitrary::json(),
        other in crate::arbitrary::json(),
    ) {
        let (one, other) = (plain(&one), plain(&other));
        prop_assert_eq!(order(&one, &other), order(&other, &one).reverse());
        prop_assert_eq!(order(&one, &other).is_eq(), one == other);
    }
}
