//! What a control plane is told at each start.
//!
//! Read as JSON by `weir node control --config` and made by the lab and by `weir serve`. Checked once, and taken in the
//! place of what the store kept of it, but for the iterator secret; until the next start game-day commands change it.
//! Streams, servers and numbers are the store's alone.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use weir_core::{
    clock::WallMs,
    id::{CellName, TenantName},
    limits::{CELLS_MAX, TENANTS_MAX, THREADS_PER_PEER_MAX},
    units::Span,
};
use weir_wire::control::{Bootstrap, FleetConfig, MeshKind, OnRefusal, SharedConfig};

/// A tenant and where it is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// The tenant.
    pub name: TenantName,
    /// Its cell; none: by rendezvous hashing over the cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellName>,
}

/// How servers are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// How often each front end and cache server is asked.
    pub interval: Span,
    /// An answer later than this is none.
    pub timeout: Span,
    /// So many missing answers in a row take a front end off the endpoint list.
    pub failures: u32,
    /// At most this share of a cell's front ends is off the list at once; `1.0` is no cap.
    pub removal_cap: f64,
    /// A server that has not answered (a node: not reported) for this long is no member any more until it does.
    pub forget_after: Span,
}

impl Default for HealthConfig {
    /// Quick enough for experiments of a minute; no removal cap, as (assumed) in 2020.
    fn default() -> Self {
        Self {
            interval: Span(Duration::from_millis(500)),
            timeout: Span(Duration::from_secs(1)),
            failures: 3,
            removal_cap: 1.0,
            forget_after: Span(Duration::from_secs(60)),
        }
    }
}

/// How long streams are at least on their way. Zero: as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamDelays {
    /// In CREATING.
    pub create: Span,
    /// In UPDATING.
    pub update: Span,
    /// In DELETING.
    pub delete: Span,
}

impl Default for StreamDelays {
    fn default() -> Self {
        let none = Span(Duration::ZERO);
        Self { create: none, update: none, delete: none }
    }
}

impl StreamDelays {
    /// Until when a stream is held that begins to wait `delay` at `wall`; none for no delay.
    pub(crate) fn held_until_ms(wall: WallMs, delay: Span) -> Option<u64> {
        let delay_ms = u64::try_from(delay.0.as_millis()).unwrap_or(u64::MAX);
        (delay_ms > 0).then(|| wall.0.saturating_add(delay_ms))
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// How the fleet behaves.
    pub fleet: FleetConfig,
    /// What all front ends agree on.
    pub shared: SharedConfig,
    /// The front-end cells.
    pub cells: Vec<CellName>,
    /// The tenants that are known from the start.
    #[serde(default)]
    pub tenants: Vec<TenantConfig>,
    /// How servers are judged.
    #[serde(default)]
    pub health: HealthConfig,
    /// How long streams are on their way.
    #[serde(default)]
    pub delays: StreamDelays,
}

/// A configuration that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number is out of its range.
    #[error("{key} must be {range}, not {value}")]
    Range {
        /// Which.
        key: &'static str,
        /// What it may be.
        range: String,
        /// What it is.
        value: String,
    },
    /// A name is there twice.
    #[error("{what} {name:?} is named twice")]
    Twice {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A tenant is put on a cell that is not there.
    #[error("tenant {tenant:?} is put on cell {cell:?}, which is not listed")]
    UnknownCell {
        /// The tenant.
        tenant: String,
        /// The cell.
        cell: String,
    },
}

impl ControlConfig {
    /// Checks ranges, names and references.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_fleet(&self.fleet)?;
        within("cells", 1..=CELLS_MAX, self.cells.len())?;
        within("tenants", 0..=TENANTS_MAX, self.tenants.len())?;
        check_health(&self.health)?;
        unique("cell", self.cells.iter().map(CellName::as_str))?;
        unique("tenant", self.tenants.iter().map(|tenant| tenant.name.as_str()))?;
        for tenant in &self.tenants {
            if let Some(cell) = tenant.cell.as_ref().filter(|cell| !self.cells.contains(cell)) {
                return Err(ConfigError::UnknownCell {
                    tenant: tenant.name.to_string(),
                    cell: cell.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// Checks how servers are judged; also for a scenario, before anything is started.
pub fn check_health(health: &HealthConfig) -> Result<(), ConfigError> {
    within("health.failures", 1..=1_000, health.failures as usize)?;
    // A probe loop without a pause would take the control plane for itself.
    at_least_10ms("health.interval", health.interval)?;
    at_least_10ms("health.timeout", health.timeout)?;
    at_least_10ms("health.forget_after", health.forget_after)?;
    if !(0.0..=1.0).contains(&health.removal_cap) {
        return Err(ConfigError::Range {
            key: "health.removal_cap",
            range: "between 0 and 1".to_owned(),
            value: health.removal_cap.to_string(),
        });
    }
    Ok(())
}

/// Checks how a fleet behaves; also for a change while it runs.
pub fn check_fleet(fleet: &FleetConfig) -> Result<(), ConfigError> {
    within("fleet.threads_per_peer", 1..=THREADS_PER_PEER_MAX, fleet.threads_per_peer)?;
    for (key, span) in [
        ("fleet.gossip_interval", fleet.gossip_interval),
        ("fleet.map_ttl", fleet.map_ttl),
        ("fleet.build_deadline", fleet.build_deadline),
    ] {
        at_least_10ms(key, span)?;
    }
    if fleet.map_ttl.0 <= fleet.gossip_interval.0 {
        return Err(ConfigError::Range {
            key: "fleet.map_ttl",
            range: format!("more than the gossip interval of {}", fleet.gossip_interval),
            value: fleet.map_ttl.to_string(),
        });
    }
    Ok(())
}

fn at_least_10ms(key: &'static str, span: Span) -> Result<(), ConfigError> {
    if span.0 < Duration::from_millis(10) {
        let range = "at least 10ms".to_owned();
        return Err(ConfigError::Range { key, range, value: span.to_string() });
    }
    Ok(())
}

fn within(
    key: &'static str,
    range: std::ops::RangeInclusive<usize>,
    value: usize,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        Ok(())
    } else {
        let range = format!("between {} and {}", range.start(), range.end());
        Err(ConfigError::Range { key, range, value: value.to_string() })
    }
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ConfigError::Twice { what, name: name.to_owned() });
        }
    }
    Ok(())
}

/// A fleet of one: what `weir serve` runs.
pub fn embedded(shared: SharedConfig, tenants: Vec<TenantConfig>) -> ControlConfig {
    ControlConfig {
        fleet: FleetConfig {
            mesh: MeshKind::Multiplexed,
            threads_per_peer: 1,
            gossip_interval: Span(Duration::from_millis(500)),
            discovery_window: Span(Duration::from_millis(500)),
            map_ttl: Span(Duration::from_secs(30)),
            build_deadline: Span(Duration::from_secs(10)),
            on_refusal: OnRefusal::Retry,
            bootstrap: Bootstrap::Authoritative,
        },
        shared,
        cells: vec![CellName::new("main")],
        tenants,
        health: HealthConfig::default(),
        delays: StreamDelays::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ControlConfig {
        embedded(SharedConfig::new("00".repeat(32)), Vec::new())
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert_eq!(config().check(), Ok(()));
        let mut no_cells = config();
        no_cells.cells.clear();
        assert!(no_cells.check().unwrap_err().to_string().contains("cells must be between 1 and"));
        let mut short_ttl = config();
        short_ttl.fleet.map_ttl = short_ttl.fleet.gossip_interval;
        assert!(short_ttl.check().unwrap_err().to_string().contains("map_ttl"));
        let mut lost_tenant = config();
        lost_tenant.tenants =
            vec![TenantConfig { name: TenantName::new("t"), cell: Some(CellName::new("nowhere")) }];
        assert!(lost_tenant.check().unwrap_err().to_string().contains("nowhere"));
        let mut twice = config();
        twice.cells.push(CellName::new("main"));
        assert!(twice.check().unwrap_err().to_string().contains("twice"));
        for key in ["interval", "timeout", "forget_after"] {
            let mut restless = serde_json::to_value(config()).unwrap();
            restless["health"][key] = serde_json::json!("0ms");
            let restless: ControlConfig = serde_json::from_value(restless).unwrap();
            assert!(restless.check().unwrap_err().to_string().contains(key), "{key}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let mut json = serde_json::to_value(config()).unwrap();
        json["celss"] = serde_json::json!([]);
        assert!(serde_json::from_value::<ControlConfig>(json).unwrap_err().to_string().contains("celss"));
    }
}
