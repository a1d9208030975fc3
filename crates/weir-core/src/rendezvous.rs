//! Rendezvous hashing: who of many is home to a key, agreed on by everybody who knows the same members.
//!
//! Nodes pick their home front end with it, front ends their cache server, the control plane a tenant's cell. When a
//! member goes, only the keys that it was home to move.

/// The member with the highest weight for `key`; `None` when there are no members. Ties go to the lower number, so
/// that the order of `members` does not matter.
pub fn home(key: u64, members: impl IntoIterator<Item = u64>) -> Option<u64> {
    members.into_iter().max_by_key(|&member| (weight(key, member), std::cmp::Reverse(member)))
}

/// All members, the home first, then who stands in for it, and so on.
pub fn ranked(key: u64, members: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut ranked: Vec<u64> = members.into_iter().collect();
    ranked.sort_by_key(|&member| (std::cmp::Reverse(weight(key, member)), member));
    ranked
}

/// A name as a key or as a member: FNV-1a, the same on every build for ever.
pub fn key_of_name(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64's finisher over both numbers: uniform, and the same on every build for ever (it is on the wire in
/// effect, since two servers must agree).
fn weight(key: u64, member: u64) -> u64 {
    let mut z = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ member.wrapping_add(0x6a09_e667_f3bc_c909);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_keys_of_a_lost_member_move() {
        for key in 0..1_000 {
            let before = home(key, 0..40).unwrap();
            let after = home(key, (0..40).filter(|&m| m != 17)).unwrap();
            assert!(before == after || before == 17, "key {key} moved from {before} to {after}");
        }
    }

    #[test]
    fn homes_are_spread_and_the_order_of_members_does_not_matter() {
        let mut counts = [0u32; 10];
        for key in 0..10_000 {
            let home_of = home(key, 0..10).unwrap();
            assert_eq!(Some(home_of), home(key, (0..10).rev()));
            counts[home_of as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (800..1_200).contains(&n)), "{counts:?}");
        assert_eq!(home(1, []), None);
        assert_eq!(ranked(3, 0..10).first().copied(), home(3, 0..10));
    }
}
