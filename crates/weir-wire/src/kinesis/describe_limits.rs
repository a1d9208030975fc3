//! `DescribeLimits`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    shape::structure,
};

structure! {
    /// What `DescribeLimits` takes: nothing.
    DescribeLimitsInput {}
}

/// What `DescribeLimits` tells. Channels are not among it: there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescribeLimitsReply {
    /// Open shards that the account may have in the region.
    pub shard_limit: i64,
    /// Those that it has.
    pub open_shards: i64,
    /// On-demand streams that it has in the region.
    pub on_demand_streams: i64,
    /// Those that it may have.
    pub on_demand_stream_limit: i64,
}

impl Reply for DescribeLimitsReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ShardLimit");
        out.integer(self.shard_limit);
        out.member("OpenShardCount");
        out.integer(self.open_shards);
        out.member("OnDemandStreamCount");
        out.integer(self.on_demand_streams);
        out.member("OnDemandStreamCountLimit");
        out.integer(self.on_demand_stream_limit);
        out.close_structure();
    }
}
