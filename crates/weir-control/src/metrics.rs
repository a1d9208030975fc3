//! What the control plane counts, under names that docs/METRICS.md lists.
//!
//! Filled by `embedded.rs` after each change, read by the admin listener. It must never be asked by the machine: nothing
//! is decided by these numbers. No label names a server, a stream or a tenant.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use weir_wire::control::Role;

use crate::state::State;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    role: &'static str,
}

/// The counts of one control plane.
#[derive(Debug, Default)]
pub struct ControlMetrics {
    members: Family<RoleLabels, Gauge>,
    members_away: Gauge,
    streams: Gauge,
    shards: Gauge,
    registrations: Counter,
    saves: Counter,
    saves_failed: Counter,
}

impl ControlMetrics {
    /// Registers every name.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weir_control_members",
            "Servers that others are told of, by role",
            self.members.clone(),
        );
        let away = "Servers without a sign of life for long, which keep their numbers";
        registry.register("weir_control_members_away", away, self.members_away.clone());
        registry.register("weir_control_streams", "Streams", self.streams.clone());
        registry.register("weir_control_shards", "Shards of all streams", self.shards.clone());
        let registrations = "Registrations since the process started";
        registry.register("weir_control_registrations", registrations, self.registrations.clone());
        registry.register("weir_control_saves", "Changes that the store has kept", self.saves.clone());
        let failed = "Changes that the store could not keep and that were taken back";
        registry.register("weir_control_saves_failed", failed, self.saves_failed.clone());
    }

    /// `state` is what the store keeps now.
    pub(crate) fn show(&self, state: &State) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (role, name) in [(Role::Frontend, "frontend"), (Role::Cache, "cache"), (Role::Backend, "backend")]
        {
            let present = state.servers.values().filter(|server| server.role == role && !server.away);
            self.members.get_or_create(&RoleLabels { role: name }).set(signed(present.count()));
        }
        self.members_away.set(signed(state.servers.values().filter(|server| server.away).count()));
        self.streams.set(signed(state.streams.len()));
        self.shards.set(signed(state.streams.iter().map(|stream| stream.shards.len()).sum()));
    }

    pub(crate) fn saved(&self, state: &State) {
        self.saves.inc();
        self.show(state);
    }

    pub(crate) fn not_saved(&self) {
        self.saves_failed.inc();
    }

    pub(crate) fn registered(&self) {
        self.registrations.inc();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use weir_core::id::ClusterId;
    use weir_wire::control::SharedConfig;

    use super::*;
    use crate::config::embedded;

    #[test]
    fn the_document_names_exactly_these_metrics() {
        let shared = SharedConfig::new("00".repeat(32));
        let metrics = ControlMetrics::default();
        metrics.show(&State::new(ClusterId(7), embedded(shared, Vec::new())));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let shown: BTreeSet<&str> = samples.filter_map(|line| line.split([' ', '{']).next()).collect();
        let document = include_str!("../../../docs/METRICS.md");
        let section = document.split("\n## ").find(|section| section.starts_with("Control plane"));
        let section = section.expect("docs/METRICS.md has a section of its own for them");
        let documented: BTreeSet<&str> =
            section.split('`').filter(|word| word.starts_with("weir_control_")).collect();
        assert_eq!(documented, shown);
    }
}
