//! Paging tokens: where a list goes on, sealed, for its own account and for five minutes.
//!
//! `ListStreams` and `ListShards` make and open them. What the place is, each of them knows alone.

use weir_core::{clock::WallMs, id::AccountId, limits::SHARD_ITERATOR_TTL};

use crate::{
    error::RequestError,
    seal::{SealKind, Sealer},
};

/// Bytes of the account in front of the place.
const ACCOUNT_BYTES: usize = 8;

/// Seals `place` for `account` at `now`.
pub(crate) fn seal(sealer: &Sealer, kind: SealKind, account: AccountId, now: WallMs, place: &[u8]) -> String {
    let mut payload = Vec::with_capacity(ACCOUNT_BYTES + place.len());
    payload.extend_from_slice(&account.number().to_le_bytes());
    payload.extend_from_slice(place);
    sealer.seal(kind, now, &payload)
}

/// The place that a token of `account` carries. Tokens live as long as iterators do (AWS: 300 seconds).
pub(crate) fn open(
    sealer: &Sealer,
    kind: SealKind,
    account: AccountId,
    now: WallMs,
    token: &str,
) -> Result<Vec<u8>, RequestError> {
    let (issued, mut payload) = sealer.open(kind, token).map_err(|_| RequestError::TokenInvalid)?;
    let owner = payload.first_chunk::<ACCOUNT_BYTES>().copied().map(u64::from_le_bytes);
    if owner != Some(account.number()) {
        return Err(RequestError::TokenInvalid);
    }
    if u128::from(now.0.saturating_sub(issued.0)) > SHARD_ITERATOR_TTL.as_millis() {
        return Err(RequestError::TokenExpired);
    }
    Ok(payload.split_off(ACCOUNT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&"5a".repeat(32)).unwrap()
    }

    #[test]
    fn a_token_opens_for_its_kind_its_account_and_its_time_alone() {
        let (one, other) = (AccountId::new(1).unwrap(), AccountId::new(2).unwrap());
        let token = seal(&sealer(), SealKind::ListShards, one, WallMs(1_000), b"place");
        let open = |kind, account, now| open(&sealer(), kind, account, WallMs(now), &token);
        assert_eq!(open(SealKind::ListShards, one, 301_000), Ok(b"place".to_vec()));
        assert_eq!(open(SealKind::ListShards, one, 301_001), Err(RequestError::TokenExpired));
        assert_eq!(open(SealKind::ListShards, other, 1_000), Err(RequestError::TokenInvalid));
        assert_eq!(open(SealKind::ListStreams, one, 1_000), Err(RequestError::TokenInvalid));
    }

    #[test]
    fn a_token_without_an_account_is_none() {
        let account = AccountId::DEFAULT;
        let token = sealer().seal(SealKind::ListShards, WallMs(0), b"short");
        let opened = open(&sealer(), SealKind::ListShards, account, WallMs(0), &token);
        assert_eq!(opened, Err(RequestError::TokenInvalid));
    }
}
