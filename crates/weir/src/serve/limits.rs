//! The flags by which `weir serve` keeps, changes, lifts and lists Kinesis's limits.
//!
//! Read by `serve.rs`, which hands the outcome to the control plane. Every name and number is in
//! `weir-wire/src/kinesis/limits.rs`; nothing is counted here.

use clap::{Args, ValueEnum};
use serde_json::json;
use weir_wire::kinesis::limits::{Assignment, Family, Limit, LimitError, ServiceLimits};

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

/// Flags of Kinesis's limits.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// Keep Kinesis's limits of each shard: bytes, records and GetRecords calls a second.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    shard_limits: Switch,
    /// Keep Kinesis's rates of calls: CreateStream, DescribeStream and the others for each account, stream and consumer.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    call_limits: Switch,
    /// Multiply every limit that is kept, rates and quotas, by this.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    limits_scale: f64,
    /// Set one limit, as CreateStream=20/s, shard-write-bytes=4MiB/s or on-demand-streams=off; may be repeated, and the
    /// other flags do not change it.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Assignment>,
    /// Print every limit as these flags set it, and end.
    #[arg(long)]
    pub(super) list_limits: bool,
}

impl LimitArgs {
    /// The limits that are kept: AWS's, then the switches, then the scale, then each that is set by its name.
    pub(super) fn chosen(&self) -> Result<ServiceLimits, LimitError> {
        let mut limits = ServiceLimits::default();
        for (switch, family) in [(self.shard_limits, Family::Shards), (self.call_limits, Family::Calls)] {
            if switch == Switch::Off {
                limits.lift(family);
            }
        }
        if self.limits_scale != 1.0 {
            limits.scale(self.limits_scale)?;
        }
        for assignment in &self.limits {
            limits.assign(assignment);
        }
        Ok(limits)
    }
}

/// Every limit for people: name, value, scope, AWS's value where it differs, source.
pub(super) fn table(limits: &ServiceLimits) -> String {
    let header = ["limit", "value", "of each", "family", "AWS", "source"].map(str::to_owned);
    let rows = Limit::all().into_iter().map(|(limit, described)| {
        [
            described.name.to_owned(),
            described.show(limits.get(limit)),
            described.scope.to_string(),
            described.family.to_string(),
            described.show(Some(described.default)),
            described.source.to_owned(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<_> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Every limit for programs.
pub(super) fn json(limits: &ServiceLimits) -> serde_json::Value {
    let rows = Limit::all().into_iter().map(|(limit, described)| {
        json!({
            "name": described.name,
            "value": described.show(limits.get(limit)),
            "scope": described.scope.to_string(),
            "family": described.family.to_string(),
            "default": described.show(Some(described.default)),
            "source": described.source,
        })
    });
    json!({ "limits": rows.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use weir_wire::kinesis::operation::Operation;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn chosen(flags: &[&str]) -> ServiceLimits {
        Flags::parse_from(["weir"].iter().chain(flags)).limits.chosen().unwrap()
    }

    #[test]
    fn limits_are_aws_own_without_a_flag() {
        assert_eq!(chosen(&[]), ServiceLimits::default());
    }

    #[test]
    fn a_limit_that_is_set_by_its_name_is_neither_lifted_nor_scaled() {
        let limits = chosen(&["--limits-scale", "2", "--call-limits", "off", "--limit", "ListStreams=3/s"]);
        let calls = |operation| limits.get(Limit::Calls(operation));
        assert_eq!(calls(Operation::ListStreams), Some(3_000));
        assert_eq!(calls(Operation::DescribeStream), None);
        assert_eq!(calls(Operation::GetRecords), Some(10_000));
        assert_eq!(limits.get(Limit::ShardReadBytes), Some(4 << 20));
    }

    #[test]
    fn the_list_shows_what_the_flags_have_set() {
        let limits = chosen(&["--shard-limits", "off"]);
        let table = table(&limits);
        assert!(table.lines().count() > 10 && table.starts_with("limit "), "{table}");
        let row = table.lines().find(|line| line.starts_with("shard-write-bytes")).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells[..5], ["shard-write-bytes", "off", "shard", "shards", "1MiB/s"]);
        let listed = json(&limits);
        let listed = listed["limits"].as_array().unwrap();
        let create = listed.iter().find(|limit| limit["name"] == "CreateStream").unwrap();
        assert_eq!((&create["value"], &create["scope"]), (&json!("5/s"), &json!("account")));
    }
}
