//! Loopback addresses: one for each server, in a block that no other lab on this host uses.
//!
//! 127.A.B.C: A is claimed for the life of the lab, B and C count up over its arms and servers. All servers can
//! then listen on the same ports, and one address is one server in every log.

use std::{io, net::Ipv4Addr};

use crate::envelope::Claim;

/// The first A: below are the addresses that people and distributions use (127.0.0.1, 127.0.1.1, 127.0.0.53).
const FIRST_BLOCK: u8 = 64;
/// Blocks to claim: labs on one host at one time.
const BLOCKS: u32 = 128;
/// Servers of one B: C runs from 1 to this.
const SERVERS_PER_B: u32 = 250;
/// Bs of one arm.
const BS_PER_ARM: u32 = 8;
/// Arms (with their repeats) that fit into a block.
const ARMS_MAX: u32 = 256 / BS_PER_ARM;

/// This lab's block. Clones of its arms' addresses may outlive it, but not be used then.
#[derive(Debug)]
pub struct AddressBlock {
    claim: Claim,
    arms: u32,
}

/// No address is left.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Too many labs.
    #[error("{BLOCKS} labs run on this host already: wait for one to end")]
    Labs,
    /// The claim itself failed.
    #[error("claim a block of loopback addresses: {0}")]
    Claim(io::Error),
    /// Too many servers.
    #[error("an arm may have {max} servers at most")]
    Servers {
        /// How many fit.
        max: u32,
    },
}

impl AddressBlock {
    /// Claims a block.
    pub fn claim() -> Result<Self, AddressError> {
        let claim = Claim::first_free("loopback", BLOCKS).map_err(AddressError::Claim)?;
        Ok(Self { claim: claim.ok_or(AddressError::Labs)?, arms: 0 })
    }

    /// The addresses of the next arm. Arms that run one after another take turns in the block.
    pub fn next_arm(&mut self) -> ArmAddresses {
        let arm = self.arms % ARMS_MAX;
        self.arms += 1;
        let block = FIRST_BLOCK + u8::try_from(self.claim.number()).expect("claims are below BLOCKS");
        ArmAddresses { block, arm, given: 0 }
    }
}

/// Gives out the addresses of one arm, each once.
#[derive(Debug)]
pub struct ArmAddresses {
    block: u8,
    arm: u32,
    given: u32,
}

impl ArmAddresses {
    /// The next free address.
    pub fn take(&mut self) -> Result<Ipv4Addr, AddressError> {
        let (b, c) = (self.given / SERVERS_PER_B, self.given % SERVERS_PER_B + 1);
        if b >= BS_PER_ARM {
            return Err(AddressError::Servers { max: SERVERS_PER_B * BS_PER_ARM });
        }
        self.given += 1;
        let byte = |number: u32| u8::try_from(number).expect("bounded by the constants above");
        Ok(Ipv4Addr::new(127, self.block, byte(self.arm * BS_PER_ARM + b), byte(c)))
    }
}

const _: () = {
    assert!(FIRST_BLOCK as u32 + BLOCKS <= 256);
    assert!(SERVERS_PER_B <= 254);
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_servers_of_two_labs_and_two_arms_share_an_address() {
        let mut labs = [AddressBlock::claim().unwrap(), AddressBlock::claim().unwrap()];
        let mut all = BTreeSet::new();
        for lab in &mut labs {
            for _ in 0..2 {
                let mut arm = lab.next_arm();
                for _ in 0..600 {
                    let address = arm.take().unwrap();
                    assert!(address.is_loopback() && address.octets()[3] != 0);
                    assert!(all.insert(address), "{address} twice");
                }
            }
        }
    }

    #[test]
    fn an_arm_that_is_too_large_is_refused() {
        let mut arm = AddressBlock::claim().unwrap().next_arm();
        let last = (0..=SERVERS_PER_B * BS_PER_ARM).map(|_| arm.take()).last().unwrap();
        assert!(matches!(last, Err(AddressError::Servers { max: 2_000 })));
    }
}
