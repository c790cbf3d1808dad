//! What goes wrong, kind by kind.

use super::super::sim::{Effect, Failing, Mask, Plot};
use super::{Draft, MINUTE, QUIET, SECOND, SIZES};

/// A kind of world: its name, and what happens in it.
type Kind = (&'static str, fn(&mut Draft));

/// All kinds.
pub(crate) const KINDS: [Kind; 16] = [
    ("outages", outages),
    ("shared-transit", transit),
    ("heavy-tails", heavy_tails),
    ("slow-ramps", ramps),
    ("lying-agents", liars),
    ("clocks", clocks),
    ("address-families", families),
    ("mtu-black-hole", black_hole),
    ("resolver-operators", resolvers),
    ("rate-limiters", limiters),
    ("stalled-coordinator", stalls),
    ("bad-replica", replicas),
    ("outage-in-a-fault", waves),
    ("edges", edges),
    ("sick-agents", sick),
    ("restarts", restarts),
];

impl Plot {
    /// The world of a kind and a seed.
    pub(crate) fn of(kind: &Kind, seed: u64) -> Self {
        let (name, write) = kind;
        // Where a fault of several must leave others, few are not enough.
        let sizes = match *name {
            "shared-transit" | "resolver-operators" | "address-families" | "edges" => &SIZES[3..],
            _ => &SIZES[..],
        };
        let salt = name.bytes().fold(seed, |all, byte| {
            all.wrapping_mul(131).wrapping_add(u64::from(byte))
        });
        let mut draft = Draft::new(format!("{name}-{seed}"), salt, sizes);
        write(&mut draft);
        draft.plot
    }
}

fn outages(draft: &mut Draft) {
    while let Some(time) = draft.episode(22, 600) {
        let target = draft.one_target();
        draft.outage(time, target);
    }
}

/// Several providers buy from the same upstream, which loses a hosting.
fn transit(draft: &mut Draft) {
    let count = draft.agents();
    for (n, agent) in draft.plot.meta.agents.iter_mut().enumerate() {
        agent.transit = Some(format!("transit-{}", n % 3));
    }
    while let Some(time) = draft.episode(90, 600) {
        let which = format!("transit-{}", draft.dice.pick(0, 3));
        let agents = draft.alike(|agent| agent.transit.as_deref() == Some(&which));
        let hosting = draft.dice.pick(0, 3);
        let targets: Mask = (0..6)
            .filter(|n| n % 3 == hosting)
            .fold(0, |set, n| set | 1 << n);
        if count > 4 {
            draft.cut(time, agents, targets, ("tcp", "timeout"));
        }
        if let Some(time) = draft.episode(30, 300) {
            let target = draft.one_target();
            draft.outage(time, target);
        }
    }
}

/// Servers whose answers take tens of times as long now and then.
fn heavy_tails(draft: &mut Draft) {
    for (spread, n) in draft.plot.usual.values_mut().zip(0_u32..) {
        spread.1 = 0.5 + f64::from(n % 4) * 0.15;
    }
    outages(draft);
}

/// Targets become slow, at once or over minutes.
fn ramps(draft: &mut Draft) {
    while let Some(time) = draft.episode(600, 1200) {
        let (target, all) = (draft.one_target(), draft.all());
        let factor = draft.dice.between(3.0, 5.0);
        let ramp = *draft.dice.one_of(&[0, MINUTE, 3 * MINUTE]);
        draft.happens(time.0, time.1, all, target, Effect::Slow(factor, ramp));
        draft.label("degraded", time, 0, target, &["degraded"]);
    }
}

/// One agent's results are wrong, and its self-tests are good.
fn liars(draft: &mut Draft) {
    while let Some(time) = draft.episode(600, 1200) {
        if draft.agents() < 5 {
            return outages(draft);
        }
        let liar = 1 << draft.dice.pick(0, draft.agents() as u64);
        let targets = 0b11_1111;
        let is_blind = draft.dice.share() < 0.4;
        let broken = Failing {
            step: "tls",
            err: "timeout",
            chance: 1.0,
        };
        let effect = if is_blind {
            Effect::Blind
        } else {
            Effect::Fails(broken)
        };
        // What it says of healthy targets may be called regional: that is how it looks.
        draft.happens(time.0, time.1, liar, targets, effect);
        draft.label("agent_fault", time, liar, targets, &["up", "regional"]);
        for n in 0..3 {
            let from = time.0 + MINUTE + n * (time.1 - time.0) / 4;
            let outage = (from, from + 80 * SECOND);
            let failing = draft.failing(1.0);
            let all = draft.all();
            let target = 1 << (2 * n);
            draft.happens(outage.0, outage.1, all, target, Effect::Fails(failing));
            draft.label("outage", outage, 0, target, &["outage"]);
        }
    }
}

/// Clocks that are wrong, that step and that drift.
fn clocks(draft: &mut Draft) {
    let end = draft.plot.meta.dur;
    for agent in 0..draft.agents() {
        let from = draft.dice.pick(0, end);
        let step = draft.dice.pick(5, 1200) * SECOND;
        let step = i64::try_from(step).unwrap_or(0);
        let effect = match agent % 3 {
            0 => Effect::Clock(step),
            1 => Effect::Clock(-step),
            _ => Effect::Drifts(if step % 2 == 0 { 3000 } else { -3000 }),
        };
        let to = draft.dice.pick(from, end) + 1;
        draft.happens(from, to, 1 << agent, 0, effect);
    }
    outages(draft);
}

/// Those who come by IPv6 do not reach a target that others reach.
fn families(draft: &mut Draft) {
    while let Some(time) = draft.episode(90, 600) {
        let (parts, all) = (draft.dice.next(), draft.all());
        let agents = all & parts & draft.dice.next();
        let target = draft.one_target();
        let is_some = agents != 0 && agents.count_ones() * 5 <= all.count_ones() * 3;
        if is_some {
            draft.cut(time, agents, target, ("tcp", "timeout"));
        } else {
            draft.outage(time, target);
        }
    }
}

/// Small packets pass and large ones do not, on one provider's ways.
fn black_hole(draft: &mut Draft) {
    while let Some(time) = draft.episode(90, 600) {
        let count = draft.agents();
        let provider = draft.plot.meta.agents[(draft.dice.next() % count as u64) as usize]
            .provider
            .clone();
        let agents = draft.alike(|agent| agent.provider == provider);
        let target = draft.one_target();
        if count > 3 {
            draft.cut(time, agents, target, ("tools_list", "timeout"));
        } else {
            draft.outage(time, target);
        }
    }
}

/// Agents of several regions and providers ask the same operator's resolvers.
fn resolvers(draft: &mut Draft) {
    for (n, agent) in draft.plot.meta.agents.iter_mut().enumerate() {
        agent.resolver = Some(format!("resolver-{}", (n * 7 / 3) % 3));
    }
    while let Some(time) = draft.episode(90, 600) {
        let which = format!("resolver-{}", draft.dice.pick(0, 3));
        let agents = draft.alike(|agent| agent.resolver.as_deref() == Some(&which));
        let target = draft.one_target();
        if agents.count_ones() * 5 <= draft.all().count_ones() * 3 && agents != 0 {
            draft.cut(time, agents, target, ("dns", "nxdomain"));
        }
        if let Some(time) = draft.episode(30, 300) {
            let target = draft.one_target();
            draft.outage(time, target);
        }
    }
}

/// Targets that bear the schedule and little more.
fn limiters(draft: &mut Draft) {
    let a_minute = draft.agents() * (MINUTE / draft.plot.meta.interval) as usize;
    let (end, all) = (draft.plot.meta.dur, draft.all());
    draft.happens(0, end, all, 0b1111, Effect::Limits(a_minute + 2));
    while let Some(time) = draft.episode(60, 300) {
        // One agent's lost probes make others look.
        let agent = 1 << draft.dice.pick(0, draft.agents() as u64);
        let lost = Failing {
            step: "tcp",
            err: "timeout",
            chance: 0.4,
        };
        draft.happens(time.0, time.1, agent, 0b1111, Effect::Fails(lost));
        if draft.dice.share() < 0.5
            && let Some(time) = draft.episode(60, 300)
        {
            draft.outage(time, 0b1_0000);
        }
    }
}

/// Everything comes late at once.
fn stalls(draft: &mut Draft) {
    while let Some((from, to)) = draft.episode(120, 500) {
        let target = draft.one_target();
        draft.outage((from, to), target);
        let stalled = from.saturating_sub(draft.dice.pick(0, 60_000));
        let end = stalled + draft.dice.pick(20, 50) * SECOND;
        let all = draft.all();
        draft.happens(stalled, end, all, 0, Effect::Stalled);
        if let Some((from, to)) = draft.episode(20, 90) {
            draft.happens(from, to, all, 0, Effect::Stalled);
            draft.label(
                "agent_fault",
                (from, to),
                all,
                0b11_1111,
                &["up", "unknown"],
            );
            if let Some(label) = draft.plot.labels.last_mut() {
                label.cause = "stream_stall".to_owned();
            }
        }
    }
}

/// One replica of three fails, whoever asks.
fn replicas(draft: &mut Draft) {
    while let Some(time) = draft.episode(420, 900) {
        let (target, all) = (draft.one_target(), draft.all());
        let failing = draft.failing(0.33);
        draft.happens(time.0, time.1, all, target, Effect::Fails(failing));
        draft.label("degraded", time, 0, target, &["degraded", "partial"]);
        if let Some(time) = draft.episode(60, 300) {
            draft.outage(time, target);
        }
    }
}

/// A target goes out while some already do not reach it.
fn waves(draft: &mut Draft) {
    while let Some((from, to)) = draft.episode(420, 900) {
        let count = draft.agents() as u64;
        let first = draft.plot.meta.agents[(draft.dice.next() % count) as usize].clone();
        let is_region = draft.dice.share() < 0.5;
        let agents = draft.alike(|agent| {
            if is_region {
                agent.region == first.region
            } else {
                agent.provider == first.provider
            }
        });
        let target = draft.one_target();
        draft.cut((from, to), agents, target, ("tcp", "timeout"));
        let begins = from + draft.dice.pick(60, 240) * SECOND;
        draft.outage((begins, to - QUIET / 3), target);
    }
}

/// Some of a target's edges fail, or all.
fn edges(draft: &mut Draft) {
    let count = draft.agents();
    for agent in 0..count {
        for target in 0..6 {
            let edge = format!("edge-{}", (agent + target) % 4);
            draft.plot.edges.insert((agent, target), edge);
        }
    }
    while let Some(time) = draft.episode(120, 600) {
        let target = draft.dice.pick(0, 6);
        let broken = draft.dice.pick(1, 4);
        let agents: Mask = (0..count)
            .filter(|agent| ((agent + target as usize) % 4) < broken as usize)
            .fold(0, |set, agent| set | 1 << agent);
        let failing = Failing {
            step: "http",
            err: "http_5xx",
            chance: 1.0,
        };
        draft.happens(time.0, time.1, agents, 1 << target, Effect::Fails(failing));
        draft.label(
            "partial",
            time,
            agents,
            1 << target,
            &["partial", "regional"],
        );
        if let Some(time) = draft.episode(60, 200) {
            draft.outage(time, 1 << target);
        }
    }
}

/// Agents die, lose their network or starve, some while a target is out.
fn sick(draft: &mut Draft) {
    while let Some(time) = draft.episode(120, 420) {
        let count = draft.agents() as u64;
        let mut agents: Mask = 1 << draft.dice.pick(0, count);
        if count >= 8 {
            agents |= 1 << draft.dice.pick(0, count);
        }
        let effect = *draft
            .dice
            .one_of(&[Effect::Dead, Effect::Offline, Effect::Starved]);
        draft.happens(time.0, time.1, agents, 0, effect);
        let accept: &[&str] = if count < 5 {
            &["up", "unknown"]
        } else {
            &["up"]
        };
        draft.label("agent_fault", time, agents, 0b11_1111, accept);
        if draft.dice.share() < 0.5 && count >= 5 {
            let target = draft.one_target();
            draft.outage((time.0 + 90 * SECOND, time.1 + 30 * SECOND), target);
        }
    }
}

/// Deploys that take a few seconds, references that are down, and outages among them.
fn restarts(draft: &mut Draft) {
    while let Some((from, _)) = draft.episode(60, 61) {
        let (target, all) = (draft.one_target(), draft.all());
        let time = (from, from + draft.dice.pick(3, 15) * SECOND);
        let failing = draft.failing(1.0);
        draft.happens(time.0, time.1, all, target, Effect::Fails(failing));
        let any = ["up", "outage", "degraded", "partial", "regional"];
        draft.label("blip", time, 0, target, &any);
        if draft.dice.share() < 0.3
            && let Some(time) = draft.episode(60, 300)
        {
            draft.happens(
                time.0 - MINUTE,
                time.1 + MINUTE,
                all,
                0,
                Effect::References(0b11),
            );
            let target = draft.one_target();
            draft.outage(time, target);
        }
    }
}
