//! A made-up run with the physics of 2020 in it, for tests of everything that reads a series.
//!
//! Test code only. It is a model, not a recording: servers learn of joiners at random moments of the discovery window,
//! are refused at the limit, age, fail and come back with a restart. Tests take a run in which everything holds and
//! spoil one thing at a time. It must never be used to make up a result that a user sees.

mod fleet;
mod traffic;

use super::{
    ArmRole, ArmSeries, ArmSetup, At, Bound, Cohort, Expectations, Host, Mesh, Parameter, Phase, PhaseKind,
    Record, Role, RunHeader, ServerId, ServerInfo, Tenant, ThreadLaw,
};
use crate::oracle::SignatureId;

pub(crate) const WINDOW_MS: u64 = 500;
pub(crate) const DISCOVERY_MS: u64 = 12_000;
pub(crate) const TTL_MS: u64 = 6_000;
pub(crate) const GOSSIP_MS: u64 = 500;
pub(crate) const BASE_THREADS: u64 = 9;

/// What a made-up arm is made of.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) arm: &'static str,
    pub(crate) role: ArmRole,
    pub(crate) mesh: Mesh,
    pub(crate) limit: u64,
    pub(crate) cells: u32,
    pub(crate) front_ends: u32,
    pub(crate) added: u32,
    pub(crate) order: u32,
    pub(crate) policy: &'static str,
    pub(crate) seed: u64,
}

impl Recipe {
    /// The 2020 fleet: 30 front ends of one cell, 14 added, refused at 41.
    pub(crate) fn shared() -> Self {
        Self {
            arm: "shared",
            role: ArmRole::Variant,
            mesh: Mesh::ThreadPerPeer,
            limit: 48,
            cells: 1,
            front_ends: 30,
            added: 14,
            order: 0,
            policy: "block",
            seed: 2020,
        }
    }

    /// The same in four cells.
    pub(crate) fn cellular() -> Self {
        Self { arm: "cellular", cells: 4, front_ends: 32, added: 12, order: 1, ..Self::shared() }
    }

    /// The same with three cache servers.
    pub(crate) fn cache_fleet() -> Self {
        Self { arm: "cache-fleet", mesh: Mesh::CacheFleet, order: 2, ..Self::shared() }
    }

    /// The same with twice the limit.
    pub(crate) fn raised_limit() -> Self {
        Self { arm: "raised-limit", limit: 96, order: 3, policy: "drop-newest", ..Self::shared() }
    }

    /// The same growth with room.
    pub(crate) fn control() -> Self {
        Self { arm: "control", role: ArmRole::Control, limit: 53, order: 4, ..Self::shared() }
    }

    /// One of four cells grows over its limit.
    pub(crate) fn one_cell_over() -> Self {
        Self { arm: "one-cell", cells: 4, front_ends: 32, added: 8, limit: 20, ..Self::shared() }
    }

    /// Plays the recipe.
    pub(crate) fn play(&self) -> ArmSeries {
        let mut series = ArmSeries::new(self.setup());
        for info in self.servers() {
            series.push(Record::Server(info));
        }
        for (name, action, start, end) in PHASES {
            let (start, end) = (At(start * 1000), Some(At(end * 1000)));
            series.push(Record::Phase(Phase { name: name.to_owned(), action, start, end }));
        }
        let lives = fleet::lives(self, &series.servers);
        fleet::sample(self, &lives, &mut series);
        traffic::offer(self, &lives, &mut series);
        series
    }

    fn setup(&self) -> ArmSetup {
        let cache = self.mesh == Mesh::CacheFleet;
        ArmSetup {
            arm: self.arm.to_owned(),
            order: self.order,
            repeat: 0,
            role: self.role,
            description: String::new(),
            mesh: self.mesh,
            limit_kind: "cgroup-v1".to_owned(),
            limit: self.limit,
            base_threads: BASE_THREADS,
            threads_per_peer: 1,
            law: ThreadLaw {
                role: if cache { Role::Cache } else { Role::Frontend },
                base: BASE_THREADS,
                per_peer: 1,
                per_client: u64::from(cache),
            },
            front_ends: self.front_ends,
            front_ends_added: self.added,
            cells: self.cell_names(),
            tenants: self.tenants(),
            window_ms: WINDOW_MS,
            discovery_ms: DISCOVERY_MS,
            map_ttl_ms: TTL_MS,
            gossip_ms: GOSSIP_MS,
            restart_per_second: Some(f64::from(self.front_ends) / 16.0),
            headroom_min: None,
            parameters: vec![
                parameter("fleet.envelope.threads_max", &self.limit.to_string(), true),
                parameter("fleet.discovery", "12s", true),
                parameter("fleet.map_ttl", "6s", true),
                parameter("fleet.threads_per_peer", "1", true),
                parameter("consumers.auth.policy", self.policy, false),
            ],
            expect: self.expect(),
        }
    }

    fn expect(&self) -> Expectations {
        use SignatureId as Id;
        match self.arm {
            "shared" => Expectations {
                held: vec![Id::S1, Id::S2, Id::S3, Id::S4, Id::S5, Id::S6, Id::S7, Id::S9],
                in_order: vec![Id::S2, Id::S3, Id::S4, Id::S5],
                n_star_exact: true,
                bounds: vec![Bound { metric: "refusals".to_owned(), min: Some(1.0), max: None }],
            },
            _ => Expectations {
                held: vec![Id::S1],
                bounds: vec![Bound { metric: "success_ratio.cliff".to_owned(), min: Some(0.999), max: None }],
                ..Expectations::default()
            },
        }
    }

    fn cell_names(&self) -> Vec<String> {
        (0..self.cells).map(|c| format!("cell-{c}")).collect()
    }

    fn tenants(&self) -> Vec<Tenant> {
        (0..8)
            .map(|t| Tenant { name: format!("tenant-{t}"), cell: format!("cell-{}", t % self.cells) })
            .collect()
    }

    fn servers(&self) -> Vec<ServerInfo> {
        let mut servers = Vec::new();
        let mut declare = |name: String, role, cell: Option<String>, cohort| {
            servers.push(ServerInfo { id: ServerId(servers.len() as u32), name, role, cell, cohort });
        };
        for n in 0..self.front_ends {
            let cell = format!("cell-{}", n % self.cells);
            declare(format!("fe-{n:02}"), Role::Frontend, Some(cell), Cohort::Original);
        }
        for n in 0..self.added {
            // A recipe that outgrows one cell sends all joiners there; the others spread them.
            let cell = if self.arm == "one-cell" { 0 } else { n % self.cells };
            let name = format!("fe-{:02}", self.front_ends + n);
            declare(name, Role::Frontend, Some(format!("cell-{cell}")), Cohort::Joiner);
        }
        if self.mesh == Mesh::CacheFleet {
            for n in 0..3 {
                declare(format!("cache-{n}"), Role::Cache, Some("cell-0".to_owned()), Cohort::Original);
            }
        }
        for n in 0..3 {
            declare(format!("node-{n}"), Role::Backend, Some(format!("back-{n}")), Cohort::Original);
        }
        declare("control".to_owned(), Role::Control, None, Cohort::Original);
        servers
    }
}

/// Name, action, start and end in seconds.
pub(crate) const PHASES: [(&str, PhaseKind, u64, u64); 7] = [
    ("baseline", PhaseKind::Baseline, 0, 10),
    ("add-capacity", PhaseKind::Add, 10, 13),
    ("silent-window", PhaseKind::Wait, 13, 34),
    ("remove-added", PhaseKind::Remove, 34, 36),
    ("still-broken", PhaseKind::Wait, 36, 44),
    ("paced-restart", PhaseKind::Restart, 44, 62),
    ("recovery", PhaseKind::Recovery, 62, 72),
];

/// A header for a made-up result.
pub(crate) fn header() -> RunHeader {
    RunHeader {
        scenario: "kinesis-2020".to_owned(),
        description: "One front-end fleet grows until the kernel refuses the next thread.".to_owned(),
        seed: 2020,
        time_scale: 600.0,
        started_wall_ms: 1_606_301_040_000,
        version: "0.0.0".to_owned(),
        host: Host {
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "6.18.0".to_owned(),
            cpu: "made up".to_owned(),
            root: true,
            facts: [("pid_max".to_owned(), "32768".to_owned())].into(),
        },
    }
}

/// The five arms of the shipped scenario.
pub(crate) fn five_arms() -> Vec<ArmSeries> {
    [Recipe::shared(), Recipe::cellular(), Recipe::cache_fleet(), Recipe::raised_limit(), Recipe::control()]
        .iter()
        .map(Recipe::play)
        .collect()
}

/// A small generator of repeatable noise: tests must not depend on a library's stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn parameter(name: &str, value: &str, assumed: bool) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned(), assumed, note: String::new() }
}
