//! Metadata documents: read leniently, judged strictly.

mod resource;
mod server;

use serde_json::Value;

pub use resource::{Fit, ResourceMetadata};
pub use server::{IssuerFit, ServerMetadata};

/// The largest metadata document: real ones have some KiB.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 10;
/// Entries of a list that are read.
const MAX_LIST: usize = 64;
/// The longest text of a field that is read; what is longer counts as absent.
const MAX_TEXT: usize = 2048;

/// The document of an answer: a JSON object.
fn object(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.len() > MAX_DOCUMENT_BYTES {
        return None;
    }
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

fn text(document: &Value, field: &str) -> Option<String> {
    let text = document[field].as_str()?;
    (!text.is_empty() && text.len() <= MAX_TEXT).then(|| text.to_owned())
}

fn list(document: &Value, field: &str) -> Option<Vec<String>> {
    let list = document[field].as_array()?;
    let texts = list.iter().take(MAX_LIST).filter_map(Value::as_str);
    let short = texts.filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
    Some(short.map(str::to_owned).collect())
}
