use std::collections::BTreeMap;
use std::path::PathBuf;

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

use super::*;
use model::{CheckId, Failure, Outcome, Phase, Reason, Step};

#[test]
fn every_word_has_a_number_and_comes_back() {
    for reason in Reason::ALL {
        assert_eq!(
            convert::reason_from(convert::reason(*reason).into()).as_ref(),
            Ok(reason)
        );
    }
    for step in Step::ALL {
        assert_eq!(
            convert::step_from(convert::step(*step).into()).as_ref(),
            Ok(step)
        );
    }
    for phase in Phase::ALL {
        assert_eq!(
            convert::phase_from(convert::phase(*phase).into()).as_ref(),
            Ok(phase)
        );
    }
    for number in [0, -1, 9999] {
        assert!(convert::reason_from(number).is_err());
    }
}

#[test]
fn outcomes_survive_the_wire() {
    let failure = |reason| Failure {
        step: Step::ToolsList,
        phase: Phase::Wait,
        reason,
    };
    for outcome in [
        Outcome::Ok,
        Outcome::Degraded {
            checks: vec![CheckId::NetCertExpiry],
        },
        Outcome::Failed(failure(Reason::Upstream5xx)),
        Outcome::Inconclusive {
            reason: Reason::ProberInternal,
        },
    ] {
        let mut record = v1::ProbeOutcome::default();
        convert::outcome_into(&outcome, &mut record);
        let bytes = record.encode_to_vec();
        let record = v1::ProbeOutcome::decode(bytes.as_slice()).unwrap();
        assert_eq!(convert::outcome_from(&record), Ok(outcome));
    }
}

#[test]
fn contradictions_name_the_field() {
    let record = v1::ProbeOutcome::default();
    assert_eq!(
        convert::outcome_from(&record).unwrap_err().to_string(),
        "kind: is missing"
    );
    let record = v1::ProbeOutcome {
        kind: v1::OutcomeKind::Inconclusive.into(),
        reason: v1::Reason::TcpRefused.into(),
        ..Default::default()
    };
    assert_eq!(
        convert::outcome_from(&record).unwrap_err().to_string(),
        "reason: tcp_refused is not the agent's own"
    );
    assert!(convert::id_from("monitor_id", "a/b").is_err());
    assert!(convert::id_from("monitor_id", &"a".repeat(65)).is_err());
    assert_eq!(
        convert::id_from("monitor_id", "docs-1").as_deref(),
        Ok("docs-1")
    );
}

/// What must never change once published: per message and enum, number → name and type.
type Shape = BTreeMap<String, BTreeMap<i32, String>>;

fn shape(descriptors: &FileDescriptorSet) -> Shape {
    let mut shape = Shape::new();
    for file in &descriptors.file {
        let package = file.package().to_owned();
        for message in &file.message_type {
            add_message(&package, message, &mut shape);
        }
        for enumeration in &file.enum_type {
            add_enum(&package, enumeration, &mut shape);
        }
        for service in &file.service {
            let methods = service.method.iter().enumerate().map(|(n, method)| {
                let text = format!(
                    "{}({}{}) returns ({}{})",
                    method.name(),
                    if method.client_streaming() {
                        "stream "
                    } else {
                        ""
                    },
                    method.input_type(),
                    if method.server_streaming() {
                        "stream "
                    } else {
                        ""
                    },
                    method.output_type(),
                );
                (i32::try_from(n).unwrap(), text)
            });
            shape.insert(format!("{package}.{}", service.name()), methods.collect());
        }
    }
    shape
}

fn add_message(scope: &str, message: &DescriptorProto, shape: &mut Shape) {
    let name = format!("{scope}.{}", message.name());
    let fields = message.field.iter().map(|field| {
        let text = format!(
            "{} {:?} {:?} {}",
            field.name(),
            field.label(),
            field.r#type(),
            field.type_name()
        );
        (field.number(), text)
    });
    shape.insert(name.clone(), fields.collect());
    for nested in &message.nested_type {
        add_message(&name, nested, shape);
    }
}

fn add_enum(scope: &str, enumeration: &EnumDescriptorProto, shape: &mut Shape) {
    let values = enumeration
        .value
        .iter()
        .map(|v| (v.number(), v.name().to_owned()));
    shape.insert(format!("{scope}.{}", enumeration.name()), values.collect());
}

/// Fields are only ever added. Run with `PARALLAX_ACCEPT_PROTO=1` to publish additions.
#[test]
fn the_contract_only_grows() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/descriptors.binpb");
    let now = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let published = std::fs::read(&path).unwrap_or_default();
    let before = FileDescriptorSet::decode(published.as_slice()).unwrap();
    let (new, old) = (shape(&now), shape(&before));
    for (name, members) in &old {
        let current = new
            .get(name)
            .unwrap_or_else(|| panic!("{name} was removed"));
        for (number, text) in members {
            assert_eq!(current.get(number), Some(text), "{name} = {number} changed");
        }
    }
    if std::env::var_os("PARALLAX_ACCEPT_PROTO").is_some() {
        std::fs::write(&path, DESCRIPTORS).unwrap();
    } else {
        assert_eq!(
            new, old,
            "additions: publish them with PARALLAX_ACCEPT_PROTO=1"
        );
    }
}
