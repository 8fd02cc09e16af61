//! Frames that are decoded before they are requested.

use crate::cancellation::{self, POLL};
use crate::error::{Error, Result};
use crate::media::picture::Picture;
use crate::{fork, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The number of frames that are decoded ahead of the frame that was read last.
const AHEAD: isize = 2;

/// A decoder of frames, which decodes one frame at a time.
pub(super) trait Decode: Send + Sync {
    /// Decodes frame `i`, which must exist. `reverse` means that the frames before it will probably be requested next.
    fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>>;

    /// Decodes a frame as [`decode`](Self::decode) does, in a child of `fork`.
    fn decode_in_child(&self, i: usize) -> Result<Arc<Picture>> {
        self.decode(i, false)
    }

    /// Returns a decoder of the same frames that works independently of this one.
    fn reopen(&self) -> Arc<dyn Decode>;

    /// Returns the bytes of decoded frames that the decoder keeps.
    fn bytes(&self) -> usize {
        0
    }

    /// Stops the work in progress. No reader waits for the work any more.
    fn stop(&self) {}
}

/// The frame that was read last, and the frames that a thread decoded ahead of it.
pub(super) struct Ahead(Arc<Shared>);

struct Shared {
    len: usize,
    source: Arc<dyn Decode>,
    state: Mutex<State>,
    changed: Condvar,
    /// The process that the thread belongs to.
    process: u64,
}

#[derive(Default)]
struct State {
    /// The frame that was read last.
    current: Option<usize>,
    /// The direction: 1 forwards, -1 backwards, 0 if the last two reads do not show a direction.
    step: isize,
    /// Decoded frames from `current` on. Errors are kept until they are read.
    kept: Vec<(usize, Result<Arc<Picture>>)>,
    /// Whether the thread or a reader is decoding a frame.
    busy: bool,
    /// Whether the thread was started, or could not be started.
    started: bool,
    /// Whether there are no readers any more.
    closed: bool,
}

impl State {
    /// Returns the frames that are kept or decoded ahead, from the current frame on.
    fn window(&self, len: usize) -> impl Iterator<Item = usize> + use<> {
        let (current, step) = (self.current, self.step);
        let reach = if step == 0 { 0 } else { AHEAD };
        (0..=reach).filter_map(move |k| current?.checked_add_signed(k * step)).filter(move |&i| i < len)
    }

    /// Makes `i` the current frame.
    fn turn_to(&mut self, i: usize, len: usize) {
        self.step = match self.current.map(|current| i as isize - current as isize) {
            Some(0) => self.step,
            Some(step @ (1 | -1)) => step,
            _ => 0,
        };
        self.current = Some(i);
        let wanted: Vec<usize> = self.window(len).collect();
        self.kept.retain(|(f, _)| wanted.contains(f));
    }

    fn has(&self, i: usize) -> bool {
        self.kept.iter().any(|(f, _)| *f == i)
    }

    /// Returns a kept frame. An error is returned only once.
    fn take(&mut self, i: usize) -> Option<Result<Arc<Picture>>> {
        let at = self.kept.iter().position(|(f, _)| *f == i)?;
        match &self.kept[at].1 {
            Ok(picture) => Some(Ok(picture.clone())),
            Err(_) => Some(self.kept.swap_remove(at).1),
        }
    }
}

impl Shared {
    /// Returns whether this process was created by `fork` after the value was created.
    fn is_forked(&self) -> bool {
        self.process != fork::generation()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes a frame. `state` is unlocked meanwhile.
    fn decode<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        i: usize,
    ) -> (MutexGuard<'a, State>, Result<Arc<Picture>>) {
        state.busy = true;
        let reverse = state.step < 0;
        drop(state);
        // Who waits for the frame would wait for ever after a panic.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.source.decode(i, reverse)));
        let decoded = decoded.unwrap_or_else(|_| Err(Error::Internal(format!("decoding frame {i} panicked"))));
        let mut state = self.state();
        state.busy = false;
        self.changed.notify_all();
        (state, decoded)
    }

    /// Runs the thread that decodes ahead.
    fn run(&self) {
        let mut state = self.state();
        while !state.closed {
            let missing = state.window(self.len).skip(1).find(|&i| !state.has(i));
            let Some(i) = missing.filter(|_| !state.busy) else {
                state = self.wait(state);
                continue;
            };
            let decoded;
            (state, decoded) = self.decode(state, i);
            if state.window(self.len).any(|f| f == i) {
                state.kept.push((i, decoded));
            }
        }
    }
}

impl Ahead {
    pub(super) fn new(len: usize, source: Arc<dyn Decode>) -> Ahead {
        Ahead(Arc::new(Shared {
            len,
            source,
            state: Mutex::default(),
            changed: Condvar::new(),
            process: fork::generation(),
        }))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len
    }

    /// Returns the same frames with a decoder of their own.
    pub(super) fn reopen(&self) -> Ahead {
        Ahead::new(self.0.len, self.0.source.reopen())
    }

    /// Returns the bytes of decoded frames that are kept.
    pub(super) fn bytes(&self) -> usize {
        let kept = self.0.state();
        let bytes = |(_, p): &(usize, Result<Arc<Picture>>)| p.as_ref().map_or(0, |p| p.pixels.len());
        kept.kept.iter().map(bytes).sum::<usize>() + self.0.source.bytes()
    }

    /// Decodes frame `i`, which must exist, without using the kept frames.
    pub(super) fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        self.0.source.decode(i, reverse)
    }

    /// Returns frame `i` if it is decoded, without waiting.
    pub(super) fn decoded(&self, i: usize) -> Option<Arc<Picture>> {
        let kept = &self.0.state().kept;
        kept.iter().find(|(f, _)| *f == i).and_then(|(_, picture)| picture.as_ref().ok().cloned())
    }

    /// Returns frame `i`, which must exist.
    pub(super) fn read(&self, i: usize) -> Result<Arc<Picture>> {
        if self.0.is_forked() {
            return self.0.source.decode_in_child(i);
        }
        let mut state = self.0.state();
        state.turn_to(i, self.0.len);
        while state.busy && !state.has(i) {
            cancellation::check()?;
            state = self.0.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
        let found = match state.take(i) {
            Some(found) => found,
            None => {
                let decoded;
                (state, decoded) = self.0.decode(state, i);
                if let (Some(at), Ok(picture)) = (state.current, &decoded)
                    && at == i
                {
                    state.kept.push((i, Ok(picture.clone())));
                }
                decoded
            }
        };
        if state.step != 0 && !state.started {
            state.started = true;
            let shared = self.0.clone();
            // Without a thread every frame is decoded when it is read.
            let _ = thread::spawn("sam2-frames", move || shared.run());
        }
        self.0.changed.notify_all();
        found
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.0.is_forked() {
            // The thread and the decoder are the parent's.
            std::mem::forget(self.0.clone());
            return;
        }
        self.0.state().closed = true;
        self.0.changed.notify_all();
        self.0.source.stop();
    }
}
