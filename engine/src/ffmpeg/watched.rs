//! The output of a process, which is ended when it stalls.

use super::Running;
use std::io::{ErrorKind, Read, Result};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a process writes. A read that waits longer than the limit ends the process, and fails with `TimedOut`.
pub struct Watched {
    output: ChildStdout,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When the read began that waits.
    since: Option<Instant>,
    stalled: bool,
    /// Nothing is read any more.
    ended: bool,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a read takes longer than `limit`, or until nothing is read any more.
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
    /// Fails where the system has no thread to watch it.
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
