//! The request of each step.

use model::{Era, Step, Transport};
use serde_json::{Map, Value, json};

use super::{Sequence, subscribe};
use crate::exchange::Request;
use crate::reply::Expect;

/// What a further request of a step carries beside the first one's params.
pub(super) enum More {
    Nothing,
    /// The cursor of the next page.
    Cursor(String),
    /// Answers to what a tool asked, and the state to send back, untouched.
    Input {
        answers: Map<String, Value>,
        state: Option<Value>,
    },
}

impl More {
    fn add_to(self, params: &mut Map<String, Value>) {
        match self {
            Self::Nothing => {}
            Self::Cursor(cursor) => {
                params.insert("cursor".to_owned(), cursor.into());
            }
            Self::Input { answers, state } => {
                if !answers.is_empty() {
                    params.insert("inputResponses".to_owned(), answers.into());
                }
                if let Some(state) = state {
                    params.insert("requestState".to_owned(), state);
                }
            }
        }
    }
}

impl Sequence {
    pub(super) fn request(&mut self, step: Step, more: More) -> (Request, Option<i64>, Expect) {
        match step {
            Step::Stream => return (self.dialect.stream(), None, Expect::Stream),
            Step::Close => return (self.dialect.delete(), None, Expect::Closed),
            Step::Authorize
            | Step::Discover
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList
            | Step::ResourcesList
            | Step::ResourceTemplatesList
            | Step::PromptsList
            | Step::ToolsCall
            | Step::Subscribe
            | Step::Origin
            | Step::Strict => {}
        }
        let mut params = Map::new();
        if step == Step::Initialize {
            params = self.dialect.initialize_params(self.offered);
        }
        let mut mirrored = Vec::new();
        if step == Step::ToolsCall
            && let Some(call) = self.plan.calls.get(self.next_call)
        {
            params.insert("name".to_owned(), call.name.clone().into());
            let arguments = model::flow::filled(&call.arguments, &self.captured);
            let definition = self.tools.definition(&call.name);
            if let Some(Ok(mirror)) = definition.map(|tool| &tool.mirror) {
                mirrored = mirror.headers(&arguments);
            }
            params.insert("arguments".to_owned(), arguments.into());
            if call.progress {
                // The id of the request that follows.
                let token = json!({ "progressToken": self.next_id + 1 });
                params.insert("_meta".to_owned(), token);
            }
        }
        if step == Step::Subscribe {
            if self.dialect.era == Era::Legacy {
                return (self.dialect.listen(), None, Expect::Stream);
            }
            params = subscribe::params();
        }
        more.add_to(&mut params);
        if step == Step::Initialized {
            return (
                self.dialect.message(step, None, params),
                None,
                Expect::Accepted,
            );
        }
        let id = self.fresh_id();
        let expect = match self.dialect.transport {
            Transport::StreamableHttp => Expect::Response(id),
            Transport::HttpSse => Expect::Accepted,
        };
        let mut request = self.dialect.message(step, Some(id), params);
        request.headers.extend(mirrored);
        (request, Some(id), expect)
    }

    /// An id that no request had.
    pub(super) const fn fresh_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }
}
