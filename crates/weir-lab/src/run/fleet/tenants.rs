//! The tenants of an arm: accounts, keys and streams, all made from the seed.
//!
//! Secrets here are not secret: they guard a fleet on loopback for a minute, and every run of a seed is the same.

use rand::RngExt;
use weir_core::{
    entropy::seeded,
    id::{AccountId, Region, StreamName, StreamRef, TenantName},
};
use weir_wire::{
    control::{Credential, SharedConfig},
    kinesis::limits::ServiceLimits,
};

use crate::scenario::plan::Plan;

/// The region of all arms.
pub(in crate::run) const REGION: Region = Region::US_EAST_1;

/// A tenant with all that a caller needs to act for it.
#[derive(Debug, Clone)]
pub(in crate::run) struct TenantAccess {
    /// Its key, account and name.
    pub(in crate::run) credential: Credential,
    /// Its stream.
    pub(in crate::run) stream: String,
    /// The front-end cell that it is placed on.
    pub(in crate::run) cell: String,
}

impl TenantAccess {
    /// Its stream as the control plane knows it.
    pub(in crate::run) fn stream_ref(&self) -> StreamRef {
        let name = StreamName::new(self.stream.as_str());
        StreamRef { account: self.credential.account, region: REGION, name }
    }
}

/// The tenants of `plan`, dealt out to the cells in turn but for those that are pinned to one.
pub(in crate::run) fn tenants(plan: &Plan, cells: &[String], seed: u64) -> Vec<TenantAccess> {
    let mut secrets = seeded(seed, "tenant secrets");
    let tenants = (0..plan.tenants).map(|number| {
        let secret_key = hex(&secrets.random::<[u8; 20]>());
        let account = AccountId::new(100_000_000_000 + u64::from(number)).expect("twelve digits");
        let credential = Credential {
            access_key: format!("AKIAWEIR{number:012}"),
            secret_key,
            session_token: None,
            account,
            tenant: TenantName::new(format!("tenant-{number}")),
        };
        let cell = plan.pins.get(&number).map_or(number as usize % cells.len(), |cell| *cell as usize);
        let cell = cells[cell].clone();
        TenantAccess { credential, stream: "events".to_owned(), cell }
    });
    tenants.collect()
}

/// What all front ends of the arm agree on.
pub(super) fn shared_config(tenants: &[TenantAccess], seed: u64) -> SharedConfig {
    SharedConfig {
        credentials: tenants.iter().map(|tenant| tenant.credential.clone()).collect(),
        limits: ServiceLimits::of_shards(),
        ..SharedConfig::new(hex(&seeded(seed, "iterator secret").random::<[u8; 32]>()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
