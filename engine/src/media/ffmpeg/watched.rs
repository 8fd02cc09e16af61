//! The output of a process. A process that stalls is ended.

use super::running::Running;
use std::io::{ErrorKind, Read, Result};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The standard output of a process. A read that waits longer than the limit ends the process, and fails with
/// `TimedOut`.
#[derive(Debug)]
pub struct Watched {
    output: ChildStdout,
    watch: Arc<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The start of the read that is in progress.
    since: Option<Instant>,
    stalled: bool,
    /// Whether the output is no longer read.
    ended: bool,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a read takes longer than `limit`, or until the output is no longer read.
    fn wait(&self, limit: Duration, child: &Running) {
        let mut state = self.state();
        while !state.ended {
            let left = match state.since.map(|since| limit.saturating_sub(since.elapsed())) {
                Some(Duration::ZERO) => {
                    state.stalled = true;
                    return child.kill();
                }
                Some(left) => left,
                // A read that begins is noticed late by as much.
                None => limit.min(Duration::from_secs(1)),
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Watched {
    /// Watches an output. Fails if the system cannot start the thread that watches the output.
    pub fn new(output: ChildStdout, limit: Duration, child: Running) -> Result<Watched> {
        let watch = Arc::new(Watch::default());
        let watched = Watched { output, watch: watch.clone() };
        let thread = std::thread::Builder::new().name("sam2-watch".into());
        thread.spawn(move || watch.wait(limit, &child))?;
        Ok(watched)
    }
}

impl Read for Watched {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        self.watch.state().since = Some(Instant::now());
        let read = self.output.read(to);
        let mut state = self.watch.state();
        state.since = None;
        if state.stalled { Err(ErrorKind::TimedOut.into()) } else { read }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.state().ended = true;
        self.watch.changed.notify_all();
    }
}
