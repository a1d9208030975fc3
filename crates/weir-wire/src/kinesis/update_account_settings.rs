//! `UpdateAccountSettings`: what it takes. It tells what `DescribeAccountSettings` does.

use super::{
    model,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `UpdateAccountSettings` takes.
    UpdateAccountSettingsInput {
        /// The commitment to a least throughput.
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput<'a> =
            "MinimumThroughputBillingCommitment", Shape::FREE, required;
    }
}

structure! {
    /// A commitment as a call wants it.
    MinimumThroughputBillingCommitmentInput {
        /// `ENABLED` or `DISABLED`.
        status: Text<'a> = "Status", model::COMMITMENT_STATUS, required;
    }
}
