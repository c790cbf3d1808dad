//! Which requests are wrong on purpose, and how each should be answered.

use std::collections::VecDeque;

use http::header::{ACCEPT, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::{CheckId, Era, Revision, Step, Transport};
use serde_json::{Map, Value};

use super::super::Sequence;
use super::Trial;
use crate::exchange::Request;
use crate::request::{META_VERSION, METHOD, PROTOCOL_VERSION, SESSION_ID};
use crate::results;

/// A version that was never published, older than all.
const NO_VERSION: &str = "1900-01-01";
/// A version that is not published yet, newer than all.
const FUTURE_VERSION: &str = "2099-01-01";
/// RFC 6761: a name that is nobody's.
const FORGED_ORIGIN: HeaderValue = HeaderValue::from_static("https://origin.invalid");

impl Sequence {
    /// The trials that the agreed revision has rules for.
    pub(in super::super) fn prepare_trials(&mut self) {
        if self.dialect.transport == Transport::HttpSse {
            return;
        }
        let mut trials = match self.dialect.era {
            Era::Modern => self.modern_trials(),
            Era::Legacy => self.legacy_trials(),
        };
        if self.dialect.revision >= Some(Revision::V2025_11_25) {
            let mut forged = self.good(CheckId::HttpOrigin403, "a forged Origin");
            forged.request.headers.insert(ORIGIN, FORGED_ORIGIN);
            forged.is_right = |answer| answer.status == 403;
            trials.push_back(forged);
        }
        let mut narrow = self.good(CheckId::HttpAccept406, "Accept: application/json alone");
        let json = HeaderValue::from_static("application/json");
        narrow.request.headers.insert(ACCEPT, json);
        narrow.is_right = |answer| {
            let is_json = answer.media.as_deref() == Some("application/json");
            answer.status == 406 || (answer.status == 200 && is_json)
        };
        trials.push_back(narrow);
        if self.findings.tools.is_some() {
            trials.push_back(self.list_again());
        }
        let mut followed = self.good(CheckId::SseTerminated, "the end of a stream");
        followed.follows_stream = true;
        trials.push_back(followed);
        self.trials = trials;
    }

    fn modern_trials(&mut self) -> VecDeque<Trial> {
        let mut version = self.good(CheckId::VerUnsupported400, "version 1900-01-01");
        set_header(&mut version.request, PROTOCOL_VERSION, NO_VERSION);
        set_body(&mut version.request, |body| {
            body["params"]["_meta"][META_VERSION] = NO_VERSION.into();
        });
        version.is_right = |answer| {
            let data = answer.error.map(|error| &error.data);
            let is_told =
                |data: &Value| data["supported"].is_array() && data["requested"] == NO_VERSION;
            answer.is(400, -32022) && data.is_some_and(is_told)
        };
        let mut mismatch = self.good(CheckId::VerMismatch400, "Mcp-Method unlike the body");
        set_header(&mut mismatch.request, METHOD, "tools/list");
        mismatch.is_right = |answer| answer.is(400, -32020);
        let mut method = self.good(CheckId::VerMethod404, "an unknown method");
        set_header(&mut method.request, METHOD, "parallax/unknown");
        set_body(&mut method.request, |body| {
            body["method"] = "parallax/unknown".into();
        });
        method.is_right = |answer| answer.is(404, -32601);
        let mut meta = self.good(CheckId::VerMeta400, "no _meta");
        set_body(&mut meta.request, |body| {
            body["params"] = Value::Object(Map::new());
        });
        meta.is_right = |answer| answer.is(400, -32602);
        let get = self.bare(CheckId::HttpGetDelete405, "GET", Method::GET, |answer| {
            answer.status == 405
        });
        let delete = self.bare(
            CheckId::HttpGetDelete405,
            "DELETE",
            Method::DELETE,
            |answer| answer.status == 405,
        );
        [version, mismatch, method, meta, get, delete].into()
    }

    fn legacy_trials(&mut self) -> VecDeque<Trial> {
        let mut trials = VecDeque::new();
        trials.push_back(
            self.bare(CheckId::HttpGet405OrSse, "GET", Method::GET, |answer| {
                let is_stream = answer.media.as_deref() == Some("text/event-stream");
                answer.status == 405 || (answer.status == 200 && is_stream)
            }),
        );
        let mut method = self.good(CheckId::VerMethod404, "an unknown method");
        set_body(&mut method.request, |body| {
            body["method"] = "parallax/unknown".into();
        });
        method.is_right = |answer| answer.has(-32601);
        trials.push_back(method);
        if self.dialect.revision >= Some(Revision::V2025_06_18) {
            let mut version = self.good(CheckId::VerHeaderBad400, "version header 1900-01-01");
            set_header(&mut version.request, PROTOCOL_VERSION, NO_VERSION);
            version.is_right = |answer| answer.status == 400;
            trials.push_back(version);
        }
        if self.dialect.session.is_some() {
            let mut none = self.good(CheckId::SessRequired400, "no session id");
            none.request.headers.remove(SESSION_ID);
            none.is_right = |answer| answer.status == 400;
            trials.push_back(none);
            let mut unknown = self.good(CheckId::SessUnknown404, "an unknown session id");
            set_header(
                &mut unknown.request,
                SESSION_ID,
                "00000000-0000-4000-8000-000000000000",
            );
            unknown.is_right = |answer| answer.status == 404;
            trials.push_back(unknown);
        }
        trials.push_back(self.unknown_revision());
        trials
    }

    /// A handshake that offers what nobody knows: the server must answer with a revision that it
    /// knows (2025-11-25 basic/lifecycle, "Version Negotiation"), and no other trial can show it.
    fn unknown_revision(&mut self) -> Trial {
        let mut trial = self.good(CheckId::InitVersionEcho, "version 2099-01-01");
        let params = self.dialect.initialize_params(Revision::NEWEST_LEGACY);
        trial.request = self.dialect.message(Step::Initialize, trial.id, params);
        set_body(&mut trial.request, |body| {
            body["params"]["protocolVersion"] = FUTURE_VERSION.into();
        });
        trial.opens_session = true;
        trial.is_right = |answer| {
            let named = answer.result.and_then(|it| it["protocolVersion"].as_str());
            let known = named.and_then(|named| named.parse::<Revision>().ok());
            answer.status == 200 && known.is_some_and(|known| known.era() == Era::Legacy)
        };
        trial
    }

    /// The first page of tools once more.
    fn list_again(&mut self) -> Trial {
        let mut trial = self.good(CheckId::ListOrderStable, "tools/list once more");
        trial.request = self.dialect.message(Step::ToolsList, trial.id, Map::new());
        trial.is_right = |answer| {
            let order = answer.result.and_then(results::order);
            order.is_some() && order == answer.order
        };
        trial
    }
}

fn set_header(request: &mut Request, name: HeaderName, value: &'static str) {
    let headers: &mut HeaderMap = &mut request.headers;
    headers.insert(name, HeaderValue::from_static(value));
}

fn set_body(request: &mut Request, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body) = serde_json::from_slice(&request.body) {
        change(&mut body);
        request.body = body.to_string().into_bytes();
    }
}
