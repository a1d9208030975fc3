//! Kinesis calls as a workload: who calls, what, with which records, and what the answers acknowledge.
//!
//! One [`KinesisWorkload`] per worker thread. Bodies are prepared once: those that need not differ are shared, those
//! whose records carry ids of their own are patched in place. It must never build a body record by record on the way
//! to the socket, and never count a record as acknowledged that the service did not name.

mod answer;
mod body;
mod call;
mod head;
mod reader;

use std::sync::Arc;

use rand::SeedableRng;
use weir_client::Endpoint;
use weir_core::{
    clock::WallMs,
    entropy::{Rng, seeded},
    id::ShardIndex,
};

use self::{
    answer::{PutAnswer, all_stored, put_answer},
    body::Bodies,
    head::{HeadOf, Heads},
    reader::Readers,
};
use crate::{
    acks::{ACK_BYTES, Ack, AckTarget},
    answer_code::error_code,
    config::{KinesisLoad, TenantLoad},
    draw::Weighted,
    payload::RecordId,
    workload::{
        Answer, Choice, Code, OperationIndex, Prepared, RequestBuffer, TenantIndex, Verdict, Workload, codes,
    },
};

/// Acknowledgements are handed to the recorder in pieces of about this size.
const ACKS_PIECE_BYTES: usize = 64 * 1024;
/// A call of which some records were stored and some not.
const PARTIAL: &str = "partial-failure";

macro_rules! operations {
    ($($name:ident),+ $(,)?) => {
        /// An operation that load is made of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                $name,
            )+
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// Their names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];
        }
    };
}

operations! { PutRecord, PutRecords, GetShardIterator, GetRecords, ListShards }

impl Operation {
    /// The API's name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The operation of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }

    const fn index(self) -> OperationIndex {
        OperationIndex(self as u8)
    }
}

/// What must be remembered until an answer comes.
#[derive(Debug)]
pub enum Ticket {
    /// Records were put.
    Put {
        /// Into which stream.
        target: u32,
        /// Number of the first record.
        first: u64,
        /// How many.
        count: u32,
    },
    /// An iterator was asked for.
    Iterator {
        /// Of which reader.
        reader: u32,
    },
    /// Records were asked for.
    Read {
        /// By which reader.
        reader: u32,
    },
    /// Nothing.
    Other,
}

/// The workload of one worker.
#[derive(Debug)]
pub struct KinesisWorkload {
    load: Arc<KinesisLoad>,
    names: Vec<String>,
    /// The stream of each target.
    streams: Vec<String>,
    /// By tenant: its targets, and whose turn it is.
    turns: Vec<(Vec<u32>, usize)>,
    tenant_draw: Weighted,
    operation_draw: Weighted,
    rng: Rng,
    bodies: Bodies,
    heads: Heads,
    readers: Readers,
    /// Number of the next record.
    next: RecordId,
    acks: Vec<u8>,
}

/// The targets of a load, in the order of their numbers: the same for every worker and for the file of acknowledged
/// records.
pub fn ack_targets(tenants: &[TenantLoad]) -> Vec<AckTarget> {
    let streams = |tenant: &TenantLoad| {
        let name = tenant.name.clone();
        tenant.streams.clone().into_iter().map(move |stream| AckTarget { tenant: name.clone(), stream })
    };
    tenants.iter().flat_map(streams).collect()
}

impl KinesisWorkload {
    /// The workload of worker `worker`. `run` makes record ids unique for ever; `shards` are the shard ids of each
    /// target, and only needed to read.
    ///
    /// # Panics
    /// When there are more than 65,536 workers: record ids have 16 bits for them.
    pub fn new(load: Arc<KinesisLoad>, run: u64, worker: usize, shards: &[Vec<String>]) -> Self {
        let worker_bits = u64::from(u16::try_from(worker).expect("workers are bounded"));
        let mut rng = seeded(load.seed, &format!("kinesis {worker}"));
        let mut streams: Vec<String> = Vec::new();
        let mut turns = Vec::new();
        for tenant in &load.tenants {
            let first = streams.len() as u32;
            streams.extend(tenant.streams.iter().cloned());
            turns.push(((first..streams.len() as u32).collect(), worker));
        }
        Self {
            names: load.tenants.iter().map(|tenant| tenant.name.clone()).collect(),
            tenant_draw: Weighted::new(load.tenants.iter().map(|tenant| tenant.weight)),
            operation_draw: Weighted::new(load.mix.iter().map(|(_, weight)| *weight)),
            bodies: Bodies::new(&load, &streams, Rng::from_rng(&mut rng)),
            heads: Heads::new(&load),
            readers: Readers::new(shards, load.from_oldest, load.encoding),
            next: RecordId { run, number: worker_bits << 48 },
            acks: Vec::new(),
            rng,
            streams,
            turns,
            load,
        }
    }

    fn put_body(
        &mut self,
        operation: Operation,
        target: u32,
        request: &mut RequestBuffer,
    ) -> (Ticket, Option<u32>) {
        let first = self.next;
        let (count, shared) = if self.load.unique {
            (self.bodies.fill_unique(operation, target, first, request), None)
        } else {
            let (count, variant) = self.bodies.share(operation, target, first, request);
            (count, Some(variant))
        };
        self.next.number += u64::from(count);
        (Ticket::Put { target, first: first.number, count }, shared)
    }

    fn judge_put<'a>(&mut self, target: u32, first: u64, count: u32, answer: Answer<'a>) -> Verdict<'a> {
        let encoding = self.load.encoding;
        if !self.load.unique && count > 1 && all_stored(encoding, answer.body) {
            return self.put_verdict(count, count, None);
        }
        // One record or many: the ticket does not say which, the answer does.
        let records = match put_answer(encoding, answer.body) {
            Some(PutAnswer { records: Some(records), .. }) if records.len() == count as usize => records,
            Some(PutAnswer { records: None, single }) if count == 1 => vec![single],
            _ => return self.put_verdict(0, count, Some(codes::BAD_ANSWER)),
        };
        let mut stored = 0;
        let mut error = None;
        for (number, record) in (first..).zip(&records) {
            match (record.shard_id, record.sequence_number) {
                (Some(shard), Some(sequence))
                    if self.acknowledge(target, number, shard, sequence, &answer) =>
                {
                    stored += 1;
                }
                _ => error = error.or(Some(record.error_code.unwrap_or(codes::BAD_ANSWER))),
            }
        }
        self.put_verdict(stored, count, error)
    }

    fn put_verdict<'a>(&self, stored: u32, count: u32, error: Option<&'a str>) -> Verdict<'a> {
        let code = match error {
            None => Code::Success,
            Some(_) if stored > 0 && stored < count => Code::Error(PARTIAL),
            Some(error) => Code::Error(error),
        };
        let bytes = u64::from(stored) * self.load.record_bytes as u64;
        Verdict { code, records: u64::from(stored), bytes }
    }

    /// Writes down a record that the service named. False when what it named makes no sense.
    fn acknowledge(
        &mut self,
        target: u32,
        number: u64,
        shard: &str,
        sequence: &str,
        answer: &Answer<'_>,
    ) -> bool {
        if !self.load.unique {
            return true;
        }
        let Ok(ShardIndex(shard)) = shard.parse() else { return false };
        let id = RecordId { run: self.next.run, number };
        let checksum = self.bodies.checksum(id);
        let (sent_ms, acked_ms) = (answer.sent_ms, answer.at_ms);
        let ack = Ack { target, shard, id, checksum, sent_ms, acked_ms, sequence_number: sequence };
        ack.encode(&mut self.acks)
    }
}

impl Workload for KinesisWorkload {
    type Ticket = Ticket;

    fn operations(&self) -> &'static [&'static str] {
        Operation::NAMES
    }

    fn tenants(&self) -> &[String] {
        &self.names
    }

    fn choose(&mut self) -> Choice {
        let tenant = self.tenant_draw.draw(&mut self.rng);
        let operation = self.load.mix[self.operation_draw.draw(&mut self.rng)].0;
        let (targets, turn) = &mut self.turns[tenant];
        let target = targets[*turn % targets.len()];
        *turn = turn.wrapping_add(1);
        Choice {
            tenant: TenantIndex(u16::try_from(tenant).expect("tenants are bounded")),
            operation: operation.index(),
            detail: target,
        }
    }

    fn prepare(
        &mut self,
        choice: Choice,
        endpoint: &Endpoint,
        now: WallMs,
        request: &mut RequestBuffer,
    ) -> Prepared<Ticket> {
        let target = choice.detail;
        let stream = &self.streams[target as usize];
        let mut operation = Operation::ALL[usize::from(choice.operation.0)];
        let (ticket, shared) = match operation {
            Operation::PutRecord | Operation::PutRecords => self.put_body(operation, target, request),
            Operation::GetShardIterator => {
                let reader = self.readers.ask_iterator(target, stream, request);
                (Ticket::Iterator { reader }, None)
            }
            Operation::GetRecords => match self.readers.ask_records(target, request) {
                Some(reader) => (Ticket::Read { reader }, None),
                None => {
                    operation = Operation::GetShardIterator;
                    let reader = self.readers.ask_iterator(target, stream, request);
                    (Ticket::Iterator { reader }, None)
                }
            },
            Operation::ListShards => {
                self.bodies.list_shards(target, request);
                (Ticket::Other, Some(0))
            }
        };
        let of = HeadOf {
            tenant: choice.tenant,
            operation,
            endpoint,
            shared: shared.map(|variant| (target, variant)),
        };
        self.heads.write(&of, now, request);
        Prepared { operation: operation.index(), ticket }
    }

    fn judge<'a>(&mut self, ticket: Ticket, answer: Answer<'a>) -> Verdict<'a> {
        if answer.status != 200 {
            let code = error_code(&answer, self.load.encoding);
            if let Ticket::Read { reader } = ticket {
                self.readers.refused(reader, code);
            }
            return Verdict { code: Code::Error(code), records: 0, bytes: 0 };
        }
        match ticket {
            Ticket::Put { target, first, count } => self.judge_put(target, first, count, answer),
            Ticket::Iterator { reader } => self.readers.take_iterator(reader, answer.body),
            Ticket::Read { reader } => self.readers.take_records(reader, answer.body),
            Ticket::Other => Verdict { code: Code::Success, records: 0, bytes: 0 },
        }
    }

    fn take_acks(&mut self, all: bool) -> Vec<u8> {
        if self.acks.len() >= ACKS_PIECE_BYTES || (all && !self.acks.is_empty()) {
            std::mem::replace(&mut self.acks, Vec::with_capacity(ACKS_PIECE_BYTES + 64 * ACK_BYTES))
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
