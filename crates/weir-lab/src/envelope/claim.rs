//! Numbers that concurrent labs on one host must not share: blocks of uids, blocks of loopback addresses.
//!
//! A claim is an abstract Unix socket bound under the number's name: the kernel grants it to one process and takes it
//! back when that process ends, however it ends. It must never leave a file behind. Such names are a network namespace's
//! own, as loopback addresses are; uids are shared beyond it, and so each network begins to look at another number.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// A number held by this process until the value is dropped.
#[derive(Debug)]
pub struct Claim {
    number: u32,
    _held: UnixListener,
}

impl Claim {
    /// Takes the first free number below `count` under `name`; `None` when all are taken.
    pub fn first_free(name: &str, count: u32) -> io::Result<Option<Self>> {
        Self::first_free_from(0, name, count)
    }

    /// The same, looking from `first` upwards and then from 0.
    pub fn first_free_from(first: u32, name: &str, count: u32) -> io::Result<Option<Self>> {
        for number in (0..count).map(|step| (first + step) % count) {
            let address = SocketAddr::from_abstract_name(format!("weir/{name}/{number}"))?;
            match UnixListener::bind_addr(&address) {
                Ok(held) => return Ok(Some(Self { number, _held: held })),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The number.
    pub fn number(&self) -> u32 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_held_by_one_and_free_again_after_it() {
        let name = format!("test-{}", std::process::id());
        let first = Claim::first_free(&name, 2).unwrap().unwrap();
        let second = Claim::first_free(&name, 2).unwrap().unwrap();
        assert_eq!((first.number(), second.number()), (0, 1));
        assert!(Claim::first_free(&name, 2).unwrap().is_none());
        drop(first);
        assert_eq!(Claim::first_free_from(1, &name, 2).unwrap().unwrap().number(), 0, "1 is taken");
        drop(second);
        assert_eq!(Claim::first_free_from(1, &name, 2).unwrap().unwrap().number(), 1);
    }
}
