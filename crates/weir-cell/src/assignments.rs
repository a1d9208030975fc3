//! The node's talk with the control plane: says what it owns, hears what it should own, does it.
//!
//! The shell around [`Ownership`], on the node's runtime. Each renewal makes a new fragment, which the links to the
//! homes pass on. It must never say a shard before the journal has it.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use weir_wire::{
    control::{Control, ControlReply, ControlRequest, FleetConfig},
    fragment::Fragment,
};

use crate::{
    node::Node,
    ownership::{Ownership, OwnershipStep},
};

/// Renews the fragment at the fleet's pace and whenever an assignment changes it.
pub(crate) async fn follow(
    node: Arc<Node>,
    control: Control,
    mut ownership: Ownership,
    fragments: watch::Sender<Option<Fragment>>,
) {
    let mut changes = control.changes();
    let mut pace = Duration::from_millis(100);
    loop {
        let fragment = ownership.fragment();
        fragments.send_replace(Some(fragment.clone()));
        let report = ControlRequest::Report { fragment };
        match control.call(report).await {
            Ok(ControlReply::Assignments { shards, retention_hours }) => {
                node.retain_hours(retention_hours);
                if carry_out(&node, &mut ownership, shards).await {
                    continue; // say it at once: a stream waits for it
                }
            }
            Ok(other) => tracing::error!(?other, "the control plane answered another question"),
            Err(error) => tracing::debug!(%error, "not reported"),
        }
        if let Some(fleet) = fleet_config(&control).await {
            ownership.ttl(fleet.fragment_ttl());
            pace = (fleet.gossip_interval.0 / 2).max(Duration::from_millis(20));
        }
        let changed = async {
            match &mut changes {
                Some(changes) => drop(changes.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = changed => {}
        }
    }
}

async fn fleet_config(control: &Control) -> Option<FleetConfig> {
    match control.call(ControlRequest::Cells).await {
        Ok(ControlReply::Cells { fleet, .. }) => Some(*fleet),
        _ => None,
    }
}

/// True when something changed.
async fn carry_out(
    node: &Arc<Node>,
    ownership: &mut Ownership,
    shards: Vec<weir_core::shard::OwnedShard>,
) -> bool {
    // All are queued before the first is awaited: a stream of a thousand shards costs a few syncs, not a thousand.
    let mut opening = Vec::new();
    let mut deleting = Vec::new();
    for step in ownership.assigned(shards) {
        match step {
            OwnershipStep::Open(shard) => opening.push((node.open_shard(shard.clone()), shard)),
            OwnershipStep::Delete(key) => deleting.push((node.delete_shard(key), key)),
        }
    }
    let mut changed = !deleting.is_empty();
    for (opened, shard) in opening {
        match opened.await {
            Ok(()) => {
                ownership.opened(shard);
                changed = true;
            }
            Err(error) => tracing::error!(shard = %shard.key, %error, "shard not opened"),
        }
    }
    for (deleted, key) in deleting {
        if let Err(error) = deleted.await {
            tracing::error!(shard = %key, %error, "shard not deleted");
        }
    }
    changed
}
