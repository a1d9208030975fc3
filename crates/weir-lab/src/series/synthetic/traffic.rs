//! The callers' side of a made-up run: calls fail as the servers that they meet cannot route, consumers feel it.
//!
//! Test code, called by the recipe.

use crate::series::{
    Alarms, ArmSeries, At, ConsumerKind, ConsumerSample, Integrity, LatencyOf, LoadWindow, Mesh, Outcome,
    Record, TenantWindow,
};

use super::{Noise, PHASES, Recipe, WINDOW_MS, fleet::Life};

/// Operation, calls in a window, the error it fails with first and every tenth time.
const MIX: [(&str, u64, &str, &str); 5] = [
    ("PutRecords", 96, "ServiceUnavailable", "timeout"),
    ("PutRecord", 48, "ServiceUnavailable", "InternalFailure"),
    ("GetRecords", 48, "InternalFailure", "timeout"),
    ("GetShardIterator", 8, "ServiceUnavailable", "timeout"),
    ("ListShards", 8, "ServiceUnavailable", "timeout"),
];

/// Entries that the consumers' buffers hold.
const BUFFER: u64 = 1500;

/// Writes the load windows, the consumers' rows and the integrity.
pub(super) fn offer(recipe: &Recipe, lives: &[Life], series: &mut ArmSeries) {
    let mut noise = Noise::new(recipe.seed ^ 2);
    let end = PHASES[PHASES.len() - 1].3 * 1000;
    let mut acknowledged = 0;
    let mut consumers = Consumers::default();
    let tenants = series.setup.tenants.clone();
    for at in (0..end).step_by(WINDOW_MS as usize) {
        let success: Vec<f64> = (0..recipe.cells as usize).map(|cell| serving(lives, cell, at)).collect();
        let mut window = LoadWindow { at: At(at), length_ms: WINDOW_MS, ..LoadWindow::default() };
        let mut by_tenant: Vec<TenantWindow> = tenants
            .iter()
            .map(|t| TenantWindow { tenant: t.name.clone(), succeeded: 0, failed: 0 })
            .collect();
        for (operation, calls, first, second) in MIX {
            let mut failed = [0, 0];
            let mut succeeded = 0;
            for (number, tenant) in by_tenant.iter_mut().enumerate() {
                let offered = calls / tenants.len() as u64;
                let mut latencies = Vec::new();
                for call in 0..offered {
                    let ok = noise.unit() < success[number % recipe.cells as usize];
                    if ok {
                        let tail = if noise.unit() > 0.97 { 6.0 } else { 1.0 };
                        let mesh = if recipe.mesh == Mesh::CacheFleet { 1.1 } else { 1.0 };
                        let micros = 900.0 * tail * mesh * (0.6 + 0.8 * noise.unit());
                        latencies.push(micros as u64);
                        succeeded += 1;
                        tenant.succeeded += 1;
                    } else {
                        failed[usize::from(call % 10 == 9 || noise.unit() < 0.1)] += 1;
                        tenant.failed += 1;
                    }
                }
                window.latency.push(LatencyOf::of_values(operation, Some(tenant.tenant.clone()), latencies));
            }
            window.offered += calls;
            let ends = [(None, succeeded), (Some(first), failed[0]), (Some(second), failed[1])];
            for (error, count) in ends.into_iter().filter(|(_, count)| *count > 0) {
                let (operation, error) = (operation.to_owned(), error.map(str::to_owned));
                window.outcomes.push(Outcome { operation, error, count });
            }
            acknowledged += if operation.starts_with("Put") { succeeded } else { 0 };
        }
        window.tenants = by_tenant;
        let healthy = success.iter().sum::<f64>() / success.len() as f64;
        series.push(Record::Load(window));
        for sample in consumers.step(recipe, at, healthy) {
            series.push(Record::Consumer(sample));
        }
    }
    let whole = Integrity { acknowledged, found: acknowledged, ..Integrity::default() };
    series.push(Record::Integrity(whole));
}

/// Share of a cell's front ends that route, as its callers meet them.
fn serving(lives: &[Life], cell: usize, at: u64) -> f64 {
    let of_cell: Vec<Life> = lives.iter().filter(|l| l.cell == cell).cloned().collect();
    super::fleet::share_serving(&of_cell, at)
}

/// The consumers' state from window to window.
#[derive(Debug, Default)]
struct Consumers {
    auth: u64,
    auth_dropped: u64,
    signed: u64,
    refused: u64,
    metrics: u64,
    metrics_dropped: u64,
    backlog: u64,
}

impl Consumers {
    fn step(&mut self, recipe: &Recipe, at: u64, healthy: f64) -> Vec<ConsumerSample> {
        let lost = (100.0 * (1.0 - healthy)) as u64;
        let drained = (400.0 * healthy * healthy) as u64;
        let full = self.auth + lost > BUFFER;
        let blocks = full && recipe.policy == "block";
        self.auth_dropped += if full { (self.auth + lost - BUFFER) * u64::from(!blocks) } else { 0 };
        self.auth = (self.auth + lost).min(BUFFER).saturating_sub(drained);
        self.signed += if blocks { 0 } else { 25 };
        self.refused += if blocks { 25 } else { 0 };
        self.metrics_dropped += (self.metrics + lost).saturating_sub(BUFFER);
        self.metrics = (self.metrics + lost).min(BUFFER).saturating_sub(drained);
        self.backlog = (self.backlog + lost).saturating_sub(drained);
        let dark = if healthy < 0.3 { 20 } else { 0 };
        let mut auth = blank(at, "auth-cache", ConsumerKind::AuthCache, recipe.policy);
        auth.buffer_fill = self.auth;
        auth.dropped = self.auth_dropped;
        auth.blocked = if blocks { 16 } else { 0 };
        auth.sign_ins_ok = Some(self.signed);
        auth.sign_ins_failed = Some(self.refused);
        auth.sign_in_p50_ms = Some(if blocks { 1000.0 } else { 2.0 });
        auth.sign_in_p99_ms = Some(if blocks { 1000.0 } else { 6.0 });
        let mut metrics = blank(at, "metrics-buffer", ConsumerKind::MetricsBuffer, "drop-oldest");
        metrics.buffer_fill = self.metrics;
        metrics.dropped = self.metrics_dropped;
        metrics.alarms = Some(Alarms { ok: 20 - dark, alarm: 0, insufficient_data: dark });
        let mut bus = blank(at, "event-bus", ConsumerKind::EventBus, "spill");
        bus.buffer_fill = self.backlog.min(BUFFER);
        bus.spilled = self.backlog.saturating_sub(BUFFER);
        bus.backlog = Some(self.backlog);
        bus.lag_seconds = Some(self.backlog as f64 / 200.0);
        vec![auth, metrics, bus]
    }
}

fn blank(at: u64, name: &str, service: ConsumerKind, policy: &str) -> ConsumerSample {
    ConsumerSample {
        at: At(at),
        consumer: name.to_owned(),
        service,
        policy: policy.to_owned(),
        buffer_fill: 0,
        buffer_capacity: BUFFER,
        dropped: 0,
        spilled: 0,
        blocked: 0,
        sign_ins_ok: None,
        sign_ins_failed: None,
        sign_in_p50_ms: None,
        sign_in_p99_ms: None,
        alarms: None,
        lag_seconds: None,
        backlog: None,
    }
}
