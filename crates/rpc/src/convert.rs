//! Protobuf to model and back. Conversion parses: what comes out is valid.

use model::{Failure, Outcome};

use crate::v1;

/// A message that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConvertError {
    /// The field of the message.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl ConvertError {
    /// An error about a field.
    #[must_use]
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

macro_rules! words {
    ( $( $model:ty => $wire:ident, $to:ident, $from:ident, $field:literal; )+ ) => {
        $(
            /// The number of a word.
            ///
            /// Every word has one: a test walks them all.
            #[must_use]
            pub fn $to(word: $model) -> v1::$wire {
                let name = format!(concat!($field, "_{}"), word.as_str()).to_ascii_uppercase();
                v1::$wire::from_str_name(&name).unwrap_or_default()
            }

            /// The word of a number.
            ///
            /// # Errors
            /// The number is of no word that this build knows.
            pub fn $from(number: i32) -> Result<$model, ConvertError> {
                let wire = v1::$wire::try_from(number).unwrap_or_default();
                let prefix = concat!($field, "_");
                let name = wire.as_str_name().to_ascii_lowercase();
                let word = name.strip_prefix(prefix).unwrap_or_default();
                word.parse().map_err(|_| {
                    ConvertError::new($field, format!("{number} is no word of this version"))
                })
            }
        )+
    };
}

words! {
    model::Reason => Reason, reason, reason_from, "reason";
    model::Step => Step, step, step_from, "step";
    model::Phase => Phase, phase, phase_from, "phase";
}

/// Writes an outcome into its record.
pub fn outcome_into(outcome: &Outcome, record: &mut v1::ProbeOutcome) {
    let kind = match outcome {
        Outcome::Ok => v1::OutcomeKind::Ok,
        Outcome::Degraded { checks } => {
            record.degraded_checks = checks.iter().map(|id| id.as_str().to_owned()).collect();
            v1::OutcomeKind::Degraded
        }
        Outcome::Failed(failure) => {
            record.reason = reason(failure.reason).into();
            record.failed_step = step(failure.step).into();
            record.failed_phase = phase(failure.phase).into();
            v1::OutcomeKind::Failed
        }
        Outcome::Inconclusive { reason: why } => {
            record.reason = reason(*why).into();
            v1::OutcomeKind::Inconclusive
        }
    };
    record.kind = kind.into();
}

/// Reads the outcome of a record.
///
/// # Errors
/// Names the field that contradicts the contract.
pub fn outcome_from(record: &v1::ProbeOutcome) -> Result<Outcome, ConvertError> {
    match record.kind() {
        v1::OutcomeKind::Ok => Ok(Outcome::Ok),
        v1::OutcomeKind::Degraded => {
            let ids = record.degraded_checks.iter().take(64);
            let checks = ids
                .map(|id| {
                    id.parse().map_err(|e: model::closed::UnknownWord| {
                        ConvertError::new("degraded_checks", e.to_string())
                    })
                })
                .collect::<Result<_, _>>()?;
            Ok(Outcome::Degraded { checks })
        }
        v1::OutcomeKind::Failed => {
            let failure = Failure {
                step: step_from(record.failed_step)?,
                phase: phase_from(record.failed_phase)?,
                reason: reason_from(record.reason)?,
            };
            Ok(Outcome::of_failure(failure))
        }
        v1::OutcomeKind::Inconclusive => {
            let why = reason_from(record.reason)?;
            if why.class() != model::Class::Ours {
                return Err(ConvertError::new(
                    "reason",
                    format!("{why} is not the agent's own"),
                ));
            }
            Ok(Outcome::Inconclusive { reason: why })
        }
        v1::OutcomeKind::Unspecified => Err(ConvertError::new("kind", "is missing")),
    }
}

/// An id that an outsider sent: short, and of letters, digits, `-`, `_` and `.`.
///
/// # Errors
/// Says what is wrong with it.
pub fn id_from(field: &'static str, text: &str) -> Result<String, ConvertError> {
    if !model::monitor::is_id(text) {
        let shown = model::text::line(text, 32);
        return Err(ConvertError::new(field, format!("`{shown}` is no id")));
    }
    Ok(text.to_owned())
}
