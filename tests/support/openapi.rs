//! Holds every answer of the API against the OpenAPI document that reviewers see.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::Value;

use crate::http_client::Answer;

/// `docs/openapi.json`, which a test of the coordinator holds against the code.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap());

/// Whether an answer is as the document says; if not, how it differs.
///
/// # Errors
/// What the document does not allow.
pub fn check(method: &str, path: &str, sent: &[u8], answer: &Answer) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let Some(methods) = methods(path) else {
        return problem(answer, &[404]);
    };
    let name = match method {
        "HEAD" => "get".to_owned(),
        _ => method.to_ascii_lowercase(),
    };
    let Some(operation) = methods.get(&name) else {
        problem(answer, &[401, 403, 405])?;
        return allowed(methods, answer);
    };
    let response = &operation["responses"][answer.status.to_string()];
    let response = resolved(response).ok_or("a status that is not documented")?;
    for header in response["headers"].as_object().into_iter().flatten() {
        let header = header.0;
        answer
            .header(header)
            .ok_or_else(|| format!("no {header}"))?;
    }
    if method != "HEAD" {
        content(response, answer)?;
    }
    if answer.status >= 400 {
        problem(answer, &[answer.status])?;
    }
    let wanted = &operation["requestBody"]["content"]["application/json"]["schema"];
    if answer.status < 300 && wanted.is_object() {
        let sent = serde_json::from_slice(sent).map_err(|error| error.to_string())?;
        valid(wanted, &sent).map_err(|wrong| format!("it took a bad request: {wrong}"))?;
    }
    Ok(())
}

/// The operations of a path.
fn methods(path: &str) -> Option<&'static Value> {
    let fits = |template: &str| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given))
                    if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                _ => return false,
            }
        }
    };
    let mut paths = DOCUMENT["paths"].as_object().unwrap().iter();
    Some(paths.find(|(template, _)| fits(template))?.1)
}

/// The value, or what it refers to.
fn resolved(value: &'static Value) -> Option<&'static Value> {
    match value["$ref"].as_str() {
        Some(to) => DOCUMENT.pointer(to.strip_prefix('#')?),
        None => value.is_object().then_some(value),
    }
}

/// Whether the answer is a problem document (RFC 9457) with one of these statuses.
fn problem(answer: &Answer, statuses: &[u16]) -> Result<(), String> {
    if !statuses.contains(&answer.status) {
        return Err(format!("another status than {statuses:?}"));
    }
    let problem = &DOCUMENT["components"]["responses"]["NotFound"];
    content(problem, answer)?;
    if answer.json()["status"] != answer.status {
        return Err("the problem has another status".to_owned());
    }
    Ok(())
}

/// Whether a refusal of a method says which are there (RFC 9110 §15.5.6).
fn allowed(methods: &Value, answer: &Answer) -> Result<(), String> {
    if answer.status != 405 {
        return Ok(());
    }
    let told = answer.header("allow").ok_or("no Allow")?;
    let told = told.split(',').map(|method| method.trim().to_lowercase());
    let told: BTreeSet<String> = told.filter(|method| method != "head").collect();
    let known: BTreeSet<String> = methods.as_object().unwrap().keys().cloned().collect();
    (told == known)
        .then_some(())
        .ok_or_else(|| format!("Allow is {told:?}"))
}

/// Whether media type and body are those of the response.
fn content(response: &'static Value, answer: &Answer) -> Result<(), String> {
    let Some(content) = response["content"].as_object() else {
        let is_empty = answer.body.is_empty();
        return is_empty.then_some(()).ok_or("a body".to_owned());
    };
    let media = answer.header("content-type").ok_or("no content-type")?;
    let told = content.get(media).ok_or("another content-type")?;
    if media.ends_with("json") {
        let body = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        valid(&told["schema"], &body)?;
    }
    Ok(())
}

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Whether a value is as a schema of the document wants it.
fn valid(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = {
        let mut known = VALIDATORS.lock().unwrap();
        let validator = known.entry(schema.to_string()).or_insert_with(|| {
            let mut schema = schema.clone();
            schema["components"] = DOCUMENT["components"].clone();
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap())
        });
        Arc::clone(validator)
    };
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    wrong.is_empty().then_some(()).ok_or(wrong.join("; "))
}
