//! The output of a process. A process that stalls is ended.

use super::running::Running;
use crate::cancellation::{self, CancellationToken, POLL};
use crate::thread;
use std::io::{ErrorKind, Read, Result};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The standard output of a process. A read that waits longer than the limit ends the process, and fails with
/// `TimedOut`. So does a read whose call ends by a token.
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
    /// The tokens of the call that reads.
    tokens: Vec<CancellationToken>,
    /// Whether the process was ended during this read.
    killed: bool,
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
            let ends = state.tokens.iter().any(CancellationToken::ends);
            let left = match state.since.map(|since| limit.saturating_sub(since.elapsed())) {
                Some(left) if ends || left.is_zero() => {
                    state.killed = true;
                    return child.kill();
                }
                Some(left) => left,
                // A read that begins is noticed late by as much.
                None => limit.min(Duration::from_secs(1)),
            };
            let left = if state.tokens.is_empty() { left } else { left.min(POLL) };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Watched {
    /// Watches an output. Fails if the system cannot start the thread that watches the output.
    pub fn new(output: ChildStdout, limit: Duration, child: Running) -> Result<Watched> {
        let watch = Arc::new(Watch::default());
        let watched = Watched { output, watch: watch.clone() };
        thread::spawn("sam2-watch", move || watch.wait(limit, &child))?;
        Ok(watched)
    }
}

impl Read for Watched {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let mut state = self.watch.state();
        state.since = Some(Instant::now());
        state.tokens = cancellation::tokens();
        if !state.tokens.is_empty() {
            self.watch.changed.notify_all();
        }
        drop(state);
        let read = self.output.read(to);
        let mut state = self.watch.state();
        state.since = None;
        state.tokens.clear();
        if state.killed { Err(ErrorKind::TimedOut.into()) } else { read }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.state().ended = true;
        self.watch.changed.notify_all();
    }
}
