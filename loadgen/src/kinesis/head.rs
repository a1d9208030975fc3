//! Request heads: the signature and the few header lines that Kinesis wants.
//!
//! The head of a shared body is kept for a minute, so that hashing the body (more than reading it costs a server) is
//! paid once. A body of its own is signed each time.

use std::{collections::BTreeMap, io::Write};

use weir_client::Endpoint;
use weir_core::clock::WallMs;
use weir_wire::{
    kinesis::operation::TARGET_PREFIX,
    sigv4::{ALGORITHM, SERVICE, Signer, Stamp, TERMINATOR, ToSign},
};

use super::Operation;
use crate::{
    config::KinesisLoad,
    workload::{RequestBuffer, TenantIndex},
};

/// How long a kept head is sent: far inside the five minutes that a signature holds.
const KEPT_MILLIS: u64 = 60_000;
/// Heads kept by one worker. Beyond, all are forgotten: each costs one signature to make again.
const KEPT_MAX: usize = 65_536;

/// Writes heads for all tenants of a worker.
#[derive(Debug)]
pub(super) struct Heads {
    content_type: &'static str,
    signers: Vec<TenantSigner>,
    kept: BTreeMap<(Endpoint, Operation, u32, u32), Kept>,
}

#[derive(Debug)]
enum TenantSigner {
    Real(Box<Signer>),
    /// A signature of the right form that nobody can check, with the access key in it.
    MadeUp {
        access_key: String,
        region: String,
        kept: Option<Kept>,
    },
}

#[derive(Debug)]
struct Kept {
    made: WallMs,
    bytes: Vec<u8>,
}

/// Which head.
pub(super) struct HeadOf<'a> {
    pub(super) tenant: TenantIndex,
    pub(super) operation: Operation,
    pub(super) endpoint: &'a Endpoint,
    /// The stream and the variant of a shared body; `None` for a body that is sent once.
    pub(super) shared: Option<(u32, u32)>,
}

impl Heads {
    pub(super) fn new(load: &KinesisLoad) -> Self {
        let signer = |tenant: &crate::config::TenantLoad| {
            if load.signed {
                TenantSigner::Real(Box::new(Signer::new(tenant.identity.clone(), load.region.clone())))
            } else {
                let access_key = tenant.identity.access_key.clone();
                TenantSigner::MadeUp { access_key, region: load.region.clone(), kept: None }
            }
        };
        Self {
            content_type: load.encoding.content_type(),
            signers: load.tenants.iter().map(signer).collect(),
            kept: BTreeMap::new(),
        }
    }

    /// Writes the head for the body that `request` holds.
    pub(super) fn write(&mut self, of: &HeadOf<'_>, now: WallMs, request: &mut RequestBuffer) {
        let Some((target, variant)) = of.shared else {
            let RequestBuffer { head, own, shared, .. } = request;
            return self.make(of, now, shared.as_deref().unwrap_or(own), head);
        };
        let key = (of.endpoint.clone(), of.operation, target, variant);
        if self.kept.get(&key).is_none_or(|kept| kept.is_old(now)) {
            let mut bytes = Vec::with_capacity(512);
            self.make(of, now, request.body(), &mut bytes);
            if self.kept.len() >= KEPT_MAX {
                self.kept.clear();
            }
            self.kept.insert(key.clone(), Kept { made: now, bytes });
        }
        request.head.clear();
        request.head.extend_from_slice(&self.kept[&key].bytes);
    }

    fn make(&mut self, of: &HeadOf<'_>, now: WallMs, body: &[u8], head: &mut Vec<u8>) {
        let (host, operation) = (of.endpoint.host(), of.operation.name());
        let content_type = self.content_type;
        head.clear();
        write!(
            head,
            "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\n\
             x-amz-target: {TARGET_PREFIX}.{operation}\r\ncontent-length: {}\r\n",
            body.len()
        )
        .expect("writing to memory does not fail");
        match &mut self.signers[usize::from(of.tenant.0)] {
            TenantSigner::Real(signer) => {
                let target = format!("{TARGET_PREFIX}.{operation}");
                let headers = [("content-type", content_type), ("host", host), ("x-amz-target", &target)];
                let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body };
                for (name, value) in signer.sign(&to_sign, now).pairs() {
                    write!(head, "{name}: {value}\r\n").expect("writing to memory does not fail");
                }
            }
            TenantSigner::MadeUp { access_key, region, kept } => {
                let lines = match kept {
                    Some(lines) if !lines.is_old(now) => lines,
                    _ => kept.insert(Kept { made: now, bytes: made_up(access_key, region, now) }),
                };
                head.extend_from_slice(&lines.bytes);
            }
        }
        head.extend_from_slice(b"\r\n");
    }
}

impl Kept {
    fn is_old(&self, now: WallMs) -> bool {
        now.0.abs_diff(self.made.0) > KEPT_MILLIS
    }
}

fn made_up(access_key: &str, region: &str, now: WallMs) -> Vec<u8> {
    let stamp = Stamp::at(now);
    format!(
        "x-amz-date: {stamp}\r\nauthorization: {ALGORITHM} Credential={access_key}/{}/{region}/{SERVICE}/{TERMINATOR}, \
         SignedHeaders=host;x-amz-date, Signature={:064x}\r\n",
        stamp.date(),
        0
    )
    .into_bytes()
}
