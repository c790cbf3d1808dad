//! A spec as somebody would write it.

use serde_json::{Map, Value};

use super::{MonitorSpec, Secret};

impl MonitorSpec {
    /// The spec as JSON **with its secrets**, for the one who may have them. What has its default
    /// is absent, so that a coordinator that does not know a newer field takes the spec all the same.
    #[must_use]
    pub fn written(&self) -> Value {
        let plain = Self::new(self.url.clone());
        let (Ok(Value::Object(ours)), Ok(Value::Object(defaults))) =
            (serde_json::to_value(self), serde_json::to_value(&plain))
        else {
            // A spec is always an object.
            return Value::Null;
        };
        let differs =
            |(name, value): &(String, Value)| name == "url" || defaults.get(name) != Some(value);
        let mut written: Map<String, Value> = ours.into_iter().filter(differs).collect();
        if let Some(Value::Object(headers)) = written.get_mut("headers") {
            for (name, value) in headers {
                let secret = self.headers.get(name).map(Secret::expose);
                *value = secret.unwrap_or_default().into();
            }
        }
        if let (Some(shown), Some(ours)) = (written.get_mut("authorization"), &self.authorization) {
            *shown = ours.written();
        }
        Value::Object(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same_spec() {
        let full = r#"{"url":"https://x/mcp","interval":"2m","headers":{"a":"s3cret"},
            "authorization":{"grant":"client_credentials","client_id":"c","client_secret":"s4cret"},
            "credential_expires_at":"2027-01-01T00:00:00Z",
            "regions":["eu"],"calls":[{"name":"t"}],"severities":{"http.notif_202":"degrade"}}"#;
        for text in [full, r#"{"url":"https://x/mcp"}"#] {
            let spec: MonitorSpec = serde_json::from_str(text).unwrap();
            let written = spec.written();
            assert_eq!(
                serde_json::from_value::<MonitorSpec>(written).unwrap(),
                spec
            );
        }
        let plain: MonitorSpec = serde_json::from_str(r#"{"url":"https://x/mcp"}"#).unwrap();
        assert_eq!(plain.written().to_string(), r#"{"url":"https://x/mcp"}"#);
    }
}
