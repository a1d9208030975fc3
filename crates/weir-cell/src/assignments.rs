//! The node's talk with the control plane: says what it owns, hears what it should own, does it.
//!
//! The shell around [`Ownership`], on the node's runtime. Each renewal makes a new fragment, which the links to the
//! homes pass on. It must never say a shard before the journal has it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use weir_core::{clock::Clock, id::ShardKey, shard::OwnedShard};
use weir_log::DeleteShardError;
use weir_wire::{
    control::{Control, ControlReply, ControlRequest, FleetConfig},
    fragment::Fragment,
};

use crate::{
    foreign,
    node::Node,
    ownership::{Ownership, OwnershipStep},
};

/// Renews the fragment at the fleet's pace and whenever an assignment changes it. Foreign shards are noted in `folder`;
/// none: the journal does not outlive this life either.
pub(crate) async fn follow(
    node: Arc<Node>,
    control: Control,
    mut ownership: Ownership,
    folder: Option<PathBuf>,
    fragments: watch::Sender<Option<Fragment>>,
    clock: Clock,
) {
    let mut changes = control.changes();
    let mut pace = Duration::from_millis(100);
    loop {
        let fragment = ownership.fragment();
        fragments.send_replace(Some(fragment.clone()));
        let traffic = node.take_traffic();
        let report = ControlRequest::Report { fragment, traffic: traffic.clone() };
        match control.call(report).await {
            Ok(ControlReply::Assignments { shards, closing, retention_hours, next_stream }) => {
                let steps = ownership.assigned(clock.now(), shards, &closing, next_stream);
                if node.retain_hours(retention_hours, ownership.foreign().collect()) {
                    node.retain().await;
                }
                if carry_out(&node, &mut ownership, folder.as_deref(), steps, clock).await > 0 {
                    node.retain().await; // what was deleted may be all that a segment holds, and a full disk waits for it
                }
                if ownership.has_news() {
                    continue; // say it at once: a stream waits for it
                }
            }
            Ok(other) => tracing::error!(?other, "the control plane answered another question"),
            Err(error) => {
                tracing::debug!(%error, "not reported");
                node.give_back_traffic(traffic);
            }
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

/// Does the steps, and says in a line each what was deleted, what failed and what is left alone: a stream may have
/// thousands of shards. How many were deleted.
async fn carry_out(
    node: &Arc<Node>,
    ownership: &mut Ownership,
    folder: Option<&Path>,
    steps: Vec<OwnershipStep>,
    clock: Clock,
) -> u64 {
    // All are queued before the first is awaited: a stream of a thousand shards costs a few syncs, not a thousand.
    let (mut opening, mut closing, mut deleting) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps {
        match step {
            OwnershipStep::Open(shard) => opening.push((node.open_shard(shard.clone()), shard)),
            OwnershipStep::Close(key) => closing.push((node.close_shard(key), key)),
            OwnershipStep::Delete(key) => deleting.push((node.records_of(key), node.delete_shard(key), key)),
            OwnershipStep::Keep(shards) => keep(ownership, folder, &shards, clock),
        }
    }
    let mut refused = Failures::default();
    for (opened, shard) in opening {
        match opened.await {
            Ok(()) => ownership.opened(shard),
            Err(error) => {
                ownership.failed(clock.now(), shard.key);
                refused.add(shard.key, &error);
            }
        }
    }
    refused.tell("shards not opened");
    let mut refused = Failures::default();
    for (closed, key) in closing {
        match closed.await {
            Ok(closed) => ownership.closed(key, closed),
            Err(error) => {
                ownership.failed(clock.now(), key);
                refused.add(key, &error);
            }
        }
    }
    refused.tell("shards not closed");
    let (mut shards, mut records, mut refused) = (0u64, 0, Failures::default());
    for (held, deleted, key) in deleting {
        match deleted.await {
            Ok(()) | Err(DeleteShardError::NoShard { .. }) => {
                ownership.deleted(key);
                shards += 1;
                records += held;
            }
            Err(error) => {
                ownership.failed(clock.now(), key);
                refused.add(key, &error);
            }
        }
    }
    if shards > 0 {
        tracing::info!(shards, records, "shards deleted: their streams are gone");
    }
    refused.tell("shards not deleted");
    shards
}

fn keep(ownership: &mut Ownership, folder: Option<&Path>, kept: &[OwnedShard], clock: Clock) {
    if let Some(first) = kept.first() {
        let (shards, stream) = (kept.len(), &first.stream_name);
        tracing::error!(shards, first = %first.key, %stream, "kept shards that the control plane never gave out");
    }
    match folder.map(|folder| foreign::write(folder, ownership.foreign())) {
        None | Some(Ok(())) => ownership.noted(),
        Some(Err(error)) => {
            ownership.not_noted(clock.now());
            tracing::error!(%error, "foreign shards not noted; it is tried again");
        }
    }
}

/// What went wrong in one round, as one line.
#[derive(Default)]
struct Failures {
    shards: u64,
    first: Option<(ShardKey, String)>,
}

impl Failures {
    fn add(&mut self, key: ShardKey, error: &dyn std::error::Error) {
        self.shards += 1;
        self.first.get_or_insert_with(|| (key, error.to_string()));
    }

    fn tell(self, what: &'static str) {
        if let Some((first, error)) = self.first {
            tracing::error!(shards = self.shards, %first, error, "{what}; they are tried again");
        }
    }
}
