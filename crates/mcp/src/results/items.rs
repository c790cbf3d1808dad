//! The lists of resources, templates and prompts.

use model::{CheckId, Era, ListKind, Reason};
use serde_json::Value;

use super::pages::Pages;
use super::schema;
use crate::findings::Findings;
use crate::limits::MAX_ITEMS;
use crate::reply::Fault;

/// What is known of a list while its pages come in.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub(crate) count: usize,
    pages: Pages,
}

/// The array of a list's result, and what each of its items must have (server/resources,
/// server/prompts).
const fn members(list: ListKind) -> (&'static str, &'static [&'static str]) {
    match list {
        ListKind::Resources => ("resources", &["uri", "name"]),
        ListKind::ResourceTemplates => ("resourceTemplates", &["uriTemplate", "name"]),
        ListKind::Prompts => ("prompts", &["name"]),
    }
}

impl Items {
    /// Checks a page and gives the cursor of the next one.
    pub(crate) fn page(
        &mut self,
        list: ListKind,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<Option<String>, Fault> {
        let step = list.step();
        self.pages.begin(step, result, era, findings)?;
        let (array, required) = members(list);
        let Some(items) = result.get(array).and_then(Value::as_array) else {
            let detail = format!("the result has no array `{array}`");
            return Err(schema(CheckId::ResSchema, detail));
        };
        self.count += items.len();
        if self.count > MAX_ITEMS {
            return Err(Fault {
                reason: Reason::HttpBodyTooLarge,
                detail: format!("the list has more than {MAX_ITEMS} items"),
                check: None,
            });
        }
        for item in items {
            let missing = required.iter().find(|member| !item[**member].is_string());
            let detail = missing.map(|member| format!("an item of {array} has no `{member}`"));
            let (holds, detail) = (detail.is_none(), detail.unwrap_or_default());
            findings.demand(holds, CheckId::ResSchema, step, detail);
        }
        self.pages.next(result, era, findings)
    }

    /// How the list is described to people.
    pub(crate) fn summary(&self, list: ListKind) -> String {
        let noun = match list {
            ListKind::Resources => "resource",
            ListKind::ResourceTemplates => "resource template",
            ListKind::Prompts => "prompt",
        };
        let plural = if self.count == 1 { "" } else { "s" };
        format!("{} {noun}{plural}{}", self.count, self.pages.summary())
    }
}
