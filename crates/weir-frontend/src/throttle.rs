//! The second gate: may this caller have this now?
//!
//! A tenant's requests in flight are bounded here before anything is decoded, so that one tenant cannot take a whole
//! server; then the calls of each operation are counted to their rate; a shard's records, bytes and reads are bounded
//! where routing has found the shard. Passing the first yields [`Admitted`]. Nothing waits here: what is over a limit is
//! told so at once.

mod calls;
mod shards;
mod tenants;

use std::sync::Arc;

use weir_wire::kinesis::operation::Operation;

use self::tenants::{TenantSeat, Tenants};
pub(crate) use self::{
    calls::CallGate,
    shards::{ShardGate, ShardLimits, ShardRates},
};
use crate::{
    authenticate::{Authenticated, Caller},
    error::RequestError,
};

/// The caller is known and has room. Holds that room until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    authenticated: Authenticated,
    _seat: TenantSeat,
}

impl Admitted {
    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        self.authenticated.caller()
    }
}

/// The limits of one front end.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    tenants: Arc<Tenants>,
    /// The buckets of calls.
    pub(crate) calls: CallGate,
    /// The shards' buckets.
    pub(crate) shards: ShardGate,
}

impl Throttle {
    /// Gives the caller's tenant a seat.
    pub(crate) fn admit(
        &self,
        authenticated: Authenticated,
        operation: Operation,
    ) -> Result<Admitted, RequestError> {
        let tenant = &authenticated.caller().tenant;
        match Tenants::seat(&self.tenants, tenant) {
            Some(seat) => Ok(Admitted { authenticated, _seat: seat }),
            None => Err(RequestError::TenantBusy { tenant: tenant.clone(), operation }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::Request;
    use weir_core::clock::WallMs;

    use super::*;
    use crate::{
        authenticate::{authenticate, tests::shared},
        request_config::RequestConfig,
    };

    /// A caller of the default account who has passed both gates as every caller does.
    pub(crate) fn admitted() -> Admitted {
        let head = Request::post("/")
            .header("x-amz-date", "20201125T104400Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20201125/us-east-1/kinesis/aws4_request, SignedHeaders=host, \
                 Signature=0",
            )
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let config = RequestConfig::new(&shared(vec![])).unwrap();
        let authenticated = authenticate(&config, &head, b"", WallMs(0)).unwrap();
        Throttle::default().admit(authenticated, Operation::PutRecords).unwrap()
    }
}
