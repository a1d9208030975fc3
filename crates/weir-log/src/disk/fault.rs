//! A disk that does its worst: for tests of this crate and of those above it, never for a server.
//!
//! It keeps what was written apart from what was synced. When the power goes it keeps each unsynced sector, loses it or
//! tears it, in no order; it refuses, shortens, fails in part or holds up what it was told to. Every choice comes from a
//! seed. It is never kinder than a kernel: what a failed sync has lost no later sync brings back, and a process that is
//! killed leaves its writes as unsynced as they were, and a file that is removed takes its room until nobody has it open.

mod content;
mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::errno::Errno;
use weir_core::entropy::{self, Rng};

use self::{
    content::{Content, up_to},
    file::Handle,
};
use super::{Disk, DiskFile, FolderLock};
use crate::facade::{Condvar, Mutex, MutexGuard, wait};

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
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing a folder's names.
    SyncFolder,
}

/// A disk with faults. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Who is held up sleeps here.
    released: Condvar,
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
    /// Bytes written, those of laying out not counted.
    written_bytes: u64,
    /// Contents that were to be uncached.
    uncached: Vec<usize>,
    /// Bytes that were cut off files without a name.
    given_back_bytes: u64,
    /// How often each content is open.
    open: BTreeMap<usize, usize>,
    /// Open contents that the last name is gone of: they take room until they are closed or cut.
    nameless: BTreeSet<usize>,
    power_goes_at: Option<u64>,
    powered: bool,
    short_writes: bool,
    faults: Vec<Fault>,
    /// Faults that have happened.
    happened: u64,
    held: Option<Held>,
}

#[derive(Debug)]
struct Fault {
    operation: Operation,
    /// How many more of these go well.
    passes: u64,
    errno: Errno,
}

/// An operation that waits, and whom to tell of the first that does.
struct Held {
    operation: Operation,
    met: Option<Box<dyn FnOnce() + Send>>,
}

/// An operation is held up until this is dropped.
#[derive(Debug)]
pub struct Hold {
    shared: Arc<Shared>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
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
            written_bytes: 0,
            uncached: Vec::new(),
            given_back_bytes: 0,
            open: BTreeMap::new(),
            nameless: BTreeSet::new(),
            power_goes_at: None,
            powered: true,
            short_writes: false,
            faults: Vec::new(),
            happened: 0,
            held: None,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), released: Condvar::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// The next `operation` fails with `errno`, once.
    pub fn fail_next(&self, operation: Operation, errno: Errno) {
        self.fail_after(operation, 0, errno);
    }

    /// `passes` more of `operation` go well, then one fails with `errno`. A write that fails may have been done in part,
    /// a lay-out too, and of what a failed sync was to bring to the disk some is there and the rest is lost for good.
    pub fn fail_after(&self, operation: Operation, passes: u64, errno: Errno) {
        self.state().faults.push(Fault { operation, passes, errno });
    }

    /// Nothing fails any more that was told to and has not yet, writes are whole again, and bad sectors read.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.contents.iter_mut().for_each(Content::heal);
        state.short_writes = false;
    }

    /// Faults that have happened: those that were told, the loss of power, and whatever was tried after it.
    pub fn faults_happened(&self) -> u64 {
        self.state().happened
    }

    /// Holds up every `operation` until the hold is dropped; `met` is called by the first that waits.
    ///
    /// # Panics
    /// When something is held up already.
    pub fn hold(&self, operation: Operation, met: impl FnOnce() + Send + 'static) -> Hold {
        let held = Held { operation, met: Some(Box::new(met)) };
        assert!(self.state().held.replace(held).is_none(), "one thing at a time is held up");
        Hold { shared: Arc::clone(&self.shared) }
    }

    /// Writes take part of what they are given, as the seed has it.
    pub fn shorten_writes(&self) {
        self.state().short_writes = true;
    }

    /// Bytes that may be laid out from now on.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = bytes;
    }

    /// The power goes while change number `change` is done (see [`Self::changes`]): it happens in part, and from then
    /// on everything fails.
    pub fn lose_power_at(&self, change: u64) {
        self.state().power_goes_at = Some(change);
    }

    /// Operations done so far that change the disk.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Is the power on?
    pub fn is_powered(&self) -> bool {
        self.state().powered
    }

    /// Bytes written so far; the zeros that files are laid out with are not counted.
    pub fn written_bytes(&self) -> u64 {
        self.state().written_bytes
    }

    /// What is found when the power is back, as a new disk: synced bytes, and of the others whatever the seed keeps.
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut rng = entropy::seeded(seed, "power loss");
        let state = self.state();
        let mut names = state.names_synced.clone();
        let kept = up_to(&mut rng, state.names_unsynced.len());
        for change in state.names_unsynced.iter().take(kept) {
            change.apply(&mut names);
        }
        let contents = state.contents.iter().map(|content| content.after_power_loss(&mut rng)).collect();
        let disk = Self::new(seed, state.free_bytes + state.nameless_bytes());
        let mut found = disk.state();
        found.contents = contents;
        found.names_synced.clone_from(&names);
        found.names = names;
        found.forget_unnamed();
        drop(found);
        disk
    }

    /// What is found after kill -9, as a new disk: everything that was written. What was not synced still is not, and a
    /// loss of power after that still takes it.
    pub fn after_kill(&self, seed: u64) -> Self {
        let state = self.state();
        let disk = Self::new(seed, state.free_bytes + state.nameless_bytes());
        let mut found = disk.state();
        found.contents.clone_from(&state.contents);
        found.names.clone_from(&state.names);
        found.names_synced.clone_from(&state.names_synced);
        found.names_unsynced.clone_from(&state.names_unsynced);
        found.forget_unnamed();
        drop(found);
        disk
    }

    /// The files that there are.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Those of them that were uncached, in this order.
    pub fn uncached(&self) -> Vec<PathBuf> {
        let state = self.state();
        let path_of = |content: &usize| {
            let named = state.names.iter().find(|(_, named)| *named == content);
            named.map(|(path, _)| path.clone())
        };
        state.uncached.iter().filter_map(path_of).collect()
    }

    /// Bytes of files without a name that were given back before the file was closed.
    pub fn given_back_bytes(&self) -> u64 {
        self.state().given_back_bytes
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        Ok(state.contents[state.content_of(path)?].bytes().to_vec())
    }

    /// Changes a file behind its user's back: bits that flip, sectors that rot, a file that is cut.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state();
        let content = state.content_of(path)?;
        state.contents[content].damage(change);
        Ok(())
    }

    /// Bytes of a file that no read gives any more until they are written, as of a sector that went bad.
    pub fn add_bad_sectors(&self, path: &Path, range: Range<usize>) -> io::Result<()> {
        let mut state = self.state();
        let content = state.content_of(path)?;
        state.contents[content].add_bad_sectors(range);
        Ok(())
    }

    /// Loses a file.
    pub fn lose_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
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
        let errno = if self.powered { self.fault(operation) } else { Some(Errno::EIO) };
        self.happened += u64::from(errno.is_some());
        errno.map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// Of the faults of this operation, the first whose turn it is; the others come nearer.
    fn fault(&mut self, operation: Operation) -> Option<Errno> {
        let of_this = |fault: &&mut Fault| fault.operation == operation;
        let due = self.faults.iter().position(|fault| fault.operation == operation && fault.passes == 0);
        self.faults
            .iter_mut()
            .filter(of_this)
            .for_each(|fault| fault.passes = fault.passes.saturating_sub(1));
        due.map(|at| self.faults.remove(at).errno)
    }

    /// Counts a change; true when the power goes with it.
    fn power_goes_now(&mut self) -> bool {
        self.changes += 1;
        if self.power_goes_at.is_some_and(|at| self.changes >= at) {
            self.powered = false;
            self.happened += 1;
        }
        !self.powered
    }

    /// Files that no name leads to hold no bytes: nobody has them open after a crash.
    fn forget_unnamed(&mut self) {
        let set = self.names_unsynced.iter().filter_map(|change| match change {
            NameChange::Set(_, content) => Some(content),
            NameChange::Move(..) | NameChange::Remove(_) => None,
        });
        let named: BTreeSet<usize> =
            self.names.values().chain(self.names_synced.values()).chain(set).copied().collect();
        for (at, content) in self.contents.iter_mut().enumerate() {
            if !named.contains(&at) {
                *content = Content::zeros(0, true);
            }
        }
    }

    /// The last name of a content is gone; its room comes back when nobody has it open any more.
    fn unname(&mut self, content: usize) {
        if self.open.contains_key(&content) {
            self.nameless.insert(content);
        } else {
            self.free_bytes += self.contents[content].bytes().len() as u64;
        }
    }

    /// Room that nobody's files take, once nobody has them open any more.
    fn nameless_bytes(&self) -> u64 {
        self.nameless.iter().map(|content| self.contents[*content].bytes().len() as u64).sum()
    }

    fn change_names(&mut self, operation: Operation, change: NameChange) -> io::Result<()> {
        self.check(operation)?;
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
        let state = self.state();
        let names = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let content = state.content_of(path)?;
        Ok(Box::new(Handle::open(&self.shared, &mut state, content)))
    }

    fn lay_out(&self, path: &Path, bytes: u64, sync: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.shared.wait_for(Operation::LayOut);
        let was_powered = state.powered;
        let failed = match state.check(Operation::LayOut) {
            Err(error) if !was_powered => return Err(error),
            outcome => outcome.err(),
        };
        let power_goes = state.power_goes_now();
        state.free_bytes = state.free_bytes.checked_sub(bytes).ok_or(Errno::ENOSPC)?;
        let content = state.contents.len();
        let whole = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let in_part = power_goes || failed.is_some();
        let len = if in_part { up_to(&mut state.rng, whole) } else { whole };
        state.contents.push(Content::zeros(len, sync && !in_part));
        let change = NameChange::Set(path.to_owned(), content);
        change.apply(&mut state.names);
        state.names_unsynced.push_back(change);
        match failed {
            Some(error) => Err(error),
            None if power_goes => Err(Errno::EIO.into()),
            None => Ok(Box::new(Handle::open(&self.shared, &mut state, content))),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.content_of(from)?;
        let replaced = state.content_of(to).ok();
        state.change_names(Operation::Rename, NameChange::Move(from.to_owned(), to.to_owned()))?;
        if let Some(content) = replaced {
            state.unname(content);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let content = state.content_of(path)?;
        state.change_names(Operation::Remove, NameChange::Remove(path.to_owned()))?;
        state.unname(content);
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Operation::SyncFolder)?;
        if state.power_goes_now() {
            return Err(Errno::EIO.into());
        }
        state.names_synced = state.names.clone();
        state.names_unsynced.clear();
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.state().free_bytes)
    }
}

impl Shared {
    /// The state, when `operation` is not held up (any more).
    fn wait_for(&self, operation: Operation) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while let Some(held) = state.held.as_mut().filter(|held| held.operation == operation) {
            if let Some(met) = held.met.take() {
                drop(state);
                met();
                state = self.state.lock();
            } else {
                state = wait(&self.released, state);
            }
        }
        state
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.state.lock().held = None;
        self.shared.released.notify_all();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("operation", &self.operation).finish_non_exhaustive()
    }
}
