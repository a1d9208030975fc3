//! An open file of the fault disk: where reads, writes and syncs fail, are cut short, or meet the loss of power.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use nix::errno::Errno;

use super::{
    Operation, Shared, State,
    content::{coin, up_to},
};
use crate::disk::DiskFile;

/// One open file.
#[derive(Debug)]
pub(super) struct Handle {
    shared: Arc<Shared>,
    content: usize,
}

impl Handle {
    pub(super) fn open(shared: &Arc<Shared>, state: &mut State, content: usize) -> Self {
        *state.open.entry(content).or_default() += 1;
        Self { shared: Arc::clone(shared), content }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let others = state.open.remove(&self.content).map_or(0, |open| open - 1);
        if others > 0 {
            state.open.insert(self.content, others);
        } else if state.nameless.remove(&self.content) {
            state.free_bytes += state.contents[self.content].bytes().len() as u64;
        }
    }
}

impl DiskFile for Handle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.shared.state.lock().contents[self.content].bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.wait_for(Operation::Read);
        state.check(Operation::Read)?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let rest = state.contents[self.content].bytes().get(offset..).unwrap_or_default();
        let len = buffer.len().min(rest.len());
        if !state.contents[self.content].is_readable(&(offset..offset + len)) {
            state.happened += 1;
            return Err(Errno::EIO.into());
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.shared.wait_for(Operation::Write);
        let was_powered = state.powered;
        let failed = state.check(Operation::Write).err();
        let power_goes = was_powered && state.power_goes_now();
        let mut data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if !was_powered {
            data.clear();
        } else if failed.is_some() {
            let done = up_to(&mut state.rng, data.len());
            data.truncate(done);
        } else if state.short_writes && data.len() > 1 && coin(&mut state.rng) {
            let kept = 1 + up_to(&mut state.rng, data.len() - 1);
            data.truncate(kept);
        }
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let written = state.contents[self.content].write(offset, data);
        state.written_bytes += written as u64;
        match failed {
            Some(error) => Err(error),
            None if power_goes => Err(Errno::EIO.into()),
            None => Ok(written),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        // What is written while it is held up is not its business, though a kernel may bring it to the disk as well.
        let writes = self.shared.state.lock().contents[self.content].writes();
        let mut state = self.shared.wait_for(Operation::Sync);
        let state = &mut *state;
        if !state.powered {
            return state.check(Operation::Sync);
        }
        let checked = state.check(Operation::Sync);
        let power_goes = state.power_goes_now();
        match checked {
            Ok(()) if !power_goes => {
                state.contents[self.content].sync(writes);
                Ok(())
            }
            outcome => {
                state.contents[self.content].fail_sync(&mut state.rng);
                outcome.and(Err(Errno::EIO.into()))
            }
        }
    }

    fn uncache(&self) {
        self.shared.state.lock().uncached.push(self.content);
    }

    fn bytes_to_give_back(&self) -> u64 {
        self.bytes().unwrap_or(0)
    }

    fn give_back_behind(&self, bytes: u64) {
        let mut state = self.shared.state.lock();
        if state.powered {
            let bytes = usize::try_from(bytes).expect("files are in memory");
            let cut = state.contents[self.content].cut(bytes) as u64;
            state.given_back_bytes += cut;
            state.free_bytes += cut;
        }
    }
}
