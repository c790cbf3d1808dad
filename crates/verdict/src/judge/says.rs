//! What one result says of the protocol and of each configured tool.

use model::{Class, Outcome, Step};

use super::ballot::{Say, Says};
use super::{Call, Judge, Seen};

impl Judge {
    /// What a result says, by level; none where it says nothing of the target.
    pub(super) fn says(&self, seen: &Seen) -> Option<Says> {
        let mut says: Says = vec![None; 1 + self.policy.calls.len()];
        match &seen.outcome {
            Outcome::Ok => self.works(&mut says, seen.confirms, false),
            Outcome::Degraded { .. } => self.works(&mut says, seen.confirms, true),
            Outcome::Inconclusive { .. } => return None,
            Outcome::Failed(failure) => {
                let (step, reason) = (failure.step, failure.reason);
                let class = failure.class();
                let say = match class {
                    Class::Refused => Say::Refused { step, reason },
                    Class::Ours => return None,
                    // A contract that is broken degrades: the target answers.
                    Class::Contract => {
                        self.works(&mut says, seen.confirms, true);
                        return Some(says);
                    }
                    Class::Network | Class::Http | Class::Protocol | Class::Tool => {
                        Say::Fail { step, reason }
                    }
                };
                let tool = seen.tool.as_ref().filter(|_| step == Step::ToolsCall);
                let calls = &self.policy.calls;
                let at = tool.and_then(|tool| calls.iter().position(|call| call.tool == *tool));
                let Some(at) = at else {
                    says[0] = Some(say);
                    return Some(says);
                };
                // The calls before it went well, and so did the protocol, unless the connection
                // itself broke: then the probe says nothing of it.
                let ran = |call: &Call| seen.confirms.is_none() || call.is_repeatable;
                for (level, call) in calls.iter().enumerate().take(at) {
                    says[1 + level] = ran(call).then_some(Say::Ok { is_degraded: false });
                }
                says[1 + at] = Some(say);
                if matches!(class, Class::Tool | Class::Protocol | Class::Refused) {
                    says[0] = Some(Say::Ok { is_degraded: false });
                }
            }
        }
        Some(says)
    }

    fn works(&self, says: &mut Says, confirms: Option<bool>, is_degraded: bool) {
        says[0] = Some(Say::Ok { is_degraded });
        for (say, call) in says[1..].iter_mut().zip(&self.policy.calls) {
            let ran = match confirms {
                None => true,
                Some(with_calls) => with_calls && call.is_repeatable,
            };
            *say = ran.then_some(Say::Ok { is_degraded: false });
        }
    }
}
