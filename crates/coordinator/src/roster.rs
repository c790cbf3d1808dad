//! Who belongs to the mesh: tokens, and the agents that were enrolled with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::{Kind, Store, StoreError};

use crate::authority::Issued;
use crate::secret::{self, hex};

/// Times that a change is tried again when another came between.
const TRIES: usize = 8;

/// Where an agent is, and for whom it works. Region and provider come from here and nowhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) agent: String,
    pub(crate) region: String,
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) latitude: Option<f64>,
    #[serde(default)]
    pub(crate) longitude: Option<f64>,
    /// Serves only monitors that name its region or its labels.
    #[serde(default)]
    pub(crate) private: bool,
    /// What monitors may choose it by.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

/// An agent that was enrolled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) place: Place,
    /// The key that its certificates are for: revoking is by key, not by certificate.
    pub(crate) key_sha256: String,
    pub(crate) enrolled_at_ms: u64,
    /// Counts renewals.
    pub(crate) generation: u64,
    pub(crate) revoked_at_ms: Option<u64>,
}

/// A token: kept under the hash of its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TokenRow {
    place: Place,
    expires_at_ms: u64,
    /// Whether it may take the place of an agent that is there.
    #[serde(default)]
    replace: bool,
    /// The key that it was used for.
    used_by: Option<String>,
}

/// Why a token, or an agent, is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody made it, or it is gone.
    #[error("token: is not known here; make one with `parallax token create`")]
    Unknown,
    /// Too late.
    #[error("token: has expired; make another with `parallax token create`")]
    Expired,
    /// Somebody else was first.
    #[error("token: was used already, by another key; make another with `parallax token create`")]
    Used,
    /// No such agent any more.
    #[error("agent: {0} is not enrolled here; enrol it with a new token")]
    NoMember(String),
    /// Its key was turned out.
    #[error("agent: {0} was revoked; enrol it with a new token if it should come back")]
    Revoked(String),
    /// The certificate is of a key that the agent no longer has.
    #[error("agent: {0} was enrolled again with another key")]
    OtherKey(String),
    /// The place is taken.
    #[error("token: agent {0} is enrolled already; revoke it, or make a token that replaces it")]
    Taken(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others change the same entry all the time.
    #[error("storage: too many changes at once; try again")]
    Contended,
}

fn bytes<T: Serialize>(row: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(row).map_err(|_| StoreError::Io("an entry cannot be written".to_owned()))
}

fn row<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Io("an entry is damaged".to_owned()))
}

/// Makes a token; its secret.
pub(crate) async fn create_token<S: Store>(
    store: &S,
    place: Place,
    expires_at_ms: u64,
    replace: bool,
) -> Result<String, StoreError> {
    let secret = secret::new().map_err(|error| StoreError::Io(error.to_string()))?;
    let row = TokenRow {
        place,
        expires_at_ms,
        replace,
        used_by: None,
    };
    let id = secret::hash(&secret);
    store
        .replace(Kind::Token, &id, None, Some(bytes(&row)?))
        .await?;
    Ok(secret)
}

/// Who may be enrolled with a token. Nothing changes.
pub(crate) async fn holder<S: Store>(
    store: &S,
    secret: &str,
    now_ms: u64,
) -> Result<Place, Refusal> {
    let id = secret::hash(secret);
    let known = store.entry(Kind::Token, &id).await?;
    let token: TokenRow = row(&known.ok_or(Refusal::Unknown)?)?;
    if token.expires_at_ms <= now_ms {
        return Err(Refusal::Expired);
    }
    Ok(token.place)
}

/// Uses a token up for a key, and enrols the agent. The same key may ask again while the token
/// lasts, because its first answer may have been lost on the way: that changes nothing.
pub(crate) async fn enrol<S: Store>(
    store: &S,
    secret: &str,
    issued: &Issued,
    now_ms: u64,
) -> Result<Member, Refusal> {
    let id = secret::hash(secret);
    let key = hex(&issued.key_sha256);
    let known = store.entry(Kind::Token, &id).await?;
    let known = known.ok_or(Refusal::Unknown)?;
    let mut token: TokenRow = row(&known)?;
    if token.expires_at_ms <= now_ms {
        return Err(Refusal::Expired);
    }
    let agent = token.place.agent.clone();
    let before = store.entry(Kind::Agent, &agent).await?;
    let member: Option<Member> = before.as_deref().map(row).transpose()?;
    if let Some(member) = &member
        && member.key_sha256 == key
    {
        // A key that was turned out stays out, whatever token comes with it.
        return match member.revoked_at_ms {
            Some(_) => Err(Refusal::Revoked(agent)),
            None => Ok(member.clone()),
        };
    }
    if token
        .used_by
        .as_ref()
        .is_some_and(|used_by| *used_by != key)
    {
        return Err(Refusal::Used);
    }
    let is_there = member.is_some_and(|member| member.revoked_at_ms.is_none());
    // A token that was used once does not take a place back that somebody else was given since.
    if is_there && (!token.replace || token.used_by.is_some()) {
        return Err(Refusal::Taken(agent));
    }
    if token.used_by.is_none() {
        token.used_by = Some(key.clone());
        let used = Some(bytes(&token)?);
        if !store.replace(Kind::Token, &id, Some(&known), used).await? {
            return Err(Refusal::Contended);
        }
    }
    let member = Member {
        place: token.place,
        key_sha256: key,
        enrolled_at_ms: now_ms,
        generation: 0,
        revoked_at_ms: None,
    };
    let new = Some(bytes(&member)?);
    let enrolled = store.replace(Kind::Agent, &agent, before.as_deref(), new);
    if enrolled.await? {
        return Ok(member);
    }
    Err(Refusal::Contended)
}

/// The member that a certificate speaks for, and how it is kept.
pub(crate) async fn member<S: Store>(
    store: &S,
    agent: &str,
    key_sha256: &[u8; 32],
) -> Result<(Member, Vec<u8>), Refusal> {
    let known = store.entry(Kind::Agent, agent).await?;
    let known = known.ok_or_else(|| Refusal::NoMember(agent.to_owned()))?;
    let member: Member = row(&known)?;
    if member.key_sha256 != hex(key_sha256) {
        return Err(Refusal::OtherKey(agent.to_owned()));
    }
    if member.revoked_at_ms.is_some() {
        return Err(Refusal::Revoked(agent.to_owned()));
    }
    Ok((member, known))
}

/// All members, by name.
pub(crate) async fn members<S: Store>(store: &S) -> Result<Vec<Member>, StoreError> {
    let entries = store.entries(Kind::Agent).await?;
    entries.iter().map(|(_, bytes)| row(bytes)).collect()
}

/// A member gets another certificate for the key that it is known by.
pub(crate) async fn renewed<S: Store>(
    store: &S,
    (mut member, known): (Member, Vec<u8>),
    issued: &Issued,
) -> Result<Member, Refusal> {
    let agent = member.place.agent.clone();
    if member.key_sha256 != hex(&issued.key_sha256) {
        return Err(Refusal::OtherKey(agent));
    }
    member.generation = member.generation.saturating_add(1);
    let new = Some(bytes(&member)?);
    if store
        .replace(Kind::Agent, &agent, Some(&known), new)
        .await?
    {
        return Ok(member);
    }
    Err(Refusal::Contended)
}

/// Turns an agent out, with every token that would let it in; whether there was anything to turn
/// out.
pub(crate) async fn revoke<S: Store>(store: &S, agent: &str, now_ms: u64) -> Result<bool, Refusal> {
    let mut found = false;
    for (id, known) in store.entries(Kind::Token).await? {
        let token: TokenRow = row(&known)?;
        if token.place.agent == agent {
            found |= store.replace(Kind::Token, &id, Some(&known), None).await?;
        }
    }
    for _ in 0..TRIES {
        let Some(known) = store.entry(Kind::Agent, agent).await? else {
            return Ok(found);
        };
        let mut member: Member = row(&known)?;
        if member.revoked_at_ms.is_some() {
            return Ok(true);
        }
        member.revoked_at_ms = Some(now_ms);
        let new = Some(bytes(&member)?);
        if store.replace(Kind::Agent, agent, Some(&known), new).await? {
            return Ok(true);
        }
    }
    Err(Refusal::Contended)
}

/// Drops tokens that are long over.
pub(crate) async fn forget_tokens<S: Store>(store: &S, now_ms: u64) -> Result<(), StoreError> {
    for (id, known) in store.entries(Kind::Token).await? {
        let token: TokenRow = row(&known)?;
        // Kept for a day, so that a late agent is told "expired" and not "unknown".
        if token.expires_at_ms + 86_400_000 <= now_ms {
            store.replace(Kind::Token, &id, Some(&known), None).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::MemoryStore;

    fn place() -> Place {
        Place {
            agent: "eu-1".into(),
            region: "eu".into(),
            provider: "one".into(),
            latitude: None,
            longitude: None,
            private: false,
            labels: BTreeMap::new(),
        }
    }

    fn issued(key: u8) -> Issued {
        Issued {
            chain: Vec::new(),
            key_sha256: [key; 32],
        }
    }

    async fn token(store: &MemoryStore, replace: bool) -> String {
        create_token(store, place(), 1000, replace).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_enrols_one_key_once_and_in_time() {
        let store = MemoryStore::new(0);
        let secret = token(&store, false).await;
        let nobody = enrol(&store, "guess", &issued(1), 5).await;
        assert_eq!(nobody, Err(Refusal::Unknown));
        assert_eq!(holder(&store, &secret, 999).await.unwrap(), place());
        let late = enrol(&store, &secret, &issued(1), 1000).await;
        assert_eq!(late, Err(Refusal::Expired));
        let first = enrol(&store, &secret, &issued(1), 10).await.unwrap();
        let again = enrol(&store, &secret, &issued(1), 20).await.unwrap();
        assert_eq!(first, again, "its answer was lost");
        let thief = enrol(&store, &secret, &issued(2), 30).await;
        assert_eq!(thief, Err(Refusal::Used));
        assert!(member(&store, "eu-1", &[1; 32]).await.is_ok());
        forget_tokens(&store, 86_400_999).await.unwrap();
        assert_eq!(holder(&store, &secret, 2000).await, Err(Refusal::Expired));
        forget_tokens(&store, 86_401_000).await.unwrap();
        assert_eq!(holder(&store, &secret, 2000).await, Err(Refusal::Unknown));
    }

    #[tokio::test]
    async fn a_place_is_taken_once_unless_the_token_replaces() {
        let store = MemoryStore::new(0);
        let (one, two) = (token(&store, false).await, token(&store, false).await);
        enrol(&store, &one, &issued(1), 10).await.unwrap();
        let taken = enrol(&store, &two, &issued(2), 10).await;
        assert_eq!(taken, Err(Refusal::Taken("eu-1".into())));
        let three = token(&store, true).await;
        enrol(&store, &three, &issued(3), 10).await.unwrap();
        // The one that was replaced does not take its place back with its old token.
        let back = enrol(&store, &one, &issued(1), 20).await;
        assert_eq!(back, Err(Refusal::Taken("eu-1".into())));
        assert!(member(&store, "eu-1", &[3; 32]).await.is_ok());
    }

    #[tokio::test]
    async fn a_member_is_known_by_its_key_until_it_is_revoked() {
        let store = MemoryStore::new(0);
        let (secret, spare) = (token(&store, false).await, token(&store, true).await);
        enrol(&store, &secret, &issued(1), 10).await.unwrap();
        let other = member(&store, "eu-1", &[2; 32]).await;
        assert_eq!(other.unwrap_err(), Refusal::OtherKey("eu-1".into()));
        let known = member(&store, "eu-1", &[1; 32]).await.unwrap();
        let newer = renewed(&store, known.clone(), &issued(1)).await.unwrap();
        assert_eq!(newer.generation, 1);
        let key = renewed(&store, known, &issued(2)).await;
        assert_eq!(key, Err(Refusal::OtherKey("eu-1".into())));

        assert!(revoke(&store, "eu-1", 50).await.unwrap());
        let out = Refusal::Revoked("eu-1".into());
        assert_eq!(member(&store, "eu-1", &[1; 32]).await.unwrap_err(), out);
        for old in [secret, spare] {
            let back = enrol(&store, &old, &issued(1), 60).await;
            assert_eq!(back, Err(Refusal::Unknown), "its tokens are gone too");
        }
        let new = token(&store, false).await;
        let back = enrol(&store, &new, &issued(1), 60).await;
        assert_eq!(back, Err(out), "and so is its key");
        assert!(enrol(&store, &new, &issued(4), 60).await.is_ok());
        assert!(!revoke(&store, "us-1", 50).await.unwrap());
        assert_eq!(members(&store).await.unwrap().len(), 1);
    }
}
