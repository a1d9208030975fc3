//! The servers' side of a made-up run: who learns when, who is refused, how maps age, who restarts when.
//!
//! Test code, called by the recipe.

use crate::series::{
    ArmSeries, At, Cohort, ControlSample, Mesh, PhaseKind, Record, Role, ServerEvent, ServerHappening,
    ServerId, ServerInfo, ServerMetrics, ServerSample,
};

use super::{BASE_THREADS, DISCOVERY_MS, GOSSIP_MS, Noise, PHASES, Recipe, TTL_MS, WINDOW_MS};

/// What becomes of one server.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) id: ServerId,
    pub(super) role: Role,
    pub(super) cell: usize,
    pub(super) joiner: bool,
    /// When it is there, milliseconds.
    pub(super) born: u64,
    pub(super) gone: Option<u64>,
    /// When it knows of all joiners.
    pub(super) learns: u64,
    /// When it is restarted.
    pub(super) restarts: u64,
    /// Threads with all joiners known, if nothing limited them.
    pub(super) wants: u64,
    pub(super) limit: u64,
}

/// From the order to stop until it is gone.
const STOP_MS: u64 = 100;
/// How long a restart takes.
const BOOT_MS: u64 = 700;

impl Life {
    pub(super) fn is_up(&self, at: u64) -> bool {
        at >= self.born
            && self.gone.is_none_or(|gone| at < gone)
            && !(self.restarts..self.restarts + BOOT_MS).contains(&at)
    }

    fn is_refused(&self) -> bool {
        self.wants > self.limit
    }

    /// The last moment at which its map was whole.
    pub(super) fn fresh_at(&self, at: u64) -> u64 {
        if self.is_refused() && at >= self.learns && at < self.restarts { self.learns } else { at }
    }

    pub(super) fn serves(&self, at: u64) -> bool {
        self.is_up(at) && at - self.fresh_at(at) <= TTL_MS
    }

    fn incarnation(&self, at: u64) -> u32 {
        u32::from(at >= self.restarts)
    }
}

fn phase(kind: PhaseKind) -> (u64, u64) {
    let (_, _, start, end) =
        PHASES.into_iter().find(|p| p.1 == kind).expect("the phases have all kinds used");
    (start * 1000, end * 1000)
}

/// The lives of all servers.
pub(super) fn lives(recipe: &Recipe, servers: &[ServerInfo]) -> Vec<Life> {
    let mut noise = Noise::new(recipe.seed);
    let (add, add_end) = phase(PhaseKind::Add);
    let remove = phase(PhaseKind::Remove).0;
    let (restart, restart_end) = phase(PhaseKind::Restart);
    let in_cell = |cell: &Option<String>| {
        servers.iter().filter(|s| s.role == Role::Frontend && s.cell == *cell).count() as u64
    };
    let front_ends = servers.iter().filter(|s| s.role == Role::Frontend).count() as u64;
    let caches = servers.iter().filter(|s| s.role == Role::Cache).count() as u64;
    let mut joined = 0;
    let mut lives = Vec::new();
    for info in servers {
        let joiner = info.cohort == Cohort::Joiner;
        joined += u64::from(joiner);
        let born = if joiner { add + joined * (add_end - add) / u64::from(recipe.added + 1) } else { 0 };
        let wants = match info.role {
            Role::Frontend if recipe.mesh == Mesh::ThreadPerPeer => BASE_THREADS + in_cell(&info.cell) - 1,
            Role::Cache => BASE_THREADS + caches - 1 + front_ends / caches + 1,
            _ => BASE_THREADS,
        };
        let pace = (restart_end - 2000 - restart) / u64::from(recipe.front_ends);
        let restarts = match info.role {
            Role::Frontend if !joiner => restart + u64::from(info.id.0) * pace,
            _ => u64::MAX / 2,
        };
        lives.push(Life {
            id: info.id,
            role: info.role,
            cell: cell_number(info.cell.as_deref()),
            joiner,
            born,
            gone: joiner.then_some(remove + joined * 100),
            learns: add_end + (noise.unit() * (DISCOVERY_MS as f64 - 500.0)) as u64,
            restarts,
            wants,
            limit: recipe.limit,
        });
    }
    lives
}

fn cell_number(cell: Option<&str>) -> usize {
    cell.and_then(|c| c.rsplit('-').next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Writes the servers' and the control plane's rows.
pub(super) fn sample(recipe: &Recipe, lives: &[Life], series: &mut ArmSeries) {
    let end = PHASES[PHASES.len() - 1].3 * 1000;
    for life in lives {
        events(life, series);
    }
    let mut noise = Noise::new(recipe.seed ^ 1);
    let mut processor = vec![0.0; lives.len()];
    for at in (0..=end).step_by(WINDOW_MS as usize) {
        let serving = share_serving(lives, at);
        for (life, spent) in lives.iter().zip(&mut processor) {
            if life.is_up(at) {
                let rate = if life.role == Role::Backend { 0.02 + 0.10 * serving } else { 0.01 };
                *spent += rate * (0.9 + 0.2 * noise.unit()) * WINDOW_MS as f64 / 1e3;
                series.push(Record::Sample(server_sample(recipe, life, lives, at, *spent, &mut noise)));
            } else {
                *spent = 0.0;
            }
        }
        series.push(Record::Control(control_sample(recipe, lives, at)));
    }
}

/// Share of the front ends that can route.
pub(super) fn share_serving(lives: &[Life], at: u64) -> f64 {
    let up = lives.iter().filter(|l| l.role == Role::Frontend && l.is_up(at)).count();
    let serve = lives.iter().filter(|l| l.role == Role::Frontend && l.serves(at)).count();
    serve as f64 / up.max(1) as f64
}

fn events(life: &Life, series: &mut ArmSeries) {
    let mut push = |at: u64, happening| {
        series.push(Record::Event(ServerEvent { at: At(at), server: life.id, happening }));
    };
    push(life.born, ServerHappening::Started { pid: 1000 + life.id.0, incarnation: 0 });
    push(life.born + 200, ServerHappening::Ready);
    if let Some(gone) = life.gone {
        push(gone - STOP_MS, ServerHappening::Told);
        push(gone, ServerHappening::Stopped);
    } else if life.role == Role::Frontend {
        push(life.restarts - STOP_MS, ServerHappening::Told);
        push(life.restarts, ServerHappening::Stopped);
        push(life.restarts + 50, ServerHappening::Started { pid: 2000 + life.id.0, incarnation: 1 });
        push(life.restarts + BOOT_MS, ServerHappening::Ready);
    }
}

fn server_sample(
    recipe: &Recipe,
    life: &Life,
    lives: &[Life],
    at: u64,
    cpu_seconds: f64,
    noise: &mut Noise,
) -> ServerSample {
    let members = lives.iter().filter(|l| l.role == Role::Frontend && l.cell == life.cell);
    let registered = members.clone().filter(|l| l.born <= at && l.gone.is_none_or(|g| at < g)).count() as u64;
    let before = members.filter(|l| !l.joiner).count() as u64;
    let known = if at >= life.learns { registered } else { before };
    let caches = lives.iter().filter(|l| l.role == Role::Cache).count() as u64;
    let served =
        |l: &&Life| l.role == Role::Frontend && u64::from(l.id.0) % caches == u64::from(life.id.0) % caches;
    let there = |l: &&Life| l.born <= at && l.gone.is_none_or(|gone| at < gone);
    let clients =
        if life.role == Role::Cache { lives.iter().filter(served).filter(there).count() as u64 } else { 0 };
    let (wanted, peers) = match life.role {
        Role::Frontend if recipe.mesh == Mesh::ThreadPerPeer => (BASE_THREADS + known - 1, known - 1),
        Role::Cache => (BASE_THREADS + caches - 1 + clients, caches - 1),
        _ => (BASE_THREADS, 0),
    };
    let threads = wanted.min(life.limit);
    let refused = life.is_refused() && at >= life.learns && life.incarnation(at) == 0;
    let refusals = u64::from(refused);
    let age = (at - life.fresh_at(at)) as f64 / 1e3 + noise.unit() * GOSSIP_MS as f64 / 1e3 * 0.8;
    let fleet = matches!(life.role, Role::Frontend | Role::Cache);
    let of_fleet = |value: u64| fleet.then_some(value);
    ServerSample {
        at: At(at),
        server: life.id,
        threads: threads as u32,
        limit: fleet.then_some(life.limit),
        pids_current: fleet.then_some(threads),
        pids_events_max: of_fleet(u64::from(life.is_refused() && at >= life.learns)),
        oom_kills: fleet.then_some(0),
        rss_bytes: (6 << 20) + threads * (16 << 10) + (noise.unit() * 65536.0) as u64,
        cpu_seconds,
        metrics: Some(ServerMetrics {
            ready: true,
            known_members: of_fleet(known),
            peers_connected: of_fleet(peers.min(life.limit - BASE_THREADS)),
            peer_threads: of_fleet(threads - BASE_THREADS),
            clients_connected: (life.role == Role::Cache).then_some(clients),
            refusals: of_fleet(refusals),
            refused_at_members: refused.then_some(life.limit - BASE_THREADS + 2),
            map_age_seconds: fleet.then_some(age),
            map_completeness: fleet.then_some(if refused { 0.9 } else { 1.0 }),
            map_generation: of_fleet(1 + u64::from(at >= life.learns)),
            builds_failed: of_fleet(refusals * (1 + at.saturating_sub(life.learns) / 1000)),
            requests: Some(at / 10),
            errors: Some(0),
            append_queue: (life.role == Role::Backend).then_some(0),
        }),
    }
}

fn control_sample(recipe: &Recipe, lives: &[Life], at: u64) -> ControlSample {
    let there = |l: &&Life| l.born <= at && l.gone.is_none_or(|g| at < g);
    let front_ends = lives.iter().filter(|l| l.role == Role::Frontend);
    let registered = (0..recipe.cells as usize)
        .map(|cell| front_ends.clone().filter(|l| l.cell == cell).filter(there).count() as u64)
        .collect();
    ControlSample {
        at: At(at),
        registered,
        cache_servers: lives.iter().filter(|l| l.role == Role::Cache).count() as u64,
        in_rotation: Some(front_ends.filter(|l| l.is_up(at)).count() as u64),
        health_removals: Some(0),
    }
}
