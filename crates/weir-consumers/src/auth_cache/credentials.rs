//! Temporary credentials by user: a bounded cache that renews them in time. Pure: time and secrets come from outside.
//!
//! Used by the workers under one short lock. It must never hand out a credential that is about to expire.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, Serializer};
use weir_core::{clock::WallMs, entropy::secret};

/// What a caller signs with until it expires.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Credential {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    #[serde(serialize_with = "seconds")]
    pub(super) expiration: WallMs,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// The random part of a credential.
pub(super) struct Secrets {
    id: u64,
    secret: u128,
    token: u128,
}

impl Secrets {
    /// From the kernel.
    pub(super) fn draw() -> Self {
        Self {
            id: u64::from_le_bytes(secret()),
            secret: u128::from_le_bytes(secret()),
            token: u128::from_le_bytes(secret()),
        }
    }
}

/// Credentials by user.
#[derive(Debug)]
pub(super) struct CredentialCache {
    users_max: usize,
    lifetime: Duration,
    by_user: BTreeMap<Arc<str>, Credential>,
    /// The same, in the order in which they expire.
    by_expiration: BTreeSet<(WallMs, Arc<str>)>,
}

impl CredentialCache {
    /// An empty cache for at most `users_max` users.
    pub(super) fn new(users_max: usize, lifetime: Duration) -> Self {
        Self { users_max, lifetime, by_user: BTreeMap::new(), by_expiration: BTreeSet::new() }
    }

    /// The user's credential: the one that is kept while more than a quarter of its life is left, else a new one.
    pub(super) fn sign_in(&mut self, user: &str, now: WallMs, draw: impl FnOnce() -> Secrets) -> Credential {
        let lifetime_ms = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let old_at = WallMs(now.0.saturating_add(lifetime_ms / 4));
        if let Some(kept) = self.by_user.get(user).filter(|kept| kept.expiration > old_at) {
            return kept.clone();
        }
        let Secrets { id, secret, token } = draw();
        let credential = Credential {
            access_key_id: format!("ASIA{id:016X}"),
            secret_access_key: format!("{secret:032x}"),
            session_token: format!("{token:032x}"),
            expiration: WallMs(now.0.saturating_add(lifetime_ms)),
        };
        self.keep(user.into(), credential.clone());
        credential
    }

    /// Users in it.
    pub(super) fn len(&self) -> usize {
        self.by_user.len()
    }

    fn keep(&mut self, user: Arc<str>, credential: Credential) {
        self.by_expiration.insert((credential.expiration, Arc::clone(&user)));
        if let Some(old) = self.by_user.insert(Arc::clone(&user), credential)
            && self.by_user[&user].expiration != old.expiration
        {
            self.by_expiration.remove(&(old.expiration, user));
        }
        if self.by_user.len() > self.users_max {
            let (_, first) = self.by_expiration.pop_first().expect("both hold the same users");
            self.by_user.remove(&first);
        }
        assert_eq!(self.by_user.len(), self.by_expiration.len(), "both hold the same users");
    }
}

fn seconds<S: Serializer>(at: &WallMs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(number: u64) -> impl FnOnce() -> Secrets {
        move || Secrets { id: number, secret: 1, token: 2 }
    }

    #[test]
    fn a_credential_is_kept_until_a_quarter_of_its_life_is_left() {
        let mut cache = CredentialCache::new(10, Duration::from_secs(100));
        let first = cache.sign_in("ann", WallMs(0), numbered(1));
        assert_eq!(first.access_key_id, "ASIA0000000000000001");
        assert_eq!(cache.sign_in("ann", WallMs(74_999), numbered(2)), first);
        let renewed = cache.sign_in("ann", WallMs(75_000), numbered(3));
        assert_eq!(
            (renewed.access_key_id.as_str(), renewed.expiration),
            ("ASIA0000000000000003", WallMs(175_000))
        );
        assert_eq!(cache.len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_stays_bounded_and_hands_out_nothing_that_is_about_to_expire(
            calls in prop::collection::vec((0..8u32, 0..60_000u64), 1..60)
        ) {
            let lifetime = Duration::from_secs(40);
            let mut cache = CredentialCache::new(4, lifetime);
            let mut now = 0;
            for (user, later) in calls {
                now += later;
                let credential = cache.sign_in(&user.to_string(), WallMs(now), numbered(now));
                prop_assert!(credential.expiration.0 > now + 10_000);
                prop_assert!(cache.len() <= 4);
            }
        }
    }
}
