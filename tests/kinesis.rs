//! The Kinesis API from outside: one module an operation, over a plain socket against the real process.
//!
//! What the SDKs cannot send is here; what they do send is in `clients.rs`.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]
#![expect(clippy::disallowed_methods, reason = "a client has no clock but its own")]

#[path = "kinesis/account.rs"]
mod account;
#[path = "kinesis/cbor.rs"]
mod cbor;
#[path = "kinesis/consumers.rs"]
mod consumers;
#[path = "kinesis/dry_run.rs"]
mod dry_run;
#[path = "kinesis/encryption.rs"]
mod encryption;
#[path = "kinesis/every_error.rs"]
mod every_error;
#[path = "kinesis/faults.rs"]
mod faults;
#[path = "kinesis/get_records.rs"]
mod get_records;
#[path = "kinesis/limits.rs"]
mod limits;
#[path = "kinesis/monitoring.rs"]
mod monitoring;
#[path = "kinesis/open_files.rs"]
mod open_files;
#[path = "kinesis/put_record.rs"]
mod put_record;
#[path = "kinesis/put_records.rs"]
mod put_records;
#[path = "kinesis/reshard.rs"]
mod reshard;
#[path = "kinesis/resource_policies.rs"]
mod resource_policies;
#[path = "kinesis/retention.rs"]
mod retention;
#[path = "kinesis/semantics_doc.rs"]
mod semantics_doc;
#[path = "kinesis/shard_iterators.rs"]
mod shard_iterators;
#[path = "kinesis/stalled.rs"]
mod stalled;
#[path = "kinesis/stream_settings.rs"]
mod stream_settings;
#[path = "kinesis/streams.rs"]
mod streams;
#[path = "kinesis/subscribe_to_shard.rs"]
mod subscribe_to_shard;
#[path = "kinesis/tags.rs"]
mod tags;
#[path = "kinesis/tls.rs"]
mod tls;
#[path = "kinesis/wire.rs"]
mod wire;
