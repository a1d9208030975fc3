//! Who runs right now, for the recorder: names, process ids, admin addresses, envelopes.
//!
//! Written by the launcher, read by the recorder's thread once a window. It is a copy: neither waits for the other.

use std::{collections::BTreeMap, net::SocketAddr};

use parking_lot::Mutex;

use crate::{
    envelope::Witness,
    series::{Role, ServerId},
};

/// One server as it is right now.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Its number.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    /// The process of its running life.
    pub pid: Option<u32>,
    /// Which life that is (or the last one was).
    pub incarnation: u32,
    /// What the kernel counts for it, when it lives in an envelope.
    pub witness: Option<Witness>,
}

/// All servers of an arm.
#[derive(Debug, Default)]
pub struct Roster {
    servers: Mutex<BTreeMap<ServerId, Sighting>>,
}

impl Roster {
    /// The servers that run, by number.
    pub fn running(&self) -> Vec<Sighting> {
        self.servers.lock().values().filter(|server| server.pid.is_some()).cloned().collect()
    }

    /// One server, running or not.
    pub fn get(&self, server: ServerId) -> Option<Sighting> {
        self.servers.lock().get(&server).cloned()
    }

    pub(super) fn declare(&self, sighting: Sighting) {
        self.servers.lock().insert(sighting.id, sighting);
    }

    pub(super) fn change(&self, server: ServerId, pid: Option<u32>, incarnation: u32) {
        if let Some(sighting) = self.servers.lock().get_mut(&server) {
            sighting.pid = pid;
            sighting.incarnation = incarnation;
        }
    }
}
