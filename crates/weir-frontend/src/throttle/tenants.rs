//! How many requests each tenant has in flight.
//!
//! A tenant is here only while it has some, so that the map is as small as the traffic; a seat is given back when its
//! request ends, however it ends.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use weir_core::{id::TenantName, limits::NODE_CALLS_MAX};

/// Requests that one tenant may have in flight on one front end: half of what one node takes from it, so that the other
/// tenants always find the other half.
const TENANT_REQUESTS_MAX: u32 = (NODE_CALLS_MAX / 2) as u32;

/// The tenants that have requests in flight.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    seated: Mutex<HashMap<TenantName, u32>>,
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct TenantSeat {
    tenants: Arc<Tenants>,
    tenant: TenantName,
}

impl Tenants {
    /// A seat, unless the tenant has all of its own already.
    pub(super) fn seat(tenants: &Arc<Self>, tenant: &TenantName) -> Option<TenantSeat> {
        let mut seated = tenants.seated.lock();
        match seated.get_mut(tenant) {
            Some(count) if *count >= TENANT_REQUESTS_MAX => return None,
            Some(count) => *count += 1,
            None => drop(seated.insert(tenant.clone(), 1)),
        }
        drop(seated);
        Some(TenantSeat { tenants: Arc::clone(tenants), tenant: tenant.clone() })
    }
}

impl Drop for TenantSeat {
    fn drop(&mut self) {
        let mut seated = self.tenants.seated.lock();
        let count = seated.get_mut(&self.tenant).expect("a seat is counted until it is given back");
        *count -= 1;
        if *count == 0 {
            seated.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_seats_and_no_more_and_others_have_theirs() {
        let tenants = Arc::new(Tenants::default());
        let (one, other) = (TenantName::new("one"), TenantName::new("other"));
        let mut seats: Vec<_> =
            (0..TENANT_REQUESTS_MAX).map(|_| Tenants::seat(&tenants, &one).unwrap()).collect();
        assert!(Tenants::seat(&tenants, &one).is_none());
        assert!(Tenants::seat(&tenants, &other).is_some());
        seats.pop();
        assert!(Tenants::seat(&tenants, &one).is_some(), "a seat given back is a seat");
        seats.clear();
        assert!(tenants.seated.lock().is_empty(), "nobody is kept who has nothing in flight");
    }
}
