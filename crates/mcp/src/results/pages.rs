//! The pages of a list (server/utilities/pagination).

use std::collections::BTreeSet;

use model::{CheckId, Era, Reason, Step};
use serde_json::Value;

use super::{cache_hints, envelope, schema};
use crate::findings::Findings;
use crate::limits::{MAX_CURSOR_BYTES, MAX_PAGES};
use crate::reply::Fault;

/// How far a list was walked.
#[derive(Debug, Default)]
pub(super) struct Pages {
    count: u32,
    cursors: BTreeSet<String>,
    scope: Option<String>,
}

impl Pages {
    /// Checks what every page has, before its items are read.
    pub(super) fn begin(
        &mut self,
        step: Step,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        if era == Era::Modern {
            envelope(step, result, findings)?;
            cache_hints(step, result, self.scope.as_deref(), findings);
            self.scope = result["cacheScope"].as_str().map(str::to_owned);
        }
        self.count += 1;
        Ok(())
    }

    /// Only a missing or null `nextCursor` ends the list (server/utilities/pagination); legacy
    /// servers also send an empty one.
    pub(super) fn next(
        &mut self,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<Option<String>, Fault> {
        let cursor = match result.get("nextCursor") {
            None | Some(Value::Null) => None,
            Some(Value::String(cursor)) if cursor.is_empty() && era == Era::Legacy => None,
            Some(Value::String(cursor)) => Some(cursor.clone()),
            Some(_) => {
                return Err(schema(
                    CheckId::ListPagination,
                    "nextCursor is not a string",
                ));
            }
        };
        if cursor
            .as_ref()
            .is_some_and(|cursor| cursor.len() > MAX_CURSOR_BYTES)
        {
            return Err(schema(
                CheckId::ListPagination,
                "nextCursor is longer than 8 KiB",
            ));
        }
        if let Some(cursor) = &cursor {
            if !self.cursors.insert(cursor.clone()) {
                return Err(endless(format!("page {} repeats a cursor", self.count)));
            }
            if self.count >= MAX_PAGES {
                return Err(endless(format!("more than {MAX_PAGES} pages")));
            }
        } else {
            findings.pass(CheckId::ListPagination);
        }
        Ok(cursor)
    }

    /// Behind the count of items, where there were several pages.
    pub(super) fn summary(&self) -> String {
        if self.count > 1 {
            format!(", {} pages", self.count)
        } else {
            String::new()
        }
    }
}

fn endless(detail: String) -> Fault {
    Fault::new(Reason::McpPaginationLoop, CheckId::ListPagination, detail)
}
