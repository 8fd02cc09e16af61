//! A handle of a process that several threads share.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A process that another thread can end.
#[derive(Clone, Debug)]
pub struct Running(Arc<Mutex<Child>>);

impl Running {
    /// Makes a handle of a process.
    pub(super) fn new(child: Child) -> Running {
        Running(Arc::new(Mutex::new(child)))
    }

    /// Locks the process.
    pub(super) fn child(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process. A thread that reads the output of the process then reaches the end of the output.
    pub fn kill(&self) {
        // Fails only where the process has ended by itself.
        let _ = self.child().kill();
    }
}
