//! A piece of the forward pass that a device can record once and replay after.

use crate::arena::Arena;
use crate::backend::Backend;
use std::collections::HashMap;
use std::hash::Hash;

/// Recordings of one piece of work, one per `K`: the capacities its shapes depend on.
///
/// Whatever else changes from call to call lives in device memory, where the recorded work reads it.
pub struct Stage<B: Backend, K> {
    recordings: HashMap<K, B::Recording>,
    /// Address and size of the arenas that the recordings name.
    places: Vec<(u64, usize)>,
}

impl<B: Backend, K> Default for Stage<B, K> {
    fn default() -> Self {
        Stage { recordings: HashMap::new(), places: Vec::new() }
    }
}

impl<B: Backend, K: Eq + Hash> Stage<B, K> {
    /// Runs `body`: as it stands where the device records nothing, otherwise recorded the first time and replayed
    /// after, until one of `arenas`, in which its tensors are, has grown. `body` only enqueues ops.
    pub fn run(&mut self, key: K, b: &B, arenas: &[&Arena<B>], mut body: impl FnMut(&B)) {
        if !b.records() {
            return body(b);
        }
        let places = arenas.iter().map(|arena| (arena.addr(), arena.bytes()));
        if !places.clone().eq(self.places.iter().copied()) {
            self.recordings.clear();
            self.places = places.collect();
        }
        if let Some(recording) = self.recordings.get(&key) {
            return b.replay(recording);
        }
        if let Some(recording) = b.record(&mut || body(b)) {
            self.recordings.insert(key, recording);
            log::debug!("{} pieces of work recorded", self.recordings.len());
        }
    }
}
