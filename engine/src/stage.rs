//! A piece of the forward pass that a device can record once and replay after.

use crate::backend::Backend;
use std::collections::HashMap;
use std::hash::Hash;

/// Recordings of one piece of work, one per `K`: the capacities its shapes depend on.
///
/// Whatever else changes from call to call lives in device memory, where the recorded work reads it.
pub struct Stage<B: Backend, K> {
    recordings: HashMap<K, B::Recording>,
}

impl<B: Backend, K> Default for Stage<B, K> {
    fn default() -> Self {
        Stage { recordings: HashMap::new() }
    }
}

impl<B: Backend, K: Eq + Hash> Stage<B, K> {
    /// Runs `body`: as it stands where the device records nothing, otherwise recorded the first time and replayed
    /// after. `body` only enqueues ops.
    pub fn run(&mut self, key: K, b: &B, mut body: impl FnMut(&B)) {
        if !b.records() {
            return body(b);
        }
        if let Some(recording) = self.recordings.get(&key) {
            return b.replay(recording);
        }
        if let Some(recording) = b.record(&mut || body(b)) {
            self.recordings.insert(key, recording);
        }
    }

    /// Forgets every recording: the memory they name has moved.
    pub fn clear(&mut self) {
        self.recordings.clear();
    }
}
