//! The wakers of the futures that wait for one event. Owned by a primitive, always under that primitive's lock;
//! it must never call a waker itself, because a waker may run foreign code and so must be called without the lock.

use core::task::Waker;
use std::collections::BTreeMap;

/// Names one future's place in a [`WakerSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WakerKey(u64);

/// One waker for each future that waits now. Its size is the number of such futures: each removes itself on drop. A map,
/// because every connection of a listener has one and asks for it at each of its turns.
#[derive(Debug, Default)]
pub(crate) struct WakerSet {
    next_key: u64,
    wakers: BTreeMap<WakerKey, Waker>,
}

impl WakerSet {
    /// Registers `waker` under `key`, or under a new key. A waker that was replaced is handed out, so that the caller
    /// drops it after the lock.
    pub(crate) fn register(&mut self, key: Option<WakerKey>, waker: &Waker) -> (WakerKey, Option<Waker>) {
        if let Some((key, registered)) = key.and_then(|key| Some((key, self.wakers.get_mut(&key)?))) {
            let replaced =
                (!registered.will_wake(waker)).then(|| core::mem::replace(registered, waker.clone()));
            return (key, replaced);
        }
        let key = WakerKey(self.next_key);
        self.next_key += 1;
        self.wakers.insert(key, waker.clone());
        (key, None)
    }

    /// Forgets the waker under `key`, if it is still there.
    pub(crate) fn remove(&mut self, key: WakerKey) -> Option<Waker> {
        self.wakers.remove(&key)
    }

    /// How many futures wait.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }

    /// Takes all wakers out, to be called after the lock.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        core::mem::take(&mut self.wakers).into_values()
    }
}
