//! The Kinesis Data Streams API, 2013-12-02: what each operation takes and gives, in which words it refuses, and how both
//! are written in JSON 1.1 and in CBOR 1.1.
//!
//! Front ends decode and answer with it, clients and tests may describe requests with it. One file an operation; the
//! description of an input is the only source of its decoding and of its error texts. It must never decide what an
//! operation does.

pub mod error;
pub mod limits;
pub mod operation;

pub mod blob;
pub mod model;
pub mod named;
pub mod shape;
pub mod validate;

pub mod cbor;
pub mod decode;
pub mod encode;
pub mod encoded_body;
pub mod encoding;
pub mod event_stream;
pub mod json;

pub mod add_tags_to_stream;
pub mod create_stream;
pub mod decrease_stream_retention_period;
pub mod delete_resource_policy;
pub mod delete_stream;
pub mod deregister_stream_consumer;
pub mod describe_account_settings;
pub mod describe_limits;
pub mod describe_stream;
pub mod describe_stream_consumer;
pub mod describe_stream_summary;
pub mod disable_enhanced_monitoring;
pub mod enable_enhanced_monitoring;
pub mod get_records;
pub mod get_resource_policy;
pub mod get_shard_iterator;
pub mod increase_stream_retention_period;
pub mod list_shards;
pub mod list_stream_consumers;
pub mod list_streams;
pub mod list_tags_for_resource;
pub mod list_tags_for_stream;
pub mod merge_shards;
pub mod put_record;
pub mod put_records;
pub mod put_resource_policy;
pub mod register_stream_consumer;
pub mod remove_tags_from_stream;
pub mod split_shard;
pub mod start_stream_encryption;
pub mod stop_stream_encryption;
pub mod subscribe_to_shard;
pub mod tag_resource;
pub mod untag_resource;
pub mod update_account_settings;
pub mod update_max_record_size;
pub mod update_shard_count;
pub mod update_stream_mode;
pub mod update_stream_record_distribution_strategy;
pub mod update_stream_warm_throughput;
