//! A disk that does its worst: for tests of this crate and of those above it, never for a server.
//!
//! It keeps what was written apart from what was synced. When the power goes it keeps each unsynced sector or loses
//! it, in no order; it refuses, shortens or fails what it was told to. Every choice comes from a seed.

mod content;

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::errno::Errno;
use parking_lot::Mutex;
use weir_core::entropy::{self, Rng};

use self::content::{Content, coin, up_to};
use super::{Blocks, Disk, DiskFile, FolderLock};

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Laying out a file.
    LayOut,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Syncing a file.
    Sync,
    /// Renaming, removing or syncing names.
    Names,
}

/// A disk with faults. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    /// The names as they are on disk, and what was done to them since.
    names_synced: BTreeMap<PathBuf, usize>,
    names_unsynced: VecDeque<NameChange>,
    free_bytes: u64,
    /// Operations that change the disk, counted from its making.
    changes: u64,
    power_goes_at: Option<u64>,
    powered: bool,
    short_writes: bool,
    failing: Vec<(Operation, Errno)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug)]
struct Handle {
    state: Arc<Mutex<State>>,
    content: usize,
}

#[derive(Debug)]
struct NoLock;

impl FolderLock for NoLock {}

impl FaultDisk {
    /// An empty disk that works, with `free_bytes` to lay out; `seed` decides what a power loss keeps.
    pub fn new(seed: u64, free_bytes: u64) -> Self {
        let state = State {
            rng: entropy::seeded(seed, "fault disk"),
            contents: Vec::new(),
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            names_unsynced: VecDeque::new(),
            free_bytes,
            changes: 0,
            power_goes_at: None,
            powered: true,
            short_writes: false,
            failing: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The next `operation` fails with `errno`, once.
    pub fn fail_next(&self, operation: Operation, errno: Errno) {
        self.state.lock().failing.push((operation, errno));
    }

    /// Writes take part of what they are given, as the seed has it.
    pub fn shorten_writes(&self) {
        self.state.lock().short_writes = true;
    }

    /// Bytes that may be laid out from now on.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state.lock().free_bytes = bytes;
    }

    /// The power goes while change number `change` is done (see [`Self::changes`]): it happens in part, and from then
    /// on everything fails.
    pub fn lose_power_at(&self, change: u64) {
        self.state.lock().power_goes_at = Some(change);
    }

    /// Operations done so far that change the disk.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// What is found when the power is back, as a new disk: synced bytes, and of the others whatever the seed keeps.
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut rng = entropy::seeded(seed, "power loss");
        let state = self.state.lock();
        let mut names = state.names_synced.clone();
        let kept = up_to(&mut rng, state.names_unsynced.len());
        for change in state.names_unsynced.iter().take(kept) {
            change.apply(&mut names);
        }
        let contents = state.contents.iter().map(|content| content.after_power_loss(&mut rng)).collect();
        Self::holding(seed, state.free_bytes, contents, names)
    }

    /// What is found after kill -9, as a new disk: everything that was written, synced or not.
    pub fn after_kill(&self, seed: u64) -> Self {
        let state = self.state.lock();
        let contents = state.contents.iter().map(Content::after_kill).collect();
        Self::holding(seed, state.free_bytes, contents, state.names.clone())
    }

    fn holding(seed: u64, free_bytes: u64, contents: Vec<Content>, names: BTreeMap<PathBuf, usize>) -> Self {
        let disk = Self::new(seed, free_bytes);
        let mut state = disk.state.lock();
        state.contents = contents;
        state.names_synced.clone_from(&names);
        state.names = names;
        drop(state);
        disk
    }

    /// The files that there are.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        Ok(state.contents[state.content_of(path)?].bytes().to_vec())
    }

    /// Changes a file behind its user's back: bits that flip, sectors that rot, a file that is cut.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state.lock();
        let content = state.content_of(path)?;
        state.contents[content].damage(change);
        Ok(())
    }

    /// Loses a file.
    pub fn lose_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.content_of(path)?;
        state.names.remove(path);
        state.names_synced.remove(path);
        Ok(())
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Set(path, content) => {
                names.insert(path.clone(), *content);
            }
            Self::Move(from, to) => {
                if let Some(content) = names.remove(from) {
                    names.insert(to.clone(), content);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl State {
    fn content_of(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Is this operation made to fail, or the power out?
    fn check(&mut self, operation: Operation) -> io::Result<()> {
        if !self.powered {
            return Err(Errno::EIO.into());
        }
        match self.failing.iter().position(|(failing, _)| *failing == operation) {
            Some(at) => Err(self.failing.remove(at).1.into()),
            None => Ok(()),
        }
    }

    /// Counts a change; true when the power goes with it.
    fn power_goes_now(&mut self) -> bool {
        self.changes += 1;
        if self.power_goes_at.is_some_and(|at| self.changes >= at) {
            self.powered = false;
        }
        !self.powered
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        self.check(Operation::Names)?;
        let power_goes = self.power_goes_now();
        change.apply(&mut self.names);
        self.names_unsynced.push_back(change);
        if power_goes { Err(Errno::EIO.into()) } else { Ok(()) }
    }
}

impl Disk for FaultDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock_folder(&self, _folder: &Path) -> io::Result<Box<dyn FolderLock>> {
        Ok(Box::new(NoLock)) // a test opens one journal at a time, and a dead one beside it must not hold the folder
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let names = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let content = self.state.lock().content_of(path)?;
        Ok(Box::new(Handle { state: Arc::clone(&self.state), content }))
    }

    fn lay_out(&self, path: &Path, bytes: u64, _blocks: Blocks, sync: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.check(Operation::LayOut)?;
        let power_goes = state.power_goes_now();
        state.free_bytes = state.free_bytes.checked_sub(bytes).ok_or(Errno::ENOSPC)?;
        let content = state.contents.len();
        let whole = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let len = if power_goes { up_to(&mut state.rng, whole) } else { whole };
        state.contents.push(Content::zeros(len, sync && !power_goes));
        let change = NameChange::Set(path.to_owned(), content);
        change.apply(&mut state.names);
        state.names_unsynced.push_back(change);
        if power_goes {
            return Err(Errno::EIO.into());
        }
        Ok(Box::new(Handle { state: Arc::clone(&self.state), content }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.content_of(from)?;
        state.change_names(NameChange::Move(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let content = state.content_of(path)?;
        let freed = state.contents[content].bytes().len() as u64;
        state.change_names(NameChange::Remove(path.to_owned()))?;
        state.free_bytes += freed;
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Operation::Names)?;
        if state.power_goes_now() {
            return Err(Errno::EIO.into());
        }
        state.names_synced = state.names.clone();
        state.names_unsynced.clear();
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.state.lock().free_bytes)
    }
}

impl DiskFile for Handle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.state.lock().contents[self.content].bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.check(Operation::Read)?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let rest = state.contents[self.content].bytes().get(offset..).unwrap_or_default();
        let len = buffer.len().min(rest.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.check(Operation::Write)?;
        let power_goes = state.power_goes_now();
        let mut data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if state.short_writes && data.len() > 1 && coin(&mut state.rng) {
            let kept = 1 + up_to(&mut state.rng, data.len() - 1);
            data.truncate(kept);
        }
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let written = state.contents[self.content].write(offset, data);
        if power_goes { Err(Errno::EIO.into()) } else { Ok(written) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let checked = state.check(Operation::Sync);
        let power_goes = state.power_goes_now();
        match checked {
            Ok(()) if !power_goes => {
                state.contents[self.content].sync();
                Ok(())
            }
            outcome => {
                state.contents[self.content].fail_sync(&mut state.rng);
                outcome.and(Err(Errno::EIO.into()))
            }
        }
    }
}
