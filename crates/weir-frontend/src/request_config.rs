//! What request code takes from the fleet's shared configuration, checked once when it changes.
//!
//! The fleet brings a new `SharedConfig` with a poll; the front end turns it into this and swaps it whole. Requests that
//! are being served go on with the one that they began with.

use std::collections::HashMap;

use weir_core::{
    clock::WallMs,
    id::{StreamId, StreamRef},
};
use weir_wire::{
    control::{Credential, Intake, SharedConfig, StreamSettings},
    kinesis::limits::{Family, ServiceLimits},
    sigv4::KeyCache,
};

use crate::{
    permit::Policies,
    seal::{Sealer, SecretError},
};

/// The configuration of requests.
#[derive(Debug)]
pub(crate) struct RequestConfig {
    /// Known access keys; `None`: any well-formed signature is accepted.
    pub(crate) credentials: Option<CredentialTable>,
    /// Seals iterators and tokens.
    pub(crate) sealer: Sealer,
    /// The limits that are kept.
    pub(crate) limits: ServiceLimits,
    /// Is any limit of a shard among them?
    pub(crate) shard_limits: bool,
    /// Who of other accounts may use which stream.
    pub(crate) policies: Policies,
    /// Streams whose records are shown as encrypted, and since when.
    encrypted: HashMap<StreamId, WallMs>,
    /// How records come into the streams that take them otherwise than new ones do.
    intakes: HashMap<StreamRef, Intake>,
    /// Of which revision the streams' settings are.
    pub(crate) settings_revision: u64,
}

/// Known access keys and the signing keys that were derived of them.
#[derive(Debug)]
pub(crate) struct CredentialTable {
    by_key: HashMap<String, Credential>,
    pub(crate) keys: KeyCache,
}

impl RequestConfig {
    /// Checks and takes over.
    pub(crate) fn new(shared: &SharedConfig) -> Result<Self, SecretError> {
        let by_key: HashMap<_, _> =
            shared.credentials.iter().map(|known| (known.access_key.clone(), known.clone())).collect();
        let credentials = (!by_key.is_empty()).then(|| CredentialTable { by_key, keys: KeyCache::new() });
        Ok(Self {
            credentials,
            sealer: Sealer::new(&shared.iterator_secret, shared.iterator_lifetime.0)?,
            limits: shared.limits.clone(),
            shard_limits: shared.limits.keeps(Family::Shards),
            policies: Policies::new(&shared.streams),
            encrypted: shared.streams.iter().filter_map(encrypted_since).collect(),
            intakes: shared.streams.iter().filter_map(own_intake).collect(),
            settings_revision: shared.settings_revision,
        })
    }
}

impl RequestConfig {
    /// How records come into this stream.
    pub(crate) fn intake(&self, stream: &StreamRef) -> Intake {
        self.intakes.get(stream).copied().unwrap_or_default()
    }

    /// Is a record of this stream that arrived then shown as encrypted?
    pub(crate) fn is_encrypted(&self, stream: StreamId, arrived: WallMs) -> bool {
        self.encrypted_since(stream).is_some_and(|since| arrived >= since)
    }

    /// Records of this stream that arrived then or later are shown as encrypted.
    pub(crate) fn encrypted_since(&self, stream: StreamId) -> Option<WallMs> {
        self.encrypted.get(&stream).copied()
    }
}

fn own_intake(settings: &StreamSettings) -> Option<(StreamRef, Intake)> {
    (settings.intake != Intake::default()).then(|| (settings.stream.clone(), settings.intake))
}

fn encrypted_since(settings: &StreamSettings) -> Option<(StreamId, WallMs)> {
    settings.encrypted_since_ms.map(|since| (settings.id, WallMs(since)))
}

impl CredentialTable {
    /// The credential of an access key.
    pub(crate) fn get(&self, access_key: &str) -> Option<&Credential> {
        self.by_key.get(access_key)
    }
}
