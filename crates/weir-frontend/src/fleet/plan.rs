//! Which servers a server should have lanes to, given who is in the cell: the fleet's topology as one function.
//!
//! `thread-per-peer`, `multiplexed` and `cache-fleet` differ here and nowhere else in the fleet's logic. It must not
//! look at what runs already.

use std::collections::BTreeMap;

use weir_core::{id::MemberId, rendezvous};
use weir_wire::control::{Census, FleetConfig, Member, MembershipView, MeshKind, Role};

use super::event::{Carrier, LinkKind, Myself, PeerPlan};

/// The lanes that `me` should have by `view`, apart from a front end's way to its cache server, which depends on who
/// can be reached.
pub(super) fn plan(me: &Myself, view: &MembershipView) -> BTreeMap<MemberId, PeerPlan> {
    let k = u32::try_from(view.fleet.threads_per_peer).expect("bounded by THREADS_PER_PEER_MAX");
    let peers = |carrier, lanes| {
        let others = view.members.iter().filter(|other| other.id != me.member && other.role == me.role);
        others.map(|other| (other.id, peer(me, other, carrier, lanes))).collect()
    };
    match (view.fleet.mesh, me.role) {
        (MeshKind::ThreadPerPeer, Role::Frontend) => peers(Carrier::Thread, k),
        (MeshKind::Multiplexed, Role::Frontend) => peers(Carrier::Task, 1),
        (MeshKind::CacheFleet, Role::Cache) => {
            let mut lanes: BTreeMap<_, _> = peers(Carrier::Thread, k);
            lanes.extend(subscribers(me, view));
            lanes
        }
        // A front end of a cache fleet has no peers; a cache server without a cache fleet has nothing to do.
        (MeshKind::CacheFleet, Role::Frontend)
        | (MeshKind::ThreadPerPeer | MeshKind::Multiplexed, Role::Cache)
        | (_, Role::Backend) => BTreeMap::new(),
    }
}

/// The threads for its peers of a server among so many, itself included: what [`plan`] would come to.
pub(super) fn peer_threads(role: Role, fleet: &FleetConfig, registered: Census) -> usize {
    let others = match (fleet.mesh, role) {
        (MeshKind::ThreadPerPeer, Role::Frontend) => registered.frontends.saturating_sub(1),
        (MeshKind::CacheFleet, Role::Cache) => registered.caches.saturating_sub(1),
        (MeshKind::Multiplexed | MeshKind::CacheFleet, Role::Frontend)
        | (MeshKind::ThreadPerPeer | MeshKind::Multiplexed, Role::Cache)
        | (_, Role::Backend) => 0,
    };
    others * fleet.threads_per_peer
}

/// The lane to a front end that a cache server serves.
pub(super) fn subscriber(member: &Member) -> PeerPlan {
    PeerPlan {
        link: LinkKind::Subscriber,
        carrier: Carrier::Thread,
        lanes: 1,
        address: member.mesh,
        dials: false,
    }
}

/// The lane to a cache server that a front end asks.
pub(super) fn upstream(member: &Member) -> PeerPlan {
    PeerPlan { link: LinkKind::Upstream, carrier: Carrier::Task, lanes: 1, address: member.mesh, dials: true }
}

/// The servers that nodes bring their fragments to and that keep the mesh.
pub(super) fn mesh_members(view: &MembershipView) -> impl Iterator<Item = &Member> {
    let role = match view.fleet.mesh {
        MeshKind::CacheFleet => Role::Cache,
        MeshKind::ThreadPerPeer | MeshKind::Multiplexed => Role::Frontend,
    };
    view.members.iter().filter(move |member| member.role == role)
}

/// The home of `key` (a node's number, or a front end's in a cache fleet) in this view.
pub(super) fn home_of(key: MemberId, view: &MembershipView) -> Option<MemberId> {
    let members = mesh_members(view).map(|member| u64::from(member.id.0));
    rendezvous::home(u64::from(key.0), members).map(member_id)
}

/// Back from the number that rendezvous hashing speaks of.
pub(super) fn member_id(number: u64) -> MemberId {
    MemberId(u32::try_from(number).expect("was a member's number before"))
}

/// One connection a pair and lane: the lower number dials.
fn peer(me: &Myself, other: &Member, carrier: Carrier, lanes: u32) -> PeerPlan {
    PeerPlan { link: LinkKind::Peer, carrier, lanes, address: other.mesh, dials: me.member < other.id }
}

fn subscribers<'a>(
    me: &'a Myself,
    view: &'a MembershipView,
) -> impl Iterator<Item = (MemberId, PeerPlan)> + 'a {
    let frontends = view.members.iter().filter(|member| member.role == Role::Frontend);
    frontends
        .filter(|member| home_of(member.id, view) == Some(me.member))
        .map(|member| (member.id, subscriber(member)))
}
