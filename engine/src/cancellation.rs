//! Calls that end before their work is complete: by a token, or at a deadline.

use crate::error::{Error, Result};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time after which a thread that waits looks whether its call ends.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Ends calls of the engine early. A clone is the same token.
///
/// [`CancellationToken::run`] chooses the calls. They fail with [`Error::Cancelled`] soon after another thread has
/// called [`CancellationToken::cancel`], and with [`Error::TimedOut`] soon after the deadline: on the CPU within some
/// milliseconds, on a GPU after the work that is enqueued. Every call of the engine that computes, reads or loads can
/// end so. After it, models and predictors are as after any other failure of the call, and the call can be made
/// again.
///
/// ```
/// # use sam2_engine as sam2;
/// let token = sam2::CancellationToken::new();
/// let other = token.clone();
/// std::thread::spawn(move || other.cancel());
/// let frames = token.run(|| sam2::Frames::open("a folder"));
/// # assert!(frames.is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(Arc<Token>);

#[derive(Debug, Default)]
struct Token {
    cancelled: AtomicBool,
    deadline: Option<Instant>,
}

/// A token of the calls that a thread is in. It is on the stack of [`CancellationToken::run`].
struct Scope<'a> {
    token: &'a CancellationToken,
    outer: Option<&'a Scope<'a>>,
}

thread_local! {
    /// The innermost scope of this thread, or null. It has no destructor, since the system may have no memory for one.
    static CURRENT: Cell<*const Scope<'static>> = const { Cell::new(std::ptr::null()) };
}

impl CancellationToken {
    /// Creates a token without a deadline.
    #[must_use]
    pub fn new() -> CancellationToken {
        CancellationToken::default()
    }

    /// Creates a token that also ends calls at `deadline`.
    #[must_use]
    pub fn with_deadline(deadline: Instant) -> CancellationToken {
        CancellationToken(Arc::new(Token { cancelled: AtomicBool::new(false), deadline: Some(deadline) }))
    }

    /// Ends the calls of this token, now and later. Does not wait for them.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Returns whether [`CancellationToken::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Runs `work`. The token ends the calls of the engine that `work` makes on this thread. A call within several
    /// tokens ends with the first of them.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Leave(*const Scope<'static>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        with_tokens(|Tokens(outer)| {
            let scope = Scope { token: self, outer };
            // Only the lifetime changes: the scope outlives its place in the list.
            let _leave = Leave(CURRENT.replace((&raw const scope).cast()));
            work()
        })
    }

    /// Returns whether the calls of this token end. Once they do, they always do.
    pub(crate) fn ends(&self) -> bool {
        self.check().is_err()
    }

    /// Fails if the calls of this token end.
    fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match self.0.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::TimedOut),
            _ => Ok(()),
        }
    }
}

/// The tokens of a call. Other threads that work for the call ask them too.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a>(Option<&'a Scope<'a>>);

impl<'a> Tokens<'a> {
    fn iter(self) -> impl Iterator<Item = &'a CancellationToken> {
        std::iter::successors(self.0, |scope| scope.outer).map(|scope| scope.token)
    }

    /// Returns whether the call ends. Once it does, it always does.
    #[inline]
    pub fn end(self) -> bool {
        self.iter().any(CancellationToken::ends)
    }
}

/// Calls `work` with the tokens of the calling thread.
pub(crate) fn with_tokens<R>(work: impl FnOnce(Tokens<'_>) -> R) -> R {
    // SAFETY: the scopes of this thread are on its stack until the calls that made them return, which is after `work`.
    work(Tokens(unsafe { CURRENT.get().as_ref() }))
}

/// Returns the tokens of the calling thread, for a thread that outlives the loan of [`with_tokens`].
pub(crate) fn tokens() -> Vec<CancellationToken> {
    with_tokens(|tokens| tokens.iter().cloned().collect())
}

/// Fails if the call that the calling thread is in ends by a [`CancellationToken`].
///
/// # Errors
///
/// [`Error::Cancelled`] or [`Error::TimedOut`].
pub fn check() -> Result<()> {
    with_tokens(|tokens| tokens.iter().try_for_each(CancellationToken::check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_that_ends_decides() {
        let (outer, inner) = (CancellationToken::new(), CancellationToken::new());
        let late = CancellationToken::with_deadline(Instant::now());
        assert!(check().is_ok());
        outer.run(|| {
            inner.run(|| {
                assert!(check().is_ok());
                outer.cancel();
                assert!(matches!(check(), Err(Error::Cancelled)));
            });
            assert!(check().is_err());
        });
        assert!(check().is_ok());
        late.run(|| assert!(matches!(check(), Err(Error::TimedOut))));
        assert!(!late.is_cancelled());
        CancellationToken::with_deadline(Instant::now() + Duration::from_secs(3600)).run(|| assert!(check().is_ok()));
    }

    #[test]
    fn a_panic_leaves_the_token() {
        let token = CancellationToken::new();
        let failed = std::panic::catch_unwind(|| token.run(|| panic!("no")));
        assert!(failed.is_err());
        token.cancel();
        assert!(check().is_ok());
    }
}
