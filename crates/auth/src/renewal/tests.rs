use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Ms = 1_800_000_000_000;
const MINUTE: Ms = 60_000;
const HOUR: Ms = 60 * MINUTE;

fn token(access: &str, seconds: Option<u64>, refresh: Option<&str>) -> Token {
    Token {
        access: Secret::new(access),
        life: seconds.map(Duration::from_secs),
        refresh: refresh.map(Secret::new),
        scope: None,
    }
}

fn refusal(reason: Reason, is_final: bool) -> Refusal {
    Refusal {
        reason,
        detail: "no".to_owned(),
        is_final,
        refresh: None,
    }
}

fn signed_in(refresh: Option<&str>, seconds: Option<u64>) -> Record {
    Record {
        refresh: refresh.map(Secret::new),
        access: Some(Access {
            token: Secret::new("a0"),
            got_at: START,
            ends_at: seconds.map(|seconds| START + seconds * 1000),
        }),
        refused: None,
    }
}

fn client() -> Renewal {
    Renewal::new(Record::default(), false, 7, START)
}

fn user() -> Renewal {
    let record = signed_in(Some("r0"), Some(3600));
    Renewal::new(record, true, 7, START)
}

/// Runs a renewal whose store keeps everything.
fn kept(renewal: &mut Renewal, now: Ms) -> Record {
    let Some(Command::Keep(record)) = renewal.poll_command(now) else {
        panic!("{renewal:?}");
    };
    assert_eq!(renewal.poll_command(now), None, "asked once");
    renewal.handle_kept(now);
    record
}

#[test]
fn a_client_asks_at_once_and_ahead_of_each_end() {
    let mut renewal = client();
    assert_eq!(renewal.state(START), CredentialState::NotYet);
    assert_eq!(renewal.poll_command(START), Some(Command::Ask(None)));
    assert_eq!(renewal.poll_command(START + HOUR), None, "one at a time");
    // A client's own credential is never renewed with a refresh token (RFC 6749 §4.4.3).
    renewal.handle_token(token("a1", Some(3600), Some("r1")), START);
    assert_eq!(renewal.access(), None, "not before it is durable");
    assert_eq!(kept(&mut renewal, START).refresh, None);
    assert_eq!(renewal.access().unwrap().token.expose(), "a1");
    assert_eq!(renewal.state(START), CredentialState::Ok);
    assert_eq!(renewal.state(START + HOUR), CredentialState::Expired);
    let due = renewal.poll_timeout().unwrap() - START;
    // A quarter of the hour, and up to half of that.
    assert!((2250..=2700).contains(&(due / 1000)), "{due}");
    assert_eq!(renewal.poll_command(START + due - 1), None);
    assert_eq!(renewal.poll_command(START + due), Some(Command::Ask(None)));
}

#[test]
fn a_token_is_renewed_in_time_whatever_its_life() {
    let day = 24 * 3600;
    for (seconds, least, most) in [
        // Used for ten seconds, though it lives no longer.
        (Some(4), 10, 10),
        (Some(16), 10, 12),
        (Some(300), 187, 225),
        (Some(day), day - 2700, day - 1800),
        (Some(365 * day), 365 * day - 2700, 365 * day - 1800),
        // Nobody says: five minutes.
        (None, 187, 225),
        // It had ended when it was given.
        (Some(0), 0, 0),
    ] {
        for salt in 0..50 {
            let record = signed_in(Some("r0"), seconds);
            let renewal = Renewal::new(record, true, salt, START);
            let due = (renewal.poll_timeout().unwrap() - START) / 1000;
            assert!((least..=most).contains(&due), "{seconds:?} {salt}: {due}");
        }
    }
}

#[test]
fn who_cannot_renew_does_not_ask() {
    let mut renewal = Renewal::new(signed_in(None, Some(60)), true, 0, START);
    assert_eq!(renewal.poll_timeout(), None);
    assert_eq!(renewal.poll_command(START + HOUR), None);
    assert_eq!(renewal.state(START + HOUR), CredentialState::Expired);
    renewal.handle_rejected(START + HOUR, START + HOUR);
    assert_eq!(renewal.poll_timeout(), None);
    // A user who has not signed in yet.
    let renewal = Renewal::new(Record::default(), true, 0, START);
    assert_eq!(renewal.poll_timeout(), None);
    assert_eq!(renewal.state(START), CredentialState::NotYet);
}

#[test]
fn failures_are_followed_by_pauses_that_double() {
    let mut renewal = user();
    let mut now = renewal.poll_timeout().unwrap();
    let first = now;
    for most in [10, 20, 40, 80, 160, 320, 640, 900, 900, 900] {
        assert!(renewal.poll_command(now).is_some());
        renewal.handle_refusal(refusal(Reason::AuthServerDown, false), now);
        let pause = renewal.poll_timeout().unwrap() - now;
        assert!(
            (most * 750..=most * 1000).contains(&pause),
            "{most}: {pause}"
        );
        now += pause;
    }
    assert_eq!(renewal.trouble().unwrap().since, first);
    // The old token is kept, and the same refresh token is good for the next time.
    assert_eq!(renewal.access().unwrap().token.expose(), "a0");
    assert_eq!(renewal.state(START), CredentialState::Expiring);
    let asked = renewal.poll_command(now);
    assert_eq!(asked, Some(Command::Ask(Some(Secret::new("r0")))));
    renewal.handle_token(token("a1", Some(3600), None), now);
    assert_eq!(renewal.trouble(), None);
    // RFC 6749 §6: no new refresh token came.
    assert_eq!(kept(&mut renewal, now).refresh, Some(Secret::new("r0")));
    assert_eq!(renewal.state(now), CredentialState::Ok);
}

#[test]
fn a_refusal_is_durable_and_ends_what_cannot_succeed() {
    let table = [
        // Whose, final, asked again.
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (false, false, true),
    ];
    for (is_user, is_final, asks_again) in table {
        let mut renewal = if is_user { user() } else { client() };
        let now = renewal.poll_timeout().unwrap();
        assert!(renewal.poll_command(now).is_some());
        renewal.handle_refusal(refusal(Reason::AuthCredentialRefused, is_final), now);
        let record = kept(&mut renewal, now);
        assert_eq!(renewal.state(now), CredentialState::Refused);
        assert_eq!(record.refused.as_ref().unwrap().since, now);
        let again = Renewal::new(record, is_user, 7, now + MINUTE);
        for mut renewal in [renewal, again] {
            let due = renewal.poll_timeout();
            assert_eq!(due.is_some(), asks_again, "{is_user} {is_final}");
            let Some(due) = due else { continue };
            assert!((45..=61).contains(&((due - now) / MINUTE)));
            assert!(renewal.poll_command(due).is_some());
            // The same once more: nothing new to write, and it began when it began.
            renewal.handle_refusal(refusal(Reason::AuthCredentialRefused, is_final), due);
            assert_eq!(renewal.record().refused.as_ref().unwrap().since, now);
            assert_eq!(renewal.poll_command(due), None);
            let due = renewal.poll_timeout().unwrap();
            assert!(renewal.poll_command(due).is_some());
            renewal.handle_token(token("a1", Some(3600), None), due);
            assert_eq!(kept(&mut renewal, due).refused, None);
            assert_eq!(renewal.state(due), CredentialState::Ok);
        }
    }
}

#[test]
fn a_store_that_fails_is_tried_again_and_nobody_else_asked() {
    let mut renewal = user();
    let now = renewal.poll_timeout().unwrap();
    assert!(renewal.poll_command(now).is_some());
    renewal.handle_token(token("a1", Some(3600), Some("r1")), now);
    let Some(Command::Keep(record)) = renewal.poll_command(now) else {
        panic!("{renewal:?}");
    };
    renewal.handle_not_kept(now);
    assert_eq!(renewal.access().unwrap().token.expose(), "a0");
    let due = renewal.poll_timeout().unwrap();
    assert!((7500..=10_000).contains(&(due - now)));
    assert_eq!(renewal.poll_command(due), Some(Command::Keep(record)));
    renewal.handle_kept(due);
    assert_eq!(renewal.record().refresh, Some(Secret::new("r1")));
}

#[test]
fn a_token_that_the_target_turns_away_is_renewed_once() {
    let mut renewal = user();
    let usual = renewal.poll_timeout().unwrap();
    assert!(usual > START + HOUR / 2);
    let now = START + 2 * MINUTE;
    for (began, why) in [
        (START + MINUTE / 2, "too young"),
        (START - 1, "it was another token's"),
    ] {
        renewal.handle_rejected(began, now);
        assert_eq!(renewal.poll_timeout(), Some(usual), "{why}");
    }
    renewal.handle_rejected(now, now);
    assert_eq!(renewal.poll_timeout(), Some(now));
    assert!(renewal.poll_command(now).is_some());
    renewal.handle_refusal(refusal(Reason::AuthServerDown, false), now);
    let due = renewal.poll_timeout();
    renewal.handle_rejected(now + 1, now + 1);
    assert_eq!(renewal.poll_timeout(), due, "no sooner than the pause");
}

#[test]
fn a_target_that_turns_every_token_away_has_new_ones_ever_less_often() {
    let mut renewal = user();
    let mut now = START;
    let mut ages = Vec::new();
    for _ in 0..8 {
        let got_at = now;
        while renewal.poll_timeout().unwrap() > now {
            now += MINUTE;
            renewal.handle_rejected(now, now);
        }
        ages.push((now - got_at) / MINUTE);
        assert!(renewal.poll_command(now).is_some());
        // Its life is a day, and so it would not be renewed for hours.
        renewal.handle_token(token("a", Some(86_400), None), now);
        kept(&mut renewal, now);
    }
    assert_eq!(ages, [1, 2, 4, 8, 16, 32, 60, 60]);
    // One that is good to its end begins anew.
    now = renewal.poll_timeout().unwrap();
    assert!(renewal.poll_command(now).is_some());
    renewal.handle_token(token("a", Some(86_400), None), now);
    kept(&mut renewal, now);
    renewal.handle_rejected(now + MINUTE, now + MINUTE);
    assert_eq!(renewal.poll_timeout(), Some(now + MINUTE));
}

#[test]
fn a_token_without_a_life_is_one_whose_life_nobody_says() {
    let mut renewal = client();
    assert!(renewal.poll_command(START).is_some());
    renewal.handle_token(token("a1", Some(0), None), START);
    assert_eq!(kept(&mut renewal, START).access.unwrap().ends_at, None);
    assert_eq!(renewal.state(START), CredentialState::Ok);
    assert!(renewal.poll_timeout().unwrap() > START + 2 * MINUTE);
    // One that had ended when it was given is exchanged at once.
    let ended = signed_in(Some("r0"), Some(0));
    let renewal = Renewal::new(ended, true, 7, START);
    assert_eq!(renewal.poll_timeout(), Some(START));
}

#[test]
fn a_refresh_token_of_an_answer_without_a_token_is_kept() {
    for (reason, is_final) in [
        (Reason::AuthServerDown, false),
        (Reason::AuthCredentialRefused, true),
    ] {
        let mut renewal = user();
        let now = renewal.poll_timeout().unwrap();
        assert!(renewal.poll_command(now).is_some());
        let refused = Refusal {
            refresh: Some(Secret::new("r1")),
            ..refusal(reason, is_final)
        };
        renewal.handle_refusal(refused, now);
        assert_eq!(kept(&mut renewal, now).refresh, Some(Secret::new("r1")));
        let due = renewal.poll_timeout().unwrap();
        assert!(due - now >= FIRST_PAUSE * 3 / 4, "{reason:?}");
        let asked = renewal.poll_command(due);
        assert_eq!(asked, Some(Command::Ask(Some(Secret::new("r1")))));
    }
}

#[test]
fn who_leaves_asks_nothing_and_keeps_what_it_has() {
    let mut renewal = user();
    let now = renewal.poll_timeout().unwrap();
    assert!(renewal.poll_command(now).is_some());
    renewal.handle_token(token("a1", Some(3600), Some("r1")), now);
    assert!(renewal.poll_command(now).is_some());
    renewal.handle_not_kept(now);
    renewal.handle_leaving(now);
    assert!(renewal.poll_command(now).is_some(), "at once");
    renewal.handle_not_kept(now);
    let due = renewal.poll_timeout().unwrap();
    assert!(due - now < 1000);
    assert_eq!(kept(&mut renewal, due).refresh, Some(Secret::new("r1")));
    assert_eq!(renewal.poll_timeout(), None);
    assert_eq!(renewal.poll_command(due + HOUR), None);
}

#[test]
fn another_credential_is_tried_at_once_while_the_old_token_is_used() {
    let record = signed_in(None, Some(3600));
    let mut renewal = Renewal::new(record, false, 7, START);
    assert!(renewal.poll_timeout().unwrap() > START);
    renewal.handle_replaced(START);
    assert_eq!(renewal.access().unwrap().token.expose(), "a0");
    assert_eq!(renewal.state(START), CredentialState::Ok);
    assert_eq!(renewal.poll_command(START), Some(Command::Ask(None)));
}

#[test]
fn no_secret_is_shown() {
    let mut renewal = user();
    let now = renewal.poll_timeout().unwrap();
    let asked = renewal.poll_command(now);
    renewal.handle_token(token("hunter2", None, Some("hunter3")), now);
    let kept = renewal.poll_command(now);
    assert!(!format!("{renewal:?}{asked:?}{kept:?}").contains("hunter"));
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Time passes: seconds.
    Wait(u64),
    /// The question that is under way is answered with new tokens that live so many seconds.
    Answer { rotates: bool, life: u64 },
    /// It never arrives.
    Lose,
    /// It is refused.
    Refuse { is_final: bool },
    /// The store keeps what waits for it, or does not.
    Store { keeps: bool },
    /// The target turns the token away.
    Reject,
    /// The process is killed, and starts again with what is durable.
    Kill,
}

/// Long lives, short ones, and none.
fn lives() -> impl Strategy<Value = u64> {
    prop_oneof![Just(600), 0u64..30]
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0u64..4000).prop_map(Turn::Wait),
        4 => (0u64..5).prop_map(Turn::Wait),
        3 => (any::<bool>(), lives()).prop_map(|(rotates, life)| Turn::Answer { rotates, life }),
        1 => Just(Turn::Lose),
        1 => (0u8..8).prop_map(|n| Turn::Refuse { is_final: n == 0 }),
        4 => (0u8..4).prop_map(|n| Turn::Store { keeps: n > 0 }),
        1 => Just(Turn::Reject),
        1 => Just(Turn::Kill),
    ];
    proptest::collection::vec(turn, 0..200)
}

/// An authorization server that gives each refresh token once or for ever, and a store.
struct World {
    renewal: Renewal,
    now: Ms,
    durable: Record,
    asking: Option<Option<Secret>>,
    keeping: Option<Record>,
    /// Refresh tokens that are used up.
    spent: BTreeSet<String>,
    given: u64,
    asked_at: Vec<Ms>,
}

impl World {
    fn poll(&mut self) {
        while let Some(command) = self.renewal.poll_command(self.now) {
            match command {
                Command::Ask(refresh) => {
                    assert_eq!(self.asking, None, "two questions at once");
                    assert_eq!(self.keeping, None, "asked before it was durable");
                    assert_eq!(refresh, self.durable.refresh, "not what is durable");
                    let refused = self.durable.refused.as_ref();
                    assert!(!refused.is_some_and(|refused| refused.is_final));
                    let refresh = refresh.unwrap();
                    assert!(!self.spent.contains(refresh.expose()), "sent twice");
                    self.asking = Some(Some(refresh));
                    self.asked_at.push(self.now);
                }
                Command::Keep(record) => {
                    assert_eq!(self.keeping, None, "two writes at once");
                    self.keeping = Some(record);
                }
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Wait(seconds) => self.now += seconds * 1000,
            Turn::Answer { rotates, life } => {
                if let Some(Some(sent)) = self.asking.take() {
                    self.given += 1;
                    let next = rotates.then(|| format!("r{}", self.given));
                    if rotates {
                        self.spent.insert(sent.expose().to_owned());
                    }
                    let token = token("a", Some(life), next.as_deref());
                    self.renewal.handle_token(token, self.now);
                }
            }
            Turn::Lose => {
                if self.asking.take().is_some() {
                    let down = refusal(Reason::AuthServerDown, false);
                    self.renewal.handle_refusal(down, self.now);
                }
            }
            Turn::Refuse { is_final } => {
                if self.asking.take().is_some() {
                    let refused = refusal(Reason::AuthCredentialRefused, is_final);
                    self.renewal.handle_refusal(refused, self.now);
                }
            }
            Turn::Store { keeps } => match self.keeping.take() {
                Some(record) if keeps => {
                    self.durable = record;
                    self.renewal.handle_kept(self.now);
                }
                Some(_) => self.renewal.handle_not_kept(self.now),
                None => {}
            },
            Turn::Reject => self.renewal.handle_rejected(self.now, self.now),
            Turn::Kill => {
                // What was answered and is not durable is lost with the process: nobody can help
                // that. Everything else must go on.
                if self.renewal.is_busy() {
                    return;
                }
                self.renewal = Renewal::new(self.durable.clone(), true, 3, self.now);
                // A process that is started begins without pauses.
                self.asked_at.clear();
            }
        }
        assert_eq!(
            self.renewal.record(),
            &self.durable,
            "used before it was durable"
        );
        self.poll();
    }
}

proptest! {
    /// Whatever fails, and whenever it is killed while nothing is under way: no refresh token is sent
    /// after it was exchanged for another, nothing is used before it is durable, and the
    /// authorization server is asked no more often than the pauses allow.
    #[test]
    fn a_refresh_token_is_exchanged_once(turns in turns()) {
        let durable = signed_in(Some("r0"), Some(600));
        let mut world = World {
            renewal: Renewal::new(durable.clone(), true, 3, START),
            now: START,
            durable,
            asking: None,
            keeping: None,
            spent: BTreeSet::new(),
            given: 0,
            asked_at: Vec::new(),
        };
        for turn in turns {
            world.turn(turn);
        }
        for pair in world.asked_at.windows(2) {
            prop_assert!(pair[1] - pair[0] >= FIRST_PAUSE * 3 / 4, "{pair:?}");
        }
    }
}
