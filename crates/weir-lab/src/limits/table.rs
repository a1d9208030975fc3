//! `weir limits` for people: one line a limit, the first to bind at the top.

use std::fmt;

use weir_core::units::Size;

use super::{LimitRow, LimitsReport, Scope};

impl fmt::Display for LimitsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let costs = &self.costs;
        writeln!(
            f,
            "A front end has {} threads of its own and {} for each peer. N is the first fleet size that does not fit:\n\
             front ends in a full mesh on this host (host), or members that one server can bear (server).\n",
            costs.base_threads, costs.threads_per_peer
        )?;
        writeln!(f, "{:>10}  {:<6}  {:<28}  {:>14}  {:>10}  how", "N", "of", "limit", "value", "used")?;
        for row in &self.limits {
            let n = row.binds_at_n.map_or_else(|| "never".into(), |n| n.to_string());
            let scope = match row.scope {
                Scope::Host => "host",
                Scope::Server => "server",
            };
            let limit = row.limit.map_or_else(|| "none".into(), |limit| amount(row, limit));
            let used = amount(row, row.used);
            writeln!(f, "{n:>10}  {scope:<6}  {:<28}  {limit:>14}  {used:>10}  {}", row.name, row.formula)?;
            writeln!(f, "{:>10}  {:<6}  {:<28}  {}", "", "", "", row.source)?;
        }
        writeln!(f, "\nKernel limits that one server can be put into here:")?;
        for outcome in &self.envelopes {
            let works = if outcome.works { "yes" } else { "no" };
            writeln!(f, "  {:<15} {works:<4} {}", outcome.kind, outcome.detail)?;
            if let Some(mend) = &outcome.mend {
                writeln!(f, "  {:<15} {:<4} to change that: {mend}", "", "")?;
            }
        }
        Ok(())
    }
}

fn amount(row: &LimitRow, value: u64) -> String {
    match row.unit {
        "bytes" if value >= 1 << 20 => Size(value >> 20 << 20).to_string(),
        _ => value.to_string(),
    }
}
