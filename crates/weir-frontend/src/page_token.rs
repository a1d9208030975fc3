//! Paging tokens: where a list goes on, sealed, for its own account and region and for as long as iterators live.
//!
//! `ListStreams` and `ListShards` make and open them. What the place is, each of them knows alone.

use bytes::Bytes;
use weir_core::clock::WallMs;
use weir_wire::codec::Writer;

use crate::{
    authenticate::Caller,
    error::RequestError,
    seal::{SealKind, Sealer, Unsealed},
};

/// Seals `place` for `caller` at `now`.
pub(crate) fn seal(sealer: &Sealer, kind: SealKind, caller: &Caller, now: WallMs, place: &[u8]) -> String {
    sealer.seal(kind, now, &[&owner(caller), place].concat())
}

/// The place that a token of `caller` carries.
pub(crate) fn open(
    sealer: &Sealer,
    kind: SealKind,
    caller: &Caller,
    now: WallMs,
    token: &str,
) -> Result<Vec<u8>, RequestError> {
    let payload = sealer.open(kind, now, token).map_err(|unsealed| match unsealed {
        Unsealed::NotOurs => RequestError::TokenInvalid,
        Unsealed::Expired { .. } => RequestError::TokenExpired,
    })?;
    let place = payload.strip_prefix(&owner(caller)[..]).ok_or(RequestError::TokenInvalid)?;
    Ok(place.to_vec())
}

/// What stands in front of the place. No owner's begins another's: the region's length is in it.
fn owner(caller: &Caller) -> Bytes {
    let mut owner = Writer::new();
    owner.u64(caller.account.number()).text(caller.region.as_str());
    owner.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_core::id::{AccountId, Region, TenantName};

    use super::*;

    fn caller(account: u64, region: &str) -> Caller {
        let (account, region) = (AccountId::new(account).unwrap(), region.parse().unwrap());
        Caller { account, region, tenant: TenantName::new("t") }
    }

    fn sealer() -> Sealer {
        Sealer::new(&"5a".repeat(32), Duration::from_secs(300)).unwrap()
    }

    #[test]
    fn a_token_opens_for_its_kind_its_account_its_region_and_its_time_alone() {
        let (one, other, elsewhere) =
            (caller(1, "eu-west-1"), caller(2, "eu-west-1"), caller(1, "eu-west-2"));
        let token = seal(&sealer(), SealKind::ListShards, &one, WallMs(1_000), b"place");
        let open = |kind, caller, now| open(&sealer(), kind, caller, WallMs(now), &token);
        assert_eq!(open(SealKind::ListShards, &one, 301_000), Ok(b"place".to_vec()));
        assert_eq!(open(SealKind::ListShards, &one, 301_001), Err(RequestError::TokenExpired));
        assert_eq!(open(SealKind::ListShards, &other, 1_000), Err(RequestError::TokenInvalid));
        assert_eq!(open(SealKind::ListShards, &elsewhere, 1_000), Err(RequestError::TokenInvalid));
        assert_eq!(open(SealKind::ListStreams, &one, 1_000), Err(RequestError::TokenInvalid));
    }

    #[test]
    fn a_token_without_an_owner_is_none() {
        let caller = caller(0, Region::US_EAST_1.as_str());
        let token = sealer().seal(SealKind::ListShards, WallMs(0), b"short");
        let opened = open(&sealer(), SealKind::ListShards, &caller, WallMs(0), &token);
        assert_eq!(opened, Err(RequestError::TokenInvalid));
    }
}
