//! Who gets what: shards to nodes, tenants to cells.
//!
//! Pure functions that the machine calls. A placement once made stays: nothing here moves what has an owner.

use std::collections::BTreeMap;

use weir_core::{
    id::{CellName, MemberId, TenantName},
    rendezvous,
};

/// A node for each of `count` shards: always the one that has the fewest, the lower number first. Counts shards, not
/// traffic: a node full of quiet shards is as full as any (30 July 2024 is what happens else).
pub fn nodes_for(count: u32, mut load: BTreeMap<MemberId, usize>) -> Option<Vec<MemberId>> {
    let mut chosen = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let (&node, _) = load.iter().min_by_key(|&(&node, &shards)| (shards, node))?;
        *load.get_mut(&node)? += 1;
        chosen.push(node);
    }
    Some(chosen)
}

/// The cell of a tenant: where it is pinned, else its home by rendezvous hashing, so that a new cell takes its share
/// of tenants and no other tenant moves.
pub fn cell_for<'a>(
    tenant: &TenantName,
    pinned: Option<&'a CellName>,
    cells: &'a [CellName],
) -> Option<&'a CellName> {
    if let Some(cell) = pinned {
        return Some(cell);
    }
    let key = rendezvous::key_of_name(tenant.as_str());
    let home = rendezvous::home(key, cells.iter().map(|cell| rendezvous::key_of_name(cell.as_str())))?;
    cells.iter().find(|cell| rendezvous::key_of_name(cell.as_str()) == home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_go_to_the_node_with_the_fewest() {
        let load = BTreeMap::from([(MemberId(1), 5), (MemberId(2), 0), (MemberId(3), 1)]);
        let chosen = nodes_for(4, load).unwrap();
        assert_eq!(chosen, [MemberId(2), MemberId(2), MemberId(3), MemberId(2)]);
        assert_eq!(nodes_for(1, BTreeMap::new()), None);
    }

    #[test]
    fn a_new_cell_moves_only_its_own_share_of_tenants() {
        let cells: Vec<_> = (0..4).map(|n| CellName::new(format!("cell-{n}"))).collect();
        let mut moved = 0;
        for n in 0..1_000 {
            let tenant = TenantName::new(format!("tenant-{n}"));
            let before = cell_for(&tenant, None, &cells[..3]).unwrap();
            let after = cell_for(&tenant, None, &cells).unwrap();
            assert!(before == after || *after == cells[3]);
            moved += usize::from(before != after);
        }
        assert!((200..300).contains(&moved), "{moved} of 1,000 moved to the fourth cell");
        assert_eq!(cell_for(&TenantName::new("t"), Some(&cells[2]), &cells), Some(&cells[2]));
    }
}
