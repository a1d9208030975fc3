//! `UpdateStreamWarmThroughput`: what it takes and tells; also the warm throughput as descriptions show it.

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `UpdateStreamWarmThroughput` takes.
    UpdateStreamWarmThroughputInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// MiB a second that the stream is to take in at any moment.
        warm_throughput: i64 = "WarmThroughputMiBps", model::WARM_THROUGHPUT, required;
    }
}

/// What a stream is kept ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmThroughput {
    /// MiB a second that it is to take in.
    pub target: u32,
    /// MiB a second that it can take in now.
    pub current: u32,
}

impl WarmThroughput {
    /// Writes the member.
    pub(super) fn encode(self, out: &mut impl Encoder) {
        out.member("WarmThroughput");
        out.open_structure();
        out.member("TargetMiBps");
        out.integer(i64::from(self.target));
        out.member("CurrentMiBps");
        out.integer(i64::from(self.current));
        out.close_structure();
    }
}

/// What `UpdateStreamWarmThroughput` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateStreamWarmThroughputReply {
    /// The stream's ARN.
    pub stream_arn: String,
    /// The stream.
    pub stream_name: String,
    /// What it is kept ready for.
    pub warm_throughput: WarmThroughput,
}

impl Reply for UpdateStreamWarmThroughputReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamARN");
        out.text(&self.stream_arn);
        out.member("StreamName");
        out.text(&self.stream_name);
        self.warm_throughput.encode(out);
        out.close_structure();
    }
}
