//! Reads every record of every stream back after a run: as a caller would, or from the nodes when nobody serves callers.
//!
//! Feeds the integrity checker in the order of the log. Front ends are tried first, since callers depend on them; a fleet that
//! did not recover cannot be read through, and its log is then read where it is kept.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::net::TcpStream;
use weir_client::{
    ClientConfig, Endpoints, KinesisClient,
    calls::{GetRecords, GetShardIterator, IteratorType},
    retry::{RetryPolicy, UnknownWrites},
};
use weir_core::{
    clock::Clock,
    id::{ShardIndex, StreamRef},
    limits::GET_RECORDS_COUNT_MAX,
    sequence::SequenceNumber,
    shard::OwnedShard,
};
use weir_loadgen::acks::AckReader;
use weir_wire::{
    cell::{CellReply, CellRequest},
    control::{Control, ControlReply, ControlRequest, RemoteControl},
    framing::FrameLink,
    sigv4::Identity,
};

use super::{
    fleet::{Fleet, REGION, TenantAccess},
    integrity::{Checker, ShardPlace},
};
use crate::series::Integrity;

/// One attempt of one call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Reads are repeated until the fleet serves, or this often.
const RETRY: RetryPolicy = RetryPolicy {
    attempts_max: 6,
    pause: Duration::from_millis(200),
    pause_max: Duration::from_secs(2),
    unknown_writes: UnknownWrites::Report,
};
/// Bytes of one read from a node.
const NODE_READ_BYTES: u32 = 4 << 20;

/// Reads everything back and judges what `acks` promises. The second value says how it was read.
pub(super) async fn check(
    fleet: &Fleet,
    acks: &Path,
    clock: Clock,
) -> Result<(Integrity, &'static str), String> {
    let control: Control = Arc::new(RemoteControl::new(fleet.control_address));
    let (checker, way) = match through_front_ends(fleet, &control, clock).await {
        Ok(checker) => (checker, "through the front ends"),
        Err(error) => {
            tracing::warn!(%error, "the front ends could not be read through: reading from the nodes");
            (from_nodes(fleet, &control).await?, "from the nodes")
        }
    };
    let acks = AckReader::open(acks).map_err(|error| error.to_string())?;
    // The file numbers its streams as the lab gave them to the load generator: in the order of the tenants.
    let given =
        fleet.tenants.iter().map(|tenant| (tenant.credential.tenant.as_str(), tenant.stream.as_str()));
    if !acks.targets().iter().map(|target| (target.tenant.as_str(), target.stream.as_str())).eq(given) {
        return Err(format!("the acknowledgements are of other streams: {:?}", acks.targets()));
    }
    let integrity = checker.judge(acks).map_err(|error| error.to_string())?;
    Ok((integrity, way))
}

async fn through_front_ends(fleet: &Fleet, control: &Control, clock: Clock) -> Result<Checker, String> {
    let mut checker = Checker::default();
    for (target, tenant) in (0..).zip(&fleet.tenants) {
        let client = client(tenant, control, clock);
        let read = read_stream(&client, &tenant.stream, target, &mut checker).await;
        read.map_err(|error| format!("{}: {error}", tenant.credential.tenant))?;
    }
    Ok(checker)
}

fn client(tenant: &TenantAccess, control: &Control, clock: Clock) -> KinesisClient {
    let credential = &tenant.credential;
    let config = ClientConfig {
        identity: Identity {
            access_key: credential.access_key.clone(),
            secret_key: credential.secret_key.clone(),
            session_token: None,
        },
        region: REGION.to_string(),
        attempt_timeout: ATTEMPT_TIMEOUT,
        retry: RETRY,
        idle_connections_max: 4,
    };
    let every = Duration::from_secs(1);
    let endpoints = Endpoints::from_control(Arc::clone(control), Some(credential.tenant.clone()), every);
    KinesisClient::new(config, Arc::new(endpoints), clock)
}

async fn read_stream(
    client: &KinesisClient,
    stream: &str,
    target: u32,
    checker: &mut Checker,
) -> Result<(), String> {
    let shards = client.shards(stream).await.map_err(|error| error.to_string())?;
    for shard in shards {
        let index: ShardIndex =
            shard.shard_id.parse().map_err(|_| format!("{} is no shard", shard.shard_id))?;
        let place = ShardPlace { target, shard: index.0 };
        let failed = |error: weir_client::CallError| format!("{}: {error}", shard.shard_id);
        let start = GetShardIterator {
            stream_name: stream.to_owned(),
            shard_id: shard.shard_id.clone(),
            from: IteratorType::TrimHorizon,
        };
        let mut iterator = Some(client.call(&start).await.map_err(failed)?.shard_iterator);
        while let Some(shard_iterator) = iterator.take() {
            let limit = Some(GET_RECORDS_COUNT_MAX as u32);
            let page = client.call(&GetRecords { shard_iterator, limit }).await.map_err(failed)?;
            for record in &page.records {
                checker.read(place, &record.sequence_number, &record.data);
            }
            let at_tip = page.millis_behind_latest == 0 && page.records.is_empty();
            iterator = page.next_shard_iterator.filter(|_| !at_tip);
        }
    }
    Ok(())
}

async fn from_nodes(fleet: &Fleet, control: &Control) -> Result<Checker, String> {
    let reply = control.call(ControlRequest::Fragments).await.map_err(|error| error.to_string())?;
    let ControlReply::Fragments(fragments) = reply else {
        return Err("the control plane answered another question".to_owned());
    };
    let target_of = |stream: &StreamRef| {
        let same = |tenant: &TenantAccess| tenant.stream_ref() == *stream;
        fleet.tenants.iter().position(same)
    };
    let mut checker = Checker::default();
    for fragment in fragments {
        let stream = TcpStream::connect(fragment.address).await;
        let stream = stream.map_err(|error| format!("connect to node {}: {error}", fragment.address))?;
        let mut link = FrameLink::over(stream);
        for shard in fragment.shards.iter() {
            let Some(target) = target_of(&shard.stream()) else { continue };
            let place = ShardPlace { target: target as u32, shard: shard.key.shard.0 };
            read_shard(&mut link, shard, place, &mut checker)
                .await
                .map_err(|error| format!("{}: {error}", shard.key))?;
        }
    }
    Ok(checker)
}

async fn read_shard(
    link: &mut FrameLink,
    shard: &OwnedShard,
    place: ShardPlace,
    checker: &mut Checker,
) -> Result<(), String> {
    let mut from = 0;
    loop {
        let records_max = GET_RECORDS_COUNT_MAX as u32;
        let question = CellRequest::Read { key: shard.key, from, records_max, bytes_max: NODE_READ_BYTES };
        link.send(question.into_frame(1)).await.map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(ATTEMPT_TIMEOUT, link.receive()).await;
        let frame = answer.map_err(|_| "no answer in time")?.ok_or("the node closed the link")?;
        let reply = CellReply::from_frame(frame).map_err(|error| error.to_string())?;
        let read = match reply {
            CellReply::Read(read) => read,
            CellReply::Failed(error) => return Err(error.to_string()),
            other => return Err(format!("another answer: {other:?}")),
        };
        for stored in &read.batches {
            for (record, index) in stored.batch.records().zip(stored.first..) {
                let created = shard.created_ms / 1_000;
                let number =
                    SequenceNumber::of_record(shard.key.shard, created, index, stored.arrived.secs());
                checker.read(place, &number.to_string(), record.data);
            }
        }
        from = read.batches.last().map_or(read.from, |last| last.end());
        if from >= read.tip {
            return Ok(());
        }
        if read.batches.is_empty() {
            return Err(format!("nothing at record {from}, yet the shard goes on to {}", read.tip));
        }
    }
}
