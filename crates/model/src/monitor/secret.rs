//! Values that are taken and never shown again.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is shown instead of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// A value that is taken and never shown again.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    /// What is no text is not repeated by the error.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if let serde_json::Value::String(text) = serde_json::Value::deserialize(from)? {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom("is no text; put it into quotes"))
    }
}

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it is what is shown instead of a secret, and so none.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.0 == HIDDEN
    }

    /// The value, for the one who needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use crate::MonitorSpec;

    #[test]
    fn secrets_are_taken_and_not_given() {
        let spec = r#"{"url":"https://x/","headers":{"authorization":"Bearer s3cret"}}"#;
        let spec: MonitorSpec = serde_json::from_str(spec).unwrap();
        assert_eq!(spec.headers["authorization"].expose(), "Bearer s3cret");
        let shown = format!("{spec:?}{}", serde_json::to_string(&spec).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        let spec = r#"{"url":"https://x/","headers":{"authorization":4711}}"#;
        let error = serde_json::from_str::<MonitorSpec>(spec).unwrap_err();
        assert!(!error.to_string().contains("4711"), "{error}");
    }
}
