use super::*;

fn member(agent: &str, region: &str, provider: &str, standing: Standing) -> Candidate {
    Candidate {
        place: Place {
            agent: agent.into(),
            region: region.into(),
            provider: provider.into(),
            latitude: None,
            longitude: None,
            private: agent.starts_with("own"),
            labels: BTreeMap::from([("kind".to_owned(), provider.to_owned())]),
        },
        standing,
    }
}

fn mesh() -> Vec<Candidate> {
    let away = Standing::Unfit(Absence::NoAgent, "is not connected");
    vec![
        member("eu-1", "eu", "a", Standing::Ready(0)),
        member("eu-2", "eu", "a", Standing::Ready(0)),
        member("eu-3", "eu", "b", Standing::Ready(5)),
        member("us-1", "us", "a", away),
        member("us-2", "us", "b", Standing::Ready(1)),
        member("ap-1", "ap", "a", away),
        member("own-1", "vpc", "c", Standing::Ready(0)),
    ]
}

fn from(regions: &[&str], agents: &[&str], label: Option<&str>, per_region: u32) -> From {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    From {
        regions: owned(regions),
        agents: owned(agents),
        labels: label
            .map(|value| ("kind".to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
        per_region,
    }
}

/// `region/agent`, with a reason where it cannot be asked.
fn shown(choices: &[Choice]) -> Vec<String> {
    let shown = choices.iter().map(|choice| {
        let agent = choice
            .agent
            .as_ref()
            .map_or("-", |place| place.agent.as_str());
        let unfit = choice.unfit.as_ref();
        let unfit = unfit.map_or(String::new(), |unfit| format!(" {}", unfit.reason));
        format!("{}/{agent}{unfit}", choice.region)
    });
    shown.collect()
}

#[test]
fn regions_agents_and_labels_say_who_is_asked() {
    let table: [(From, &[&str]); 12] = [
        (from(&["eu"], &[], None, 1), &["eu/eu-1"]),
        // Another provider sees more than another agent of the same.
        (from(&["eu"], &[], None, 2), &["eu/eu-1", "eu/eu-3"]),
        (
            from(&["eu"], &[], None, 8),
            &["eu/eu-1", "eu/eu-2", "eu/eu-3"],
        ),
        (
            from(&["us", "eu", "us"], &[], None, 1),
            &["eu/eu-1", "us/us-2"],
        ),
        (from(&["ap"], &[], None, 1), &["ap/- no_agent"]),
        // Nobody's own agents only.
        (
            from(&["all"], &[], None, 1),
            &["ap/- no_agent", "eu/eu-1", "us/us-2"],
        ),
        (from(&["vpc"], &[], None, 1), &["vpc/own-1"]),
        (
            from(&[], &["us-1", "own-1"], None, 1),
            &["us/us-1 no_agent", "vpc/own-1"],
        ),
        (
            from(&["eu"], &["eu-1", "eu-2"], None, 1),
            &["eu/eu-1", "eu/eu-2"],
        ),
        (
            from(&["eu", "us"], &[], Some("b"), 2),
            &["eu/eu-3", "us/us-2"],
        ),
        (from(&["eu"], &[], Some("c"), 1), &["eu/- no_agent"]),
        (from(&[], &[], Some("c"), 1), &["vpc/own-1"]),
    ];
    for (from, expected) in table {
        let choices = from.choose(&mesh()).unwrap();
        assert_eq!(shown(&choices), expected, "{from:?}");
    }
}

#[test]
fn names_of_nobody_are_said_with_those_that_are() {
    let table = [
        (
            from(&["eu", "mars"], &[], None, 1),
            "/regions/1",
            "`mars` is no region of this mesh; it has ap, eu, us",
        ),
        (
            from(&[], &["x\u{1b}"], None, 1),
            "/agents/0",
            "`x\\u{1b}` is no agent of this mesh; it has ap-1, eu-1, eu-2, eu-3, us-1, us-2",
        ),
        (
            from(&[], &[], None, 1),
            "/regions",
            "no agent may be asked; name regions, or `all`; `parallax agents` lists them",
        ),
        (
            from(&[], &[], Some("z"), 1),
            "/regions",
            "no agent may be asked; name regions, or `all`; `parallax agents` lists them",
        ),
    ];
    for (from, pointer, detail) in table {
        let problems = from.choose(&mesh()).unwrap_err();
        assert_eq!(problems, [FieldError::new(pointer, detail)], "{from:?}");
    }
    let many: Vec<Candidate> = (0..40)
        .map(|n| member(&format!("a{n}"), &format!("r{n}"), "p", Standing::Ready(0)))
        .collect();
    let problems = from(&["all"], &[], None, 1).choose(&many).unwrap_err();
    assert_eq!(
        problems[0].detail,
        "40 agents; at most 32 are asked at once"
    );
}
