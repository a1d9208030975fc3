//! Which servers the node's fragment goes to: one home in each front-end cell, and who stands in.
//!
//! A pure state machine over [`Homes`]: the shell (`home_link.rs`) tells it of cells and connections and keeps the
//! links that it asks for. It must never drop a displaced home before every member can know of the new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use weir_core::{
    clock::Monotonic,
    homes::Homes,
    id::{CellName, MemberId},
};
use weir_wire::control::Member;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomingEvent {
    /// The cells and their mesh members, as the control plane has them now.
    Cells {
        /// The cells.
        cells: Vec<(CellName, Vec<Member>)>,
        /// How long a displaced home is kept.
        hand_over: Duration,
    },
    /// A link took the hello.
    Reached(MemberId),
    /// A link could not be made, or broke.
    Lost(MemberId),
    /// Time passed.
    Tick,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomingAction {
    /// Keep a link to this server, dialling again whenever it breaks.
    Open(HomeTarget),
    /// The server is no home any more.
    Close(MemberId),
}

/// A server to bring the fragment to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeTarget {
    /// Who.
    pub member: MemberId,
    /// Its cell.
    pub cell: CellName,
    /// Where its mesh listens.
    pub mesh: SocketAddr,
}

/// The homes of one node in all cells.
#[derive(Debug)]
pub struct Homing {
    node: MemberId,
    cells: BTreeMap<CellName, CellHomes>,
    open: BTreeMap<MemberId, HomeTarget>,
}

#[derive(Debug)]
struct CellHomes {
    homes: Homes,
    addresses: BTreeMap<MemberId, SocketAddr>,
}

impl Homing {
    /// No cells yet.
    pub fn new(node: MemberId) -> Self {
        Self { node, cells: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// One event in, the links to open and close out.
    pub fn apply(&mut self, now: Monotonic, event: HomingEvent) -> Vec<HomingAction> {
        match event {
            HomingEvent::Cells { cells, hand_over } => self.learn(now, cells, hand_over),
            HomingEvent::Reached(member) => {
                self.of_member(member, |homes| homes.reached(now, u64::from(member.0)));
            }
            HomingEvent::Lost(member) => {
                self.of_member(member, |homes| homes.unreachable(now, u64::from(member.0)));
            }
            HomingEvent::Tick => {}
        }
        self.settle(now)
    }

    fn learn(&mut self, now: Monotonic, cells: Vec<(CellName, Vec<Member>)>, hand_over: Duration) {
        let named: BTreeSet<CellName> = cells.iter().map(|(name, _)| name.clone()).collect();
        self.cells.retain(|name, _| named.contains(name));
        for (name, members) in cells {
            let key = u64::from(self.node.0);
            let cell = self
                .cells
                .entry(name)
                .or_insert_with(|| CellHomes { homes: Homes::new(key), addresses: BTreeMap::new() });
            cell.homes.members(now, members.iter().map(|member| u64::from(member.id.0)), hand_over);
            cell.addresses = members.into_iter().map(|member| (member.id, member.mesh)).collect();
        }
    }

    fn of_member(&mut self, member: MemberId, act: impl FnOnce(&mut Homes)) {
        if let Some(cell) = self.cells.values_mut().find(|cell| cell.addresses.contains_key(&member)) {
            act(&mut cell.homes);
        }
    }

    fn settle(&mut self, now: Monotonic) -> Vec<HomingAction> {
        let mut wanted = BTreeMap::new();
        for (name, cell) in &mut self.cells {
            for number in cell.homes.targets(now) {
                let member = MemberId(u32::try_from(number).expect("members are numbered in 32 bits"));
                if let Some(&mesh) = cell.addresses.get(&member) {
                    wanted.insert(member, HomeTarget { member, cell: name.clone(), mesh });
                }
            }
        }
        let gone = self.open.iter().filter(|(member, target)| wanted.get(member) != Some(target));
        let mut actions: Vec<_> = gone.map(|(member, _)| HomingAction::Close(*member)).collect();
        let new = wanted.iter().filter(|(member, target)| self.open.get(member) != Some(target));
        actions.extend(new.map(|(_, target)| HomingAction::Open(target.clone())));
        self.open = wanted;
        actions
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{Incarnation, ServerName};
    use weir_wire::control::Role;

    use super::*;

    const HAND_OVER: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    fn member(number: u32) -> Member {
        Member {
            id: MemberId(number),
            name: ServerName::new(format!("fe-{number}")),
            role: Role::Frontend,
            life: Incarnation(1),
            mesh: SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::try_from(number).unwrap())),
        }
    }

    fn cells(split: &[&[u32]]) -> HomingEvent {
        let cells = split.iter().enumerate().map(|(n, members)| {
            (CellName::new(format!("cell-{n}")), members.iter().map(|&number| member(number)).collect())
        });
        HomingEvent::Cells { cells: cells.collect(), hand_over: HAND_OVER }
    }

    fn opened(actions: &[HomingAction]) -> Vec<MemberId> {
        let members = actions.iter().filter_map(|action| match action {
            HomingAction::Open(target) => Some(target.member),
            HomingAction::Close(_) => None,
        });
        members.collect()
    }

    #[test]
    fn each_cell_has_one_home_and_it_stays_while_members_stay() {
        let mut homing = Homing::new(MemberId(900));
        let first = homing.apply(at(0), cells(&[&[1, 2, 3], &[4, 5, 6]]));
        assert_eq!(opened(&first).len(), 2, "{first:?}");
        assert_eq!(homing.apply(at(1), cells(&[&[1, 2, 3], &[4, 5, 6]])), []);
    }

    #[test]
    fn the_next_in_rank_stands_in_for_a_lost_home_until_it_is_reached_again() {
        let mut homing = Homing::new(MemberId(900));
        let home = opened(&homing.apply(at(0), cells(&[&[1, 2, 3]])))[0];
        let stand_in = opened(&homing.apply(at(1), HomingEvent::Lost(home)));
        assert_eq!(stand_in.len(), 1);
        assert_ne!(stand_in[0], home);
        homing.apply(at(2), HomingEvent::Reached(home));
        assert_eq!(homing.apply(at(3), HomingEvent::Tick), [], "kept for the hand-over");
        assert_eq!(homing.apply(at(8), HomingEvent::Tick), [HomingAction::Close(stand_in[0])]);
    }

    #[test]
    fn a_home_that_left_is_closed_at_once_and_one_that_moved_is_dialled_anew() {
        let mut homing = Homing::new(MemberId(900));
        let home = opened(&homing.apply(at(0), cells(&[&[1, 2, 3]])))[0];
        let left: Vec<u32> = [1, 2, 3].into_iter().filter(|&number| MemberId(number) != home).collect();
        let actions = homing.apply(at(1), cells(&[&left]));
        assert!(actions.contains(&HomingAction::Close(home)), "{actions:?}");
        let now_home = opened(&actions)[0];
        let mut moved = member(now_home.0);
        moved.mesh.set_port(9);
        let others = left.iter().filter(|&&n| MemberId(n) != now_home).map(|&n| member(n));
        let cell = (CellName::new("cell-0"), others.chain([moved]).collect());
        let actions = homing.apply(at(2), HomingEvent::Cells { cells: vec![cell], hand_over: HAND_OVER });
        assert!(
            actions.contains(&HomingAction::Close(now_home)) && opened(&actions) == [now_home],
            "{actions:?}"
        );
    }
}
