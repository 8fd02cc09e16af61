//! Stages: pieces of the forward pass that a device can record once and replay later.

use crate::backend::Backend;
use crate::backend::arena::Arena;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// The recordings of one piece of work. There is one recording per `K`, which has the capacities that the shapes depend
/// on.
///
/// Everything else that changes from call to call is in device memory, where the recorded work reads it.
pub struct Stage<B: Backend, K> {
    recordings: HashMap<K, B::Recording>,
    /// The addresses and sizes of the arenas that the recordings refer to.
    places: Vec<(u64, usize)>,
}

impl<B: Backend, K> fmt::Debug for Stage<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("recordings", &self.recordings.len())
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl<B: Backend, K> Default for Stage<B, K> {
    fn default() -> Self {
        Stage { recordings: HashMap::new(), places: Vec::new() }
    }
}

impl<B: Backend, K: Eq + Hash> Stage<B, K> {
    /// Runs `body`. If the device records work, `body` is recorded the first time and replayed later, until one of
    /// `arenas` has grown. The tensors of `body` must be in `arenas`, and `body` must only enqueue operations.
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
