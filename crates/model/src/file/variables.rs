//! Placeholders in texts: `${NAME}`, `${NAME:-default}`, and `$${` for a `${` that is meant so.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::monitor::FieldError;

/// The longest text after its placeholders were replaced.
const MAX_TEXT_BYTES: usize = super::MAX_MONITOR_BYTES;

/// Replaces placeholders, and remembers which variables it took.
pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    used: BTreeSet<String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            used: BTreeSet::new(),
        }
    }

    /// Replaces in every text of a value; the variables that it took, sorted.
    pub(super) fn fill(
        &mut self,
        pointer: &str,
        value: &mut Value,
        problems: &mut Vec<FieldError>,
    ) -> Vec<String> {
        self.used.clear();
        self.walk(pointer, value, problems);
        std::mem::take(&mut self.used).into_iter().collect()
    }

    fn walk(&mut self, pointer: &str, value: &mut Value, problems: &mut Vec<FieldError>) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => match self.replaced(text) {
                Ok(Some(new)) => *text = new,
                Ok(None) => {}
                Err(detail) => problems.push(FieldError::new(pointer, detail)),
            },
            Value::Array(list) => {
                for (n, value) in list.iter_mut().enumerate() {
                    self.walk(&format!("{pointer}/{n}"), value, problems);
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let pointer = format!("{pointer}{}", super::pointer_to(name));
                    self.walk(&pointer, value, problems);
                }
            }
        }
    }

    /// The text with its placeholders replaced; none where it has none.
    fn replaced(&mut self, text: &str) -> Result<Option<String>, String> {
        if !text.contains("${") {
            return Ok(None);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((inside, after)) = after.split_once('}') else {
                return Err("a `${` has no `}`; write ${NAME}, or $${ for the text itself".into());
            };
            out.push_str(&self.value(inside)?);
            if out.len() > MAX_TEXT_BYTES {
                return Err(format!(
                    "with its variables more than {MAX_TEXT_BYTES} bytes"
                ));
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Some(out))
    }

    fn value(&mut self, inside: &str) -> Result<String, String> {
        // Some clients write so for the same.
        let inside = inside.strip_prefix("env:").unwrap_or(inside);
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !begins || !name.bytes().all(legal) {
            let shown = crate::text::line(name, 64);
            return Err(format!(
                "`{shown}` is no name of a variable; write ${{NAME}} or ${{NAME:-default}}, or $${{ for the text itself"
            ));
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err(format!(
                "the default of {name} cannot have a placeholder itself"
            ));
        }
        self.used.insert(name.to_owned());
        // An empty credential would be sent, refused, and look like the target's fault.
        let found = (self.lookup)(name).filter(|found| !found.is_empty());
        found.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
            format!("the variable {name} is not set; set it, or write a default as ${{{name}:-…}}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "T" => Some("s3cret".to_owned()),
            "NESTED" => Some("${T}".to_owned()),
            "EMPTY" => Some(String::new()),
            "LONG" => Some("x".repeat(40_000)),
            _ => None,
        };
        let mut problems = Vec::new();
        let mut value = Value::from(text);
        Variables::new(&lookup).fill("/url", &mut value, &mut problems);
        match problems.pop() {
            Some(problem) => Err(problem.detail),
            None => Ok(value.as_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn placeholders_are_replaced_once() {
        let table = [
            ("plain $ $T {T}", "plain $ $T {T}"),
            ("Bearer ${T}", "Bearer s3cret"),
            ("${T}-${T}", "s3cret-s3cret"),
            ("${env:T}", "s3cret"),
            ("${NESTED}", "${T}"),
            ("$${T}", "${T}"),
            ("$$${T}", "$${T}"),
            ("${NOPE:-a:-b}", "a:-b"),
            ("${EMPTY:-x}", "x"),
            ("${T:-x}", "s3cret"),
            ("${NOPE:-}", ""),
        ];
        for (text, expected) in table {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_an_error_that_names_it() {
        let table = [
            ("${NOPE}", "the variable NOPE is not set"),
            ("${EMPTY}", "the variable EMPTY is not set"),
            ("a ${T", "has no `}`"),
            ("${}", "is no name of a variable"),
            ("${input:token}", "`input:token` is no name"),
            ("${NOPE:-${T}}", "the default of NOPE"),
            ("${LONG}${LONG}", "more than 65536 bytes"),
        ];
        for (text, expected) in table {
            let problem = filled(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
